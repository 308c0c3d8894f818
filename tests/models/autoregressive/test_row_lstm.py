"""Row LSTM: what it sees, and its recurrence against the loop over pixels."""

import pytest
import torch
from lstm_cases import ROWS, by_steps, pixel_by_pixel, seen_by_row_lstm
from raster_cases import dependence, in_order, randomised

from seewhy.models.autoregressive.networks import lstm
from seewhy.models.autoregressive.networks.row_lstm import RowLSTM
from seewhy.models.autoregressive.networks.skew import rows


@pytest.mark.parametrize(("depth", "kernel"), [(1, 3), (1, 5), (2, 3)])
def test_what_is_seen_of_an_image_is_the_triangle(depth, kernel, monkeypatch):
    net = randomised(RowLSTM((1, 4, 8), 2, width=8, depth=depth, first_kernel_size=kernel))
    derivatives = dependence(net, lstm, monkeypatch)
    indices = [position for _, *position in in_order(net.shape)]
    for row, visible in zip(derivatives, seen_by_row_lstm(4, 8, depth, kernel).values(), strict=True):
        assert {tuple(index) for index, much in zip(indices, row, strict=True) if much > 0.0} == visible


def test_a_sequence_is_seen_whole(monkeypatch):
    derivatives = dependence(randomised(RowLSTM((1, 7), 3, width=6, depth=1, first_kernel_size=3)), lstm, monkeypatch)
    assert (derivatives[torch.ones_like(derivatives, dtype=torch.bool).tril(-1)] > 0.0).all()


@pytest.mark.parametrize("sides", [(5,), (4, 5), (5, 1), (1, 5), (3, 2, 3)])
def test_recurrence_is_the_loop_over_pixels(sides):
    torch.manual_seed(0)
    h, n, offsets = 3, 2, ROWS[len(sides)]
    x = torch.randn(1, 4 * h, *sides, n, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(1, 4 * h, len(offsets) * h, dtype=torch.float64, requires_grad=True)
    scan = rows(sides, torch.device("cpu"))
    hidden = by_steps(x.flatten(2, -2), weight, scan)
    expected = pixel_by_pixel(x[0], weight[0], sides, offsets).flatten(1, -2)[None]
    torch.testing.assert_close(hidden, expected)
    against = torch.randn_like(hidden)
    theirs = torch.autograd.grad((expected * against).sum(), (x, weight))
    torch.testing.assert_close(torch.autograd.grad((hidden * against).sum(), (x, weight)), theirs)
