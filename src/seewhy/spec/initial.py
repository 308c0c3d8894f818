"""Runs whose weights another run starts from: named by their folder or, once these are known, by FOLDER@DIGEST."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import user_path
from seewhy.spec.request import Request
from seewhy.spec.run_spec import RunSpec

REQUEST, SPEC = "request.toml", "spec.toml"
"""Files of a run's folder: what was asked for, and what became of it."""

FIELD = "train.initial_weights"

_WITH_DIGEST = re.compile(r"(.+)@([0-9a-f]{16})", re.DOTALL)


def parse_reference(reference: str) -> tuple[Path, str | None]:
    """Return the folder and the digest of a reference to a run's weights, None without one."""
    found = _WITH_DIGEST.fullmatch(reference)
    folder, digest = (found[1], found[2]) if found is not None else (reference, None)
    return user_path(folder, FIELD).absolute(), digest


def format_reference(folder: Path, digest: str) -> str:
    """Return a reference to weights."""
    return f"{folder}@{digest}"


def spec_of_run(folder: Path) -> RunSpec:
    """Return the specification of a run; raises InputError if the folder is none, or is of another version."""
    if not (folder / SPEC).is_file():
        raise InputError(f"{folder}: is not a run folder (there is no {SPEC}); name a folder that `seewhy train` made")
    return RunSpec.from_toml(folder / SPEC)


def with_network_of_initial(request: Request) -> Request:
    """Return a request that asks for the network and the image size of the run whose weights it starts from, but for what it asks itself.

    Raises:
        InputError: there is no such run.
    """
    reference = request.get(FIELD)
    if reference is None:
        return request
    folder, digest = parse_reference(reference)
    spec = spec_of_run(folder)
    inherited: dict[str, Any] = {f"model.{name}": value for name, value in spec.values()["model"].items()}
    inherited |= {f"data.{name}": getattr(spec.data, name) for name in ("resolution", "channels")}
    own = {path: request.get(path) for path in request.asked()}
    own[FIELD] = format_reference(folder, digest) if digest is not None else str(folder)
    return Request.make(request.source, inherited).with_changes(own)
