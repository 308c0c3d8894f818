"""Initialisations: the variance of the rule, its effect on depth, and reproducibility."""

import math

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import INITS, activation, fans, gain, init_, layer_fans
from seewhy.nn.activations import variant
from seewhy.nn.maxout import MaxoutConv2d, MaxoutLinear

LAYERS = {
    "linear": lambda: nn.Linear(300, 200),
    "conv": lambda: nn.Conv2d(40, 60, 3),
    "grouped": lambda: nn.Conv2d(40, 60, 3, groups=4),
}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", LAYERS)
def test_fans_count_connections(kind):
    layer = LAYERS[kind]()
    groups = getattr(layer, "groups", 1)
    fan_in, fan_out = fans(layer.weight, groups)
    if kind == "linear":
        assert (fan_in, fan_out) == (300, 200)
        return
    # Count by moving one value: how many weights one output has, and how many one input feeds.
    size = 5
    x = torch.zeros(1, 40, size, size)
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
        x[0, 0, 2, 2] = 1.0
        assert layer(x).sum() == fan_out
        assert layer(torch.ones(1, 40, 3, 3))[0, 0, 0, 0] == fan_in


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", ["normal", "lecun", "xavier", "he"])
@pytest.mark.parametrize("function", ["relu", "leaky_relu", "tanh", None])
def test_variance_follows_the_rule(kind, name, function):
    layer = LAYERS[kind]()
    init_(layer, name, activation=function, rng=rng())
    fan_in, fan_out = fans(layer.weight, getattr(layer, "groups", 1))
    slope = {"relu": 0.0, "leaky_relu": 0.01}.get(function)
    he = 2 / (1 + slope**2) / fan_in if slope is not None else gain(function) ** 2 / fan_in
    expected = {"normal": 0.01**2, "lecun": 1 / fan_in, "xavier": 2 / (fan_in + fan_out), "he": he}[name]
    weight = layer.weight.detach()
    assert weight.var().item() == pytest.approx(expected, rel=5 * math.sqrt(2 / weight.numel()))
    assert weight.mean().abs().item() < 5 * math.sqrt(expected / weight.numel())
    assert not layer.bias.any()


@pytest.mark.parametrize("shape", [(50, 30), (30, 50), (24, 8, 3, 3), (200, 8, 3, 3)])
def test_orthogonal_rows_or_columns(shape):
    layer = nn.Linear(shape[1], shape[0]) if len(shape) == 2 else nn.Conv2d(shape[1], shape[0], 3)
    init_(layer, "orthogonal", activation="relu", rng=rng())
    matrix = layer.weight.detach().flatten(1).double()
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    torch.testing.assert_close(small, 2.0 * torch.eye(len(small), dtype=torch.float64), atol=1e-5, rtol=0)


def test_orthogonal_is_uniform_in_sign():
    layer = nn.Linear(2, 2)
    first = []
    for seed in range(200):
        init_(layer, "orthogonal", activation=None, rng=rng(seed))
        first.append(layer.weight[0, 0].item())
    assert 70 < sum(value > 0 for value in first) < 130


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_passes_channels_through(groups):
    layer = nn.Conv2d(8, 12, 3, padding=1, groups=groups, bias=False)
    init_(layer, "dirac", activation="gelu", rng=rng())
    x = torch.randn(2, 8, 6, 5)
    y = layer(x).unflatten(1, (groups, 12 // groups))
    into = 8 // groups
    passed = min(into, 12 // groups)
    torch.testing.assert_close(y[:, :, :passed], x.unflatten(1, (groups, into))[:, :, :passed])
    rest = layer.weight.unflatten(0, (groups, -1))[:, passed:]
    assert rest.var().item() == pytest.approx(1 / (3 * into * 9), rel=0.3) if rest.numel() else groups == 2


def test_dirac_refuses_linear_layers():
    with pytest.raises(InputError, match="'dirac' is for convolutions"):
        init_(nn.Linear(3, 3), "dirac", activation=None, rng=rng())


@pytest.mark.parametrize("name", INITS.names())
def test_equal_seeds_give_equal_bits_and_the_global_random_state_is_untouched(name):
    first, second, other = (nn.Conv2d(6, 9, 3) for _ in range(3))
    state = torch.get_rng_state()
    for layer, seed in ((first, 1), (second, 1), (other, 2)):
        init_(layer, name, activation="relu", rng=rng(seed))
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, other.weight)
    assert torch.equal(torch.get_rng_state(), state)


def deep_signal(name, function, depth=30):
    """The mean square of the signal after `depth` layers of 256 units."""
    layers = [nn.Linear(256, 256, bias=False) for _ in range(depth)]
    net = nn.Sequential(*[part for layer in layers for part in (layer, activation(function, features=256))])
    init_(net, name, activation=function, rng=rng())
    with torch.no_grad():
        return net(torch.randn(64, 256, generator=rng(1))).square().mean().item()


def test_he_keeps_the_signal_where_xavier_halves_it():
    assert 0.2 < deep_signal("he", "relu") < 2
    assert deep_signal("xavier", "relu") == pytest.approx(deep_signal("he", "relu") * 0.5**30, rel=0.01)
    assert deep_signal("normal", "relu") < 1e-30
    assert 0.2 < deep_signal("he", "gelu", 8) < 3
    assert 0.2 < deep_signal("orthogonal", "leaky_relu") < 2


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (2, 4), (3, 2)])
@pytest.mark.parametrize("name", ["lecun", "xavier", "he", "orthogonal"])
def test_transposed_layers_keep_the_mean_square(stride, groups, name):
    """A kernel of a whole number of strides, away from the border: every output meets fan_in inputs."""
    layer = nn.ConvTranspose2d(96, 96, 2 * stride, stride=stride, groups=groups)
    fan_in, fan_out = layer_fans(layer)
    assert fan_in == 96 // groups * 4
    assert fan_out == 96 // groups * (2 * stride) ** 2
    with torch.no_grad():
        layer.weight.fill_(1.0)
        layer.bias.zero_()
        y = layer(torch.ones(1, 96, 7, 7))
        assert y[0, 0, 3 * stride, 3 * stride] == fan_in
        single = torch.zeros(1, 96, 7, 7)
        single[0, 0, 3, 3] = 1.0
        assert layer(single).sum() == fan_out
    init_(layer, name, activation=None, rng=rng())
    x = torch.randn(8, 96, 9, 9, generator=rng(1))
    with torch.no_grad():
        inner = layer(x)[:, :, 2 * stride : -2 * stride, 2 * stride : -2 * stride]
    expected = 2 * fan_in / (fan_in + fan_out) if name == "xavier" else 1.0
    if name != "orthogonal" or stride == 1:
        assert inner.square().mean().item() == pytest.approx(expected, rel=0.1)


def test_transposed_orthogonal_rows():
    layer = nn.ConvTranspose2d(12, 5, 2, stride=2)
    init_(layer, "orthogonal", activation="relu", rng=rng())
    matrix = layer.weight.detach().transpose(0, 1).flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, 2.0 * 4 * torch.eye(5), atol=1e-4, rtol=0)


def test_transposed_dirac_passes_channels_through():
    layer = nn.ConvTranspose2d(4, 6, 3, padding=1, bias=False)
    init_(layer, "dirac", activation=None, rng=rng())
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(layer(x)[:, :4], x)


@pytest.mark.parametrize("pieces", [2, 4])
@pytest.mark.parametrize("name", ["lecun", "xavier", "he"])
def test_maxout_layers_and_layers_before_maxout(pieces, name):
    own = MaxoutConv2d(30, 40, 3, pieces)
    before = nn.Conv2d(30, 40 * pieces, 3)
    fan_in, fan_out = 30 * 9, 40 * 9
    factor = gain("maxout", pieces=pieces) ** 2
    expected = {"lecun": 1 / fan_in, "xavier": 2 / (fan_in + fan_out), "he": factor / fan_in}[name]
    assert layer_fans(own) == (fan_in, fan_out)
    assert layer_fans(before, pieces=pieces) == (fan_in, fan_out)
    init_(own, name, activation="relu", rng=rng())  # its own gain, not that of ReLU
    init_(before, name, activation=variant("maxout", pieces=pieces), rng=rng())
    assert own.weight.var().item() == pytest.approx(expected, rel=0.05)
    assert torch.equal(own.weight, before.weight)
    assert not own.bias.any()


def test_orthogonal_makes_each_piece_orthogonal():
    layer = MaxoutLinear(12, 8, 3)
    init_(layer, "orthogonal", activation=None, rng=rng())
    for piece in layer.weight.detach().chunk(3):
        expected = gain("maxout", pieces=3) ** 2 * torch.eye(8)
        torch.testing.assert_close(piece @ piece.T, expected, atol=1e-5, rtol=0)


def test_standard_deviation_of_normal_is_an_option():
    layer = nn.Linear(300, 200)
    init_(layer, "normal", activation=None, rng=rng(), std=0.3)
    assert layer.weight.std().item() == pytest.approx(0.3, rel=0.02)


def test_gain_of_orthogonal_is_an_option():
    layers = nn.Linear(20, 30), nn.Linear(20, 30)
    init_(layers[0], "orthogonal", activation="relu", rng=rng())
    init_(layers[1], "orthogonal", activation="relu", rng=rng(), gain=0.5)
    torch.testing.assert_close(layers[1].weight, layers[0].weight * 0.5 / math.sqrt(2))
    init_(layers[1], "orthogonal", activation="relu", rng=rng(), gain=None)
    assert torch.equal(layers[1].weight, layers[0].weight)


def test_lsuv_starts_orthogonal_and_takes_the_options_of_its_second_stage():
    layers = nn.Linear(20, 30), nn.Linear(20, 30)
    init_(layers[0], "orthogonal", activation="relu", rng=rng())
    init_(layers[1], "lsuv", activation="relu", rng=rng(), tolerance=0.1, max_iter=3)
    assert torch.equal(layers[0].weight, layers[1].weight)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("he", {"std": 0.3}, r"std: is an option of normal, got 0\.3 with 'he'; leave it out"),
        ("he", {"scale": 2}, r"scale: no option of initialisations; he has none; leave it out"),
        ("normal", {"std": 0.0}, r"std: must be more than 0 and finite, got 0\.0"),
        ("orthogonal", {"gain": math.inf}, r"gain: must be more than 0 and finite, got inf"),
        ("lsuv", {"tolerance": 1.0}, r"tolerance: must be more than 0 and less than 1, got 1\.0"),
        ("lsuv", {"max_iter": 0}, r"max_iter: must be at least 1, got 0"),
        ("hee", {}, r"init: 'hee' is not known; .*did you mean 'he'"),
    ],
)
def test_options_out_of_range_or_of_others_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        init_(nn.Linear(3, 3), name, activation=None, rng=rng(), **options)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_computed_weights_are_refused(norm):
    net = nn.Sequential(nn.Linear(4, 4), norm(nn.Linear(4, 4)))
    before = net[0].weight.detach().clone()
    with pytest.raises(InputError, match="weight of 1"):
        init_(net, "he", activation=None, rng=torch.Generator().manual_seed(0))
    assert torch.equal(net[0].weight, before)
