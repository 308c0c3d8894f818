"""An autoregressive network together with the intensity levels of its images: learns, is measured, samples, completes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.models.autoregressive.cursors.line_cache import STRETCH
from seewhy.models.autoregressive.loss import log_likelihood
from seewhy.models.autoregressive.raster import Autoregressive
from seewhy.models.autoregressive.sampling import Progress, sample_raster
from seewhy.models.intensity import IntensityLevels

AT_ONCE = 2000
"""Images sampled at once, at most; larger ones fewer, by `NOISE`."""

NOISE = 1 << 25
"""Numbers of noise made at once, at most: 256 MB."""


class RasterGenerator(nn.Module):
    """p(x) as a product over values in raster order, for images as they are stored.

    Args:
        net: the network, whose levels are those of `levels`.
        levels: how uint8 images become values, and back.
    """

    def __init__(self, net: Autoregressive, levels: IntensityLevels) -> None:
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
        rng: torch.Generator | None = None,
    ) -> Tensor:
        """Return log p(x) in nats, float32 (N): exact. `samples` is for latent-variable models and not used."""
        del samples
        return log_likelihood(self.net, self.levels.values(images, rng), labels)

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        progress: Progress | None = None,
    ) -> Tensor:
        """Return n sampled images, uint8 (n, C, H, W).

        Args:
            n: how many.
            labels: int64 (n) where the network is class-conditional.
            rng: source of the noise; equal states give equal images.
            temperature: below 1 likelier images, above 1 more varied ones.
            progress: called with (positions done, positions in all).
        """
        values = torch.zeros(n, *self.net.shape, dtype=torch.uint8, device=next(self.parameters()).device)
        return self._sample(values, None, labels, rng, temperature, progress)

    def complete(
        self,
        images: Tensor,
        given: Tensor,
        labels: Tensor | None = None,
        *,
        rng: torch.Generator | None = None,
        temperature: float = 1.0,
        progress: Progress | None = None,
    ) -> Tensor:
        """Return images whose given pixels are those of `images`, exactly, and whose others are sampled in raster order.

        Args:
            images: uint8 (N, C, H, W).
            given: bool, broadcast to the images: pixels to keep. What lies before them in raster order is sampled without regard to them.
            labels: int64 (N) where the network is class-conditional.
            rng: source of the noise.
            temperature: as in `sample`.
            progress: called with (positions done, positions in all).

        Raises:
            InputError: the images do not have the network's size.
        """
        if tuple(images.shape[1:]) != tuple(self.net.shape):
            raise InputError(
                f"images: must have the network's shape {tuple(self.net.shape)}, got {tuple(images.shape[1:])}"
            )
        given = given.expand_as(images)
        completed = self._sample(self.levels.values(images, rng), given, labels, rng, temperature, progress)
        return torch.where(given, images, completed)

    def _sample(
        self,
        values: Tensor,
        given: Tensor | None,
        labels: Tensor | None,
        rng: torch.Generator | None,
        temperature: float,
        progress: Progress | None,
    ) -> Tensor:
        """Return sampled images, uint8, a chunk at a time, so that memory does not grow with their number."""
        channels, *axes = self.net.shape
        count = min(AT_ONCE, max(1, NOISE // (min(STRETCH, axes[-1]) * channels * self.net.levels)))
        images = torch.empty(values.shape, dtype=torch.uint8, device=values.device)
        per_chunk, chunks = math.prod(axes), -(-len(values) // count)
        for number, start in enumerate(range(0, len(values), count)):

            def report(done: int, _: int, before: int = number * per_chunk) -> None:
                if progress is not None:
                    progress(before + done, chunks * per_chunk)

            chunk = slice(start, start + count)
            sampled = sample_raster(
                self.net,
                values[chunk].long(),
                None if given is None else given[chunk],
                None if labels is None else labels[chunk],
                rng=rng,
                temperature=temperature,
                progress=report,
            )
            images[chunk] = self.levels.images(sampled)
        return images
