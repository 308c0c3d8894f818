"""Sampling rasters value by value: ancestral sampling in raster order.

A network gives the distributions of all values of whole rasters at once. Sampling wants them one after the other: a `Cursor` gives the next one,
and caches what it has computed, so that a position costs a position's work. The sampling itself is written once, here.

Letters: N rasters, C colours, axes the raster's sides, L levels (values are 0 ... L - 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.models.autoregressive.cursors.gated_pixelcnn import GatedPixelCNNCursor
from seewhy.models.autoregressive.cursors.line_cache import STRETCH
from seewhy.models.autoregressive.cursors.lstm import LSTMCursor
from seewhy.models.autoregressive.cursors.pixelcnn import PixelCNNCursor
from seewhy.models.autoregressive.networks.diagonal_bilstm import DiagonalBiLSTM
from seewhy.models.autoregressive.networks.gated_pixelcnn import GatedPixelCNN
from seewhy.models.autoregressive.networks.pixelcnn import PixelCNN
from seewhy.models.autoregressive.networks.row_lstm import RowLSTM
from seewhy.models.autoregressive.raster import Autoregressive, positions, validate_values

Progress = Callable[[int, int], None]
"""Called with (positions done, positions in all)."""


class Cursor(Protocol):
    """Gives the distributions of a raster's values, one after the other."""

    def logits(self, position: tuple[int, ...], colour: int) -> Tensor:
        """Return logits (N, L) of a value, given all values before it, which stand in the raster by now.

        It is called once for every position in raster order and, within a position, every colour in order.
        """


class WholeCursor:
    """The uncached way: the whole network over the whole raster for every value. It is what cached cursors are tested against."""

    def __init__(self, net: Autoregressive, values: Tensor, labels: Tensor | None = None) -> None:
        self.net, self.values, self.labels = net, values, labels

    def logits(self, position: tuple[int, ...], colour: int) -> Tensor:
        """Compute everything and take the logits of one value."""
        index: Any = (slice(None), slice(None), colour, *position)
        return self.net(self.values, self.labels)[index].float()


def cursor_of(net: Autoregressive, values: Tensor, labels: Tensor | None = None) -> Cursor:
    """Return a cursor over `values` (N, C, *axes), which are filled in place behind it.

    It caches what later positions need where the network is one of this package's; else it computes the whole raster for each value.

    Raises:
        InputError: values or labels do not fit the network.
    """
    validate_values(net, values, labels)
    if isinstance(net, PixelCNN):
        return PixelCNNCursor(net, values, labels)
    if isinstance(net, GatedPixelCNN):
        return GatedPixelCNNCursor(net, values, labels)
    if isinstance(net, (RowLSTM, DiagonalBiLSTM)):
        return LSTMCursor(net.net, values, labels)
    return WholeCursor(net, values, labels)


@torch.no_grad()
def sample_raster(
    net: Autoregressive,
    values: Tensor,
    given: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    rng: torch.Generator | None = None,
    temperature: float = 1.0,
    cached: bool = True,
    progress: Progress | None = None,
) -> Tensor:
    """Sample rasters value by value.

    A value is the largest of logits / temperature + Gumbel noise, one noise for each (raster, colour, position, level) whatever the way it is
    computed, so that equal states of `rng` give equal rasters.

    Args:
        net: the network, in eval mode.
        values: int64 (N, C, *axes): where `given`, values to keep; elsewhere ignored. Not changed.
        given: bool, of the shape of values or broadcast to it: which values stay as they are; None for none.
        labels: int64 (N) where the network is conditioned on classes.
        rng: source of the noise; None for torch's global one.
        temperature: above 0; below 1 likelier rasters, above 1 more varied ones; 0 takes the likeliest value each time.
        cached: by the network's own cursor; else the whole raster is computed for each value (`WholeCursor`).
        progress: called with (positions done, positions in all).

    Raises:
        InputError: the temperature is negative, or shapes, labels and network do not fit.
    """
    if not (math.isfinite(temperature) and temperature >= 0):
        raise bad_value("temperature", temperature, "at least 0")
    validate_values(net, values, labels)
    given = None if given is None else given.expand_as(values)
    values = torch.zeros_like(values) if given is None else torch.where(given, values, torch.zeros_like(values))
    cursor = cursor_of(net, values, labels) if cached else WholeCursor(net, values, labels)
    with torch.inference_mode():
        _fill(cursor, values, given, net.levels, rng, temperature, progress)
    return values


def _fill(
    cursor: Cursor,
    values: Tensor,
    given: Tensor | None,
    levels: int,
    rng: torch.Generator | None,
    temperature: float,
    progress: Progress | None,
) -> None:
    """Sample all values that are not given, in place. Noise and views are made a line at a time: they would cost as much as a small network."""
    count, channels, *axes = values.shape
    for line, lead in enumerate(positions(axes[:-1])):
        index: Any = (slice(None), slice(None), *lead)
        cells = values[index].unbind(2)
        fixed = None if given is None else given[index].unbind(2)
        for j, cell in enumerate(cells):
            if j % STRETCH == 0:
                size = (min(STRETCH, axes[-1] - j), channels, count, levels)
                noise = torch.rand(size, generator=rng, device=values.device, dtype=torch.float64)
                gumbel = -torch.log(-torch.log(noise.clamp_(1e-300, 1 - 1e-16))) * temperature
            for colour, extra in enumerate(gumbel[j % STRETCH].unbind(0)):
                sampled = (cursor.logits((*lead, j), colour) + extra).argmax(1)
                target = cell[:, colour]
                target.copy_(sampled if fixed is None else torch.where(fixed[j][:, colour], target, sampled))
            if progress is not None:
                progress(line * axes[-1] + j + 1, math.prod(axes))
