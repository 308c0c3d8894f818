"""The latents of images, of autoencoders and variational autoencoders alike, and the densities that are fitted to an autoencoder's.

latents.safetensors     of an autoencoder's run: the latents of training images, their mean and covariance, by which its samples are decoded
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from seewhy.core import checksums
from seewhy.core.errors import InputError
from seewhy.core.seeding import rng
from seewhy.core.tensors import load_tensors, save_tensors
from seewhy.data import Split
from seewhy.models.family import Trained
from seewhy.models.generative import CHUNK, evenly_spaced, is_conditional
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.priors import Prior
from seewhy.models.latent.vae import VAE

FILE = "latents.safetensors"

FITTED = 10_000
"""Training images whose latents are fitted, at most."""

PRIOR_WORDS: dict[Prior, str] = {
    "standard": "N(0, I), to which nothing was fitted",
    "gaussian": "a Gaussian fitted to those of training images",
    "mixture": "a Gaussian mixture fitted to those of training images",
}

ADDRESS = "codes"
"""Of the random numbers of binarised values; renaming it would change the figures of equal seeds."""


def latents_of(model: Autoencoder | VAE, images: Tensor, labels: Tensor | None, seed: int) -> Tensor:
    """Return the latent of each image, (N, D): its mean, where it has a distribution. The seed is of binarised values."""
    noise = rng(seed, ADDRESS, device=images.device)
    if isinstance(model, VAE):
        return model.posterior(images, labels, noise).mean
    return model.encode(images, labels, noise)


@dataclass(frozen=True)
class Axes:
    """The dimensions of a latent space, for whoever moves along them.

    Attributes:
        start: the mean of the prior or, of an autoencoder, of the latents of training images.
        deviations: the standard deviation of each dimension there.
        order: the dimensions, the one of the most KL first or, of an autoencoder, of the largest deviation.
        kl: nats of each dimension in that order; () where that is not known.
    """

    start: tuple[float, ...]
    deviations: tuple[float, ...]
    order: tuple[int, ...]
    kl: tuple[float, ...] = ()


def axes(trained: Trained) -> Axes:
    """Return what is known of the latent dimensions of an autoencoder or VAE."""
    model, record = trained.model, trained.record
    dimensions = int(model.latent_dim)
    if isinstance(model, VAE):
        order, kl = record.get("order", range(dimensions)), record.get("kl", ())
        return Axes((0.0,) * dimensions, (1.0,) * dimensions, tuple(order), tuple(kl))
    deviations = model.covariance.diagonal().clamp(min=0).sqrt().tolist() if model.fitted else [1.0] * dimensions
    order = sorted(range(dimensions), key=lambda dimension: -deviations[dimension])
    return Axes(tuple(model.mean.tolist()), tuple(deviations), tuple(order))


def sampling_of(trained: Trained, prior: Prior | None = None, *, pixel_noise: bool = False) -> str:
    """Return in words what latents are sampled from, and pixels: figures and sheets say it."""
    pixels = "pixels sampled from p(x | z)" if pixel_noise else "pixels at their means"
    if not isinstance(trained.model, Autoencoder):
        return f"latents from N(0, I), {pixels}"
    return f"latents from {PRIOR_WORDS[prior or trained.model.usual_prior]}, {pixels}"


@torch.no_grad()
def fit_latents(trained: Trained, split: Split, folder: Path) -> None:
    """Fit densities to the latents of training images, and write what they need into the run's folder."""
    model, device = trained.model, trained.engine.device
    rows = evenly_spaced(len(split), FITTED)
    latents = []
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        labels = split.labels[chunk].to(device) if is_conditional(trained.spec) else None
        latents.append(model.encode(split.images(chunk).to(device), labels, rng(0, ADDRESS, start, device=device)))
    model.fit_latents(torch.cat(latents))
    if trained.engine.is_main:
        tensors = {name: getattr(model, name) for name in ("mean", "covariance", "training_latents")}
        save_tensors(tensors, folder / FILE)


def load_latents(model: nn.Module, folder: Path) -> None:
    """Give an autoencoder the latents of its run, if that has ended; other models have none.

    Raises:
        InputError: the file is damaged, or belongs to another run.
    """
    path = folder / FILE
    if not isinstance(model, Autoencoder) or not checksums.written(folder, FILE):
        return
    tensors = load_tensors(path)
    for name, own in (("mean", model.mean), ("covariance", model.covariance)):
        if name not in tensors or tensors[name].shape != own.shape:
            raise InputError(f"{path}: does not hold the latents of this run; restore it")
        own.copy_(tensors[name])
    model.training_latents = tensors.get("training_latents", model.training_latents)
    model.fitted.fill_(True)
