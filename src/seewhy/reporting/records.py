"""What a report is drawn from: plain Python and NumPy data, whoever measured them.

A missing figure is None, an undefined one NaN; the report says so in words instead of failing. What every run has is a field of
`ReportRecord`; what a model family has of its own it brings as sections made of blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.core.errors import InputError, bad_value
from seewhy.core.findings import CheckOutcome, Finding
from seewhy.reporting.blocks import Section


@dataclass(frozen=True, eq=False)
class Mistake:
    """One misclassified image.

    Attributes:
        image: uint8 [H, W, C] with C = 1 or 3 (or [H, W]).
        true: the name of the true class.
        predicted: the name of the predicted class.
        confidence: the probability given to the predicted class, in [0, 1].
        name: the image's file path, or its position in the data set such as "test/123".
    """

    image: NDArray[np.uint8]
    true: str
    predicted: str
    confidence: float
    name: str


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """How well one split of the data was classified; K classes, n images.

    Attributes:
        split: "test" or "val".
        classes: the K class names, in the order of the labels.
        n: number of images.
        accuracy: fraction of images classified correctly, in [0, 1].
        interval: 95% confidence interval of the accuracy.
        top5: fraction of images whose class is among the five most probable; None where K <= 5.
        log_loss: mean negative log-probability of the true class, in nats.
        ece: expected calibration error, in [0, 1].
        confusion: int [K, K]; row = true class, column = predicted class.
        per_class: one mapping per class: class, n, precision, recall, f1.
        calibration: one mapping per bin of confidence: confidence (mean), accuracy, n, lo, hi (interval of the accuracy).
        mistakes: misclassified images, the most confident first.
        temperature: by which the logits were divided before log_loss, ece and calibration were measured.
        uncalibrated: ece, log_loss and calibration at temperature 1; None where no temperature was fitted.
        balanced_accuracy: mean recall of the classes that have images; None where it was not measured.
        macro_f1: mean F1 of the classes; None likewise.
    """

    split: str
    classes: Sequence[str]
    n: int
    accuracy: float
    interval: tuple[float, float]
    top5: float | None
    log_loss: float
    ece: float
    confusion: NDArray[np.int64]
    per_class: Sequence[Mapping[str, object]]
    calibration: Sequence[Mapping[str, float]]
    mistakes: Sequence[Mistake] = ()
    temperature: float = 1.0
    uncalibrated: Mapping[str, Any] | None = None
    balanced_accuracy: float | None = None
    macro_f1: float | None = None

    def __post_init__(self) -> None:
        K = len(self.classes)
        assert np.shape(self.confusion) == (K, K), f"confusion must be [{K}, {K}], got {np.shape(self.confusion)}"


@dataclass(frozen=True, eq=False)
class AugmentedRow:
    """The variants that one augmentation makes.

    Attributes:
        name: of the augmentation, such as "flip".
        images: one variant of each image, uint8 [H, W, C] with C = 1 or 3, all of one size.
        text: its strength in a few words, such as "4 pixels".
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    text: str = ""


@dataclass(frozen=True, eq=False)
class AugmentationRecord:
    """Images and what augmentation makes of them.

    Attributes:
        images: n original images, uint8 [H, W, C] with C = 1 or 3, all of one size.
        rows: one per augmentation; a name may come again, with other samples.
        original: what the first row is called.

    Raises:
        InputError: there is no image, or a row has another number of variants.
    """

    images: Sequence[NDArray[np.uint8]]
    rows: Sequence[AugmentedRow]
    original: str = "original"

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise bad_value("images", 0, "at least one")
        for row in self.rows:
            if len(row.images) != len(self.images):
                raise InputError(
                    f"variants of {row.name!r}: must be one for each of {len(self.images)} images, got {len(row.images)}"
                )

    def all_rows(self) -> list[AugmentedRow]:
        """Return the original images, then the augmented ones."""
        return [AugmentedRow(self.original, self.images), *self.rows]


@dataclass(frozen=True, eq=False)
class ImagePair:
    """Two images that are nearly the same.

    Attributes:
        images: uint8 [H, W, C] with C = 1 or 3.
        names: of the images.
        text: where they lie, and how like they are.
    """

    images: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    names: tuple[str, str]
    text: str


@dataclass(frozen=True)
class ChoiceRow:
    """One field of a run's specification.

    Attributes:
        name: as the user writes it, such as "optim.lr".
        value: what the run used; None where there is none.
        asked: whether the user asked for it; otherwise it was chosen for the run.
        reason: why it was chosen, where there is a reason.
    """

    name: str
    value: object
    asked: bool
    reason: str = ""


@dataclass(frozen=True, eq=False)
class LinePlot:
    """Series over the steps of a training, and what they are held against.

    Attributes:
        title: says what is drawn.
        lines: (step, value) pairs in order of the steps, by the series' name; values that are not finite are gaps.
        log: whether the values are drawn on a logarithmic axis.
        percent: whether they are shares in [0, 1].
        threshold: drawn as a dashed line, None where there is none.
        limit: what the threshold is called.
        step: one that is marked, such as that of a finding.
    """

    title: str
    lines: Mapping[str, Sequence[tuple[int, float]]]
    log: bool = False
    percent: bool = False
    threshold: float | None = None
    limit: str = "threshold"
    step: int | None = None


@dataclass(frozen=True, eq=False)
class NetworkHealth:
    """One network's layers at T probed steps; L rows, a row being a layer with the activation function behind it.

    Attributes:
        name: such as "generator".
        steps: the T probed steps, ascending.
        layers: the L names, in the order of the computation.
        functions: the activation function behind each layer, "" where there is none.
        measures: [L][T] values by name: "gradient" (root mean square of the gradient at the outputs), "spread" (standard deviation of the
            outputs), "silent" and "saturated" (shares of the units), "update" (relative change of the weights); None where nothing was measured.
        rows: the row of each name that a finding may give, such as an activation's or a parameter's.

    Raises:
        InputError: a measure has another shape than [L][T].
    """

    name: str
    steps: Sequence[int]
    layers: Sequence[str]
    functions: Sequence[str]
    measures: Mapping[str, Sequence[Sequence[float | None]]]
    rows: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.measures.items():
            if len(values) != len(self.layers) or any(len(row) != len(self.steps) for row in values):
                raise InputError(f"{name} of {self.name!r}: must be [{len(self.layers)}][{len(self.steps)}]")


@dataclass(frozen=True, eq=False)
class Health:
    """What watching a training has found, and what it measured.

    Attributes:
        steps: that were seen.
        findings: those that last, the likeliest cause first.
        past: those that have passed away.
        checks: how each ended.
        networks: in the order in which they were named.
        plots: the measured series that show a finding, by its fingerprint.
        measures: the name of the measure in which a finding is seen, by its fingerprint.
        learning: losses and what else is known of the learning.
        told: what the user told: name, how often, the last value.
    """

    steps: int
    findings: Sequence[Finding] = ()
    past: Sequence[Finding] = ()
    checks: Sequence[CheckOutcome] = ()
    networks: Sequence[NetworkHealth] = ()
    plots: Mapping[str, LinePlot] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)
    learning: Sequence[LinePlot] = ()
    told: Sequence[tuple[str, int, float]] = ()


@dataclass(frozen=True, eq=False)
class ReportRecord:
    """Everything a run's report shows.

    Attributes:
        title: the report's heading.
        run_name: the name of the run's folder.
        created: when the run ended, ISO 8601.
        summary: headline figures as (label, value), such as ("Test accuracy", "98.6% [97.5, 99.3]");
            what stands in square brackets is set smaller.
        command: the exact command that repeats the run.
        python: Python lines that load the run.
        metrics: one mapping per epoch: epoch, step, lr, images_per_second, seconds, and train_* and val_* of any name, such as
            train_loss (nats) and val_accuracy; absent or None where nothing was measured.
        sections: what the model family shows, after the learning curves.
        evaluation: the final figures of a classifier, or None.
        ensemble: of an ensemble, on the split that `evaluation` is of: members (one mapping each: accuracy, log_loss, ece), gain with
            gain_interval, disagreement, disagreement_right, disagreement_wrong (nats), by_number (mappings: members, accuracy, log_loss).
        explained: of a classifier, why the most confident mistakes were made, or None.
        augmentation: training images and what augmentation makes of them, or None.
        choices: every field of the specification and whether it was asked for or chosen.
        spec_toml: the resolved specification.
        environment: versions, hardware; values may be nested mappings.
        audit: data issues, each with kind, severity ("error", "warning", "note"), message, paths.
        near: the likest pairs of near duplicates.
        notes: sentences to show above everything else, such as why a run stopped early.
        health: what watching the run has found; None where it was not watched.
    """

    title: str
    run_name: str
    created: str
    summary: Sequence[tuple[str, str]] = ()
    command: str = ""
    python: str = ""
    metrics: Sequence[Mapping[str, float | None]] = ()
    sections: Sequence[Section] = ()
    evaluation: EvaluationRecord | None = None
    ensemble: Mapping[str, Any] | None = None
    explained: Section | None = None
    augmentation: AugmentationRecord | None = None
    choices: Sequence[ChoiceRow] = ()
    spec_toml: str = ""
    environment: Mapping[str, object] = field(default_factory=dict)
    audit: Sequence[Mapping[str, object]] = ()
    near: Sequence[ImagePair] = ()
    notes: Sequence[str] = ()
    health: Health | None = None
