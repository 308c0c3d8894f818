"""Signals and gradients layer by layer, of a deep multilayer perceptron as it starts: what the claims about depth measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from seewhy.comparison.claims.setting import Setting
from seewhy.nn import LayerStatistics, layer_statistics
from seewhy.reporting.claim_records import Lines

DEPTH, WIDTH = 10, 256
"""Of the deep network; the notes' own has ten layers of 500 units."""


VANISHED = 0.1
"""A gradient has vanished where less than this share of it arrives at the first of the `DEPTH` layers."""


def hidden_statistics(net: nn.Module, setting: Setting, images: int = 512) -> tuple[LayerStatistics, ...]:
    """Return the statistics of the hidden layers on training images."""
    x, y = setting.train.x[:images], setting.train.y[:images]
    rows = layer_statistics(net, x, lambda outputs: F.cross_entropy(outputs, y))
    return tuple(row for row in rows if row.activation is not None)


def factor_per_layer(values: Sequence[float]) -> float:
    """Return by what factor positive values change per layer: exp of the slope of their logarithms (least squares)."""
    logs = torch.tensor([math.log(max(value, 1e-38)) for value in values], dtype=torch.float64)
    layers = torch.arange(len(logs), dtype=torch.float64)
    centred = layers - layers.mean()
    return math.exp(float((centred * logs).sum() / centred.square().sum()))


def arriving(rows: Sequence[LayerStatistics]) -> float:
    """Return what is left of the gradient at the first layer, as a share of that at the last."""
    return max(rows[0].gradient_std, 1e-30) / rows[-1].gradient_std


def band(
    runs: Sequence[Sequence[float]], x: Sequence[float] | None = None
) -> tuple[tuple[float, float, float, float], ...]:
    """Return the points (x, mean, least, largest) of several runs' values, to five digits; x counts from 1 where it is not given."""
    length = min(map(len, runs))
    xs = range(1, length + 1) if x is None else x
    columns = [[run[k] for run in runs] for k in range(length)]
    return tuple(_point(at, column) for at, column in zip(xs, columns, strict=False))


def _point(x: float, values: Sequence[float]) -> tuple[float, float, float, float]:
    mean, low, high = (float(f"{value:.5g}") for value in (math.fsum(values) / len(values), min(values), max(values)))
    return float(x), mean, low, high


def by_layer(title: str, runs: Mapping[str, Sequence[Sequence[float]]], *, log: bool = True) -> Lines:
    """Return the lines of several conditions' values over the layers."""
    return Lines(x="hidden layer", y=title, lines={name: band(values) for name, values in runs.items()}, log_y=log)
