"""From what people write, a source, a file and options, to a request."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.trust import trust
from seewhy.spec.initial import REQUEST, SPEC, spec_of_run, with_network_of_initial
from seewhy.spec.request import Request
from seewhy.spec.tree import factory_of, leaves


def build_request(source: str | None, start: str | Path | None, options: Mapping[str, Any]) -> Request:
    """Build a request from a source, a file or a run to start from, and options; the later override the earlier.

    A run (its folder, or its spec.toml) without options is repeated as it was: everything that was chosen then is asked for. With options they
    edit what was asked for, and the rest is chosen anew. Of a run whose weights are the first ones, network and image size are taken too.

    Args:
        source: a folder, a built-in name or an .npz file; None for that of `start`.
        start: a TOML file, or a run's folder.
        options: in the forms of `Request.make`.

    Raises:
        InputError: there is neither a start nor a source, or something in them is wrong.
    """
    if (factory := factory_of(leaves(options))) is not None:
        trust(factory)  # whoever names it here means it
    return with_network_of_initial(_request(source, start, options))


def trust_request(request: Request) -> None:
    """Let the factory of a network that a request names be imported."""
    if (factory := request.get("model.factory")) is not None:
        trust(factory)


def _request(source: str | None, start: str | Path | None, options: Mapping[str, Any]) -> Request:
    changes = {**options, **({"source": source} if source is not None else {})}
    if start is None:
        if source is None:
            raise InputError("source: is required; name a folder of class folders, a built-in name, or an .npz file")
        return Request.make(source, options)
    path = Path(start)
    of_run = path.name == SPEC and any((path.parent / name).is_file() for name in (REQUEST, "data.json"))
    run = path if path.is_dir() else path.parent if of_run else None
    if run is None:
        return Request.from_toml(path).with_changes(changes)
    spec = spec_of_run(run)
    return Request.from_toml(run / REQUEST).with_changes(changes) if changes else spec.request()
