"""Rebuild a run's report.html from the files in its folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made")


def run(options: argparse.Namespace) -> int:
    """Rebuild the report and print its path."""
    from seewhy.runs.run import Run

    print(Run(options.folder).report())
    return 0
