"""Classify images: files, folders (searched through), globs, or a list of paths on stdin ("-").

Prints a table, or --json or --csv. An image that cannot be read gives an error entry, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from seewhy.cli.options import add_trust
from seewhy.cli.text import cell, json_text
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.core.files import user_path

NO_PATHS = (b"\x89PNG", b"\xff\xd8\xff")
"""How PNG and JPEG begin; others have a NUL at once."""

if TYPE_CHECKING:
    from seewhy.runs.predict import Prediction


def describe(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Add the command's options."""
    del arguments
    parser.add_argument(
        "folder", metavar="RUN", help="a folder that `seewhy train` made, or an .onnx file of `seewhy export`"
    )
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="files, folders, globs, or - to read paths from stdin"
    )
    add_trust(parser)
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="average N stochastic forward passes, with dropout and related layers as in training; --json tells how far they lie apart",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="print a JSON list: label, confidence, the probability of every class"
    )
    form.add_argument(
        "--csv", action="store_true", help="print CSV: name, label, confidence, error, the probability of every class"
    )


def run(options: argparse.Namespace) -> int:
    """Predict and print."""
    from seewhy.cli.progress import counting, tell_unfinished
    from seewhy.runs.run import Run

    paths = find(options.images)
    if options.folder.endswith(".onnx"):
        from seewhy.export.onnx_model import OnnxModel

        if options.samples is not None:
            raise InputError("samples: an exported network has nothing random in it; leave them out, or name the run")
        model = OnnxModel(options.folder)
        classes, predict = model.classes, model.predict_each
    else:
        if (file := user_path(options.folder, "RUN")).is_file():
            raise InputError(
                f"{file}: of files only .onnx are predicted with; name the run's folder, or `seewhy export RUN --format onnx`"
            )
        trained = Run(options.folder, trust=options.trust)
        tell_unfinished(trained)
        classes, predict = trained.classes, partial(trained.predict_each, samples=options.samples)
    with counting("predicting") as update:
        failures, count = _write(
            predict(paths, update), classes, "json" if options.json else "csv" if options.csv else "table"
        )
    if failures:
        print(f"no prediction for {failures:,} of {count:,} images", file=sys.stderr)
    return int(failures > 0)


def find(patterns: Sequence[str]) -> Iterable[str]:
    """Return the images that files, folders, globs and "-" name; those of stdin are read as they are needed.

    Raises:
        InputError: one of them names nothing; of stdin once its end, or what is no path, is reached.
    """
    from seewhy.data import find_images

    named: list[Iterable[str]] = [
        _from_stdin() if pattern == "-" else list(find_images([pattern])) for pattern in patterns
    ]
    images = chain.from_iterable(named)
    return images if "-" in patterns else list(images)


def _from_stdin() -> Iterator[str]:
    named = False
    for line in sys.stdin:
        if "\0" in line or os.fsencode(line).startswith(NO_PATHS):
            raise InputError(
                "-: what comes on stdin looks like an image, not a list of paths, one a line; name the file"
            )
        if line.strip():
            named = True
            yield line.rstrip("\n")
    if not named:  # as where `find` has found nothing new, which is no fault
        print("seewhy: no images were named on stdin", file=sys.stderr)


def _write(predictions: Iterator[Prediction], classes: Sequence[str], form: str) -> tuple[int, int]:
    """Print the predictions as they come; return how many images have none, and how many there are."""
    failures, number = 0, -1
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if form == "csv":
        writer.writerow(["name", "label", "confidence", "error", *map(cell, classes)])
    for number, prediction in enumerate(predictions):
        failures += prediction.error is not None
        if form == "json":
            print("[\n" if number == 0 else ",\n", json_text(_record(prediction, classes), indent=None), sep="", end="")
        elif form == "csv":
            writer.writerow(_row(prediction, classes))
        else:
            print(_line(prediction))
    if form == "json":
        print("\n]" if number >= 0 else "[]")
    return failures, number + 1


def _record(prediction: Prediction, classes: Sequence[str]) -> dict[str, Any]:
    """Return a prediction as JSON; the probabilities in the order of the classes, which may be called alike, by name if they are not."""
    record = prediction.to_json()
    if prediction.probabilities is not None and len(set(classes)) == len(classes):
        record["probabilities"] = dict(zip(classes, prediction.probabilities, strict=True))
    return record


def _row(prediction: Prediction, classes: Sequence[str]) -> list[str]:
    confidence = "" if prediction.confidence is None else f"{prediction.confidence:.4f}"
    probabilities = [f"{value:.9g}" for value in prediction.probabilities or ()] or [""] * len(classes)
    return [
        cell(prediction.name),
        cell(prediction.label or ""),
        confidence,
        cell(prediction.error or ""),
        *probabilities,
    ]


def _line(prediction: Prediction) -> str:
    said = f"error: {prediction.error}" if prediction.error else f"{prediction.label}  {prediction.confidence:.1%}"
    return escaped(f"{prediction.name}  {said}")
