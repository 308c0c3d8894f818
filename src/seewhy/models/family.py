"""What the rest of the house asks of a family of models, beside its specification (`seewhy.spec.Family`).

An `Implementation` is one record a family: how its networks are built and prepared, what training minimises, what is measured and written when a
run ends, what its runs can do, and what its report shows. No other place asks for a model's name.

The pieces that travel between training and a family:

    Inputs        what a step sees of a batch
    StepResult    what a network's update made of it: the loss with its graph, and sums of metrics by name
    Update        one update of one network's weights: its forward pass and its criterion
    Objective     all that training must know: the updates of a step, metrics, validation, augmentation
    Trained       a trained network with what it knows of its data: what evaluation and the verbs work on
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.core.named import load
from seewhy.data import Augment, Dataset, Mix, Split
from seewhy.reporting import EvaluationRecord, Section
from seewhy.spec import DataFacts, RunSpec, answering, family_of
from seewhy.spec.family import Family
from seewhy.spec.view import View


class Engine(Protocol):
    """Where and how precisely a run computes, and how its processes speak to each other (`seewhy.training.fabric`)."""

    device: torch.device
    rank: int
    world: int

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context in which forward passes run at the engine's precision."""

    def all_reduce_sum(self, values: Tensor) -> Tensor:
        """Return the sum of `values` over all processes."""

    def gather_rows(self, rows: Tensor) -> Tensor:
        """Put together the rows that process r computed for positions r, r + world, ... in their original order."""


@dataclass(frozen=True)
class Inputs:
    """What a step sees of a batch, on the engine's device.

    Attributes:
        images: uint8 (N, C, H, W), augmented.
        labels: int64 (N).
        targets: the labels or, where pairs of images are mixed, target probabilities (N, K).
        done: share of the run's steps that have been taken, within [0, 1).
    """

    images: Tensor
    labels: Tensor
    targets: Tensor
    done: float = 0.0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> Inputs:
        return Inputs(self.images[rows], self.labels[rows], self.targets[rows], self.done)


@dataclass(frozen=True)
class StepResult:
    """What an update computed on a batch.

    Attributes:
        loss: mean over the batch, with its graph.
        sums: metrics by name, summed over the batch's images, detached scalars.
        count: images.
    """

    loss: Tensor
    sums: Mapping[str, Tensor]
    count: int


Forward = Callable[[Callable[..., Any], Inputs], Any]
"""(network, inputs) -> outputs, with their graph."""

Criterion = Callable[[Any, Inputs], StepResult]
"""(outputs, inputs) -> result."""


def _everything(_model: nn.Module) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True)
class Update:
    """One update of weights: zero_grad, forward, criterion, backward, optimiser step.

    Attributes:
        network: whose weights move: "model", or "discriminator" and "generator".
        forward: calls the network.
        criterion: makes a loss and metrics of the outputs.
        training_only: the context in which only this network's weights have gradients.
        direct: whether the bare module is called and its gradients are averaged over processes afterwards, where the wrapper for several
            processes does not allow what the forward pass does.
    """

    network: str
    forward: Forward
    criterion: Criterion
    training_only: Callable[[nn.Module], AbstractContextManager[None]] = _everything
    direct: bool = False


@dataclass(frozen=True, kw_only=True)
class Precomputed:
    """Features that are computed once and stand for the images of the training and validation splits.

    Attributes:
        features: (network, uint8 images (N, C, H, W) on its device) -> features (N, D), float32.
        start: called once before training with the network, all training features (N, D) and labels (N); sets weights that depend on them.
        body: name of the module that computes them; no bit of it changes in training.
    """

    features: Callable[[nn.Module, Tensor], Tensor]
    start: Callable[[nn.Module, Tensor, Tensor], None]
    body: str


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What training needs to know.

    Attributes:
        metrics: names of the metrics of a step, in the order in which they are told; the first is a loss.
        updates: from the step (from 0) to its updates, in order.
        score: from an epoch's row (`val_loss`, ...) to how good it is, the larger the better; compared as lists.
        validate: measures a network on a split: metrics by name; None where there is nothing to measure.
        augment: what happens to training images.
        mix: how pairs of a batch are mixed; None if they are not.
        initial_resolution: side in pixels at which the first part of a run sees the images; None for the full side.
        initial_fraction: that part.
        snapshots: cycles of the learning rate that leave a network each.
        precomputed: features that take the images' place in `Inputs` and in the split that is validated; None for the images themselves.
    """

    metrics: tuple[str, ...]
    updates: Callable[[int], Sequence[Update]]
    score: Callable[[Mapping[str, float]], list[float]]
    augment: Augment
    validate: Callable[[Engine, nn.Module, Split], dict[str, float]] | None = None
    mix: Mix | None = None
    initial_resolution: int | None = None
    initial_fraction: float = 0.0
    snapshots: int = 1
    precomputed: Precomputed | None = None


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained network and what it knows of its data.

    Attributes:
        spec: of its run.
        model: in eval mode, on the engine's device.
        facts: of its data.
        classes: names, in the order of the labels.
        engine: where it computes.
        folder: of its run: where it writes, and its name in messages.
        record: what the end of the run has kept for the verbs (`Implementation.finish`); {} before the end.
    """

    spec: RunSpec
    model: Any
    facts: DataFacts
    classes: tuple[str, ...]
    engine: Engine
    folder: Path
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What the end of a run gives.

    Attributes:
        results: the final figures by split, such as {"test": {"accuracy": 0.98}}: the run's results.json.
        record: what verbs and the report need later, as JSON values.
        predictions: arrays by image for each measured split, kept in predictions/SPLIT.npz.
    """

    results: Mapping[str, Any]
    record: Mapping[str, Any] = field(default_factory=dict)
    predictions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FamilyReport:
    """A family's part of a run's report; see `seewhy.reporting.ReportRecord`.

    Attributes:
        summary: headline figures as (label, value).
        python: the line that uses a run, after `run = seewhy.Run(...)`.
        notes: sentences shown above everything else.
        sections: after the learning curves.
        evaluation: the final figures of a classifier, or None.
    """

    summary: Sequence[tuple[str, str]] = ()
    python: str = ""
    notes: Sequence[str] = ()
    sections: Sequence[Section] = ()
    evaluation: EvaluationRecord | None = None


Progress = Callable[[int], None]
"""Told the images done."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The figures of one split.

    Attributes:
        split: "val" or "test".
        figures: an object with `to_json()`, such as `seewhy.metrics.ClassificationMetrics`.
        lines: the same for people.
        arrays: by image, to be kept in the run's predictions/SPLIT.npz; {} for nothing.
        notes: what must be known to read the figures.
    """

    split: str
    figures: Any
    lines: Sequence[str]
    arrays: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """What needs torch of a family.

    Attributes:
        build: (spec, facts, mean, std) -> the network with the first weights that the seed determines. mean and std are those of the training
            images per channel, in units where 255 is 1. The same call makes an empty network for trained weights.
        prepare: (network, training images uint8 (N, C, H, W), spec): computes weights that depend on data, in place, once.
        objective: (spec, facts, mean) -> what training needs.
        announce: spec -> the lines of the plan that describe model and regularisation, as (name, text).
        finish: (trained, dataset, folder): measures the trained network on validation and test data and writes what the run leaves behind.
            Called once on every process; only the main one writes. The test split is looked at here.
        verbs: by name: functions whose first argument is a `Trained`: "predict", "evaluate", "sample", ... "explain" returns the module from
            pixels (N, C, H, W), 0 to 255 in floating point, to logits (N, K).
        report: (folder reader) -> the family's part of the report. The reader has `folder`, `spec`, `results`, `record`, `read_json(name)`.
        observe: (trained network in training, folder, total epochs) -> called with the epoch (from 1) after it ended, in the main process,
            with the weights that would predict; None for nothing.
        load: called with a network whose weights are loaded, and the run's folder; for what lies beside the weights.
        examine: request -> the side in pixels at which images are kept that are large, None for the usual one. Called before data are read;
            raises InputError for what the machine does not have, such as a package or a file of weights.
        rates: (network, spec) -> the share of the learning rate of each named parameter; those that are not named have the whole.
        networks: network -> its parts that have updates of their own, by the names of these (`Update.network`).
    """

    build: Callable[[RunSpec, DataFacts, Sequence[float], Sequence[float]], nn.Module]
    objective: Callable[[RunSpec, DataFacts, Sequence[float]], Objective]
    announce: Callable[[RunSpec], list[tuple[str, str]]]
    finish: Callable[[Trained, Dataset, Path], Finished]
    report: Callable[[Any], FamilyReport]
    verbs: Mapping[str, Callable[..., Any]]
    prepare: Callable[[nn.Module, Tensor, RunSpec], None] = lambda _network, _images, _spec: None
    observe: Callable[[Trained, Path, int], Callable[[int], None]] | None = None
    load: Callable[[nn.Module, Path], None] = lambda _network, _folder: None
    examine: Callable[[View], int | None] = lambda _view: None
    rates: Callable[[nn.Module, RunSpec], Mapping[str, float]] = lambda _network, _spec: {}
    networks: Callable[[nn.Module], Mapping[str, nn.Module]] = lambda network: {"model": network}


def implementation_of(spec: RunSpec | Family) -> Implementation:
    """Return what a family does, of a specification or by itself."""
    name = (spec if isinstance(spec, Family) else spec.family).implementation
    found = load(name)
    assert isinstance(found, Implementation), f"{name} must be an Implementation"
    return found


PHRASES = {
    "predict": "predict classes",
    "explain": "be explained by attribution maps",
    "evaluate": "be measured on a split",
    "sample": "sample images",
    "sample_quality": "have the quality of its samples measured",
    "complete": "complete images",
    "reconstruct": "reconstruct images",
    "interpolate": "interpolate between images",
    "traverse": "traverse latent dimensions",
    "encode": "encode images",
    "decode": "decode latents",
    "axes": "say what its latent dimensions are",
}
"""What verbs are in a sentence."""


def verb(trained_spec: RunSpec, name: str, folder: Path) -> Callable[..., Any]:
    """Return a family's verb; raises InputError if the model does not answer it."""
    model = trained_spec.model.name
    if name not in family_of(model).model(model).verbs:
        others = ", ".join(answering(name))
        raise InputError(f"{folder}: is a run of {model}, which cannot {PHRASES.get(name, name)}; that is for {others}")
    return implementation_of(trained_spec).verbs[name]


def chunks(count: int, size: int, engine: Engine) -> Iterator[Tensor]:
    """Yield this process's chunks of `range(count)`, int64, of at most `size`: whole chunks go round the processes."""
    for start in range(engine.rank * size, count, engine.world * size):
        yield torch.arange(start, min(start + size, count))


__all__ = [
    "Criterion",
    "Engine",
    "Evaluated",
    "FamilyReport",
    "Finished",
    "Forward",
    "Implementation",
    "Inputs",
    "Objective",
    "Precomputed",
    "Progress",
    "StepResult",
    "Trained",
    "Update",
    "chunks",
    "implementation_of",
    "verb",
]
