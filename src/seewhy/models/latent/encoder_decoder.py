"""Encoder, decoder and the likelihood of pixels between them, for uint8 images: what all latent-variable models share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.models.intensity import IntensityLevels
from seewhy.models.labels import validate_classes, validate_labels
from seewhy.models.latent.design import LatentDesign
from seewhy.models.latent.layers import Shape

CHUNK = 4096
"""Images whose moments are summed at once."""

DECODED = 500
"""Latents that are decoded to images at once: memory does not grow with their number."""


def validate_images(images: Tensor, shape: Shape) -> None:
    """Raise InputError unless images are uint8 (N, *shape)."""
    if tuple(images.shape[1:]) != tuple(shape):
        raise InputError(
            f"images: must have the model's shape (N, {', '.join(map(str, shape))}), got {tuple(images.shape)}"
        )
    if images.dtype != torch.uint8:
        raise bad_value("images", images.dtype, "uint8, as images are stored")


def moments(images: Tensor, levels: IntensityLevels) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each value over uint8 images (N, C, H, W), within 0 ... L - 1: float32 (C, H, W) each.

    Of stochastic values they are expectations: nothing is sampled.
    """
    total = torch.zeros(2, *images.shape[1:], dtype=torch.float64, device=images.device)
    stochastic = levels.count == 2 and levels.binarise == "stochastic"
    for chunk in torch.split(images, CHUNK):
        x = chunk.double() / 255.0 if stochastic else levels.values(chunk).double()
        total += torch.stack([x.sum(0), x.sum(0) if stochastic else x.square().sum(0)])
    mean, square = total / len(images)
    return mean.float(), (square - mean.square()).clamp_min(0.0).sqrt().float()


class EncoderDecoder(nn.Module):
    """From stored images to an encoder's features, and from latents to images.

    Args:
        shape: (C, H, W) of the images.
        design: the choices.
        features: numbers that the encoder gives for each dimension of the latent.
        classes: K of a class-conditional model; None where it is not.

    Raises:
        InputError: a number is out of range, or the architecture is not for images of this shape.
    """

    centre: Tensor

    def __init__(self, shape: Shape, design: LatentDesign, *, features: int, classes: int | None) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise bad_value("shape", tuple(shape), "(channels, height, width), each at least 1")
        validate_classes(classes)
        self.shape, self.classes = shape, classes
        self.latent_dim, self.levels, self.likelihood = design.latent_dim, design.levels, design.pixel_likelihood()
        networks = design.networks(classes)
        self.encoder = networks.encoder(shape, features * design.latent_dim)
        self.decoder = networks.decoder(shape, design.latent_dim, self.likelihood.maps(shape[0]))
        self.register_buffer("centre", torch.zeros(shape))

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Let every value start at its mean over training images, uint8 (N, C, H, W): the decoder's bias, and the encoder's zero.

        Raises:
            InputError: the images do not have the model's shape, or there are none.
        """
        validate_images(images, self.shape)
        if not len(images):
            raise bad_value("images", 0, "at least one image")
        mean, std = moments(images, self.levels)
        self.centre.copy_(mean)
        self.decoder.start(self.likelihood.start(mean, std))

    def values(self, images: Tensor, labels: Tensor | None, rng: torch.Generator | None = None) -> Tensor:
        """Return the values of uint8 images as numbers, (N, C, H, W) of the weights' type; `rng` is the source of stochastic ones.

        Raises:
            InputError: images and labels do not fit the model.
        """
        validate_images(images, self.shape)
        validate_labels(labels, self.classes, len(images))
        return self.levels.values(images, rng).to(self.centre.dtype)

    def encode(self, values: Tensor, labels: Tensor | None) -> Tensor:
        """Return the encoder's features, float32 (N, features D), of values (N, C, H, W)."""
        features: Tensor = self.encoder((values - self.centre) * (2.0 / (self.levels.count - 1)), labels)
        return features

    def decode(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        """Return maps (*, N, P, H, W), float32, of latents (*, N, D)."""
        maps: Tensor = self.decoder(latents, labels)
        return maps

    @torch.no_grad()
    def decode_images(
        self, latents: Tensor, labels: Tensor | None, rng: torch.Generator | None = None, *, pixel_noise: bool = False
    ) -> Tensor:
        """Return the images of latents (*, N, D), uint8 (*, N, C, H, W).

        Args:
            latents: of N images.
            labels: int64 (N) where the model is class-conditional.
            rng: source of sampled pixels.
            pixel_noise: whether pixels are sampled from p(x | z); else each is its mean, as figures usually show.

        Raises:
            InputError: latents or labels do not fit the model.
        """
        if latents.ndim < 2 or latents.shape[-1] != self.latent_dim:
            raise bad_value("latents", tuple(latents.shape), f"(N, {self.latent_dim}), with any axes before")
        validate_labels(labels, self.classes, latents.shape[-2])
        if latents.ndim == 2 and len(latents) > DECODED:
            chunks = torch.split(latents, DECODED)
            owners = [None] * len(chunks) if labels is None else torch.split(labels, DECODED)
            return torch.cat(
                [
                    self.decode_images(chunk, own, rng, pixel_noise=pixel_noise)
                    for chunk, own in zip(chunks, owners, strict=True)
                ]
            )
        maps = self.decode(latents, labels)
        values = self.likelihood.sample(maps, rng) if pixel_noise else self.likelihood.mean(maps)
        return self.levels.images(values)
