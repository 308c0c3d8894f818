"""Command-line options made from the fields of the specification.

`--train.epochs 3` and its short form `--epochs 3` come from the specification itself: names, help and types have one home. What is allowed is
decided by the specification, whose errors name the field.

Every field of every model and optimiser is understood, so that one that does not belong is refused by name; help lists those of the model and
the optimiser that are asked for.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from seewhy.spec import model_names
from seewhy.spec.options import OptionField, all_options, kinds, options_for, read_value
from seewhy.spec.sections import SECTION_TITLES, Values
from seewhy.spec.tree import UNSET, owners

CHOOSERS = {
    "--model": "model",
    "--model.name": "model",
    "--optimizer": "optim",
    "--optim.name": "optim",
}
"""Options whose value decides which fields there are."""


def add_spec_options(
    parser: argparse.ArgumentParser, arguments: Sequence[str], sections: Sequence[str] = tuple(SECTION_TITLES)
) -> None:
    """Add an option for every field of the named sections, with its short form.

    Args:
        parser: of the command.
        arguments: what was given, of which the model and the optimiser decide what help lists.
        sections: those whose fields are options.
    """
    shown = options_for(_named(arguments))
    paths = {each.path for each in shown}
    hidden = [each for each in all_options() if each.path not in paths]
    groups = {name: parser.add_argument_group(SECTION_TITLES[name]) for name in sections}
    for each in (*shown, *hidden):
        if each.section in groups:
            _add(groups[each.section], each, shown=each.path in paths)


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add --trust, for runs that name code of their own."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="import the factory of the network that a run or a file names, which runs its code; one named here is imported anyway",
    )


def _named(arguments: Sequence[str]) -> Values:
    """Return the model and the optimiser that arguments name; one that there is not is refused later."""
    values: Values = {}
    known = {"model": model_names(), "optim": tuple(owners("optim"))}
    for word, after in zip(arguments, [*arguments, ""][1:], strict=True):
        option, equals, value = word.partition("=")
        section = CHOOSERS.get(option)
        name = value if equals else after
        name = "custom" if section == "model" and ":" in name else name
        if section is not None and name in known[section]:
            values[section] = {"name": name}
    return values


def _add(group: Any, each: OptionField, *, shown: bool) -> None:
    path = each.path
    names = list(each.flags)
    names += [f"--{path}"] if "_" in path else []
    flag = each.annotation is bool
    extra: dict[str, Any] = {"nargs": "?", "const": "true"} if flag else {}
    help_text = _help(each) if shown else argparse.SUPPRESS
    group.add_argument(*names, dest=path, default=argparse.SUPPRESS, metavar=_metavar(each), help=help_text, **extra)


def spec_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that the user gave, by dotted path, as values of the fields' types; None for "default"."""
    fields = {each.path: each for each in all_options()}
    given = {path: text for path, text in vars(options).items() if path in fields}
    return {path: None if text == UNSET else read_value(text, fields[path].annotation) for path, text in given.items()}


def _metavar(each: OptionField) -> str:
    if get_origin(each.annotation) is tuple:
        return "TEXT; TEXT" if get_args(each.annotation)[0] is str else "X,X"
    if each.choices:
        return "{" + ",".join(map(str, each.choices)) + "}"
    return {int: "N", float: "X", bool: "true|false", str: "NAME"}[kinds(each.annotation)[0]]


def _help(each: OptionField) -> str:
    text = str(each.info.description).replace("%", "%%")
    if each.belongs:
        text = f"({', '.join(each.belongs)}) {text}"
    default = each.default
    if default in (None, ()) or each.annotation is bool:
        return text
    said = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{text} Default: {f'{said:.4g}' if isinstance(said, float) else said}."
