"""What runs of latent-variable models can do: evaluate, reconstruct, interpolate and, of a VAE, traverse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.core.seeding import derive, rng, seed_global
from seewhy.data import Split
from seewhy.models.family import Evaluated, Progress, Trained
from seewhy.models.generative import (
    Estimator,
    Label,
    class_count,
    evaluate_likelihood,
    labels_for,
    validate_integer,
)
from seewhy.models.latent.latents import latents_of
from seewhy.models.latent.traversal import decode_traversal, interpolate_latents, normal_quantiles, traverse_latents
from seewhy.spec import RunSpec
from seewhy.spec.latent import LatentSection, VAESection

SAMPLES = 100
"""Latents for each image by which a run's own bound is estimated; `evaluate` takes more."""

MAX_STEPS = 1000
"""Images along one interpolation or traversal, at most."""


def estimator_of(spec: RunSpec, samples: int = SAMPLES) -> Estimator:
    """Return how a model's likelihood is computed."""
    model = spec.model
    assert isinstance(model, LatentSection)
    levels = None if model.likelihood.startswith("gaussian") else model.levels
    if isinstance(model, VAESection):
        return Estimator(f"importance-weighted bound, k = {samples:,}", levels, samples)
    return Estimator("of an image given its own latent: an autoencoder has no likelihood", levels)


def evaluate(
    trained: Trained,
    split: Split,
    name: str,
    classes: Sequence[str],
    *,
    samples: Any = None,
    progress: Progress | None = None,
) -> Evaluated:
    """Measure the likelihood of a split's images, or a bound of it; `classes` are of other families.

    Args:
        trained: an autoencoder or VAE.
        split: images of the run's size; labels are the run's.
        name: "val" or "test".
        classes: of the run.
        samples: latents for each image, of a VAE; None for 100.
        progress: called with the number of images done.

    Raises:
        InputError: samples are given for an autoencoder, or below 1.
    """
    del classes
    if samples is not None and not isinstance(trained.spec.model, VAESection):
        raise InputError(
            f"samples: bound the likelihood of a vae, but {trained.folder} is an {trained.spec.model.name}; leave them out"
        )
    count = SAMPLES if samples is None else validate_integer("samples", samples, 1)
    return evaluate_likelihood(trained, split, name, estimator_of(trained.spec, count), progress)


def likeliest_labels(trained: Trained, images: Tensor, label: Label, seed: int) -> Tensor | None:
    """Return what `labels_for` does, but where no class is given the one by which each image has the least loss: the greatest bound.

    Args:
        trained: an autoencoder or VAE.
        images: uint8 (N, C, H, W) on the engine's device.
        label: as in `labels_for`.
        seed: of latents and stochastic values, the same for every class.
    """
    labels, classes, device = labels_for(trained, label, len(images)), class_count(trained), images.device
    if label is not None or classes is None:
        return labels
    losses = []
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else None):
        for index in range(classes):
            seed_global(derive(seed, "classes"), device)
            losses.append(trained.model(images, torch.full((len(images),), index, device=device))["loss"])
    return torch.stack(losses).argmin(0)


@torch.no_grad()
def reconstruct(trained: Trained, images: Tensor, *, label: Label = None, seed: int = 0) -> Tensor:
    """Return images as decoded from their latents, uint8 (N, C, H, W).

    Args:
        trained: an autoencoder or VAE.
        images: uint8 (N, C, H, W) of the run's size.
        label: a class, or one for each image, where the model is class-conditional; None: the class by which each image is likeliest.
        seed: of the latents' noise.

    Raises:
        InputError: an argument is wrong.
    """
    images = images.to(trained.engine.device)
    labels = likeliest_labels(trained, images, label, seed)
    noise = rng(seed, "reconstruct", device=images.device)
    return torch.as_tensor(trained.model.reconstruct(images, labels, rng=noise)).cpu()


@torch.no_grad()
def interpolate(
    trained: Trained,
    start: Tensor,
    end: Tensor,
    *,
    steps: Any = 9,
    label: Label = None,
    path: str = "spherical",
    seed: int = 0,
) -> Tensor:
    """Return the images between one image and another by their latents, uint8 (steps, C, H, W).

    Args:
        trained: an autoencoder or VAE.
        start: uint8 (1, C, H, W) of the run's size.
        end: likewise.
        steps: from 2 to 1,000, both ends included.
        label: a class, or one for each end, where the model is class-conditional; None: those by which the images are likeliest. Images between
            are of the start's.
        path: "spherical" or "linear".
        seed: of binarised values.

    Raises:
        InputError: an argument is wrong.
    """
    steps = validate_integer("steps", steps, 2, MAX_STEPS)
    for name, end_point in (("start", start), ("end", end)):
        if len(end_point) != 1:
            raise InputError(f"{name}: must be one image, got {len(end_point)}; interpolation goes from one to another")
    images = torch.cat([start, end]).to(trained.engine.device)
    labels = likeliest_labels(trained, images, label, seed)
    latents = latents_of(trained.model, images, labels, seed)
    between = interpolate_latents(latents[:1], latents[1:], steps, path=path)[:, 0]
    classes = None if labels is None else labels[:1].expand(steps)
    return torch.as_tensor(trained.model.decode_images(between, classes)).cpu()


@torch.no_grad()
def traverse(
    trained: Trained,
    image: Tensor | None = None,
    *,
    steps: Any = 9,
    dimensions: Any = 10,
    label: Label = None,
    seed: int = 0,
) -> Tensor:
    """Return images with one latent dimension changed at a time, uint8 (dimensions x steps, C, H, W), one dimension after the other.

    Args:
        trained: a VAE.
        image: where to start, uint8 (1, C, H, W) of the run's size; None for the mean of the prior.
        steps: positions along each dimension, from its 2% to its 98% quantile; up to 1,000.
        dimensions: how many, those of the most KL (on the run's own held-out images) first; all where the latent has fewer.
        label: a class, where the model is class-conditional; None: that by which the image is likeliest, the first without one.
        seed: of binarised values.

    Raises:
        InputError: an argument is wrong, or the run has not ended.
    """
    dimensions = validate_integer("dimensions", dimensions, 1, MAX_STEPS)
    steps, device = validate_integer("steps", steps, 1, MAX_STEPS), trained.engine.device
    labels = labels_for(trained, label, 1)
    if "order" not in trained.record:
        raise InputError(
            f"{trained.folder}: has not ended, so that the KL of its latent dimensions is not known yet; go on with `seewhy train --resume`"
        )
    order = torch.tensor(trained.record["order"][:dimensions], device=device)
    start = torch.zeros(trained.model.latent_dim, device=device)
    if image is not None:
        if len(image) != 1:
            raise InputError(f"image: must be one image, or None for the mean of the prior, got {len(image)}")
        images = image.to(device)
        labels = likeliest_labels(trained, images, label, seed)
        start = latents_of(trained.model, images, labels, seed)[0]
    latents = traverse_latents(start, order, normal_quantiles(steps))
    images = decode_traversal(latents, trained.model.decode_images, None if labels is None else int(labels[0]))
    return images.flatten(0, 1).cpu()
