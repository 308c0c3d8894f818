"""Latent-variable models: autoencoders and variational autoencoders (Kingma & Welling 2014, 1312.6114)."""

from seewhy.models.latent.architectures import ARCHITECTURES
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.build import build_autoencoder, build_vae
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.likelihoods import LIKELIHOODS
from seewhy.models.latent.priors import PRIORS
from seewhy.models.latent.traversal import (
    PATHS,
    by_kl,
    decode_traversal,
    interpolate_latents,
    normal_quantiles,
    traverse_latents,
)
from seewhy.models.latent.vae import VAE, BoundOptions, LatentUse, VAETerms

__all__ = [
    "ARCHITECTURES",
    "LIKELIHOODS",
    "PATHS",
    "PRIORS",
    "VAE",
    "Autoencoder",
    "BoundOptions",
    "LatentDesign",
    "LatentUse",
    "VAETerms",
    "build_autoencoder",
    "build_vae",
    "by_kl",
    "decode_traversal",
    "interpolate_latents",
    "normal_quantiles",
    "traverse_latents",
]
