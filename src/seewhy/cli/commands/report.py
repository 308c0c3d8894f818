"""Rebuild report.html of a run or a study from the files in its folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument(
        "folder", metavar="FOLDER", help="a folder that `seewhy train` or `seewhy compare` made", type=Path
    )


def run(options: argparse.Namespace) -> int:
    """Rebuild the report and print its path."""
    from seewhy.comparison.folder import StudyFolder, is_study

    if is_study(options.folder):
        from seewhy.comparison.report import write_report
        from seewhy.comparison.results import read_outcome

        print(write_report(read_outcome(StudyFolder(options.folder))))
        return 0
    from seewhy.runs.run import Run

    print(Run(options.folder).report())
    return 0
