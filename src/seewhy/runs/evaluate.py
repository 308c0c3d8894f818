"""Measuring a run on its own unseen images, or on another source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.data import Arrays, Split
from seewhy.metrics import apply_temperature, classification_metrics, ensemble_metrics
from seewhy.models.classifiers.family import format_metrics
from seewhy.models.classifiers.objective import split_probabilities
from seewhy.models.family import Evaluated
from seewhy.runs.folder import RunData, seen
from seewhy.runs.inference import Member, of_members
from seewhy.spec import RunSpec
from seewhy.spec.generative import GenerativeSection
from seewhy.training.build import absolute_source, data_options

Progress = Callable[[int, int], None]
"""Told (images done, images in all)."""

SELECTED = (
    "these are the validation images, by which the best epoch and the temperature were chosen, so the figures are on the high side; "
    "hold out test images (--data.test-fraction) or name other data for unbiased ones"
)

CHANGED = "the images of {} have changed since the run was started: they are split anew, and this is another test split than that of its results"


def evaluation_split(
    spec: RunSpec, known: RunData, folder: Path, source: str | Arrays | None, progress: Progress | None
) -> tuple[str, Split, list[str]]:
    """Return the images to evaluate on, what they are called, and what must be known to read the figures.

    The run's own source means its own test split (else validation); another source its test split if it has one of its own, else all its images.
    Images that the run was trained or validated on are known by their pixels, whatever their files are called, and left out.

    Args:
        spec: of the run.
        known: what the run knows of its data; the labels of another source are translated into its classes by name.
        folder: of the run.
        source: a folder, a built-in name, an .npz file or arrays; None for the run's own.
        progress: of decoding.

    Raises:
        InputError: there is nothing to evaluate on, or the source has classes that the run does not know.
    """
    given = spec.source if source is None else source
    where = given if isinstance(given, str) else "the arrays"
    options, labels = data_options(dict(spec.data), known.rule.peaks), spec.family.labels
    same, own = False, isinstance(given, str) and absolute_source(given) == spec.source
    if own:
        dataset = seewhy_data.load_dataset(given, **options, labels=labels, progress=progress)
        same = dataset.fingerprint == known.values.get("fingerprint")
        name = "test" if dataset.test is not None and len(dataset.test) else "val"
        theirs, split = dataset.classes, dataset.splits[name]
    else:
        name = "test"
        # One class is enough to know its recall.
        theirs, split = seewhy_data.load_for_evaluation(
            given, decode=options["decode"], labels="optional", strict=spec.data.strict, progress=progress
        )
    if not len(split):
        raise InputError(f"{where}: has no test or validation images to evaluate on; name another source")
    conditional = isinstance(spec.model, GenerativeSection) and spec.model.conditional
    if labels == "required" or conditional:
        split = replace(split, labels=relabelled(split.labels, theirs, known.values["classes"], where))
    if same:  # as it was split when the run was started
        return name, split, [SELECTED] if name == "val" else []
    split, notes = _unseen(split, folder, where)
    return name, split, [CHANGED.format(where), *notes] if own else notes


def _unseen(split: Split, folder: Path, where: str) -> tuple[Split, list[str]]:
    """Return the images that the run was not trained or validated on, and say which others were left out."""
    known = seen(folder, split)
    count = int(known.sum())
    if not count:
        return split, []
    if count == len(split):
        raise InputError(
            f"{where}: the run was trained or validated on all {count:,} images; name others to evaluate on"
        )
    left = split.take((~known).nonzero()[:, 0])
    return left, [
        f"{count:,} of {len(split):,} images of {where} are left out, since the run was trained or validated on them; "
        f"the figures are of the other {len(left):,}"
    ]


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


def member_probabilities(members: Iterable[Member], split: Split) -> Tensor:
    """Return the uncalibrated probabilities (M, N, K), float32, of every member on a split; one network is in memory at a time."""
    return of_members(members, lambda one, its: split_probabilities(one.engine, its.uncalibrated, split))


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
