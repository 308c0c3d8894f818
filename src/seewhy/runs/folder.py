"""The files of a run.

request.toml       what was asked for: edits (`seewhy train --spec RUN --optimizer adam`) start from it
spec.toml          the same, resolved: every default filled in from the data and the machine, with the reason; repeats the run bit for bit
data.json          what the network must know of its data: classes, size, mean and standard deviation, how images are decoded; the audit
images.npz         hashes of the training and validation images, by which they are known again among those to evaluate on
environment.json   versions, machine, command
events.jsonl       every event of the training, a line each (`seewhy.training.event_log`)
metrics.csv        a line an epoch
results.json       the final figures by split: {"test": {"accuracy": ...}}; its presence says that the run has ended
results-N-epochs.json   what a run had reached before it went on to a larger budget
findings.json      of a watched run, what was found wrong with its training, what has passed away, and how each check ended
records.jsonl      of a watched run, what its probes have measured, a line each (`seewhy.diagnosis.records.Entry`)
record.json        what prediction, sampling and the report need beside the figures: temperature, evaluation in full, sheets, ...
predictions/       SPLIT.npz for each evaluated split: probabilities and labels (or log-likelihoods) by image, and the images' names
checkpoint/        weights and all that going on needs (`seewhy.training.checkpoint`)
snapshots/         the network that each cycle of the learning rate left, where there are several
members/           of an ensemble: a run each
augmented/         what augmentation makes of some training images, a strip a change
near/              the likest near duplicates among the images, and what is wrong about them
explained/         why the most confident mistakes were made; the features of the training images
samples/           the most confident mistakes of a classifier, as images
frames/, generated/   of a generative model: images through training, and at the end
tensorboard/, wandb/   what trackers keep here, where they were asked for; trackers.json has the run's ids at W&B and MLflow
report.html        all of it to look at
MODEL_CARD.md      what whoever is given the model must know: data, figures with intervals, limits, findings
.lock              held while a process trains the run
stop               while a run is asked from elsewhere to stop (`seewhy.runs.stopping`)
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from torch import Tensor

from seewhy.core.errors import InputError, RunError
from seewhy.core.files import naming, read_text, refuse_taken, whole_folder, write_atomic, write_json, write_text
from seewhy.core.findings import CheckOutcome, Finding
from seewhy.core.json_lines import parse
from seewhy.data import DecodeRule, Split
from seewhy.models.family import Finished
from seewhy.runs.environment import environment
from seewhy.runs.stopping import LAUNCHER, forget_stop
from seewhy.runs.watching import FINDINGS
from seewhy.spec import DataFacts, Request, RunSpec
from seewhy.spec.initial import REQUEST, SPEC, spec_of_run
from seewhy.training.build import Prepared

MAX_SIDE = 1024
"""Pixels, as for data.resolution."""

IMAGES = "images.npz"

LAUNCHED_SECONDS = 60.0
"""How long a launched run waits for its folder."""

FIRST, LAST = ("epoch", "step"), ("lr", "images_per_second", "seconds")
"""Columns of metrics.csv around the metrics."""


def read_spec(folder: Path) -> RunSpec:
    """Return the specification of a run; raises InputError if the folder is none, or is of another version."""
    return spec_of_run(folder)


def read_request(folder: Path) -> Request:
    """Return what was asked for."""
    return Request.from_toml(folder / REQUEST)


@dataclass(frozen=True)
class Findings:
    """What watching a run has found.

    Attributes:
        findings: what lasts, the likeliest cause first.
        past: what has passed away, in the order of time.
        checks: how each check has ended.
    """

    findings: list[Finding]
    past: list[Finding]
    checks: list[CheckOutcome]


def read_findings(folder: Path) -> Findings:
    """Return what watching has found; nothing if the run was not watched. Raises InputError if the file is damaged."""
    value = read_json(folder, FINDINGS)
    try:
        findings, past = ([Finding.from_json(one) for one in value.get(name, [])] for name in ("findings", "past"))
        return Findings(findings, past, [CheckOutcome.from_json(one) for one in value.get("checks", [])])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder / FINDINGS}: is damaged ({type(error).__name__}: {error}); restore it") from None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return a JSON file of the folder, {} if it is not there yet; raises InputError if it is damaged."""
    path = folder / name
    try:
        value = parse(read_text(path))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{path}: is damaged: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: is damaged: it holds no table")
    return value


@dataclass(frozen=True)
class RunData:
    """What a run knows of its data.

    Attributes:
        values: data.json.
        facts: size, channels and number of the images.
        rule: how images are decoded.
    """

    values: dict[str, Any]
    facts: DataFacts
    rule: DecodeRule


def read_data(folder: Path) -> RunData:
    """Return what a run knows of its data; raises InputError if data.json is missing or damaged."""
    value = read_json(folder, "data.json")
    try:
        facts = DataFacts.from_json(value["facts"])
        whole = (
            facts.height,
            facts.width,
            facts.channels,
            facts.classes,
            facts.train_images,
            facts.val_images,
            facts.test_images,
        )
        sound = all(isinstance(number, int) and not isinstance(number, bool) and number >= 0 for number in whole)
        sound &= min(whole[:3]) > 0 and max(facts.height, facts.width) <= MAX_SIDE and facts.channels in (1, 3)
        sound &= len(value["classes"]) == facts.classes
        sound &= all(isinstance(name, str) for name in value["classes"]) and isinstance(value["classes"], list)
        sound &= all(
            len(value[name]) == facts.channels and all(map(math.isfinite, value[name])) for name in ("mean", "std")
        )
        sound &= all(deviation > 0 for deviation in value["std"])
        peaks = value["rule"]["peaks"]
        rule = DecodeRule(**{**value["rule"], "peaks": None if peaks is None else (float(peaks[0]), float(peaks[1]))})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / 'data.json'}: is damaged or missing ({error}); restore it, or train again"
        ) from None
    if not sound:
        raise InputError(f"{folder / 'data.json'}: is damaged; restore it, or train again")
    return RunData(value, facts, rule)


def seen(folder: Path, split: Split) -> Tensor:
    """Return which images of a split the run was trained or validated on, by the hashes of their pixels: bool (N)."""
    path = folder / IMAGES
    try:
        # numpy leaves a file open that is no archive, if it opens it itself.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            return split.overlap(np.concatenate([arrays["train"], arrays["val"]]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is damaged or missing ({error}); restore it, or train again") from None


def read_record(folder: Path) -> dict[str, Any]:
    """Return record.json; raises InputError if it is damaged."""
    record = read_json(folder, "record.json")
    temperature = record.get("temperature", 1.0)
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 < temperature < math.inf:
        raise InputError(f"{folder / 'record.json'}: is damaged: temperature is {temperature!r}")
    return record


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Return one dictionary an epoch, from metrics.csv."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    try:
        rows = csv.DictReader(io.StringIO(read_text(path)))
        return [{name: float(value) for name, value in row.items() if value} for row in rows]
    except (ValueError, TypeError, csv.Error, OSError) as error:
        raise InputError(f"{path}: is damaged: {error}") from None


def write_metrics(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write metrics.csv whole: a line an epoch, empty where a figure does not exist."""
    text = io.StringIO()
    measured = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in (*FIRST, *LAST)]
    writer = csv.DictWriter(text, (*FIRST, *measured, *LAST), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "metrics.csv", text.getvalue())


def write_predictions(folder: Path, split: str, arrays: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write predictions/SPLIT.npz: arrays by image, and the images' names."""
    home = folder / "predictions"
    with naming(home):
        home.mkdir(exist_ok=True)
    write_arrays(home / f"{split}.npz", {"names": np.asarray(list(names), dtype=np.str_), **arrays})


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays as .npz."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomic(path, write)


def write_finished(folder: Path, finished: Finished, names: Mapping[str, Sequence[str]]) -> None:
    """Write what the end of a run gives; results.json last, for it says that the run has ended.

    Args:
        folder: of the run.
        finished: the figures.
        names: of the images, by split.
    """
    for split, arrays in finished.predictions.items():
        write_predictions(folder, split, arrays, names[split])
    write_json(folder / "record.json", finished.record)
    write_json(folder / "results.json", finished.results)


def create(folder: Path, prepared: Prepared, *more: Callable[[Path, Prepared], None]) -> None:
    """Make the folder of a new run, with what can be written before training; whole, or not at all.

    Args:
        folder: must not exist.
        prepared: the run.
        more: called with the folder while it has a temporary name, and the run; writes more into it.

    Raises:
        InputError: something is there already.
        RunError: the disk cannot be written.
    """
    refuse_taken(folder)
    with whole_folder(folder) as temporary:
        _fill(temporary, prepared)
        for write in more:
            write(temporary, prepared)


def _fill(folder: Path, prepared: Prepared) -> None:
    dataset = prepared.dataset
    write_json(
        folder / "data.json",
        {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "facts": prepared.facts.to_json(),
            "mean": list(dataset.mean),
            "std": list(dataset.std),
            "rule": dataclasses.asdict(dataset.rule),
            "audit": dataset.audit.to_json(),
        },
    )
    write_arrays(folder / IMAGES, {"train": dataset.train.hashes, "val": dataset.val.hashes})
    engine, train = prepared.engine, prepared.spec.train
    write_json(folder / "environment.json", environment(train.device, train.precision, engine.world))
    prepared.resolution.request.save(folder / REQUEST)
    write_text(folder / SPEC, prepared.resolution.to_toml())


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; raises InputError if another process is training it.

    A launched run waits a while: whoever trained it before may be saving, since its own launcher has ended.
    """
    lock = FileLock(folder / ".lock")
    with naming(folder):
        try:
            lock.acquire(timeout=LAUNCHED_SECONDS if LAUNCHER in os.environ else 0)
        except Timeout:  # an OSError too
            raise InputError(f"{folder}: another process is training this run; wait for it, or stop it first") from None
    try:
        forget_stop(folder)
        yield
    finally:
        with suppress(RunError):  # it was answered, or came too late; a disk that is full says so elsewhere
            forget_stop(folder)
        lock.release()
