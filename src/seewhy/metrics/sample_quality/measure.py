"""All figures of sample quality at once, with those of real training images beside them as the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.metrics.sample_quality.bins import BinCoverage, bin_coverage, kmeans_centres, usual_bins
from seewhy.metrics.sample_quality.coverage import ClassCoverage, class_coverage
from seewhy.metrics.sample_quality.extractor import FeatureExtractor, pixel_features
from seewhy.metrics.sample_quality.frechet import FrechetDistance, frechet_distance
from seewhy.metrics.sample_quality.kernel import KernelDistance, kernel_distance
from seewhy.metrics.sample_quality.neighbours import (
    DensityCoverage,
    Memorisation,
    PrecisionRecall,
    density_coverage,
    memorisation,
    precision_recall,
)
from seewhy.metrics.sample_quality.parzen import ParzenLikelihood, parzen_likelihood

MIN_IMAGES = 10
"""Images of each kind that there must be."""


@dataclass(frozen=True)
class Similarity:
    """How similar a sample is to held-out real images.

    Attributes:
        frechet: FID.
        kernel: KID.
        precision_recall: precision and recall.
        density_coverage: density and coverage.
    """

    frechet: FrechetDistance
    kernel: KernelDistance
    precision_recall: PrecisionRecall
    density_coverage: DensityCoverage

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, by figure."""
        return {name: getattr(self, name).to_json() for name in self.__dataclass_fields__}


@dataclass(frozen=True)
class SampleQuality:
    """The figures of generated images.

    Attributes:
        generated: similarity of generated images to held-out ones.
        reference: similarity of as many training images to the same, which a perfect model would have.
        memorisation: in the extractor's features.
        memorisation_in_pixels: in pixels, which show copies best.
        classes: which were generated; None if the extractor is no classifier.
        modes: k-means bins of training pixels that generated images fill: modes without a classifier.
        modes_reference: the same of the held-out images, which real ones reach.
        parzen: Parzen-window log-likelihood of the held-out images, windows on generated ones.
        parzen_reference: the same with windows on as many training images.
        sampling: how the generated images were sampled, in words; None where their model has one way.
    """

    generated: Similarity
    reference: Similarity
    memorisation: Memorisation
    memorisation_in_pixels: Memorisation
    classes: ClassCoverage | None
    modes: BinCoverage
    modes_reference: BinCoverage
    parzen: ParzenLikelihood
    parzen_reference: ParzenLikelihood
    sampling: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, by figure."""
        return {
            "generated": self.generated.to_json(),
            "reference": self.reference.to_json(),
            "memorisation": self.memorisation.to_json(),
            "memorisation_in_pixels": self.memorisation_in_pixels.to_json(),
            "classes": None if self.classes is None else self.classes.to_json(),
            "modes": self.modes.to_json(),
            "modes_reference": self.modes_reference.to_json(),
            "parzen": self.parzen.to_json(),
            "parzen_reference": self.parzen_reference.to_json(),
            "sampling": self.sampling,
        }


@torch.no_grad()
def measure_sample_quality(
    extractor: FeatureExtractor,
    generated: Tensor,
    train: Tensor,
    held_out: Tensor,
    *,
    class_counts: Tensor | Sequence[float],
    validation: Tensor | None = None,
) -> SampleQuality:
    """Measure generated images.

    Similarity is taken between n images each, n the size of the smallest of generated, training and held-out ones: n spread evenly over the
    larger ones, which may be sorted by class. Memorisation takes all.

    Args:
        extractor: whose features.
        generated: uint8 (M, C, H, W).
        train: uint8, what the model was trained on.
        held_out: uint8, real images that it was not trained on.
        class_counts: training images of each of the extractor's classes, (K); not used if it is no classifier.
        validation: uint8, other real images that it was not trained on, by which the bandwidth of Parzen windows is chosen; None for every
            tenth of `held_out`, which then is not measured by them.

    Raises:
        InputError: there are fewer than `MIN_IMAGES` of one kind, or sizes do not fit.
    """
    for name, images in (("generated", generated), ("train", train), ("held_out", held_out)):
        if len(images) < MIN_IMAGES:
            raise bad_value(name, len(images), f"at least {MIN_IMAGES} images")
    features, train_features, real_features = (extractor.features(images) for images in (generated, train, held_out))
    ours, of_train, real = features.values, train_features.values, real_features.values
    n, probabilities = min(len(ours), len(of_train), len(real)), features.probabilities
    pixels = pixel_features((generated.shape[1], generated.shape[2], generated.shape[3]))
    centres = kmeans_centres(train, usual_bins(len(generated), len(train), len(held_out)))
    tenth = torch.arange(len(held_out)) % 10 == 0
    tuning, test = (held_out[tenth], held_out[~tenth]) if validation is None else (validation, held_out)
    return SampleQuality(
        generated=similarity(evenly_spaced(real, n), evenly_spaced(ours, n), extractor.name),
        reference=similarity(evenly_spaced(real, n), evenly_spaced(of_train, n), extractor.name),
        memorisation=memorisation(ours, of_train, real, extractor=extractor.name),
        memorisation_in_pixels=memorisation(generated, train, held_out, extractor=pixels.name),
        classes=(
            None if probabilities is None else class_coverage(probabilities, class_counts, classifier=extractor.name)
        ),
        modes=bin_coverage(train, generated, centres, extractor=pixels.name),
        modes_reference=bin_coverage(train, held_out, centres, extractor=pixels.name),
        parzen=parzen_likelihood(generated, tuning, test),
        parzen_reference=parzen_likelihood(evenly_spaced(train, min(len(generated), len(train))), tuning, test),
    )


def similarity(real: Tensor, generated: Tensor, extractor: str) -> Similarity:
    """Measure the similarity of features (M, F) to real ones (N, F)."""
    return Similarity(
        frechet_distance(real, generated, extractor=extractor),
        kernel_distance(real, generated, extractor=extractor),
        precision_recall(real, generated, extractor=extractor),
        density_coverage(real, generated, extractor=extractor),
    )


def evenly_spaced(values: Tensor, n: int) -> Tensor:
    """Return n rows spread evenly over all."""
    return values[torch.arange(n) * len(values) // n]
