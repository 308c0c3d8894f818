"""Train on the embedded digits (1,797 images of 8 x 8 pixels), evaluate, and write the report: about a minute."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument(
        "--out", metavar="RUN", help="the run's folder, which must not exist (default: runs/digits-<model>-<time>)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of weights, order and augmentation")


def run(options: argparse.Namespace) -> int:
    """Train on the digits and print what was reached."""
    from seewhy import api
    from seewhy.cli.commands.train import print_results
    from seewhy.runs.progress import Reporter

    reporter = Reporter()
    try:
        finished = api.train("digits", out=options.out, seed=options.seed, observers=[reporter])
    finally:
        reporter.close()
    print_results(finished)
    return 0
