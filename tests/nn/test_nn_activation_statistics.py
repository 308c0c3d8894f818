"""Activation and gradient statistics against values computed step by step."""

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import DropConnectLinear, activation, init_
from seewhy.nn.activation_statistics import LEVELS, layer_statistics
from seewhy.nn.maxout import MaxoutLinear


def rms(x):
    return x.square().mean().sqrt().item()


def test_figures_are_those_of_the_formulas():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(5, 3))
    x, target = torch.randn(40, 6), torch.randn(40, 3)
    first, head = layer_statistics(net, x, lambda y: (y - target).square().mean())
    pre = net[0](x).detach().requires_grad_()
    hidden = pre.relu()
    logits = net[3](hidden)
    gradient, by_logits = torch.autograd.grad((logits - target).square().mean(), [pre, logits])
    assert (first.layer, first.activation, head.layer, head.activation) == ("0", "1", "3", None)
    for row, signal in ((first, hidden), (head, logits)):
        assert row.mean == pytest.approx(signal.mean().item(), rel=1e-4)
        assert row.std == pytest.approx(signal.std(correction=0).item(), rel=1e-4)
        expected = [signal.detach().quantile(level).item() for level in LEVELS]
        assert row.quantiles == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert first.saturated == pytest.approx((pre <= 0).float().mean().item())
    assert first.dead == pytest.approx((pre <= 0).all(0).float().mean().item())
    assert head.saturated is None
    assert head.dead is None
    assert first.gradient_std == pytest.approx(rms(gradient), rel=1e-4)
    assert head.gradient_std == pytest.approx(rms(by_logits), rel=1e-4)
    assert first.weight_gradient_std == pytest.approx(rms(gradient.T @ x), rel=1e-4)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_normalisation_stands_between_layer_and_activation():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), MaxoutLinear(8, 4))
    x = torch.randn(64, 4) * 100
    first, second = layer_statistics(net.eval(), x, lambda y: y.sum())
    assert first.activation == "2"
    assert first.std < 1
    assert first.saturated < 0.1  # normalised by the batch, though the module is in evaluation mode
    assert (second.layer, second.activation) == ("3", None)
    assert not net.training
    assert torch.equal(net[1].running_mean, torch.zeros(8))


def test_shared_layers_show_each_use_and_frozen_ones_no_weight_gradient():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.act = nn.Linear(3, 3), nn.ReLU()

        def forward(self, x):
            return self.act(self.layer(self.act(self.layer(x))))

    net = Twice()
    net.layer.weight.requires_grad_(False)
    rows = layer_statistics(net, torch.randn(10, 3), lambda y: y.sum())
    assert [row.layer for row in rows] == ["layer", "layer (2)"]
    assert all(row.weight_gradient_std is None for row in rows)


def deep(init, function, depth=50, width=100):
    torch.manual_seed(0)
    net = nn.Sequential(
        *[part for _ in range(depth) for part in (nn.Linear(width, width), activation(function, features=width))]
    )
    init_(net, init, activation=function, rng=torch.Generator().manual_seed(0))
    return net, torch.randn(100, width)


@pytest.mark.parametrize(
    ("init", "function", "steady"),
    [
        ("he", "relu", True),
        ("he", "leaky_relu", True),
        ("orthogonal", "relu", True),
        ("xavier", "tanh", True),
        ("xavier", "relu", False),
        ("lecun", "relu", False),
        ("normal", "tanh", False),
        ("normal", "relu", False),
        ("xavier", "sigmoid", False),
    ],
)
def test_right_pairs_keep_signal_and_gradient_through_50_layers(init, function, steady):
    """Steady: of one order for ReLU, and falling no faster than 1/sqrt(depth) for tanh, whose variance has no fixed point but 0."""
    net, x = deep(init, function)
    rows = layer_statistics(net, x, lambda y: (y * torch.linspace(-1, 1, 100)).sum())
    first, last = rows[0], rows[-1]
    signal = last.std < 20 * first.std and first.std < 20 * last.std
    gradient = last.gradient_std < 20 * first.gradient_std and first.gradient_std < 20 * last.gradient_std
    assert (signal and gradient) == steady


def test_large_weights_saturate():
    net, x = deep("normal", "tanh", depth=5)
    init_(net, "normal", activation="tanh", rng=torch.Generator().manual_seed(0), std=1.0)
    assert all(row.saturated > 0.5 for row in layer_statistics(net, x, lambda y: y.sum()))


def test_nothing_to_show_is_refused():
    with pytest.raises(
        InputError, match="loss: must depend on linear or convolution layers of the module; none was used"
    ):
        layer_statistics(nn.ReLU(), torch.randn(3, 2), lambda y: y.sum())


def test_an_activation_inside_a_layer_of_dropconnect_is_its_own():
    torch.manual_seed(0)
    first, second = DropConnectLinear(32, 32, activation=nn.ReLU()), DropConnectLinear(32, 32, activation=nn.Tanh())
    net = nn.Sequential(first, second, nn.Linear(32, 4))
    x = torch.randn(64, 32)
    rows = layer_statistics(net, x, lambda y: y.square().sum())
    assert [row.activation for row in rows] == ["0.activation", "1.activation", None]
    net.eval()
    pre = first.affine(x).detach()
    assert rows[0].saturated == pytest.approx((pre <= 0).float().mean().item())
    assert rows[0].std == pytest.approx(first(x).std(correction=0).item(), rel=1e-5)


def test_a_layer_in_front_of_one_of_dropconnect_has_no_activation():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 8), DropConnectLinear(8, 8, activation=nn.ReLU()), nn.Linear(8, 2))
    rows = layer_statistics(net, torch.randn(16, 8), lambda y: y.square().sum())
    assert [row.activation for row in rows] == [None, "1.activation", None]
