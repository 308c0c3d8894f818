"""Activations: formulas written out, and gains."""

import math

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.nn import ACTIVATIONS, activation, gain

FORMULAS = {
    "relu": lambda x: np.maximum(0, x),
    "leaky_relu": lambda x: np.maximum(0.01 * x, x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": lambda x: x * np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.ravel()]).reshape(x.shape),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_values_equal_the_formula(name):
    x = torch.linspace(-6, 6, 60, dtype=torch.float64).reshape(5, 12)
    module = activation(name, features=12).double()
    np.testing.assert_allclose(module(x).detach().numpy(), FORMULAS[name](x.numpy()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS.names() if name not in ("tanh", "sigmoid")])
def test_gain_keeps_the_mean_square(name):
    x = np.linspace(-12, 12, 200_001)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    square = (FORMULAS[name](x) ** 2 * density).sum() * (x[1] - x[0])
    assert gain(name) == pytest.approx(square**-0.5, rel=1e-5)


def test_customary_gains():
    assert gain("tanh") == pytest.approx(torch.nn.init.calculate_gain("tanh"))
    assert gain("sigmoid") == 1.0
    assert gain(None) == 1.0


def test_prelu_has_a_slope_for_each_feature():
    assert activation("prelu", features=7).weight.shape == (7,)


def test_unknown_name():
    with pytest.raises(InputError, match=r"model.activation: 'rellu' is not known.*did you mean 'relu'"):
        activation("rellu", features=1)
