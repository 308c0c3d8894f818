"""From what people write, options and files, to a RunSpec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError, nearest
from seewhy.core.spec import fields_of
from seewhy.training.spec.run_spec import RunSpec

ALIASES: dict[str, str] = {
    "epochs": "train.epochs",
    "minutes": "train.minutes",
    "batch_size": "train.batch_size",
    "seed": "train.seed",
    "precision": "train.precision",
    "device": "train.device",
    "ema": "train.ema",
    "patience": "train.patience",
    "activation": "model.activation",
    "init": "model.init",
    "norm": "model.norm",
    "width": "model.width",
    "depth": "model.depth",
    "optimizer": "optim.name",
    "lr": "optim.lr",
    "weight_decay": "optim.weight_decay",
    "dropout": "reg.dropout",
    "label_smoothing": "reg.label_smoothing",
    "flip": "reg.flip",
    "resolution": "data.resolution",
    "tensorboard": "train.tensorboard",
    "members": "ensemble.members",
}
"""Short names of the fields that people use most; the same on the command line and in Python."""


def make_spec(source: str, options: Mapping[str, Any]) -> RunSpec:
    """Build a RunSpec from keyword options: aliases, dotted paths, or sections as dictionaries.

    Args:
        source: folder, built-in name or .npz file.
        options: such as `{"activation": "elu", "train.epochs": 3, "model": {"width": 32}}`; `model="resnet"` is short for
            `model.name`.

    Raises:
        InputError: an option is unknown, given twice, or wrong.
    """
    return RunSpec.from_dict({"source": source}).with_changes(dotted_options(options))


def build_spec(source: str | Path | None, spec: str | Path | None, options: Mapping[str, Any]) -> RunSpec:
    """Build a RunSpec from a file, a source and options; the later override the earlier.

    Raises:
        InputError: there is neither a file nor a source, or something in them is wrong.
    """
    if spec is not None:
        changes = dotted_options(options)
        for given, other in (("train.minutes", "train.epochs"), ("train.epochs", "train.minutes")):
            if given in changes:  # replaces the file's budget, in whichever unit that is
                changes = {other: None, **changes}
        return RunSpec.from_toml(Path(spec)).with_changes(
            {**changes, **({"source": str(source)} if source is not None else {})}
        )
    if source is None:
        raise InputError("source: is required; name a folder of class folders, a built-in name, or an .npz file")
    return make_spec(str(source), options)


def dotted_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn aliases and sections into dotted paths; raises InputError for unknown names and for a field given twice."""
    sections = {name for name in RunSpec.model_fields if name != "source"}
    changes: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and name in sections:
            pairs = [(f"{name}.{field}", item) for field, item in value.items()]
        elif name in ("model", "optim"):
            pairs = [(f"{name}.name", value)]
        elif name in ALIASES or "." in name:
            pairs = [(ALIASES.get(name, name), value)]
        else:
            known = [*ALIASES, *sections, *fields_of(RunSpec)]
            hint = nearest(name, known)
            ask = f"; did you mean {hint!r}?" if hint else f"; short names are {', '.join(ALIASES)}"
            raise InputError(f"{name}: there is no such option{ask}")
        for path, item in pairs:
            if path in changes:
                raise InputError(f"{path}: is given twice, as {changes[path]!r} and as {item!r}; give it once")
            changes[path] = item
    return changes
