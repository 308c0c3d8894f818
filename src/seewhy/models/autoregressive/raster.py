"""The factorisation: log p(x) = sum over positions i in raster order, and colours c within them, of log p(x_ic | all before).

A network gives all the factors of whole rasters at once, which is what training needs. To draw a raster they are wanted one after the other: a
`Cursor` gives the next one, and keeps what it has computed, so that a position costs a position's work. The drawing is written once, here.

Letters: N rasters, C colours, axes the raster's sides, L levels (values are 0 ... L - 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value
from seewhy.models.autoregressive.masked import positions

STRETCH = 64
"""How many positions of a line are prepared at once."""


class Cursor(Protocol):
    """Gives the distributions of a raster's values, one after the other."""

    def logits(self, position: tuple[int, ...], colour: int) -> Tensor:
        """Return logits (N, L) of a value, given all values before it, which stand in the raster by now.

        It is called once for every position in raster order and, within a position, every colour in order.
        """


class Autoregressive(Protocol):
    """A network over rasters (C, *axes) of L levels."""

    shape: tuple[int, ...]  # (C, *axes)
    levels: int
    classes: int | None  # K; None if it is not conditioned on a class

    def __call__(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return the logits (N, L, C, *axes) of whole rasters, int64 (N, C, *axes); labels: int64 (N) where there are classes."""

    def cursor(self, values: Tensor, labels: Tensor | None = None) -> Cursor:
        """Return a cursor over `values` (N, C, *axes), which are being filled in place behind it."""


def check_raster(shape: Sequence[int], levels: int, classes: int | None) -> None:
    """Raise InputError unless a network can be built over rasters (C, *axes) of L levels."""
    if not 2 <= len(shape) <= 4 or any(side < 1 for side in shape):
        raise bad_value("shape", tuple(shape), "channels and the sides of 1 to 3 axes, all at least 1")
    if not 2 <= levels <= 256:
        raise bad_value("levels", levels, "from 2 to 256")
    if classes is not None and classes < 1:
        raise bad_value("classes", classes, "at least 1, or None")


def check_values(net: Autoregressive, values: Tensor, labels: Tensor | None) -> None:
    """Raise InputError unless values and labels are what the network was built for."""
    if tuple(values.shape[1:]) != tuple(net.shape):
        raise InputError(
            f"values: must have the network's shape (N, {', '.join(map(str, net.shape))}), got {tuple(values.shape)}"
        )
    if values.dtype not in (torch.int64, torch.uint8):
        raise bad_value("values", values.dtype, "int64 or uint8, from 0 to levels - 1")
    if (labels is None) != (net.classes is None):
        raise InputError("labels: a network has them exactly if it is conditioned on classes")
    if labels is None or net.classes is None:
        return
    if labels.shape != values.shape[:1] or labels.dtype != torch.int64:
        raise bad_value(
            "labels", f"{labels.dtype} {tuple(labels.shape)}", f"int64 ({len(values)},), one for each raster"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < net.classes:
        raise bad_value("labels", (int(labels.min()), int(labels.max())), f"from 0 to {net.classes - 1}")


def scaled(values: Tensor, levels: int) -> Tensor:
    """Return 2 v / (L - 1) - 1, float32 within [-1, 1]: zero, with which convolutions pad, is then no level of a binary raster."""
    return values.float() * (2.0 / (levels - 1)) - 1.0


def by_level(features: Tensor, channels: int, levels: int) -> Tensor:
    """Turn a network's last features (N, C L, *axes) into logits (N, L, C, *axes), float32."""
    parted: Tensor = features.float().reshape(len(features), channels, levels, *features.shape[2:])
    return parted.transpose(1, 2)


class WholeCursor:
    """The plain way: the whole network over the whole raster for every value. It is what cached cursors are held against."""

    def __init__(self, net: Autoregressive, values: Tensor, labels: Tensor | None = None) -> None:
        self.net, self.values, self.labels = net, values, labels

    def logits(self, position: tuple[int, ...], colour: int) -> Tensor:
        """Compute everything and take one place of it."""
        found = self.net(self.values, self.labels)
        place: Any = (slice(None), slice(None), colour, *position)
        return found[place].float()


def log_likelihood(net: Autoregressive, values: Tensor, labels: Tensor | None = None) -> Tensor:
    """Return log p(x) of each raster in nats, float32 (N): the sum over all its values.

    Args:
        net: the network.
        values: int64 or uint8 (N, C, *axes) within 0 ... L - 1.
        labels: int64 (N) where the network is conditioned on classes.
    """
    return -F.cross_entropy(net(values, labels).float(), values.long(), reduction="none").flatten(1).sum(1)


def bits_per_dimension(nats: float, dimensions: int) -> float:
    """Return -log p(x) in nats as bits for each of the raster's values: nats / (dimensions log 2)."""
    return nats / (dimensions * math.log(2))


@torch.no_grad()
def draw(
    net: Autoregressive,
    values: Tensor,
    given: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
    temperature: float = 1.0,
    plain: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Draw rasters value by value.

    A value is the largest of logits / temperature + Gumbel noise, one noise for each (raster, colour, position, level) whatever the way it is
    computed, so that equal generators give equal rasters.

    Args:
        net: the network, in eval mode.
        values: int64 (N, C, *axes): where `given`, values to keep; elsewhere ignored. Not changed.
        given: bool, of the shape of values or broadcast to it: which values stay as they are; None for none.
        labels: int64 (N) where the network is conditioned on classes.
        generator: source of the noise.
        temperature: above 0; below 1 likelier rasters, above 1 more varied ones; 0 takes the likeliest value each time.
        plain: compute the whole raster for each value (`WholeCursor`) in place of the network's own cursor.
        progress: told (positions done, positions in all).

    Raises:
        InputError: the temperature is negative, or shapes, labels and network do not fit.
    """
    if not (math.isfinite(temperature) and temperature >= 0):
        raise bad_value("temperature", temperature, "at least 0")
    check_values(net, values, labels)
    kept = None if given is None else given.expand_as(values)
    values = torch.zeros_like(values) if kept is None else torch.where(kept, values, torch.zeros_like(values))
    cursor: Cursor = WholeCursor(net, values, labels) if plain else net.cursor(values, labels)
    with torch.inference_mode():
        _fill(cursor, values, kept, net.levels, generator, temperature, progress)
    return values


def _fill(
    cursor: Cursor,
    values: Tensor,
    kept: Tensor | None,
    levels: int,
    generator: torch.Generator | None,
    temperature: float,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Draw all values that are not kept, in place. Noise and views are made a line at a time: they would cost as much as a small network."""
    count, channels, *axes = values.shape
    for done, lead in enumerate(positions(axes[:-1])):
        place: Any = (slice(None), slice(None), *lead)
        cells = values[place].unbind(2)
        known = None if kept is None else kept[place].unbind(2)
        for j, cell in enumerate(cells):
            if j % STRETCH == 0:
                size = (min(STRETCH, axes[-1] - j), channels, count, levels)
                noise = torch.rand(size, generator=generator, device=values.device, dtype=torch.float64)
                gumbel = -torch.log(-torch.log(noise.clamp_(1e-300, 1 - 1e-16))) * temperature
            for colour, extra in enumerate(gumbel[j % STRETCH].unbind(0)):
                drawn = (cursor.logits((*lead, j), colour) + extra).argmax(1)
                target = cell[:, colour]
                target.copy_(drawn if known is None else torch.where(known[j][:, colour], target, drawn))
            if progress is not None:
                progress(done * axes[-1] + j + 1, math.prod(axes))
