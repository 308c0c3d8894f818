"""Sample quality: generated images against real ones, by a feature extractor, and whether they are copies of training images.

Real images are those of the run's held-out split; a second comparison, of training images with them, is the reference: what the same figures are
where nothing was generated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.core.seeding import rng
from seewhy.data import Dataset, Split
from seewhy.metrics import FeatureExtractor, Features, SampleQuality, measure_sample_quality, pixel_features
from seewhy.models.family import Trained
from seewhy.models.generative.arguments import validate_integer
from seewhy.models.generative.conditioning import is_conditional
from seewhy.models.generative.sampling import MAX_IMAGES
from seewhy.models.generative.selection import evenly_spaced

GENERATED = 2000
"""Images that are generated to be measured, unless another number is asked for."""

MIN_IMAGES = 100
"""The fewest images, generated and real, whose figures mean something."""

TRAINING = 10_000
"""Training images among which nearest ones are looked for, at most."""

VALIDATION = 1000
"""Images on which the bandwidth of Parzen windows is chosen, at most, as in the authors' code."""


def _as_they_are(images: Tensor) -> Tensor:
    return images


def sample_quality(
    trained: Trained,
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    classes: Sequence[str] | None = None,
    n: Any = GENERATED,
    seed: int = 0,
    as_generated: Callable[[Tensor], Tensor] = _as_they_are,
    options: Mapping[str, Any] | None = None,
    sampling: str | None = None,
) -> SampleQuality:
    """Measure the images that a model generates.

    Args:
        trained: a generative model.
        dataset: of its run.
        extractor: of the features that are compared; None takes the pixels themselves.
        classes: of the extractor, in the order of its probabilities; None for the run's. Where they are others than the run's, the classes of
            generated images are not counted.
        n: images to generate, at least 100.
        seed: of their noise.
        as_generated: brings real images, uint8 (N, C, H, W), to the intensity levels that the model generates.
        options: of the model's own `sample`, validated by its family.
        sampling: how images are sampled, in words, where a model has several ways.

    Raises:
        InputError: an argument is wrong, or there are too few held-out images.
    """
    if validate_integer("n", n) < MIN_IMAGES:
        raise bad_value("n", n, f"at least {MIN_IMAGES}, for figures that mean something")
    n = validate_integer("n", n, MIN_IMAGES, MAX_IMAGES)
    held_out = dataset.test if dataset.test is not None and len(dataset.test) else dataset.val
    if len(held_out) < MIN_IMAGES:
        raise InputError(
            f"{trained.spec.source}: has {len(held_out)} held-out images; at least {MIN_IMAGES} are needed for figures that mean something"
        )

    def real(split: Split, most: int) -> Tensor:
        return as_generated(split.images(evenly_spaced(len(split), most)))

    extractor = extractor or pixel_features(trained.facts.shape)
    classes = trained.classes if classes is None else classes
    if set(classes) != set(trained.classes):
        extractor = _without_classes(extractor)
    counts = torch.bincount(dataset.train.labels, minlength=len(trained.classes)).tolist()
    tuned = held_out is not dataset.val and len(dataset.val) >= MIN_IMAGES
    quality = measure_sample_quality(
        extractor,
        _generated(trained, dataset.train, n, seed, options or {}),
        real(dataset.train, TRAINING),
        real(held_out, n),
        class_counts=[counts[trained.classes.index(name)] if name in trained.classes else 0 for name in classes],
        validation=real(dataset.val, VALIDATION) if tuned else None,
    )
    return replace(quality, sampling=sampling)


def _without_classes(extractor: FeatureExtractor) -> FeatureExtractor:
    """Return an extractor of other images' classes, among which the generated ones cannot be counted: its features alone."""
    return FeatureExtractor(extractor.name, lambda images: Features(extractor.features(images).values))


@torch.no_grad()
def _generated(trained: Trained, training: Split, n: int, seed: int, options: Mapping[str, Any]) -> Tensor:
    """Generate n images, of the classes in the training images' shares where the model is class-conditional."""
    device, labels = trained.engine.device, None
    if is_conditional(trained.spec):
        rows = torch.randint(len(training), (n,), generator=rng(seed, "classes"))
        labels = training.labels[rows].to(device)
    return torch.as_tensor(trained.model.sample(n, labels, rng=rng(seed, "sample", device=device), **options)).cpu()
