"""List what is wrong with the images, the split and, with --labels, the labels of DATA, before any training.

Unreadable and truncated files, empty and one-image classes, duplicates and near duplicates within and across the split (leakage), the same
image under two classes, strong imbalance, mixed sizes; rows of a labels file that say nothing. With --labels, runs are trained on parts of the
images, and labels are listed that do not go with what the others say. Exit code 0 if nothing worse than a note was found, else 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seewhy.cli.options import add_spec_options, spec_options
from seewhy.cli.text import json_text
from seewhy.core.escaping import escaped
from seewhy.spec import Request

FOLDS = 5


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    parser.add_argument(
        "source", metavar="DATA", help="folder of class folders or tar shards, built-in name, or .npz file"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--show",
        metavar="FILE",
        help="draw into a PNG, which must not exist, the pairs of near duplicates or, with --labels, the likeliest wrong labels",
    )
    parser.add_argument(
        "--labels",
        metavar="FOLDS",
        nargs="?",
        type=int,
        const=FOLDS,
        help=f"look for labels that are probably wrong: train as many runs, each without its share of the images (default: {FOLDS})",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="with --labels: folder of the runs; what is there goes on (default: runs/<data>-labels)",
    )
    sections = ("data", "model", "reg", "optim", "train") if asks_for_labels(arguments) else ("data",)
    add_spec_options(parser, arguments, sections)


def asks_for_labels(arguments: Sequence[str]) -> bool:
    """Whether runs are asked for, to which the options of runs belong."""
    return any(word.partition("=")[0] == "--labels" for word in arguments)


def run(options: argparse.Namespace) -> int:
    """Print the findings."""
    given = spec_options(options)
    request = Request.make(options.source, given)
    from seewhy import api
    from seewhy.cli.progress import counting

    if options.labels is not None:
        print(f"training {options.labels} runs without one part of the images each", file=sys.stderr)
    with counting("decoding") as update:
        audit = api.check(
            request.source, progress=update, labels_folds=options.labels, out=options.out, show=options.show, **given
        )
    if options.show is not None and not Path(options.show).is_file():
        print(f"{options.show} is not written, for there is nothing to show", file=sys.stderr)
    worst = any(issue.severity != "note" for issue in audit.issues)
    if options.json:
        print(json_text(audit.to_json()))
        return int(worst)
    print(escaped(audit.summary, lines=True))
    for issue in audit.issues:
        print(f"{issue.severity:>7}  {escaped(issue.message)}")
        for path in issue.paths[:5]:
            print(f"         {escaped(path)}")
        if len(issue.paths) > 5:
            print(f"         ... and {len(issue.paths) - 5:,} more (--json lists all)")
    if not audit.issues:
        print("nothing wrong was found")
    return int(worst)
