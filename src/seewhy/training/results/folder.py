"""A run is a folder; `Run` reads it, predicts with it, and evaluates it.

spec.toml          the resolved specification: `seewhy train --spec spec.toml` repeats the run
data.json          what the network must know of its data: classes, size, mean and deviation; the audit
metrics.csv        a line an epoch
results.json       the final figures by part: {"test": {"accuracy": ...}}
evaluation.json    every figure of the last evaluation, for the report
samples/           the most confident mistakes as pictures
augmented/         what augmentation makes of some training images, a strip a change
checkpoint/        see training.loop.checkpoint
snapshots/         the network that each cycle of the learning rate left, if there are several
environment.json   versions, machine, command
report.html        all of it to look at
"""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.core.files import naming, write_json, write_text
from seewhy.nn import fold, monte_carlo
from seewhy.training.assemble import Prepared, empty_model, make_task
from seewhy.training.fabric import Engine, choose_device, choose_precision
from seewhy.training.generators.build import empty_generator
from seewhy.training.generators.codes import load_codes
from seewhy.training.loop.checkpoint import Checkpoints, load_tensors, snapshot_file
from seewhy.training.results.environment import environment
from seewhy.training.spec import RunSpec
from seewhy.training.spec.defaults import Facts
from seewhy.training.spec.sections import GENERATORS
from seewhy.training.tasks import Recognition

FIRST, LAST = ("epoch", "step"), ("lr", "images_per_second", "seconds")
"""Columns of metrics.csv around the figures of a run's kind."""


class RunFolder:
    """A trained (or half-trained) recogniser in its folder.

    Opening reads only small files; the network is loaded when it is first needed.
    """

    def __init__(self, folder: Path | str, snapshot: int | None = None) -> None:
        """Open a run folder, or one of its snapshots (from 1) as a network by itself; raises InputError if it is none."""
        self.folder, self.snapshot = Path(folder), snapshot
        if not (self.folder / "spec.toml").is_file():
            raise InputError(
                f"{self.folder}: is not a run folder (there is no spec.toml); name a folder that `seewhy train` made"
            )
        self.spec = RunSpec.from_toml(self.folder / "spec.toml")
        self.checkpoints = Checkpoints(self.folder / "checkpoint")

    def __repr__(self) -> str:
        return f"RunFolder({str(self.folder)!r})"

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the folder, {} if it is not there yet; raises InputError if it is damaged."""
        path = self.folder / name
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise InputError(f"{path}: is damaged: {error}") from None
        return found

    @property
    def results(self) -> dict[str, Any]:
        """The final figures by part, such as `run.results["test"]["accuracy"]`; {} before the end."""
        return self.read_json("results.json")

    @property
    def metrics(self) -> list[dict[str, float]]:
        """One dictionary an epoch, from metrics.csv."""
        path = self.folder / "metrics.csv"
        if not path.exists():
            return []
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
        return [{name: float(value) for name, value in row.items() if value} for row in rows]

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the network knows of its data: classes, height, width, channels, mean, std."""
        return self.read_json("data.json")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the network's outputs."""
        return tuple(self.data["classes"])

    def relabel(self, labels: Tensor, classes: Sequence[str], where: str) -> Tensor:
        """Translate the labels of another source into the run's, by class name.

        Args:
            labels: int64 (N).
            classes: what they mean.
            where: the source's name, for the message.

        Raises:
            InputError: the source has a class that the run does not know.
        """
        ours = self.classes
        unknown = [name for name in classes if name not in ours]
        if unknown:
            raise InputError(
                f"{where}: has classes that the run does not know: {', '.join(unknown[:5])}; it knows {', '.join(ours[:10])}"
            )
        return labels.new_tensor([ours.index(name) for name in classes])[labels]

    @cached_property
    def engine(self) -> Engine:
        """Where predictions are computed: this machine's best device, at the run's precision where it is supported."""
        device = choose_device("auto")
        precision = self.spec.train.precision if device == self.spec.train.device else choose_precision("auto", device)
        return Engine(device=device, precision=precision)

    @cached_property
    def task(self) -> Recognition:
        """The loss and the test-time views of the run."""
        return make_task(self.spec)

    @cached_property
    def members(self) -> tuple[RunFolder, ...]:
        """The runs of an ensemble's members, in order; () for a run of one network."""
        if self.snapshot is not None:
            return ()
        if self.spec.train.snapshots > 1:
            return tuple(RunFolder(self.folder, place) for place in range(1, self.spec.train.snapshots + 1))
        count = self.spec.ensemble.members
        return tuple(RunFolder(self.folder / "members" / f"{index:02d}") for index in range(1, count + 1) if count > 1)

    def release(self) -> None:
        """Let go of the network; it is loaded again when it is needed."""
        self.__dict__.pop("predictor", None)
        self.__dict__.pop("model", None)

    @cached_property
    def model(self) -> Any:
        """The network with the best weights by validation: a recogniser, uint8 (N, C, H, W) to logits (N, K), or a generator.

        Raises:
            InputError: the run is an ensemble, which has several.
        """
        if self.spec.ensemble.members > 1:
            raise InputError(
                f"{self.folder}: is an ensemble; each of its members has a network: {self.members[0].folder}, ..."
            )
        weights = self._weights()
        facts = Facts(**self.data["facts"])
        model: nn.Module = (
            empty_generator(self.spec, facts)
            if self.spec.model.name in GENERATORS
            else empty_model(self.spec, facts, mean=tuple(self.data["mean"]), std=tuple(self.data["std"]))
        )
        model.load_state_dict(weights)
        if self.spec.model.name == "autoencoder":
            load_codes(model, self.folder)
        return model.to(self.engine.device).eval()

    def _weights(self) -> dict[str, Tensor]:
        if self.snapshot is not None:
            return load_tensors(snapshot_file(self.folder, self.snapshot))
        return self.checkpoints.weights("best" if self.checkpoints.has("best") else "last")

    @cached_property
    def predictor(self) -> nn.Module:
        """The same network for predicting pictures: its batch normalisations are folded into the layers before them."""
        return fold(self.model).module

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return class probabilities (N, K), float32, of uint8 images (N, C, H, W) of the run's size."""
        if self.members:
            return self.member_probabilities(images).mean(0)
        found = []
        for chunk in torch.split(images, 500):
            with self.engine.autocast():
                found.append(self.task.probabilities(self.predictor, chunk.to(self.engine.device)).cpu())
        return torch.cat(found) if found else torch.zeros(0, len(self.classes))

    def drawn_probabilities(self, images: Tensor, draws: int) -> Tensor:
        """Return the probabilities (T, N, K) of T draws of the network's own randomness, the same for equal images.

        Raises:
            InputError: the network draws nothing, or the run is an ensemble.
        """
        if self.members:
            raise InputError(f"{self.folder}: is an ensemble, whose members differ already; --draws are of one network")
        found = []
        for chunk in torch.split(images, 500):
            batch = chunk.to(self.engine.device)
            with self.engine.autocast():
                drawn = monte_carlo(
                    self.model, batch, draws, probabilities=lambda x: self.task.probabilities(self.model, x)
                )
            found.append(drawn.draws.cpu())
        return torch.cat(found, dim=1)

    def member_probabilities(self, images: Tensor) -> Tensor:
        """Return the probabilities (M, N, K) of an ensemble's members, with one network in memory at a time."""
        found = []
        for member in self.members:
            found.append(member.probabilities(images))
            member.release()
        return torch.stack(found)


def create(folder: Path, prepared: Prepared) -> RunFolder:
    """Make the folder of a new run; raises InputError if something is there already."""
    if folder.exists():
        raise InputError(
            f"{folder}: exists already and is not overwritten; choose another --out, or go on with --resume {folder}"
        )
    with naming(folder):
        folder.mkdir(parents=True)
    dataset = prepared.dataset
    write_json(
        folder / "data.json",
        {
            "name": dataset.name,
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "facts": asdict(prepared.facts),
            "mean": list(dataset.mean),
            "std": list(dataset.std),
            "audit": dataset.audit.to_json(),
        },
    )
    engine, train = prepared.engine, prepared.spec.train
    write_json(folder / "environment.json", environment(train.device, train.precision, engine.world))
    prepared.spec.save(folder / "spec.toml")
    return RunFolder(folder)


def write_metrics(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write metrics.csv whole: a line an epoch, empty where a figure does not exist."""
    text = io.StringIO()
    measured = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in (*FIRST, *LAST)]
    writer = csv.DictWriter(text, (*FIRST, *measured, *LAST), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "metrics.csv", text.getvalue())


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; raises InputError if another process is training it."""
    with naming(folder):
        handle = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another process is training this run; wait for it, or stop it first") from None
        yield
    finally:
        os.close(handle)
