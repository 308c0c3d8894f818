"""Command-line options made from the fields of the specification.

`--train.epochs 3` and its short form `--epochs 3` come from `RunSpec` itself: names, help and types have one home. Values are read
here only as far as text becomes a number or a truth value; what is allowed is decided by the specification, whose errors name the field.
"""

from __future__ import annotations

import argparse
import types
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin

from seewhy.core.spec import fields_of
from seewhy.training.spec import ALIASES, RunSpec

SECTIONS = {
    "data": "data",
    "model": "network",
    "generator": "generator (for the networks that make pictures)",
    "reg": "against overfitting",
    "optim": "optimiser",
    "train": "training",
    "ensemble": "ensemble",
}
SHORT = {"model.name": "model"}


def add_spec_options(parser: argparse.ArgumentParser, sections: tuple[str, ...] = tuple(SECTIONS)) -> None:
    """Add an option for every field of the named sections, with its short form."""
    short: dict[str, list[str]] = {}
    for alias, path in (*ALIASES.items(), *((alias, path) for path, alias in SHORT.items())):
        short.setdefault(path, []).append(alias)
    groups = {name: parser.add_argument_group(SECTIONS[name]) for name in sections}
    for path, info in fields_of(RunSpec).items():
        group = groups.get(path.split(".")[0])
        if group is None:
            continue
        names = [f"--{alias.replace('_', '-')}" for alias in short.get(path, [])] + [f"--{path.replace('_', '-')}"]
        names += [f"--{path}"] if "_" in path else []
        flag = info.annotation is bool
        extra: dict[str, Any] = {"nargs": "?", "const": "true"} if flag else {}
        group.add_argument(
            *names,
            dest=path,
            default=argparse.SUPPRESS,
            metavar=_metavar(info.annotation),
            help=_help(info),
            **extra,
        )


def spec_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that the user gave, by dotted path, as values of the fields' types."""
    fields = fields_of(RunSpec)
    return {
        path: _value(text, fields[path].annotation)
        for path, text in vars(options).items()
        if path in fields and "." in path
    }


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type, without None; a Literal counts as its values' types."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for part in get_args(annotation) if part is not type(None) for kind in _kinds(part))
    if get_origin(annotation) is Literal:
        return tuple({type(value) for value in get_args(annotation)})
    return (annotation,)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is tuple:
        return ()
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))


def _metavar(annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return "TEXT; TEXT"
    choices = _choices(annotation)
    if choices:
        return "{" + ",".join(map(str, choices)) + "}"
    return {int: "N", float: "X", bool: "true|false", str: "NAME"}[_kinds(annotation)[0]]


def _help(info: Any) -> str:
    text = str(info.description).replace("%", "%%")
    return text if info.default in (None, ()) or info.annotation is bool else f"{text} Default: {info.default}."


def _value(text: str, annotation: Any) -> Any:
    """Read a text as the field's type; a text that does not fit stays one, and the specification refuses it by name."""
    if get_origin(annotation) is tuple:
        return tuple(part.strip() for part in text.split(";") if part.strip())
    for kind in _kinds(annotation):
        if kind is bool and text.lower() in ("true", "false", "yes", "no", "1", "0"):
            return text.lower() in ("true", "yes", "1")
        for read in (int, float) if kind in (int, float) else ():
            with suppress(ValueError):
                return read(text)
    return text
