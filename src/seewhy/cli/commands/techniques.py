"""List what can be chosen, or show one technique: formula, source, what it is good and bad for, its options, where it lives, its claims."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.cli.text import json_text
from seewhy.core.errors import InputError, unknown_name
from seewhy.core.files import free_path, new_file
from seewhy.core.registry import Registry, Technique
from seewhy.spec import Model, families
from seewhy.spec.options import OptionField, all_options


@dataclass(frozen=True)
class Entry:
    """One line of the list.

    Attributes:
        family: its title.
        name: what the user writes.
        choose: the options that choose it; empty for what is not a choice, such as the softmax of every output.
        where: the dotted name of what does the work.
        hyperparameters: the options that set it, as text.
        record: what is known of it.
    """

    family: str
    name: str
    choose: str
    where: str
    hyperparameters: tuple[str, ...]
    record: Technique[Any] | Model


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("name", metavar="NAME", nargs="?", help="a technique (default: list all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--backbones",
        metavar="PATTERN",
        nargs="?",
        const="*",
        help="list the backbones of --model torchvision and timm, such as 'convnext*', with their size and the licence of the weights",
    )
    parser.add_argument(
        "--show",
        action="store_true",
        help="draw NAME: an augmentation on your own images; an optimiser's path over a function; how others start a deep network, with a table",
    )
    parser.add_argument(
        "--on",
        metavar="FUNCTION",
        help="over what --show draws the path of an optimiser, or of several, NAME,NAME: rosenbrock (default), beale, saddle or ravine",
    )
    parser.add_argument("--data", metavar="DATA", help="the images that --show takes (default: digits)")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="the figure of --show: .png, or .svg and .html where it has nothing but lines (default: NAME.png, else NAME-2.png, ...)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the list or the technique."""
    if options.show:
        return _show(options)
    if options.backbones is not None:
        return _list_backbones(options.backbones, as_json=options.json)
    from seewhy.comparison.claims.catalogue import MODULES

    for option in ("out", "data", "on"):
        if getattr(options, option) is not None:
            raise InputError(f"--{option}: belongs to --show; give both, or neither")
    entries = list(_entries())
    if options.name is not None:
        known = sorted({entry.name for entry in entries})
        entries = [entry for entry in entries if entry.name == options.name]
        if not entries:
            raise unknown_name("NAME", options.name, known)
    if options.json:
        print(json_text([_record(entry) for entry in entries]))
    elif options.name is not None:
        print("\n\n".join(_card(entry) for entry in entries))
    else:
        for title in dict.fromkeys(entry.family for entry in entries):
            inside = [entry for entry in entries if entry.family == title]
            width = max(len(entry.name) for entry in inside)
            print(title)
            print("".join(f"  {entry.name:<{width}}  {entry.record.summary}{_codes(entry)}\n" for entry in inside))
        print("claims (seewhy claims CODE)")
        print("".join(f"  {line}\n" for line in _claim_lines(MODULES)))
    return 0


def _list_backbones(pattern: str, *, as_json: bool) -> int:
    """Print the backbones whose names match; those of timm where it is installed."""
    from seewhy.models.pretrained import Library, backbone_names, has_timm, record_of

    libraries: tuple[Library, ...] = ("torchvision", "timm") if has_timm() else ("torchvision",)
    records = [record_of(library, name) for library in libraries for name in backbone_names(library, pattern)]
    if as_json:
        fields = ("library", "name", "input_size", "crop", "interpolation", "mean", "std", "licence", "hub", "url")
        print(json_text([{field: getattr(record, field) for field in fields} for record in records]))
        return 0
    if not has_timm():
        print("timm is not installed, which has more than a thousand: pip install 'seewhy[timm]'", file=sys.stderr)
    if not records:
        raise InputError(
            f"--backbones: no backbone of {' or '.join(libraries)} matches {pattern!r}; leave it out to list all"
        )
    width = max(len(record.name) for record in records)
    for record in records:
        weights = (record.licence or "licence not recorded") if record.hub or record.url else "no pretrained weights"
        print(f"{record.library:<11}  {record.name:<{width}}  {record.input_size:>4} px  {weights}")
    return 0


def _registries() -> list[tuple[Registry[Any], str]]:
    """Return the registries in the order in which they are listed, with the field that chooses from each."""
    from seewhy import data, nn, optim
    from seewhy.models.adversarial.losses import LOSSES
    from seewhy.models.latent.architectures import ARCHITECTURES
    from seewhy.models.latent.likelihoods import LIKELIHOODS
    from seewhy.optim import PENALTIES
    from seewhy.runs.members import ENSEMBLES

    return [
        (nn.ACTIVATIONS, "model.activation"),
        (nn.INITS, "model.init"),
        (nn.NORMS, "model.norm"),
        (nn.NORM_INITS, "model.norm.init"),
        (nn.OUTPUTS, ""),
        (optim.OPTIMISERS, "optim.name"),
        (optim.SCHEDULES, "optim.schedule"),
        (nn.REGULARISERS, ""),
        (nn.DROPOUTS, "reg.dropout_kind"),
        (nn.POOLINGS, "model.pool"),
        (PENALTIES, ""),
        (data.AUGMENTATIONS, ""),
        (ENSEMBLES, ""),
        (LOSSES, "model.loss"),
        (ARCHITECTURES, "model.architecture"),
        (LIKELIHOODS, "model.likelihood"),
    ]


def _entries() -> Iterable[Entry]:
    """Yield every technique."""
    options = all_options()
    for family in families():
        for model in family.models:
            own = [name for name in model.section.model_fields if name != "name"]
            known = {each.path: each for each in options}
            texts = tuple(_option(known[f"model.{name}"]) for name in own)
            where = family.implementation.partition(":")[0]
            yield Entry(f"{family.name} (--model)", model.name, f"--model {model.name}", where, texts, model)
    for registry, field in _registries():
        title = f"{registry.family} (--{field})" if field else registry.family
        for technique in registry:
            choose = technique.example or (f"--{field} {technique.name}" if field else "")
            yield Entry(
                title,
                technique.name,
                choose,
                technique.qualified_name,
                tuple(_hyperparameters(field, technique, options)),
                technique,
            )


def _hyperparameters(field: str, technique: Technique[Any], options: Sequence[OptionField]) -> Iterable[str]:
    """Yield the options that set a technique's hyper-parameters, where they stand with the field that chooses it."""
    place = "optim" if field in ("optim.name", "optim.schedule") else field
    for name in technique.hyperparameters:
        each = next((option for option in options if option.path == f"{place}.{name}"), None)
        if each is not None and field:
            yield _option(each)


def _option(each: OptionField) -> str:
    default = each.default
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"--{each.path}" + ("" if default in (None, ()) else f" ({shown})")


def _show(options: argparse.Namespace) -> int:
    """Draw a technique."""
    from seewhy.data import AUGMENTATIONS
    from seewhy.optim import OPTIMISERS

    name = options.name
    if name is None:
        raise InputError("--show: needs a NAME, such as `seewhy techniques he --show`")
    path = free_path(Path(name), ".png") if options.out is None else new_file(options.out, "--out")
    if options.on is not None or all(part in OPTIMISERS.names() for part in name.split(",")):
        if options.data is not None:
            raise InputError(
                "--data: an optimiser's path is drawn over a function, --on, not over images; leave it out"
            )
        _show_trajectories(name.split(","), options.on or "rosenbrock", path)
    else:
        draw = _show_augmentation if name in AUGMENTATIONS.names() else _show_statistics
        draw(name, options.data or "digits", path)
    print(f"figure  {path}")
    return 0


def _show_trajectories(names: Sequence[str], function: str, path: Path) -> None:
    """Print where optimisers end on a function of two variables, and draw their paths."""
    from seewhy.optim.planar import FUNCTIONS, trajectory_of
    from seewhy.reporting import Trajectory, TrajectoryRecord, save_figure, trajectory_chart

    if function not in FUNCTIONS:
        raise unknown_name("--on", function, FUNCTIONS)
    plane = FUNCTIONS[function]
    found = [trajectory_of(name, plane) for name in names]
    x, y, values = plane.grid()
    record = TrajectoryRecord(
        title=function,
        x=x,
        y=y,
        values=values,
        trajectories=[Trajectory(each.method, each.points, each.values) for each in found],
        text=plane.formula,
        marks=plane.marks,
        minimum=plane.minimum,
    )
    save_figure(trajectory_chart(record), path)
    print(f"{function}: {plane.formula}; from ({plane.start[0]:g}, {plane.start[1]:g})")
    print(f"{'optimiser':<14}  {'rate':>8}  {'iterations':>10}  {'above the minimum':>17}  ended")
    for each in found:
        rate = "-" if each.lr is None else f"{each.lr:g}"
        above = each.values[-1] - plane.minimum
        print(f"{each.method:<14}  {rate:>8}  {len(each.points) - 1:>10}  {above:>17.3g}  {each.ended}")


def _show_augmentation(name: str, source: str, path: Path) -> None:
    """Draw what an augmentation makes of some images in a few epochs."""
    from seewhy.data.image_files import save_image
    from seewhy.reporting import augmentation_sheet
    from seewhy.runs.augmented import illustrated

    if path.suffix != ".png":
        raise InputError(f"--out: must end in .png, got {path.name}; it shows pixels")
    save_image(augmentation_sheet(illustrated(name, source)), path)


def _show_statistics(name: str, source: str, path: Path) -> None:
    """Print the statistics of a deep network that a technique starts, and draw them."""
    from seewhy.reporting import layer_statistics_panels, save_figure
    from seewhy.runs.initial_statistics import initial_statistics

    rows = initial_statistics(name, source)
    heads = f"{'mean':>9}  {'std':>9}  {'saturated':>9}  {'dead units':>10}  {'gradient':>9}"
    print(f"{'layer':<10}  {heads}")
    for row in rows:
        shares = [
            f"{'-' if row[field] is None else f'{row[field]:.0%}':>{size}}"
            for field, size in (("saturated", 9), ("dead", 10))
        ]
        figures = f"{row['mean']:>9.2g}  {row['std']:>9.2g}  {'  '.join(shares)}  {row['gradient_std']:>9.2g}"
        print(f"{row['layer']:<10}  {figures}")
    title = f"{name}: a multilayer perceptron of {len(rows)} layers at its start"
    save_figure(layer_statistics_panels(title, rows), path)


def _facts(entry: Entry) -> Mapping[str, Any]:
    record = entry.record
    return {
        "formula": record.formula,
        "source": record.source,
        "good_for": record.good_for,
        "bad_for": record.bad_for,
        "choose": entry.choose,
        "options": list(entry.hyperparameters),
        "qualified_name": entry.where,
    }


def _record(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON, with the claims that measured it and the results that come with the package."""
    from seewhy.comparison.claims.catalogue import measured_by
    from seewhy.comparison.claims.results import committed_results

    claims = [
        {
            "code": claim.code,
            "title": claim.title,
            "sentence": claim.sentence,
            "results": [result.to_json() for (code, _), result in committed_results().items() if code == claim.code],
        }
        for claim in measured_by(entry.record.claims)
    ]
    facts = {**_facts(entry), "claims": claims}
    return {"name": entry.name, "family": entry.family, "summary": entry.record.summary, **facts}


def _card(entry: Entry) -> str:
    lines = [f"{entry.name}: {entry.record.summary}"]
    facts = {**_facts(entry), "claims": "\n".join(_claim_lines(entry.record.claims, numbers=True))}
    for name, value in facts.items():
        text = ", ".join(value) if isinstance(value, list) else value
        if text:
            lines.append(f"{name.replace('_', ' '):>14}  {text.replace(chr(10), chr(10) + ' ' * 16)}")
    return "\n".join(lines)


def _codes(entry: Entry) -> str:
    """Return the codes of the claims that measured a technique, in brackets."""
    from seewhy.comparison.claims.catalogue import measured_by

    codes = [claim.code for claim in measured_by(entry.record.claims)]
    return f" ({', '.join(codes)})" if codes else ""


def _claim_lines(codes: Iterable[str], *, numbers: bool = False) -> Iterable[str]:
    """Yield a line for each claim with the verdicts that come with the package, and where they are wanted the numbers behind them."""
    from seewhy.comparison.claims.catalogue import measured_by
    from seewhy.comparison.claims.results import committed_results

    for claim in measured_by(codes):
        results = [result for (code, _), result in committed_results().items() if code == claim.code]
        verdicts = ", ".join(f"{result.verdict.name} on {result.data}" for result in results)
        yield f"{claim.code}  {claim.title}{f': {verdicts}' if verdicts else ''}"
        for result in results if numbers else ():
            yield f"     on {result.data}, {result.seeds} seeds, {result.machine['processor']}:"
            for each in result.measured.criteria:
                yield f"     {each.line()}"
