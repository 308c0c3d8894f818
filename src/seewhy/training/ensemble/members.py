"""From the specification of an ensemble to those of its members."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

from seewhy.core.errors import InputError
from seewhy.training.spec import EnsembleSpec, RunSpec, dotted_options
from seewhy.training.spec.sections import GENERATORS

SHARED = ("source", "data", "ensemble")
"""What members have in common: their predictions are averaged image by image."""


def alone(spec: RunSpec) -> RunSpec:
    """Return the specification of one network of an ensemble, before its seed and its edit."""
    single = spec.model_copy(update={"ensemble": EnsembleSpec()})
    return single.with_changes({"train.threads": member_threads(spec)})


def member_specs(spec: RunSpec) -> tuple[RunSpec, ...]:
    """Return the specification of each member: the ensemble's own, with its seed and its edit.

    Raises:
        InputError: an edit is no TOML, changes what members share, or leads to a wrong specification; names the edit.
    """
    chosen, single = spec.ensemble, alone(spec)
    edits = [read_edit(text, place) for place, text in enumerate(chosen.edits, start=1)] or [{}]
    found = []
    for index in range(chosen.members):
        place = index % len(edits)
        try:
            found.append(single.with_changes({"train.seed": spec.train.seed + index, **edits[place]}))
        except InputError as error:
            raise InputError(f"ensemble.edits: edit {place + 1}: {error}") from None
    return tuple(found)


def read_edit(text: str, place: int) -> dict[str, Any]:
    """Read an edit such as `activation = "elu", optim.lr = 0.1` as dotted fields."""
    try:
        values = tomllib.loads(f"edit = {{ {text} }}")["edit"]
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"ensemble.edits: edit {place} must be TOML such as 'model.activation = \"elu\"', got {text!r}: {error}"
        ) from None
    changes = dotted_options(_flat(values))
    for path in changes:
        if path.split(".")[0] in SHARED:
            raise InputError(f"ensemble.edits: edit {place} cannot change {path}, which the members share")
        if path == "train.snapshots":
            raise InputError(
                f"ensemble.edits: edit {place} cannot change {path}: an ensemble of ensembles is one too many"
            )
        if path == "model.name" and changes[path] in GENERATORS:
            raise InputError(
                f"ensemble.edits: edit {place}: {changes[path]} gives no probabilities to average; choose a recogniser"
            )
    return changes


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn nested tables into dotted names."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found.update({f"{name}.{inner}": item for inner, item in _flat(value).items()})
        else:
            found[name] = value
    return found


def jobs(spec: RunSpec) -> int:
    """Return how many members are trained at the same time."""
    chosen = spec.ensemble
    if chosen.jobs is not None:
        return min(chosen.jobs, chosen.members)
    return 1 if spec.train.device in ("cuda", "mps") else min(chosen.members, os.cpu_count() or 1)


def member_threads(spec: RunSpec) -> int:
    """Return the processor threads of one member: the cores are shared out."""
    return spec.train.threads or max(1, (os.cpu_count() or 1) // jobs(spec))
