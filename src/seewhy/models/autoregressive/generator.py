"""An autoregressive network together with the levels of its pictures: learns, is measured, draws, completes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.models.autoregressive.raster import STRETCH, Autoregressive, draw, log_likelihood
from seewhy.models.levels import Levels

AT_ONCE = 2000
"""Pictures drawn at once, at most; larger ones fewer, by `NOISE`."""

NOISE = 1 << 25
"""Numbers of noise made at once, at most: 256 MB."""


class RasterGenerator(nn.Module):
    """p(x) as a product over values in raster order, for pictures as they are stored.

    Args:
        net: the network, whose levels are those of `levels`.
        levels: how uint8 pictures become values, and back.
    """

    def __init__(self, net: Autoregressive, levels: Levels) -> None:
        super().__init__()
        assert isinstance(net, nn.Module)
        self.net, self.levels = net, levels

    def prepare(self, images: Tensor) -> None:
        """Nothing here depends on the training images."""

    def forward(self, images: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return `{"loss": -log p(x) in nats}`, float32 (N), of uint8 images (N, C, H, W)."""
        values = self.levels.values(images)
        return {"loss": -log_likelihood(self.net, values, labels)}

    def log_likelihood(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return log p(x) in nats, float32 (N): exact. Codes are for other models: `samples` is not used."""
        del samples
        return log_likelihood(self.net, self.levels.values(images, generator), labels)

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Return n drawn pictures, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the network is conditioned on classes.
            generator: source of the noise; equal states give equal pictures.
            temperature: below 1 likelier pictures, above 1 more varied ones.
            progress: told (positions done, positions in all).
        """
        values = torch.zeros(n, *self.net.shape, dtype=torch.uint8, device=next(self.parameters()).device)
        return self._draw(values, None, labels, generator, temperature, progress)

    def complete(
        self,
        images: Tensor,
        given: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tensor:
        """Return pictures whose given pixels are those of `images`, exactly, and whose others are drawn in raster order.

        Args:
            images: uint8 (N, C, H, W).
            given: bool, broadcast to the images: pixels to keep. What lies before them in raster order is drawn without knowing them.
            labels: int64 (N) where the network is conditioned on classes.
            generator: source of the noise.
            temperature: as in `sample`.
            progress: told (positions done, positions in all).

        Raises:
            InputError: the images do not have the network's size.
        """
        if tuple(images.shape[1:]) != tuple(self.net.shape):
            raise InputError(
                f"images: must have the network's shape {tuple(self.net.shape)}, got {tuple(images.shape[1:])}"
            )
        values = self.levels.values(images, generator)
        made = self._draw(values, given.expand_as(images), labels, generator, temperature, progress)
        return torch.where(given.expand_as(images), images, made)

    def _draw(
        self,
        values: Tensor,
        given: Tensor | None,
        labels: Tensor | None,
        generator: torch.Generator | None,
        temperature: float,
        progress: Callable[[int, int], None] | None,
    ) -> Tensor:
        """Return drawn pictures, uint8, some at a time, so that memory does not grow with their number."""
        channels, *axes = self.net.shape
        count = min(AT_ONCE, max(1, NOISE // (min(STRETCH, axes[-1]) * channels * self.net.levels)))
        made = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
        places, parts = math.prod(axes), -(-len(values) // count)
        for part, start in enumerate(range(0, len(values), count)):

            def tell(done: int, _: int, before: int = part * places) -> None:
                if progress is not None:
                    progress(before + done, parts * places)

            some = slice(start, start + count)
            drawn = draw(
                self.net,
                values[some].long(),
                None if given is None else given[some],
                None if labels is None else labels[some],
                generator=generator,
                temperature=temperature,
                progress=tell,
            )
            made[some] = self.levels.pictures(drawn)
        return made
