"""What runs of latent-variable models can do: evaluate, sample, encode, decode, reconstruct, interpolate and, of a VAE, traverse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.core.seeding import derive, rng, seed_global
from seewhy.data import Dataset, Split
from seewhy.metrics import FeatureExtractor, SampleQuality
from seewhy.models import generative
from seewhy.models.family import Evaluated, Progress, Trained
from seewhy.models.generative import (
    Estimator,
    Label,
    class_count,
    evaluate_likelihood,
    labels_for,
    validate_integer,
)
from seewhy.models.generative.quality import GENERATED
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.latents import latents_of, sampling_of
from seewhy.models.latent.priors import PRIORS
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


def _validate_sampling(trained: Trained, prior: Any, pixel_noise: Any) -> None:
    """Raise InputError unless latents can be sampled from the prior."""
    if not isinstance(pixel_noise, bool):
        raise bad_value("pixel_noise", pixel_noise, "True or False")
    if prior is None:
        return
    if not isinstance(trained.model, Autoencoder):
        raise InputError(
            f"prior: is chosen for an autoencoder, whose latents have none; {trained.folder} is a {trained.spec.model.name}, "
            "whose prior is N(0, I); leave it out"
        )
    if prior not in PRIORS:
        raise unknown_name("prior", prior, PRIORS)
    if prior != "standard" and not trained.model.fitted:
        raise InputError(
            f"prior: {prior!r} is fitted when a run ends, and {trained.folder} has not ended; go on with `seewhy train --resume`"
        )


def sample(
    trained: Trained,
    n: Any,
    *,
    label: Label = None,
    seed: int = 0,
    temperature: Any = 1.0,
    prior: Any = None,
    pixel_noise: Any = False,
) -> Tensor:
    """Return the images of n latents sampled from the prior, uint8 (n, C, H, W).

    Args:
        trained: an autoencoder or VAE.
        n: from 1 to 1,000,000.
        label: a class, or one for each image; None: all in turn, where the model is class-conditional.
        seed: of the latents and pixels; the latents are the same with and without pixel noise.
        temperature: factor of the latents' standard deviation.
        prior: of an autoencoder: "standard", "gaussian" or "mixture" (`seewhy.models.latent.priors`); None for "gaussian", once fitted.
        pixel_noise: sample x ~ p(x | z); else pixels are at the mean of p(x | z).

    Raises:
        InputError: an argument is wrong.
    """
    _validate_sampling(trained, prior, pixel_noise)
    options = {"pixel_noise": pixel_noise, **({} if prior is None else {"prior": prior})}
    return generative.sample(trained, n, label=label, seed=seed, temperature=temperature, **options)


def sample_quality(
    trained: Trained,
    dataset: Dataset,
    *,
    extractor: FeatureExtractor | None = None,
    classes: Sequence[str] | None = None,
    n: Any = GENERATED,
    seed: int = 0,
    prior: Any = None,
    pixel_noise: Any = False,
) -> SampleQuality:
    """Measure generated images, sampled as `sample` does, against real ones; see `seewhy.models.generative.sample_quality`."""
    _validate_sampling(trained, prior, pixel_noise)
    options = {"pixel_noise": pixel_noise, **({} if prior is None else {"prior": prior})}
    sampling = sampling_of(trained, prior, pixel_noise=pixel_noise)
    about: dict[str, Any] = {"extractor": extractor, "classes": classes, "n": n, "seed": seed}
    return generative.sample_quality(trained, dataset, **about, options=options, sampling=sampling)


@torch.no_grad()
def encode(trained: Trained, images: Tensor, *, label: Label = None, seed: int = 0) -> Tensor:
    """Return the latents of images, float32 (N, D): the posterior's means of a VAE.

    Args:
        trained: an autoencoder or VAE.
        images: uint8 (N, C, H, W) of the run's size.
        label: a class, or one for each image, where the model is class-conditional; None: the class by which each image is likeliest.
        seed: of binarised values.

    Raises:
        InputError: an argument is wrong.
    """
    images = images.to(trained.engine.device)
    return latents_of(trained.model, images, likeliest_labels(trained, images, label, seed), seed).float().cpu()


@torch.no_grad()
def decode(
    trained: Trained,
    latents: Any = None,
    *,
    images: Tensor | None = None,
    values: Mapping[int, float] | None = None,
    label: Label = None,
    pixel_noise: Any = False,
    seed: int = 0,
) -> Tensor:
    """Return the images of latents, some of whose dimensions may be set by hand, uint8 (N, C, H, W).

    Args:
        trained: an autoencoder or VAE.
        latents: (N, D), or (D) for one; None for those of `images`, as `encode` gives them, or without them for the prior's mean: 0, or the
            mean latent of an autoencoder's training images.
        images: to start from, uint8 (N, C, H, W) of the run's size.
        values: of latent dimensions, by number from 0 to D - 1, that are set in every latent.
        label: a class, or one for each image, where the model is class-conditional; None: the class by which each image is
            likeliest; of latents, all in turn.
        pixel_noise: as in `sample`.
        seed: of binarised values and pixel noise.

    Raises:
        InputError: an argument is wrong.
    """
    _validate_sampling(trained, None, pixel_noise)
    model, device = trained.model, trained.engine.device
    values = _validate_values(values or {}, model.latent_dim)
    if images is not None:
        if latents is not None:
            raise InputError("latents, images: both say where to start; give one")
        images = images.to(device)
        labels = likeliest_labels(trained, images, label, seed)
        start = latents_of(model, images, labels, seed)
    else:
        start = _validate_latents(_middle(model)[None] if latents is None else latents, model.latent_dim).to(device)
        labels = labels_for(trained, label, len(start))
    start = start.clone()
    for dimension, value in values.items():
        start[:, dimension] = value
    noise = rng(seed, "decode", device=device)
    return torch.as_tensor(model.decode_images(start, labels, rng=noise, pixel_noise=pixel_noise)).cpu()


def _middle(model: Any) -> Tensor:
    """Return the mean of the prior, (D)."""
    return model.mean if isinstance(model, Autoencoder) else torch.zeros(model.latent_dim)


def _validate_latents(latents: Any, dimensions: int) -> Tensor:
    """Return latents as float32 (N, D); raises InputError unless they are finite and of that shape."""
    try:
        tensor = torch.as_tensor(latents, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError):
        raise bad_value("latents", type(latents).__name__, f"numbers (N, {dimensions})") from None
    tensor = tensor[None] if tensor.ndim == 1 else tensor
    if tensor.ndim != 2 or not len(tensor) or tensor.shape[1] != dimensions or not bool(tensor.isfinite().all()):
        raise bad_value("latents", tuple(tensor.shape), f"finite numbers (N, {dimensions}), N at least 1")
    return tensor


def _validate_values(values: Mapping[int, float], dimensions: int) -> dict[int, float]:
    """Return the values of latent dimensions; raises InputError unless there are such dimensions and the values are finite numbers."""
    checked = {}
    for dimension, value in values.items():
        number = validate_integer("values: a latent dimension", dimension, 0, dimensions - 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise bad_value(f"values: dimension {number}", value, "a finite number")
        checked[number] = float(value)
    return checked


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
