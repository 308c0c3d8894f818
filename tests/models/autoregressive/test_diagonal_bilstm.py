"""Diagonal BiLSTM: that it sees everything before, and its recurrence against the loop over pixels."""

import pytest
import torch
from lstm_cases import DIAGONALS, DIRECTIONS, by_steps, pixel_by_pixel
from raster_cases import RASTERS, dependence, in_order, randomised

from seewhy.models.autoregressive.networks import lstm
from seewhy.models.autoregressive.networks.diagonal_bilstm import DiagonalBiLSTM
from seewhy.models.autoregressive.networks.skew import diagonals


@pytest.mark.parametrize("raster", RASTERS)
@pytest.mark.parametrize("depth", [1, 2])
def test_everything_before_is_seen(raster, depth, monkeypatch):
    shape, levels, classes = RASTERS[raster]
    nets = [DiagonalBiLSTM(shape, levels, classes=classes, width=6, depth=depth, first_kernel_size=3) for _ in range(3)]
    derivatives = sum(dependence(randomised(net, seed), lstm, monkeypatch, seeds=1) for seed, net in enumerate(nets))
    assert (derivatives[torch.ones_like(derivatives, dtype=torch.bool).tril(-1)] > 0.0).all()


def test_the_end_of_the_row_above_is_seen_from_afar(monkeypatch):
    net = randomised(DiagonalBiLSTM((1, 3, 9), 2, width=8, depth=1, first_kernel_size=3))
    indices = in_order(net.shape)
    derivatives = dependence(net, lstm, monkeypatch)
    assert derivatives[indices.index((0, 2, 0)), indices.index((0, 1, 8))] > 0.0


@pytest.mark.parametrize("sides", [(5,), (4, 5), (5, 3), (4, 1), (1, 4), (3, 2, 3), (2, 4, 2)])
def test_recurrence_is_the_loop_over_pixels(sides):
    torch.manual_seed(0)
    h, n, offsets, directions = 3, 2, DIAGONALS[len(sides)], DIRECTIONS[len(sides)]
    x = torch.randn(len(directions), 4 * h, *sides, n, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(len(directions), 4 * h, len(offsets) * h, dtype=torch.float64, requires_grad=True)
    scan = diagonals(sides, torch.device("cpu"))
    hidden = by_steps(x.flatten(2, -2), weight, scan)
    each = [pixel_by_pixel(*pair, sides, offsets, *way) for *pair, way in zip(x, weight, directions, strict=True)]
    expected = torch.stack(each).flatten(2, -2)
    torch.testing.assert_close(hidden, expected)
    against = torch.randn_like(hidden)
    theirs = torch.autograd.grad((expected * against).sum(), (x, weight))
    torch.testing.assert_close(torch.autograd.grad((hidden * against).sum(), (x, weight)), theirs)
