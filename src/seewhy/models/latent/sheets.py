"""The sheets of latent-variable models: reconstructions, interpolations, random latents, traversals; and how a VAE uses its latent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.seeding import rng
from seewhy.data import Dataset, Split
from seewhy.models.family import Trained
from seewhy.models.generative import EXAMPLES, SheetImages, common_sheets, examples, held_out, labels_in_turn
from seewhy.models.generative.sheets import SHEET_IMAGES
from seewhy.models.latent.autoencoder import Autoencoder
from seewhy.models.latent.latents import latents_of, sampling_of
from seewhy.models.latent.traversal import (
    by_kl,
    decode_traversal,
    interpolate_latents,
    normal_quantiles,
    traverse_latents,
)
from seewhy.models.latent.vae import VAE, LatentUse

STEPS = 9
"""Images along an interpolation or a traversal."""

DIMENSIONS = 10
"""Latent dimensions that are traversed."""

MEASURED = 5000
"""Images by which the use of the latent dimensions is measured."""


def latent_sheets(trained: Trained, dataset: Dataset, use: LatentUse | None) -> Iterator[SheetImages]:
    """Yield the sheets of an autoencoder or a VAE; `use` is a VAE's."""
    split = held_out(dataset)
    yield from common_sheets(trained, dataset.train, sampling_of(trained))
    images, labels = examples(trained, split, EXAMPLES)
    yield _reconstructions(trained, images, labels)
    yield _interpolations(trained, images, labels)
    if isinstance(trained.model, Autoencoder):
        yield _random_latents(trained)
    if use is not None:
        yield _traversals(trained, split, use)


def _reconstructions(trained: Trained, images: Tensor, labels: Tensor | None) -> SheetImages:
    noise = rng(trained.spec.train.seed, "reconstruct", device=images.device)
    reconstructed = trained.model.reconstruct(images, labels, rng=noise)
    caption = "Top: images that were not trained on. Below: as decoded from their latents."
    return SheetImages("reconstructions", torch.cat([images, reconstructed]), len(images), caption)


def _interpolations(trained: Trained, images: Tensor, labels: Tensor | None) -> SheetImages:
    """Go from each image's latent to the next one's; the class of a class-conditional model is that of the start."""
    latents = latents_of(trained.model, images, labels, trained.spec.train.seed)
    starts, ends = latents[0::2], latents[1::2]
    path = interpolate_latents(starts[: len(ends)], ends, STEPS).transpose(0, 1)  # (pairs, steps, D)
    classes = None if labels is None else labels[0::2][: len(ends)].repeat_interleave(STEPS)
    decoded = trained.model.decode_images(path.flatten(0, 1), classes)
    caption = "From the latent of one image (left) to that of another (right), along a great circle."
    return SheetImages("interpolations", decoded, STEPS, caption)


def _random_latents(trained: Trained) -> SheetImages:
    noise = rng(trained.spec.train.seed, "standard", device=trained.engine.device)
    labels = labels_in_turn(trained, SHEET_IMAGES)
    images = trained.model.sample(SHEET_IMAGES, labels, rng=noise, prior="standard")
    caption = (
        "Latents sampled from N(0, I): the decoder was never trained on such latents. "
        "The samples above come from a Gaussian fitted to the latents of training images."
    )
    return SheetImages("random latents", images, math.isqrt(SHEET_IMAGES), caption)


def _traversals(trained: Trained, split: Split, use: LatentUse) -> SheetImages:
    labels = examples(trained, split, MEASURED)[1]
    order = by_kl(use.kl)[: min(DIMENSIONS, len(use.kl))]
    grid = traverse_latents(torch.zeros_like(use.kl), order, normal_quantiles(STEPS))
    images = decode_traversal(grid, trained.model.decode_images, None if labels is None else int(labels[0]))
    caption = "One row per latent dimension, the one with the most KL first; the others stay at 0."
    return SheetImages("traversals", images.flatten(0, 1), STEPS, caption)


@torch.no_grad()
def latent_use(trained: Trained, split: Split) -> LatentUse:
    """Measure how a VAE uses its latent dimensions on the images of a split."""
    images, labels = examples(trained, split, MEASURED)
    assert isinstance(trained.model, VAE)
    return trained.model.latent_use(images, labels, rng(trained.spec.train.seed, "describe", device=images.device))


def latent_results(use: LatentUse) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a VAE encodes in its latent, as JSON values: the figures for the results, and what the record keeps."""
    about, active, dimensions = use.information, int(use.active.sum()), len(use.kl)
    order = by_kl(use.kl)
    results = {
        "n": about.images,
        "kl": about.kl,
        "active_units": active,
        "dimensions": dimensions,
        "mutual_information": about.mutual,
    }
    figures = [
        ["Images measured", f"{about.images:,}"],
        ["KL", f"{about.kl:.2f} nats"],
        ["Active units", f"{active} of {dimensions}"],
        [
            "Mutual information of image and latent",
            f"{about.mutual:.2f} nats (of {about.images:,} images, at most {math.log(about.images):.2f})",
        ],
    ]
    return results, {"figures": figures, "kl": use.kl[order].tolist(), "order": order.tolist()}
