"""What a report is drawn from: plain Python and NumPy data, whoever measured them.

A missing figure is None, an undefined one NaN; the report says so in words instead of failing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.core.errors import InputError, bad_value


@dataclass(frozen=True, eq=False)
class Mistake:
    """One wrongly recognised picture.

    Attributes:
        image: uint8 [H, W, C] with C = 1 or 3 (or [H, W]).
        true: the name of the right class.
        predicted: the name of the class that was predicted.
        confidence: the probability given to the predicted class, in [0, 1].
        name: the picture's file path, or its place in the data set such as "test/123".
    """

    image: NDArray[np.uint8]
    true: str
    predicted: str
    confidence: float
    name: str


@dataclass(frozen=True, eq=False)
class EvaluationRecord:
    """How well one part of the data was recognised; K classes, n images.

    Attributes:
        part: "test" or "val".
        classes: the K class names, in the order of the labels.
        n: number of images.
        accuracy: share of images recognised, in [0, 1].
        interval: 95% confidence interval of the accuracy.
        top5: share of images whose class is among the five most probable; None where K <= 5.
        log_loss: mean negative log-probability of the right class, in nats.
        ece: expected calibration error, in [0, 1].
        confusion: int [K, K]; row = true class, column = predicted class.
        per_class: one mapping a class: class, n, precision, recall, f1.
        calibration: one mapping a bin of confidence: confidence (mean), accuracy, n, lo, hi (interval of the accuracy).
        mistakes: wrongly recognised pictures, the most confident first.
    """

    part: str
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

    def __post_init__(self) -> None:
        K = len(self.classes)
        assert np.shape(self.confusion) == (K, K), f"confusion must be [{K}, {K}], got {np.shape(self.confusion)}"


@dataclass(frozen=True, eq=False)
class Drawn:
    """The variants that one change drew.

    Attributes:
        name: of the change, such as "flip".
        images: one variant of each image, uint8 [H, W, C] with C = 1 or 3, all of one size.
        text: its strength in a few words, such as "4 pixels".
    """

    name: str
    images: Sequence[NDArray[np.uint8]]
    text: str = ""


@dataclass(frozen=True, eq=False)
class AugmentationRecord:
    """Images and what became of them.

    Attributes:
        images: n images as they are, uint8 [H, W, C] with C = 1 or 3, all of one size.
        rows: the changes; a name may come back, with other draws.
        original: what the first row is called.

    Raises:
        InputError: there is no image, or a row has another number of variants.
    """

    images: Sequence[NDArray[np.uint8]]
    rows: Sequence[Drawn]
    original: str = "as they are"

    def __post_init__(self) -> None:
        if len(self.images) == 0:
            raise bad_value("images", 0, "at least one")
        for row in self.rows:
            if len(row.images) != len(self.images):
                raise InputError(
                    f"variants of {row.name!r}: must be one for each of {len(self.images)} images, got {len(row.images)}"
                )

    def all_rows(self) -> list[Drawn]:
        """Return the images as they are, then the changes."""
        return [Drawn(self.original, self.images), *self.rows]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A sheet of pictures with its caption.

    Attributes:
        name: in a word, such as "samples".
        image: uint8 [H, W, C].
        caption: what is seen.
    """

    name: str
    image: NDArray[np.uint8]
    caption: str


@dataclass(frozen=True, eq=False)
class GeneratedRecord:
    """What a generator makes.

    Attributes:
        sheets: of the trained generator.
        frames: of the same noise through training, in order.
        figures: (label, value) rows.
        kl: nats of each code dimension, largest first; empty where there is no such thing.
    """

    sheets: Sequence[Sheet]
    frames: Sequence[Sheet] = ()
    figures: Sequence[tuple[str, str]] = ()
    kl: Sequence[float] = ()


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
        metrics: one mapping an epoch: epoch, step, train_loss, train_accuracy, val_loss, val_accuracy, lr,
            images_per_second, seconds; absent or None where nothing was measured.
        evaluation: the final figures, or None.
        spec_toml: the resolved specification.
        environment: versions, hardware; values may be nested mappings.
        audit: data issues, each with kind, severity ("error", "warning", "note"), message, paths.
        ensemble: of an ensemble, on the part that `evaluation` tells of: members (a mapping each: accuracy, log_loss, ece), gain with
            gain_interval, disagreement, disagreement_right, disagreement_wrong (nats), by_number (mappings: members, accuracy, log_loss).
        augmentation: training images and what augmentation makes of them, or None.
        generated: what a generator makes, or None for a recogniser.
        notes: sentences to show above everything else, such as why a run stopped early.
    """

    title: str
    run_name: str
    created: str
    summary: Sequence[tuple[str, str]] = ()
    command: str = ""
    python: str = ""
    metrics: Sequence[Mapping[str, float | None]] = ()
    evaluation: EvaluationRecord | None = None
    spec_toml: str = ""
    environment: Mapping[str, object] = field(default_factory=dict)
    audit: Sequence[Mapping[str, object]] = ()
    ensemble: Mapping[str, Any] | None = None
    augmentation: AugmentationRecord | None = None
    generated: GeneratedRecord | None = None
    notes: Sequence[str] = ()
