"""Draw a run's report.html anew from the files in its folder."""

from __future__ import annotations

import argparse


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made")


def run(options: argparse.Namespace) -> int:
    """Draw the report and print its path."""
    from seewhy.api import Run

    print(Run(options.folder).report())
    return 0
