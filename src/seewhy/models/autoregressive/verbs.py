"""What runs of autoregressive models can do: evaluate, complete images, measure the quality of samples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.core.seeding import rng
from seewhy.data import Dataset, Split
from seewhy.metrics import FeatureExtractor, SampleQuality
from seewhy.models import generative
from seewhy.models.family import Evaluated, Progress, Trained
from seewhy.models.generative import Estimator, Label, labels_for, validate_integer, validate_temperature
from seewhy.models.generative.quality import GENERATED
from seewhy.models.intensity import IntensityLevels
from seewhy.spec import RunSpec
from seewhy.spec.generative import LikelihoodSection


def estimator_of(spec: RunSpec) -> Estimator:
    """Return how a model's likelihood is computed."""
    assert isinstance(spec.model, LikelihoodSection)
    return Estimator("exact", spec.model.levels)


def evaluate(
    trained: Trained,
    split: Split,
    name: str,
    classes: Sequence[str],
    *,
    samples: int | None = None,
    progress: Progress | None = None,
) -> Evaluated:
    """Measure the likelihood of a split's images; `classes` are of other families.

    Args:
        trained: an autoregressive model.
        split: images of the run's size; labels are the run's.
        name: "val" or "test".
        classes: of the run.
        samples: for models whose likelihood is bounded by samples.
        progress: called with the number of images done.

    Raises:
        InputError: samples are given.
    """
    del classes
    if samples is not None:
        raise InputError(
            f"samples: bound the likelihood of a vae, but {trained.folder} is a {trained.spec.model.name}; leave them out"
        )
    return generative.evaluate_likelihood(trained, split, name, estimator_of(trained.spec), progress)


@torch.no_grad()
def complete(
    trained: Trained,
    images: Tensor,
    *,
    rows: Any = None,
    given: Any = None,
    label: Label = None,
    seed: int = 0,
    temperature: Any = 1.0,
) -> Tensor:
    """Return images whose given pixels are kept exactly and whose others are sampled in raster order, uint8 (N, C, H, W).

    Args:
        trained: an autoregressive model.
        images: uint8 (N, C, H, W) of the run's size.
        rows: the uppermost rows are given; None for half of them.
        given: which pixels are given instead, bool (H, W) or broadcast to the images.
        label: a class, or one for each image; None: all in turn, where the model is class-conditional.
        seed: of the noise.
        temperature: below 1 likelier images, above 1 more varied ones.

    Raises:
        InputError: an argument is wrong.
    """
    height, device = trained.facts.height, trained.engine.device
    if given is not None and rows is not None:
        raise InputError("rows, given: say the same in two ways; give one")
    temperature = validate_temperature(temperature)
    if rows is not None and not 0 <= validate_integer("rows", rows) <= height:
        raise bad_value("rows", rows, f"from 0 to the images' height ({height})")
    mask = upper_rows(height, height // 2 if rows is None else rows) if given is None else _given_pixels(given, images)
    completed = trained.model.complete(
        images.to(device),
        mask.to(device),
        labels_for(trained, label, len(images)),
        rng=rng(seed, "complete", device=device),
        temperature=temperature,
    )
    return torch.as_tensor(completed).cpu()


def upper_rows(height: int, rows: int) -> Tensor:
    """Return a mask of the uppermost rows, bool (H, 1)."""
    return (torch.arange(height) < rows)[:, None]


def _given_pixels(given: Any, images: Tensor) -> Tensor:
    """Return which pixels are given, bool; raises InputError unless they can be broadcast to the images."""
    mask = torch.as_tensor(given)
    shape = tuple(images.shape)
    fits = mask.ndim <= 4 and all(
        side in (1, whole) for side, whole in zip(reversed(mask.shape), reversed(shape), strict=False)
    )
    if mask.dtype != torch.bool or not fits:
        raise bad_value(
            "given", f"{mask.dtype} {tuple(mask.shape)}", f"bool {shape[2:]}, or broadcast to the images {shape}"
        )
    return mask


def sample_quality(
    trained: Trained,
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    classes: Sequence[str] | None = None,
    n: Any = GENERATED,
    seed: int = 0,
) -> SampleQuality:
    """Measure generated images against real ones in the model's intensity levels; see `seewhy.models.generative.sample_quality`."""
    return generative.sample_quality(
        trained,
        dataset,
        extractor=extractor,
        classes=classes,
        n=n,
        seed=seed,
        as_generated=partial(_in_levels, trained.model.levels),
    )


def _in_levels(levels: IntensityLevels, images: Tensor) -> Tensor:
    return levels.images(levels.values(images, rng(0, "real")))
