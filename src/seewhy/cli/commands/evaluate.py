"""Measure a run on its own test data, or on other data with the same class names.

Of a generator: how likely it finds the images, in nats an image and bits a value; of a gan, and of any with --drawn or --extractor: how its
pictures compare with real ones (FID, KID, precision and recall, density and coverage, memorisation, classes).

Of a recogniser: accuracy with its 95% interval, top-5 where there are more than five classes, log-loss, expected calibration error, and
precision, recall and F1 of every class; --json prints everything, with the confusion matrix.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seewhy.cli.text import json_text
from seewhy.core.errors import InputError, bad_value

if TYPE_CHECKING:
    from seewhy.training.results.evaluation import Evaluation


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made")
    parser.add_argument(
        "source", metavar="DATA", nargs="?", help="other data to evaluate on (default: the run's own test part)"
    )
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="codes for each picture by which a vae's likelihood is bounded (default: 100)",
    )
    parser.add_argument(
        "--extractor",
        metavar="RUN",
        help="a recogniser of such pictures, by whose features a generator's are compared, or 'inception', where its weights are there",
    )
    parser.add_argument(
        "--drawn",
        type=int,
        metavar="N",
        help="pictures a generator draws to be compared with real ones (default: 2000)",
    )
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")


def run(options: argparse.Namespace) -> int:
    """Evaluate and print."""
    from seewhy import api
    from seewhy.cli.progress import counting
    from seewhy.training.generators.likelihood import Likelihood

    if options.drawn is not None or options.extractor is not None or _is_gan(options.folder):
        return _compare(options)
    with counting("evaluating") as update:
        found = api.evaluate(options.folder, options.source, update, samples=options.samples)
    if options.json:
        print(json_text(found.to_json()))
    elif isinstance(found, Likelihood):
        low, high = found.interval
        print(f"{found.part}: {found.n:,} images; {found.estimator}")
        print(f"-log p(x)          {found.nats:.2f} nats an image  [{low:.2f}, {high:.2f}]")
        print(f"a value            {found.bits_per_dimension:.4f} bits")
    else:
        _print(found)
    return 0


def _is_gan(folder: str) -> bool:
    from seewhy.api import Run

    return Run(folder).spec.model.name == "gan"


def _compare(options: argparse.Namespace) -> int:
    """Compare drawn pictures with real ones, and print."""
    from seewhy.api import Run
    from seewhy.training.generators.faithful import LEAST, in_words

    if options.source is not None or options.samples is not None:
        raise InputError(
            "DATA, --samples: are for likelihoods; drawn pictures are compared with the run's own unseen ones"
        )
    if options.drawn is not None and options.drawn < LEAST:
        raise bad_value("--drawn", options.drawn, f"at least {LEAST}, for figures that mean something")
    about = {} if options.drawn is None else {"n": options.drawn}
    measured = Run(options.folder).fidelity(extractor=options.extractor, **about)
    if options.json:
        print(json_text(measured.to_json()))
    else:
        for label, value in in_words(measured):
            print(f"{label:<26}{value}")
    return 0


def _print(found: Evaluation) -> None:
    low, high = found.interval
    print(f"{found.part}: {found.n:,} images, {len(found.classes)} classes")
    print(f"accuracy           {found.accuracy:.2%}  [{low:.2%}, {high:.2%}]")
    if found.top5 is not None:
        print(f"top-5 accuracy     {found.top5:.2%}")
    print(f"log-loss           {found.log_loss:.4f} nats")
    print(f"calibration error  {found.ece:.4f}")
    if found.ensemble is not None:
        _print_members(found.ensemble)
    width = max(len("class"), *(min(len(row["class"]), 30) for row in found.per_class))
    print(f"\n{'class':<{width}}  {'images':>7}  {'precision':>9}  {'recall':>7}  {'F1':>7}")
    for row in found.per_class:
        figures = "  ".join(_percent(row[name], size) for name, size in (("precision", 9), ("recall", 7), ("f1", 7)))
        print(f"{row['class'][:30]:<{width}}  {row['n']:>7,}  {figures}")


def _print_members(found: dict[str, Any]) -> None:
    """Print an ensemble's members, what it gains over them, and how that grows with their number."""
    low, high = found["gain_interval"]
    print(f"gain over a member {found['gain']:+.2%}  [{low:+.2%}, {high:+.2%}]")
    print(f"disagreement       {found['disagreement']:.4f} nats")
    print(f"\n{'member':>6}  {'accuracy':>8}  {'log-loss':>8}  {'calibration error':>17}")
    for number, row in enumerate(found["members"], start=1):
        print(f"{number:>6}  {row['accuracy']:>8.2%}  {row['log_loss']:>8.4f}  {row['ece']:>17.4f}")
    print(f"\n{'members':>7}  {'accuracy':>8}  {'log-loss':>8}   mean over their subsets")
    for row in found["by_number"]:
        print(f"{row['members']:>7}  {row['accuracy']:>8.2%}  {row['log_loss']:>8.4f}")


def _percent(value: float | None, size: int) -> str:
    return f"{'-' if value is None else f'{value:.1%}':>{size}}"
