"""Classify images: files, folders (searched through), globs, or a list of paths on stdin ("-").

Prints a table, or --json or --csv. An image that cannot be read gives an error entry, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import csv
import glob
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from seewhy.cli.text import json_text
from seewhy.core.errors import InputError

if TYPE_CHECKING:
    from seewhy.runs.predict import Prediction


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument("folder", metavar="RUN", help="a folder that `seewhy train` made")
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="files, folders, globs, or - to read paths from stdin"
    )
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="average N stochastic forward passes, with dropout and related layers as in training; --json tells how far they lie apart",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON list with the five most probable classes")
    form.add_argument("--csv", action="store_true", help="print CSV: name, label, confidence, error")


def run(options: argparse.Namespace) -> int:
    """Predict and print."""
    from seewhy.cli.progress import counting
    from seewhy.runs.run import Run

    trained = Run(options.folder)
    paths = list(find(options.images))
    with counting("predicting") as update:
        failures = _write(
            trained.predict_files(paths, update, samples=options.samples),
            "json" if options.json else "csv" if options.csv else "table",
        )
    if failures:
        print(f"{failures:,} of {len(paths):,} images could not be read", file=sys.stderr)
    return int(failures > 0)


def find(patterns: Iterable[str]) -> Iterator[str]:
    """Yield the images that files, folders, globs and "-" name; raises InputError for one that names nothing."""
    from seewhy.data import is_image_name

    for pattern in patterns:
        path = Path(pattern)
        if pattern == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        elif path.is_dir():
            inside = sorted(str(file) for file in path.rglob("*") if is_image_name(file.name) and file.is_file())
            if not inside:
                raise InputError(f"{pattern}: there are no images in this folder")
            yield from inside
        elif path.exists():
            yield pattern
        else:
            matches = sorted(glob.glob(pattern, recursive=True))
            if not matches:
                raise InputError(f"{pattern}: there is no such file or folder, and as a pattern it matches nothing")
            yield from matches


def _write(predictions: Iterator[Prediction], form: str) -> int:
    """Print the predictions as they come; return how many images could not be read."""
    failures, number = 0, -1
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        writer.writerow(["name", "label", "confidence", "error"])
    for number, prediction in enumerate(predictions):
        failures += prediction.error is not None
        confidence = "" if prediction.confidence is None else f"{prediction.confidence:.4f}"
        if form == "json":
            print("[\n" if number == 0 else ",\n", json_text(prediction.to_json(), indent=None), sep="", end="")
        elif form == "csv":
            writer.writerow([prediction.name, prediction.label or "", confidence, prediction.error or ""])
        else:
            error = prediction.error
            print(
                f"{prediction.name}  "
                + (f"error: {error}" if error else f"{prediction.label}  {prediction.confidence:.1%}")
            )
    if form == "json":
        print("\n]" if number >= 0 else "[]")
    return failures
