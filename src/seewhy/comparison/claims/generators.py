"""Generative models of the images, trained briefly, and the features by which their samples are judged."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from seewhy.comparison.claims.fitting import batches, fit
from seewhy.comparison.claims.setting import Setting
from seewhy.comparison.claims.subsets import classifier, stored
from seewhy.core.seeding import derive, rng
from seewhy.metrics import FeatureExtractor
from seewhy.models import GAN, VAE, Autoencoder, ClassifierDesign, LatentDesign, build_autoencoder, build_vae

BATCH = 100

SHOWN = 48
"""Pixels of the longer side of a shown image, at most, of smaller ones: they are enlarged by a whole number."""

M = TypeVar("M", VAE, Autoencoder)


def fit_density(model: M, setting: Setting, *, steps: int, seed: int, lr: float = 2e-3) -> M:
    """Train a generative model that returns its loss for each image, by Adam, and return it in eval mode."""
    images = stored(setting.train)
    model.prepare(images)

    def loss(terms: Any, _: Tensor) -> Tensor:
        mean: Tensor = terms["loss"].mean()
        return mean

    fit(model, images, setting.train.y, steps=steps, lr=lr, seed=seed, optimizer="adam", batch=BATCH, loss=loss)
    return model.eval()


def trained_vae(setting: Setting, *, seed: int, steps: int, latent_dim: int, width: int = 128) -> VAE:
    """Return a VAE of dense networks with one hidden layer each."""
    design = LatentDesign(latent_dim=latent_dim, width=width, depth=1)
    model = build_vae(in_shape=setting.in_shape, rng=rng(seed, "claims", "weights"), design=design)
    return fit_density(model, setting, steps=steps, seed=seed)


def trained_autoencoder(setting: Setting, *, seed: int, steps: int, latent_dim: int, width: int = 128) -> Autoencoder:
    """Return an autoencoder of the same networks."""
    design = LatentDesign(latent_dim=latent_dim, width=width, depth=1)
    model = build_autoencoder(in_shape=setting.in_shape, rng=rng(seed, "claims", "weights"), design=design)
    return fit_density(model, setting, steps=steps, seed=seed)


def fit_gan(
    gan: GAN,
    setting: Setting,
    *,
    steps: int,
    seed: int,
    lr: float,
    generator_lr: float | None = None,
    beta: float = 0.5,
) -> GAN:
    """Train a GAN by Adam, and return it in eval mode.

    Args:
        gan: as built.
        setting: whose training images.
        steps: of the discriminator.
        seed: of the order of the images and of the noise.
        lr: of both networks.
        generator_lr: of the generator where it differs.
        beta: beta_1 of Adam.
    """
    from seewhy.optim import build

    images = stored(setting.train)
    gan.prepare(images)
    optimizers = {
        "discriminator": build("adam", gan.discriminator.named_parameters(), lr=lr, betas=(beta, 0.999)),
        "generator": build("adam", gan.generator.named_parameters(), lr=generator_lr or lr, betas=(beta, 0.999)),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "claims", "network") % 2**31)
        for step, (x, _) in zip(range(steps), batches(images, setting.train.y, BATCH, seed), strict=False):
            for network, optimizer in optimizers.items():
                if network == "generator" and (step + 1) % gan.critic_steps:
                    continue
                with gan.training_only(network):  # type: ignore[arg-type]
                    optimizer.zero_grad()
                    gan(x, network=network).loss.backward()
                optimizer.step()
    return gan.eval()


def trained_extractor(setting: Setting) -> FeatureExtractor:
    """Return the features of a classifier that was trained on the training images."""
    from seewhy.runs.extractors import classifier_features

    net = classifier(setting, "mlp", seed=0, design=ClassifierDesign(norm="none", width=64, depth=2))
    fit(net, stored(setting.train), setting.train.y, steps=setting.amount(800, 100), lr=0.05, seed=0)
    return classifier_features(net, "mlp of the training images", setting.in_shape)


def sheet(images: Tensor, columns: int = 8) -> str:
    """Return uint8 images (N, C, H, W) laid out as a grid: the data URI of a PNG."""
    from seewhy.reporting.images import image_grid, png_data_uri

    times = max(1, SHOWN // max(images.shape[2:]))
    enlarged = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    return png_data_uri(image_grid(enlarged.permute(0, 2, 3, 1).contiguous().numpy(), columns=columns))
