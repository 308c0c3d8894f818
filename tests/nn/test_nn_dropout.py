"""Dropout's two forms, and predictions averaged over stochastic forward passes."""

import copy
import math

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import DROPOUTS, DropConnectLinear, Dropout, FractionalMaxPool2d, monte_carlo, stochastic_inference


@pytest.mark.parametrize("p", [0.2, 0.5])
@pytest.mark.parametrize("kind", DROPOUTS.names())
def test_the_mean_in_training_is_what_evaluation_gives(kind, p):
    torch.manual_seed(0)
    layer, x = Dropout(p, kind=kind), torch.rand(1, 50) + 0.5
    samples = layer(x.expand(20000, 50))
    error = samples.std(0) / math.sqrt(len(samples))
    assert ((samples.mean(0) - layer.eval()(x)[0]).abs() < 4.5 * error).all()
    stays = (samples != 0).double()
    assert abs(stays.mean() - (1 - p)) < 4 * math.sqrt(p * (1 - p) / stays.numel())
    rows = (stays - (1 - p)) / math.sqrt(p * (1 - p))
    assert (rows.T @ rows / len(rows) - torch.eye(50)).abs().max() < 6 / math.sqrt(len(rows))  # units are independent
    examples = rows[:200]
    assert abs((examples @ examples.T / 50)[~torch.eye(200, dtype=torch.bool)].mean()) < 0.01  # and examples


@pytest.mark.parametrize("kind", DROPOUTS.names())
@pytest.mark.parametrize("p", [1e-5, 1 - 1e-5])
def test_probabilities_near_0_and_1_are_kept_to(kind, p):
    torch.manual_seed(0)
    y = Dropout(p, kind=kind)(torch.ones(10_000_000))
    torch.testing.assert_close(y[y != 0].unique(), torch.tensor([1.0 if kind == "classic" else 1 / (1 - p)]))
    dropped = (y == 0).double().mean().item()
    assert dropped == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 10_000_000))


def test_classic_is_inverted_times_the_keep_rate():
    x = torch.randn(8, 9)
    torch.manual_seed(1)
    scaled = Dropout(0.3)(x)
    torch.manual_seed(1)
    torch.testing.assert_close(Dropout(0.3, kind="classic")(x), 0.7 * scaled)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    torch.testing.assert_close(Dropout(0.3, kind="classic").eval()(x), 0.7 * x)


def test_whole_channels_are_dropped():
    torch.manual_seed(0)
    y = Dropout(0.5, channels=True)(torch.ones(64, 16, 4, 4)).flatten(2)
    assert ((y == 0).all(2) | (y == 2).all(2)).all()
    assert 0.4 < (y == 0).float().mean() < 0.6


@pytest.mark.parametrize("kind", DROPOUTS.names())
def test_contract(kind):
    layer = DROPOUTS[kind].factory(p=0.4)
    x = torch.randn(4, 6, 5, 5).contiguous(memory_format=torch.channels_last)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    assert not layer.state_dict()
    small = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)

    def fixed(x):
        torch.manual_seed(3)
        return layer(x)

    assert torch.autograd.gradcheck(fixed, (small,))
    torch.compiler.reset()
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    for mode in (True, False):
        layer.train(mode)
        torch.manual_seed(2)
        expected = layer(x)
        torch.manual_seed(2)
        torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), layer(x))
    record = DROPOUTS[kind]
    assert all((record.summary, record.formula, record.source, record.good_for, record.bad_for))
    assert Dropout(0.0, kind=kind)(x) is x


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(InputError, match="p: must be at least 0 and less than 1, got 1"):
        Dropout(1.0)
    with pytest.raises(InputError, match=r"kind: 'invert' is not known; .*did you mean 'inverted'"):
        Dropout(0.5, kind="invert")


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 32), nn.BatchNorm1d(32), nn.ReLU(), Dropout(0.5), nn.Linear(32, 4))


def test_passes_are_averaged_and_their_differences_measured(net):
    x = torch.randn(10, 6)
    result = monte_carlo(net, x, 40, seed=3)
    assert result.samples.shape == (40, 10, 4)
    torch.testing.assert_close(result.mean, result.samples.mean(0))
    torch.testing.assert_close(result.std, result.samples.std(0, correction=0))
    torch.testing.assert_close(result.mean.sum(1), torch.ones(10))
    entropy = -(result.mean * result.mean.log()).sum(1)
    torch.testing.assert_close(result.entropy, entropy)
    each = -(result.samples * result.samples.log()).sum(2).mean(0)
    torch.testing.assert_close(result.mutual_information, entropy - each, atol=1e-6, rtol=0)
    assert (result.mutual_information > 1e-4).all()
    assert torch.equal(monte_carlo(net, x, 40, seed=3).mean, result.mean)
    assert not torch.equal(monte_carlo(net, x, 40, seed=4).mean, result.mean)


def test_the_network_and_the_global_random_state_are_left_alone(net):
    net.train()
    net[1].eval()
    before, modes, state = (
        copy.deepcopy(net.state_dict()),
        [part.training for part in net.modules()],
        torch.get_rng_state(),
    )
    monte_carlo(net, torch.randn(3, 6), 2)  # the random x is not the network's
    torch.set_rng_state(state)
    monte_carlo(net, torch.ones(3, 6), 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("part", [nn.Dropout2d(0.5), FractionalMaxPool2d(1.5), nn.Flatten()])
def test_everything_that_is_random_in_training_is_random(part):
    net = nn.Sequential(
        part, nn.Flatten(), DropConnectLinear(27 if isinstance(part, (nn.Dropout2d, nn.Flatten)) else 12, 5)
    )
    result = monte_carlo(net.eval(), torch.randn(4, 3, 3, 3), 5)
    assert result.std.min() > 0
    assert not net.training


def test_a_network_without_randomness_is_refused():
    with (
        pytest.raises(InputError, match="module: nothing in the network is random"),
        stochastic_inference(nn.Linear(2, 2)),
    ):
        pass
    with pytest.raises(InputError, match="samples: must be at least 2, got 1"):
        monte_carlo(nn.Linear(2, 2), torch.ones(1, 2), 1)
