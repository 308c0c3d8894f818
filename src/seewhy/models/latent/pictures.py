"""From stored pictures to the features of a code, and from codes to pictures: what all models with codes share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.models.latent.coders import CoderDesign, Shape
from seewhy.models.latent.outputs import DISTRIBUTIONS
from seewhy.models.levels import Levels

CHUNK = 4096
"""Pictures whose moments are summed at once."""

DECODED = 500
"""Codes that are decoded to pictures at once: memory does not grow with their number."""


def check_pictures(images: Tensor, shape: Shape) -> None:
    """Raise InputError unless images are uint8 (N, *shape)."""
    if tuple(images.shape[1:]) != tuple(shape):
        raise InputError(
            f"images: must have the model's shape (N, {', '.join(map(str, shape))}), got {tuple(images.shape)}"
        )
    if images.dtype != torch.uint8:
        raise bad_value("images", images.dtype, "uint8, as pictures are stored")


def check_labels(labels: Tensor | None, classes: int | None, count: int) -> None:
    """Raise InputError unless there is a class for each of `count` pictures, exactly if the model is told classes."""
    if (labels is None) != (classes is None):
        raise InputError("labels: a model has them exactly if it is conditioned on classes")
    if labels is None or classes is None:
        return
    if labels.shape != (count,) or labels.dtype != torch.int64:
        raise bad_value("labels", f"{labels.dtype} {tuple(labels.shape)}", f"int64 ({count},), one for each picture")
    if count and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise bad_value("labels", (int(labels.min()), int(labels.max())), f"from 0 to {classes - 1}")


def moments(images: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each value over uint8 images (N, C, H, W), within 0 ... L - 1: float32 (C, H, W) each.

    Of stochastic values they are expectations: nothing is drawn.
    """
    total = torch.zeros(2, *images.shape[1:], dtype=torch.float64, device=images.device)
    drawn = levels.count == 2 and levels.binarise == "stochastic"
    for part in torch.split(images, CHUNK):
        x = part.double() / 255.0 if drawn else levels.values(part).double()
        total += torch.stack([x.sum(0), x.sum(0) if drawn else x.square().sum(0)])
    mean, square = total / len(images)
    return mean.float(), (square - mean.square()).clamp_min(0.0).sqrt().float()


class Coders(nn.Module):
    """Encoder, decoder and the distribution of pixels between them, for uint8 pictures.

    Args:
        shape: (C, H, W) of the pictures.
        code: D, numbers in a code.
        features: numbers that the encoder gives.
        levels: how uint8 pictures become values, and back.
        output: one of `seewhy.models.latent.outputs.DISTRIBUTIONS`.
        design: what encoder and decoder are built from.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    centre: Tensor

    def __init__(
        self, shape: Shape, *, code: int, features: int, levels: Levels, output: str, design: CoderDesign
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise bad_value("shape", tuple(shape), "(channels, height, width), each at least 1")
        if code < 1:
            raise bad_value("generator.code", code, "at least 1")
        self.shape, self.code, self.levels, self.classes = shape, code, levels, design.classes
        self.output = DISTRIBUTIONS[output].factory(levels=levels.count)
        self.encoder = design.encoder(shape, features)
        self.decoder = design.decoder(shape, code, self.output.parameters(shape[0]))
        self.register_buffer("centre", torch.zeros(shape))

    @torch.no_grad()
    def prepare(self, images: Tensor) -> None:
        """Let every value start at its mean over training images, uint8 (N, C, H, W): the decoder's bias, and the encoder's zero.

        Raises:
            InputError: the images do not have the model's shape, or there are none.
        """
        check_pictures(images, self.shape)
        if not len(images):
            raise bad_value("images", 0, "at least one picture")
        mean, spread = moments(images, self.levels)
        self.centre.copy_(mean)
        self.decoder.start(self.output.start(mean, spread))

    def values(self, images: Tensor, labels: Tensor | None, generator: torch.Generator | None = None) -> Tensor:
        """Return the values of uint8 images as numbers, (N, C, H, W) of the weights' type; the generator is the source of stochastic ones.

        Raises:
            InputError: images and labels do not fit the model.
        """
        check_pictures(images, self.shape)
        check_labels(labels, self.classes, len(images))
        return self.levels.values(images, generator).to(self.centre.dtype)

    def encode(self, values: Tensor, labels: Tensor | None) -> Tensor:
        """Return the encoder's features, float32 (N, features), of values (N, C, H, W)."""
        found: Tensor = self.encoder((values - self.centre) * (2.0 / (self.levels.count - 1)), labels)
        return found

    def decode(self, codes: Tensor, labels: Tensor | None) -> Tensor:
        """Return maps (*, N, P, H, W), float32, of codes (*, N, D)."""
        found: Tensor = self.decoder(codes, labels)
        return found

    @torch.no_grad()
    def pictures(
        self, codes: Tensor, labels: Tensor | None, generator: torch.Generator | None = None, *, pixels: bool = False
    ) -> Tensor:
        """Return the pictures of codes (*, N, D), uint8 (*, N, C, H, W).

        Args:
            codes: of N pictures.
            labels: int64 (N) where the model is conditioned on classes.
            generator: source of pixels that are drawn.
            pixels: whether pixels are drawn, as p(x | z) has it; else each is its mean, as figures usually show.

        Raises:
            InputError: codes or labels do not fit the model.
        """
        if codes.ndim < 2 or codes.shape[-1] != self.code:
            raise bad_value("codes", tuple(codes.shape), f"(N, {self.code}), with any axes before")
        check_labels(labels, self.classes, codes.shape[-2])
        if codes.ndim == 2 and len(codes) > DECODED:
            parts = zip(
                torch.split(codes, DECODED),
                [None] * len(codes) if labels is None else torch.split(labels, DECODED),
                strict=False,
            )
            return torch.cat([self.pictures(some, own, generator, pixels=pixels) for some, own in parts])
        maps = self.decode(codes, labels)
        return self.levels.pictures(self.output.sample(maps, generator) if pixels else self.output.mean(maps))
