"""Derivatives against closed forms; saturated and dead units."""

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import ACTIVATIONS, activation
from seewhy.nn.activations import variant
from seewhy.nn.saturation import derivative, is_activation, saturation_statistics


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


DERIVATIVES = {
    "relu": lambda x: (x > 0) * 1.0,
    "leaky_relu": lambda x: np.where(x > 0, 1.0, 0.01),
    "prelu": lambda x: np.where(x > 0, 1.0, 0.25),
    "elu": lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "sigmoid": lambda x: sigmoid(x) * (1 - sigmoid(x)),
    "gelu": lambda x: stats.norm.cdf(x) + x * stats.norm.pdf(x),
    "silu": lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivative_is_the_closed_form(name):
    x = torch.linspace(-8, 8, 1001, dtype=torch.float64).reshape(-1, 7)
    expected = DERIVATIVES[name](x.numpy())
    for function in (name, variant(name), activation(name, features=7).double()):
        np.testing.assert_allclose(derivative(function, x).numpy(), expected, rtol=1e-9, atol=1e-12)
    assert not x.requires_grad


@pytest.mark.parametrize("name", DERIVATIVES)
def test_maximum_slope_is_the_largest_slope(name):
    grid = np.linspace(-8, 8, 3201)
    start = grid[np.abs(DERIVATIVES[name](grid)).argmax()]
    peak = optimize.minimize_scalar(
        lambda x: -np.abs(DERIVATIVES[name](x)), bounds=(start - 0.1, start + 0.1), method="bounded"
    )
    largest = max(-peak.fun, np.abs(DERIVATIVES[name](start)))
    assert variant(name).maximum_slope == pytest.approx(largest, rel=1e-6)


def test_derivative_of_maxout_marks_the_piece_that_wins():
    x = torch.tensor([[1.0, 5.0, 2.0, 4.0, 0.0, 9.0]])  # three pieces of two features
    expected = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0, 1.0]])
    assert torch.equal(derivative(variant("maxout", pieces=3), x), expected)
    assert torch.equal(derivative(activation("maxout", features=2, pieces=3), x), expected)


@pytest.mark.parametrize("shape", [(40, 3), (10, 3, 2, 2)])
def test_dead_and_saturated_units_of_relu(shape):
    x = torch.rand(shape) + 0.1
    x[:, 1] *= -1  # never positive
    x[::4, 2] *= -1  # silent a quarter (of 40) or three tenths (of 10) of the time
    statistics = saturation_statistics("relu", x)
    silent = 0.25 if len(shape) == 2 else 0.3
    torch.testing.assert_close(statistics.saturated, torch.tensor([0.0, 1.0, silent]))
    assert statistics.dead.tolist() == [False, True, False]
    assert statistics.saturated_share == pytest.approx((1 + silent) / 3)
    assert statistics.saturated_units == pytest.approx(1 / 3)
    assert statistics.dead_units == pytest.approx(1 / 3)


@pytest.mark.parametrize(("name", "saturated", "dead"), [("sigmoid", 4.357, 8.295), ("tanh", 2.178, 4.147)])
def test_thresholds_of_squashing_functions(name, saturated, dead):
    """|f'| = 0.05 and 0.001 of the largest, solved for x."""
    for sign in (1, -1):
        x = sign * torch.tensor([[saturated - 0.01, saturated + 0.01, dead - 0.01, dead + 0.01]]).repeat(5, 1)
        statistics = saturation_statistics(name, x)
        assert statistics.saturated.tolist() == [0, 1, 1, 1]
        assert statistics.dead.tolist() == [False, False, False, True]


@pytest.mark.parametrize("name", ["leaky_relu", "prelu"])
def test_leaky_units_never_die(name):
    assert not saturation_statistics(name, torch.full((8, 3), -100.0)).dead.any()


def test_a_unit_that_learns_once_is_not_dead():
    x = torch.full((1000, 2), -9.0)
    x[7, 1] = 1.0
    assert saturation_statistics("relu", x).dead.tolist() == [True, False]
    assert saturation_statistics("elu", x).dead.tolist() == [True, False]


def test_modules_are_taken_as_they_are():
    prelu = nn.PReLU(2)
    with torch.no_grad():
        prelu.weight.copy_(torch.tensor([0.0, 0.5]))
    x = torch.full((4, 2), -1.0)
    assert saturation_statistics(prelu, x).dead.tolist() == [True, False]
    assert prelu.weight.grad is None
    in_place = nn.ReLU(inplace=True)
    assert saturation_statistics(in_place, x).dead.all()
    assert torch.equal(x, torch.full((4, 2), -1.0))
    # No record: |x| / 10 is as steep as it gets, though small.
    assert saturation_statistics(lambda x: x.abs() / 1e4, x).saturated.tolist() == [0, 0]
    assert saturation_statistics(nn.Hardtanh(), torch.full((4, 2), -2.0)).dead.all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_any_precision_and_mode(dtype):
    x = torch.randn(50, 4).to(dtype)
    expected = saturation_statistics("gelu", x.float()).saturated
    with torch.no_grad():
        torch.testing.assert_close(saturation_statistics("gelu", x).saturated, expected)
    with torch.inference_mode():
        torch.testing.assert_close(saturation_statistics("gelu", x * 1).saturated, expected)


def test_activations_are_known():
    assert all(is_activation(activation(name, features=2)) for name in ACTIVATIONS.names())
    assert is_activation(activation("maxout", features=2))
    assert not is_activation(nn.Linear(2, 2))


@pytest.mark.parametrize("shape", [(5,), (0, 3)])
def test_bad_input_is_refused(shape):
    with pytest.raises(InputError, match=r"x: must be pre-activations \(N, D, ...\)"):
        saturation_statistics("relu", torch.zeros(shape))


def test_learned_slopes_in_half_precision():
    act = nn.PReLU(4).bfloat16()
    x = torch.randn(64, 4).bfloat16()
    slope = derivative(act, x)
    assert slope.dtype == torch.float32
    torch.testing.assert_close(slope, torch.where(x > 0, 1.0, 0.25).float())
    assert act.weight.dtype == torch.bfloat16
    assert saturation_statistics(act, x).dead_units == 0


def test_saturation_is_told_by_the_maximum_slope_slope_of_this_elu():
    x = torch.full((8, 1), -2.0)  # f' = alpha e^-2 = 0.135 alpha, and the maximum_slope is alpha
    assert saturation_statistics(nn.ELU(alpha=4.0), x - 1.5).saturated_share == 1  # 4 e^-3.5 = 0.121 < 0.05 * 4
    assert saturation_statistics(nn.ELU(), x).saturated_share == 0
