"""The latents of images, of autoencoders and variational autoencoders alike, and the Gaussian that is fitted to an autoencoder's.

latents.safetensors     of an autoencoder's run: mean and covariance of the latents of training images, which its samples are decoded from
"""

from __future__ import annotations

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
from seewhy.models.latent.vae import VAE

FILE = "latents.safetensors"

FITTED = 10_000
"""Training images whose latents are fitted, at most."""

ADDRESS = "codes"
"""Of the random numbers of binarised values; renaming it would change the figures of equal seeds."""


def latents_of(model: Autoencoder | VAE, images: Tensor, labels: Tensor | None, seed: int) -> Tensor:
    """Return the latent of each image, (N, D): its mean, where it has a distribution. The seed is of binarised values."""
    noise = rng(seed, ADDRESS, device=images.device)
    if isinstance(model, VAE):
        return model.posterior(images, labels, noise).mean
    return model.encode(images, labels, noise)


@torch.no_grad()
def fit_latents(trained: Trained, split: Split, folder: Path) -> None:
    """Fit a Gaussian to the latents of training images, and write it into the run's folder."""
    model, device = trained.model, trained.engine.device
    rows = evenly_spaced(len(split), FITTED)
    latents = []
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        labels = split.labels[chunk].to(device) if is_conditional(trained.spec) else None
        latents.append(model.encode(split.images(chunk).to(device), labels, rng(0, ADDRESS, start, device=device)))
    model.fit_latents(torch.cat(latents))
    if trained.engine.is_main:
        tensors = {name: getattr(model, name) for name in ("mean", "covariance")}
        save_tensors(tensors, folder / FILE)


def load_latents(model: nn.Module, folder: Path) -> None:
    """Give an autoencoder the Gaussian of its run, if that has ended; other models have none.

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
    model.fitted.fill_(True)
