"""Measuring a run on its own unseen images, or on another source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.data import Split
from seewhy.metrics import apply_temperature, classification_metrics, ensemble_metrics
from seewhy.models.classifiers.family import format_metrics
from seewhy.models.classifiers.objective import split_probabilities
from seewhy.models.family import Engine, Evaluated
from seewhy.models.predictor import Predictor
from seewhy.spec import RunSpec
from seewhy.spec.generative import GenerativeSection
from seewhy.training.build import absolute_source, data_options

Progress = Callable[[int, int], None]
"""Told (images done, images in all)."""


def evaluation_split(
    spec: RunSpec, classes: Sequence[str], source: str | None, progress: Progress | None
) -> tuple[str, Split]:
    """Return the images to evaluate on, and what they are called.

    The run's own source means its own test split (else validation), so that no image is examined that was trained on; another source its test
    split if it has one of its own, else all its images.

    Args:
        spec: of the run.
        classes: the run's, into which the labels of another source are translated by name.
        source: a folder, a built-in name or an .npz file; None for the run's own.
        progress: of decoding.

    Raises:
        InputError: there is nothing to evaluate on, or the source has classes that the run does not know.
    """
    where = source if source is not None else spec.source
    decode, split_options = data_options(dict(spec.data))
    labels, strict = spec.family.labels, spec.data.strict
    if absolute_source(where) == spec.source:
        dataset = seewhy_data.load_dataset(
            where, decode=decode, split=split_options, labels=labels, strict=strict, progress=progress
        )
        name = "test" if dataset.test is not None and len(dataset.test) else "val"
        theirs, split = dataset.classes, dataset.splits[name]
    else:
        name = "test"
        theirs, split = seewhy_data.load_for_evaluation(
            where, decode=decode, labels=labels, strict=strict, progress=progress
        )
    if not len(split):
        raise InputError(f"{where}: has no test or validation images to evaluate on; name another source")
    conditional = isinstance(spec.model, GenerativeSection) and spec.model.conditional
    if labels == "required" or conditional:
        split = replace(split, labels=relabelled(split.labels, theirs, classes, where))
    return name, split


def relabelled(labels: Tensor, theirs: Sequence[str], ours: Sequence[str], where: str) -> Tensor:
    """Translate the labels of another source into the run's, by class name.

    Args:
        labels: int64 (N).
        theirs: what they mean.
        ours: the run's class names.
        where: the source's name, for the message.

    Raises:
        InputError: the source has a class that the run does not know.
    """
    unknown = [name for name in theirs if name not in ours]
    if unknown:
        raise InputError(
            f"{where}: has classes that the run does not know: {', '.join(unknown[:5])}; it knows {', '.join(ours[:10])}"
        )
    return labels.new_tensor([list(ours).index(name) for name in theirs])[labels]


class Member(Protocol):
    """A member of an ensemble: a network that is loaded when it is needed, and let go of."""

    @property
    def engine(self) -> Engine:
        """Where it computes."""

    @property
    def predictor(self) -> Predictor:
        """What predicts."""

    def release(self) -> None:
        """Let go of the network."""


def member_probabilities(members: Iterable[Member], split: Split) -> Tensor:
    """Return the uncalibrated probabilities (M, N, K), float32, of every member on a split; one network is in memory at a time."""
    parts = []
    for member in members:
        parts.append(split_probabilities(member.engine, member.predictor.uncalibrated, split))
        member.release()
    return torch.stack(parts)


def evaluate_ensemble(
    members: Iterable[Member], temperature: float, split: Split, name: str, classes: Sequence[str]
) -> Evaluated:
    """Measure an ensemble, and its members beside it."""
    each = member_probabilities(members, split)
    probabilities = apply_temperature(each.mean(0), temperature)
    metrics = classification_metrics(name, classes, probabilities, split.labels)
    beside = ensemble_metrics(name, classes, each, split.labels, metrics)
    metrics = replace(metrics, ensemble=beside)
    lines = [*format_metrics(metrics), "", *format_members(beside)]
    arrays = {"probabilities": probabilities.numpy(), "labels": split.labels.numpy()}
    return Evaluated(split=name, figures=metrics, lines=lines, arrays=arrays)


def format_members(found: dict[str, Any]) -> list[str]:
    """Return an ensemble's members as lines for people: what it gains over them, and how that grows with their number."""
    low, high = found["gain_interval"]
    lines = [
        f"gain over a member {found['gain']:+.2%}  [{low:+.2%}, {high:+.2%}]",
        f"disagreement       {found['disagreement']:.4f} nats",
        "",
        f"{'member':>6}  {'accuracy':>8}  {'log-loss':>8}  {'calibration error':>17}",
    ]
    for number, row in enumerate(found["members"], start=1):
        lines.append(f"{number:>6}  {row['accuracy']:>8.2%}  {row['log_loss']:>8.4f}  {row['ece']:>17.4f}")
    lines += ["", f"{'members':>7}  {'accuracy':>8}  {'log-loss':>8}   mean over their subsets"]
    for row in found["by_number"]:
        lines.append(f"{row['members']:>7}  {row['accuracy']:>8.2%}  {row['log_loss']:>8.4f}")
    return lines
