"""List what can be chosen, or show one technique: formula, source, what it is good and bad for, where it lives."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from seewhy.cli.text import json_text
from seewhy.core.errors import InputError, unknown_name
from seewhy.core.registry import Registry, Technique


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="a technique (default: list all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--show",
        action="store_true",
        help="draw NAME: an augmentation on your own images; how others start a deep network, layer by layer, with a table",
    )
    parser.add_argument("--data", metavar="DATA", help="the images that --show takes (default: digits)")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the picture of --show: .png, or .svg and .html where nothing but lines is drawn (default: NAME.png)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the list or the technique."""
    from seewhy import data, models, nn, optim
    from seewhy.models.adversarial.losses import LOSSES
    from seewhy.models.latent.coders import CODERS
    from seewhy.models.latent.outputs import DISTRIBUTIONS
    from seewhy.optim.penalties import PENALTIES
    from seewhy.training.ensemble.techniques import ENSEMBLES

    if options.show:
        return _show(options.name, options.data, options.out)
    for option in ("out", "data"):
        if getattr(options, option) is not None:
            raise InputError(f"--{option}: belongs to --show; give both, or neither")
    families: list[Registry[Any]] = [
        models.MODELS,
        models.GENERATORS,
        nn.ACTIVATIONS,
        nn.INITS,
        nn.NORMS,
        nn.NORM_INITS,
        nn.OUTPUTS,
        optim.OPTIMISERS,
        optim.SCHEDULES,
        nn.REGULARISERS,
        nn.DROPOUTS,
        nn.POOLINGS,
        PENALTIES,
        data.AUGMENTATIONS,
        ENSEMBLES,
        LOSSES,
        CODERS,
        DISTRIBUTIONS,
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


def _show(name: str | None, source: str | None, out: str | None) -> int:
    """Draw a technique."""
    from seewhy.data import AUGMENTATIONS

    if name is None:
        raise InputError("--show: needs a NAME, such as `seewhy techniques he --show`")
    path = Path(out or f"{name}.png")
    if path.exists():
        raise InputError(f"{path}: exists already and is not overwritten; choose another --out")
    draw = _show_augmentation if name in AUGMENTATIONS.names() else _show_spread
    draw(name, source or "digits", path)
    print(f"picture  {path}")
    return 0


def _show_augmentation(name: str, source: str, path: Path) -> None:
    """Draw what an augmentation makes of some images in a few epochs."""
    from seewhy.reporting.augmentations import augmentation_sheet
    from seewhy.training.results.augmented import illustrated
    from seewhy.training.results.pictures import save_picture

    if path.suffix != ".png":
        raise InputError(f"--out: must end in .png, got {path.name}; pixels are drawn")
    save_picture(augmentation_sheet(illustrated(name, source)), path)


def _show_spread(name: str, source: str, path: Path) -> None:
    """Print how a technique starts a deep network, and draw it."""
    from seewhy.reporting.figures import save
    from seewhy.reporting.spread import spread_panels
    from seewhy.training.spread import initial_spread

    rows = initial_spread(name, source)
    print(f"{'layer':<10}  {'mean':>9}  {'deviation':>9}  {'saturated':>9}  {'dead units':>10}  {'gradient':>9}")
    for row in rows:
        shares = [
            f"{'-' if row[field] is None else f'{row[field]:.0%}':>{size}}"
            for field, size in (("saturated", 9), ("dead", 10))
        ]
        print(
            f"{row['layer']:<10}  {row['mean']:>9.2g}  {row['std']:>9.2g}  {'  '.join(shares)}  {row['gradient_std']:>9.2g}"
        )
    save(spread_panels(f"{name}: a multilayer perceptron of {len(rows)} layers at its start", rows), path)


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
    return technique.choose or (f"--{family.field} {technique.name}" if family.field else "")


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
