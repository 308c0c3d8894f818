"""List what can be chosen, or show one technique: formula, source, what it is good and bad for, where it lives."""

from __future__ import annotations

import argparse
from typing import Any

from seewhy.cli.text import json_text
from seewhy.core.errors import unknown_name
from seewhy.core.registry import Registry, Technique


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a technique (default: list all)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the list or the technique."""
    from seewhy import models, nn, optim

    families: list[Registry[Any]] = [
        models.MODELS,
        nn.ACTIVATIONS,
        nn.INITS,
        nn.NORMS,
        nn.NORM_INITS,
        nn.OUTPUTS,
        optim.OPTIMISERS,
        optim.SCHEDULES,
    ]
    found = [(family, technique) for family in families for technique in family]
    if options.name is not None:
        found = [(family, technique) for family, technique in found if technique.name == options.name]
        if not found:
            raise unknown_name(
                "NAME", options.name, sorted({technique.name for family in families for technique in family})
            )
    if options.json:
        print(json_text([_record(family, technique) for family, technique in found]))
    elif options.name is not None:
        print("\n\n".join(_card(family, technique) for family, technique in found))
    else:
        for family in families:
            width = max(len(technique.name) for technique in family)
            print(f"{family.family} (--{family.field})" if family.field else family.family)
            print("".join(f"  {technique.name:<{width}}  {technique.summary}\n" for technique in family))
    return 0


def _record(family: Registry[Any], technique: Technique[Any]) -> dict[str, Any]:
    fields = {name: value for name, value in vars(technique).items() if name != "factory"}
    return {
        **fields,
        "family": family.family,
        "choose": _choice(family, technique),
        "lives_in": technique.lives_in,
    }


def _choice(family: Registry[Any], technique: Technique[Any]) -> str:
    """Return the option that chooses the technique; nothing for what is not a choice, such as the softmax of every output."""
    return f"--{family.field} {technique.name}" if family.field else ""


def _card(family: Registry[Any], technique: Technique[Any]) -> str:
    rows = {
        "formula": technique.formula,
        "source": technique.source,
        "good for": technique.good_for,
        "bad for": technique.bad_for,
        "claims": ", ".join(technique.claims),
        "choose": _choice(family, technique),
        "lives in": technique.lives_in,
    }
    lines = [f"{name:>9}  {text}" for name, text in rows.items() if text]
    return "\n".join([f"{technique.name}: {technique.summary}", *lines])
