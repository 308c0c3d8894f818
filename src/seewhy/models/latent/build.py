"""Latent-variable models from their choices."""

from __future__ import annotations

import torch

from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.layers import Shape
from seewhy.models.latent.vae import VAE, BoundOptions
from seewhy.models.weights import seeded_weights


def build_autoencoder(
    *, in_shape: Shape, rng: torch.Generator, classes: int | None = None, design: LatentDesign | None = None
) -> Autoencoder:
    """Return an autoencoder of uint8 images (N, C, H, W).

    Args:
        in_shape: (C, H, W).
        rng: source of every weight: equal states give equal bits. torch's global source is left as it was.
        classes: K, for a class-conditional model; None where it is not.
        design: the choices; None for the usual ones.

    Raises:
        InputError: a number is out of range, or the architecture is not for images of this shape.
    """
    with seeded_weights(rng):
        return Autoencoder(in_shape, design, classes=classes)


def build_vae(
    *,
    in_shape: Shape,
    rng: torch.Generator,
    classes: int | None = None,
    design: LatentDesign | None = None,
    bound: BoundOptions | None = None,
) -> VAE:
    """Return a variational autoencoder of uint8 images (N, C, H, W).

    Args:
        in_shape: (C, H, W).
        rng: source of every weight: equal states give equal bits. torch's global source is left as it was.
        classes: K, for a class-conditional model; None where it is not.
        design: the choices; None for the usual ones.
        bound: what training minimises; None for the plain bound.

    Raises:
        InputError: a number is out of range, or the architecture is not for images of this shape.
    """
    with seeded_weights(rng):
        return VAE(in_shape, design, classes=classes, bound=bound)
