"""All figures of fidelity at once, with those of real training pictures beside them as the yardstick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.training.fidelity.coverage import ClassCoverage, class_coverage
from seewhy.training.fidelity.distances import Frechet, Kernel, frechet_distance, kernel_distance
from seewhy.training.fidelity.extractor import Extractor, pixels
from seewhy.training.fidelity.neighbours import (
    DensityCoverage,
    Memorisation,
    PrecisionRecall,
    density_coverage,
    memorisation,
    precision_recall,
)
from seewhy.training.fidelity.parzen import Parzen, parzen

LEAST = 10
"""Pictures of each kind that there must be."""


@dataclass(frozen=True)
class Likeness:
    """How like held-out real pictures a sample is.

    Attributes:
        frechet: FID.
        kernel: KID.
        precision_recall: precision and recall.
        density_coverage: density and coverage.
    """

    frechet: Frechet
    kernel: Kernel
    precision_recall: PrecisionRecall
    density_coverage: DensityCoverage

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, by figure."""
        return {name: getattr(self, name).to_json() for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class Fidelity:
    """The figures of drawn pictures.

    Attributes:
        drawn: likeness of drawn pictures to held-out ones.
        yardstick: likeness of as many training pictures to the same, which a perfect generator would have.
        memorisation: in the extractor's features.
        memorisation_in_pixels: in pixels, where copies are told best.
        classes: which were drawn; None if the extractor knows none.
        parzen: Parzen-window log-likelihood of the held-out pictures, windows on drawn ones.
        parzen_yardstick: the same with windows on as many training pictures.
    """

    drawn: Likeness
    yardstick: Likeness
    memorisation: Memorisation
    memorisation_in_pixels: Memorisation
    classes: ClassCoverage | None
    parzen: Parzen
    parzen_yardstick: Parzen

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, by figure."""
        return {
            "drawn": self.drawn.to_json(),
            "yardstick": self.yardstick.to_json(),
            "memorisation": self.memorisation.to_json(),
            "memorisation_in_pixels": self.memorisation_in_pixels.to_json(),
            "classes": None if self.classes is None else self.classes.to_json(),
            "parzen": self.parzen.to_json(),
            "parzen_yardstick": self.parzen_yardstick.to_json(),
        }


@torch.no_grad()
def measure(
    extractor: Extractor,
    drawn: Tensor,
    train: Tensor,
    held_out: Tensor,
    *,
    counts: Tensor | Sequence[float],
    validation: Tensor | None = None,
) -> Fidelity:
    """Measure drawn pictures.

    Likeness is taken between n pictures each, n the size of the smaller of drawn, training and held-out ones: n spread evenly over the larger
    ones, which may be sorted by class. Memorisation takes all.

    Args:
        extractor: whose features.
        drawn: uint8 (M, C, H, W).
        train: uint8, what the generator was trained on.
        held_out: uint8, real pictures that it was not trained on.
        counts: training pictures of each of the extractor's classes, (K); not used if it knows none.
        validation: uint8, other real pictures that it was not trained on, by which the width of Parzen windows is chosen; None for every
            tenth of `held_out`, which then is not measured by them.

    Raises:
        InputError: there are fewer than `LEAST` of one kind, or sizes do not fit.
    """
    for name, images in (("drawn", drawn), ("train", train), ("held_out", held_out)):
        if len(images) < LEAST:
            raise bad_value(name, len(images), f"at least {LEAST} pictures")
    readings = [extractor.read(images) for images in (drawn, train, held_out)]
    ours, taught, real = (reading.features for reading in readings)
    n = min(len(ours), len(taught), len(real))
    probabilities = readings[0].probabilities
    raw = pixels((drawn.shape[1], drawn.shape[2], drawn.shape[3]))
    chosen, measured = (held_out[::10], _without_tenths(held_out)) if validation is None else (validation, held_out)
    return Fidelity(
        drawn=likeness(spaced(real, n), spaced(ours, n), extractor.name),
        yardstick=likeness(spaced(real, n), spaced(taught, n), extractor.name),
        memorisation=memorisation(ours, taught, real, extractor=extractor.name),
        memorisation_in_pixels=memorisation(drawn, train, held_out, extractor=raw.name),
        classes=None if probabilities is None else class_coverage(probabilities, counts, recogniser=extractor.name),
        parzen=parzen(drawn, chosen, measured),
        parzen_yardstick=parzen(spaced(train, min(len(drawn), len(train))), chosen, measured),
    )


def _without_tenths(images: Tensor) -> Tensor:
    return images[torch.arange(len(images)) % 10 != 0]


def likeness(real: Tensor, drawn: Tensor, extractor: str) -> Likeness:
    """Measure the likeness of features (M, F) to real ones (N, F)."""
    return Likeness(
        frechet_distance(real, drawn, extractor=extractor),
        kernel_distance(real, drawn, extractor=extractor),
        precision_recall(real, drawn, extractor=extractor),
        density_coverage(real, drawn, extractor=extractor),
    )


def spaced(values: Tensor, n: int) -> Tensor:
    """Return n rows spread evenly over all."""
    return values[torch.arange(n) * len(values) // n]
