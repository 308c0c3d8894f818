"""Nested values as people write them, made uniform: short names, dotted paths, leads in place of groups.

`values` are dictionaries by section and field; a group is a dictionary of its own. A *leaf path* is dotted and ends at a plain value
("model.activation.name").
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic.fields import FieldInfo

from seewhy.core.errors import InputError, nearest
from seewhy.spec.family import Family, families
from seewhy.spec.optimizers import OPTIMIZERS, Optimizer
from seewhy.spec.section import Group, Section, groups_of, name_of
from seewhy.spec.sections import SECTION_TITLES, DataSection, Values

ALIASES: dict[str, str] = {
    "model": "model.name",
    "epochs": "train.epochs",
    "minutes": "train.minutes",
    "batch_size": "train.batch_size",
    "seed": "train.seed",
    "from": "train.initial_weights",
    "initial_weights": "train.initial_weights",
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
    "wandb": "train.wandb",
    "mlflow": "train.mlflow",
    "members": "ensemble.members",
}
"""Short names of the fields that people use most; the same on the command line and in Python."""

UNSET = "default"
"""What takes back that a field was asked for."""


def owners(section: str) -> dict[str, type[Section]]:
    """Return every record that a section may be, by the name of the model, optimiser or family it belongs to."""
    return _owners(section, families())


@cache
def _owners(section: str, families: tuple[Family, ...]) -> dict[str, type[Section]]:
    if section == "data":
        return {"every run": DataSection}
    if section == "optim":
        return {name_of(optimizer): optimizer for optimizer in OPTIMIZERS}
    if section == "model":
        return {model.name: model.section for family in families for model in family.models}
    found = {family.name: family.sections(family.models[0].name).get(section) for family in families}
    return {name: record for name, record in found.items() if record is not None}


def fields(section: str) -> dict[str, FieldInfo]:
    """Return the fields that a section may have, whatever it is, with one record's description of each."""
    return {name: info for record in reversed(owners(section).values()) for name, info in record.model_fields.items()}


def groups(section: str, field: str) -> tuple[type[Group], ...]:
    """Return the groups that a field may hold, whatever the section is."""
    found: dict[type[Group], None] = {}
    for record in owners(section).values():
        if field in record.model_fields:
            found |= dict.fromkeys(groups_of(record.model_fields[field].annotation))
    return tuple(found)


def known_paths() -> list[str]:
    """Return the dotted path of every field that there is; groups by themselves and by their fields."""
    paths = []
    for section in SECTION_TITLES:
        for field in fields(section):
            paths.append(f"{section}.{field}")
            inner = dict.fromkeys(name for group in groups(section, field) for name in group.model_fields)
            paths += [f"{section}.{field}.{name}" for name in inner]
    return paths


def unknown_option(name: str) -> InputError:
    """Build the error for an option that does not exist."""
    known = [*ALIASES, *SECTION_TITLES, *known_paths()]
    last = name.split(".")[-1]
    hint = nearest(name, known) or next((path for path in known if path.split(".")[-1] == last), None)
    ask = f"; did you mean {hint!r}?" if hint else f"; short names are {', '.join(ALIASES)}"
    return InputError(f"{name}: there is no such option{ask}")


def leaves(options: Mapping[str, Any]) -> Values:
    """Turn what people write (short names, dotted paths, sections and groups as dictionaries) into values by leaf path; None unsets.

    Raises:
        InputError: a name is unknown, or a field is given twice.
    """
    found: Values = {}
    for name, value in options.items():
        if value is not None and name in SECTION_TITLES and isinstance(value, Mapping):
            pairs = [(f"{name}.{field}", item) for field, item in value.items()]
        else:
            path = "model.name" if name == "model" else "optim.name" if name == "optim" else ALIASES.get(name, name)
            pairs = [(path, value)]
        for path, item in pairs:
            for leaf, plain in _leaf(name, path, item):
                if leaf in found and found[leaf] != plain:
                    raise InputError(f"{leaf}: is given twice, as {found[leaf]!r} and as {plain!r}; give it once")
                found[leaf] = plain
    return found


CUSTOM = "custom"
"""The model whose network a factory makes."""


def factory_of(changes: Mapping[str, Any]) -> str | None:
    """Return the factory of a network that changes by leaf path name, "package.module:function", also in the place of a model; else None."""
    name = changes.get("model.name")
    if isinstance(name, str) and ":" in name:
        return name
    factory = changes.get("model.factory")
    return factory if isinstance(factory, str) else None


def _leaf(name: str, path: str, value: Any) -> Iterator[tuple[str, Any]]:
    section, *rest = path.split(".")
    if path == "source":
        yield path, value
        return
    if section in SECTION_TITLES and not rest:
        raise InputError(f"{section}: must be a table of fields, got {value!r}")
    if section not in SECTION_TITLES:
        raise unknown_option(name)
    if value == UNSET:
        value = None
    held = groups(section, rest[0])
    if len(rest) == 1 and isinstance(value, Mapping):
        if not held:
            raise InputError(f"{path}: must be a plain value, got a table; write {path} = ...")
        for field, item in value.items():
            yield from _leaf(name, f"{path}.{field}", item)
    elif len(rest) == 1 and held and value is not None:
        yield f"{path}.{held[0].lead}", held[0].lead_value(_plain(value))
    elif len(rest) == 2 and held and rest[1] == held[0].lead:
        yield path, held[0].lead_value(_plain(value))
    elif len(rest) > 2 or (len(rest) == 2 and not held):
        raise unknown_option(name)
    else:
        yield path, _plain(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def applied(values: Values, changes: Mapping[str, Any]) -> Values:
    """Return nested values with changes by leaf path; None unsets a field, or a whole group.

    The factory of a network in the place of a model's name stands for the model `CUSTOM` with it. Another name starts its section (or group)
    afresh: what was asked of the former choice belongs to it, not to the new one. Of an optimiser's section the schedule stays, which all have.
    A budget in epochs replaces one in minutes, and the other way round.
    """
    found = copy.deepcopy(values)
    if (factory := factory_of(changes)) is not None:
        changes = {**changes, "model.name": CUSTOM, "model.factory": factory}
    names = sorted((path for path in changes if path.endswith(".name")), key=lambda path: path.count("."))
    for path in names:
        *holder, _ = path.split(".")
        former, new = get(found, path), changes[path]
        if former is not None and former != new:
            keep = Optimizer.model_fields if holder == ["optim"] else {}
            place = get(found, ".".join(holder)) or {}
            put(found, ".".join(holder), {k: v for k, v in place.items() if k in keep and k != "name"})
        put(found, path, new)
    for path, value in changes.items():
        if path not in names:
            put(found, path, value)
    for given, other in (("train.minutes", "train.epochs"), ("train.epochs", "train.minutes")):
        if changes.get(given) is not None and other not in changes:
            put(found, other, None)
    return found


def get(values: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a dotted path, None where nothing does."""
    place: Any = values
    for name in path.split("."):
        place = place.get(name) if isinstance(place, Mapping) else None
    return place


def put(values: Values, path: str, value: Any) -> None:
    """Set what stands at a dotted path, in place; None and {} remove it, and dictionaries that are empty then."""
    name, _, rest = path.partition(".")
    if rest:
        inner = values.get(name)
        inner = dict(inner) if isinstance(inner, Mapping) else {}
        put(inner, rest, value)
        value = inner
    if value is None or value == {}:
        values.pop(name, None)
    else:
        values[name] = value


def flat(values: Mapping[str, Any], prefix: str = "") -> Values:
    """Return values by leaf path."""
    found: Values = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found
