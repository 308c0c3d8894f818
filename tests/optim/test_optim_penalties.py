"""Penalties do what their formulas say, to the weights they are meant for."""

import copy
import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import MaxoutLinear, incoming_views, penalised_weights
from seewhy.optim.penalties import PENALTIES, Penalties, add_l2_, max_norm_, soft_threshold_, sparsity


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.PReLU(3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4)).double()


def loss_of(net):
    x = torch.randn(6, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return net(x).square().mean()


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8), st.floats(0, 5))
def test_the_soft_threshold_is_its_formula(values, threshold):
    weight = torch.tensor(values, dtype=torch.float64)
    soft_threshold_([weight], [threshold])
    for got, value in zip(weight.tolist(), values, strict=True):
        assert got == pytest.approx(math.copysign(max(abs(value) - threshold, 0.0), value), abs=1e-12)
        assert got == 0.0 or abs(value) > threshold


def test_proximal_steps_find_the_lasso_of_an_orthogonal_design():
    """min |X w - y|^2 / 2 + lambda |w|_1 with X'X = I is the soft threshold of X'y at lambda."""
    torch.manual_seed(0)
    design, target = torch.linalg.qr(torch.randn(20, 6, dtype=torch.float64))[0], torch.randn(20, dtype=torch.float64)
    weight = nn.Parameter(torch.randn(1, 6, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    penalties = Penalties([("w", weight)], optimizer, l1=0.4)
    for _ in range(200):
        optimizer.zero_grad()
        (0.5 * (design @ weight[0] - target).square().sum()).backward()
        optimizer.step()
        penalties.after_step()
    plain = design.T @ target
    expected = plain.sign() * (plain.abs() - 0.4).clamp_min(0)
    torch.testing.assert_close(weight[0].detach(), expected)
    assert torch.equal(weight[0] == 0, expected == 0)
    assert 0 < penalties.sparsity < 1


def test_l2_before_the_step_is_l2_in_the_loss():
    net = network()
    twin = copy.deepcopy(net)
    optimizers = [torch.optim.Adam(one.parameters(), lr=0.01) for one in (net, twin)]
    penalties = Penalties(penalised_weights(net).items(), optimizers[0], l2=0.3)
    for _ in range(5):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss_of(net).backward()
        penalties.before_step()
        squares = sum(weight.square().sum() for weight in twin.parameters() if weight.dim() >= 2)
        (loss_of(twin) + 0.15 * squares).backward()
        for optimizer in optimizers:
            optimizer.step()
    for ours, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, other)
    torch.testing.assert_close(
        Penalties(penalised_weights(twin).items(), optimizers[1], l2=0.3).loss(),
        0.15 * sum(w.square().sum() for w in (twin[0].weight, twin[4].weight)),
    )


def test_coupled_and_decoupled_are_one_under_plain_sgd():
    net = network()
    twin = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    penalties = Penalties(penalised_weights(net).items(), optimizer, l2=0.2)
    decayed = torch.optim.SGD(twin.parameters(), lr=0.1)
    loss_of(net).backward()
    penalties.before_step()
    optimizer.step()
    loss_of(twin).backward()
    with torch.no_grad():
        for weight in (twin[0].weight, twin[4].weight):
            weight.mul_(1 - 0.1 * 0.2)
    decayed.step()
    for ours, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("groups", [1, 2])
def test_norms_of_transposed_convolutions_are_those_of_their_outputs(groups):
    """All that comes into an output, seen as the gradient of a pixel that no stride hides, has the norm that is asked for."""
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 6, 3, groups=groups, bias=False).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    named = penalised_weights(layer).items()
    Penalties(named, optimizer, max_norm=0.25, limited=partial(incoming_views, layer)).after_step()
    for output in range(6):
        x = torch.zeros(1, 4, 7, 7, dtype=torch.float64, requires_grad=True)
        (incoming,) = torch.autograd.grad(layer(x)[0, output, 4, 4], x)
        assert incoming.norm().item() == pytest.approx(0.25)


def test_what_has_no_units_or_no_optimiser_is_refused():
    with pytest.raises(InputError, match=r"max_norm_: weights must have two dimensions or more, got shape \(3,\)"):
        max_norm_([torch.ones(3)], 1.0)
    net = network()
    with pytest.raises(InputError, match=r"optimizer: must hold every weight that is penalised, but lacks 0\.weight"):
        Penalties(penalised_weights(net).items(), torch.optim.SGD(net[4].parameters(), lr=0.1), l1=0.1)


@pytest.mark.parametrize("everything", [False, True])
def test_vectors_are_spared_unless_asked_for(everything):
    net = network()
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    named = penalised_weights(net, everything=everything).items()
    Penalties(named, optimizer, l1=0.01).after_step()
    changed = {name for name, weight in net.named_parameters() if not torch.equal(weight, before[name])}
    matrices = {"0.weight", "4.weight"}
    assert changed == (matrices | {"0.bias", "1.weight", "2.weight", "4.bias"} if everything else matrices)


def test_processes_that_average_their_gradients_are_penalised_like_one():
    """Each of two replicas sees half of the batch and penalises its own weights after the gradients have been averaged."""
    torch.manual_seed(0)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.randn(8, 3, dtype=torch.float64)
    one = nn.Linear(6, 3).double()
    nets = [one, copy.deepcopy(one), copy.deepcopy(one)]
    parts = [slice(0, 8), slice(0, 4), slice(4, 8)]
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in nets]
    penalties = [
        Penalties(penalised_weights(net).items(), optimizer, l1=0.2, l2=0.05, max_norm=0.3)
        for net, optimizer in zip(nets, optimizers, strict=True)
    ]
    for _ in range(20):
        for net, optimizer, part in zip(nets, optimizers, parts, strict=True):
            optimizer.zero_grad()
            (net(x[part]) - y[part]).square().mean().backward()
        for ours, other in zip(nets[1].parameters(), nets[2].parameters(), strict=True):
            ours.grad = other.grad = (ours.grad + other.grad) / 2
            other.grad = other.grad.clone()
        for penalty, optimizer in zip(penalties, optimizers, strict=True):
            penalty.before_step()
            optimizer.step()
            penalty.after_step()
            assert penalty.weights[0].norm(dim=1).max() <= 0.3 * (1 + 1e-12)
    assert torch.equal(nets[1].weight, nets[2].weight)
    torch.testing.assert_close(nets[1].weight, one.weight)
    assert 0 < penalties[0].sparsity == penalties[1].sparsity < 1


def test_the_learning_rate_of_a_group_is_its_threshold():
    slow, fast = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.SGD([{"params": [slow], "lr": 0.1}, {"params": [fast], "lr": 0.5}])
    penalties = Penalties([("slow", slow), ("fast", fast)], optimizer, l1=1.0)
    optimizer.param_groups[0]["lr"] = 0.2  # as a schedule does
    penalties.after_step()
    assert slow.detach().unique().tolist() == pytest.approx([0.8])
    assert fast.detach().unique().tolist() == pytest.approx([0.5])


def test_the_learning_rate_is_followed_after_a_state_is_loaded():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    penalties = Penalties([("w", weight)], optimizer, l1=1.0)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.param_groups[0]["lr"] = 0.4
    penalties.after_step()
    assert weight.detach().unique().tolist() == pytest.approx([0.6])


def test_norms_of_units_are_limited_and_smaller_ones_left_alone():
    torch.manual_seed(0)
    conv, maxout = nn.Conv2d(3, 5, 3), MaxoutLinear(7, 4, pieces=3)
    with torch.no_grad():
        conv.weight[0].mul_(0.01)
        maxout_weight = next(weight for weight in maxout.parameters() if weight.dim() == 2)
        maxout_weight.mul_(10)
    small = conv.weight[0].clone()
    max_norm_([conv.weight, maxout_weight], 0.5)
    for weight in (conv.weight, maxout_weight):
        assert weight.flatten(1).norm(dim=1).max() <= 0.5 * (1 + 1e-6)
    assert torch.equal(conv.weight[0], small)
    assert maxout_weight.shape == (12, 7)  # a row for each piece of a unit
    torch.testing.assert_close(maxout_weight.norm(dim=1), torch.full((12,), 0.5))


@pytest.mark.parametrize("technique", list(PENALTIES), ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
    assert technique.example.startswith(("--reg.", "--optim."))
    assert technique.qualified_name.startswith(("seewhy.optim.penalties.", "torch.optim."))


def test_weights_without_a_gradient_are_left_out():
    weight = nn.Parameter(torch.ones(2, 2))
    add_l2_([weight], 0.5)
    assert weight.grad is None
    soft_threshold_([], [])
    assert sparsity([]) == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l1": -1.0}, r"l1: must be at least 0 and finite, got -1\.0"),
        ({"l2": float("inf")}, r"l2: must be at least 0 and finite, got inf"),
        ({"max_norm": 0.0}, r"max_norm: must be more than 0 and finite, got 0\.0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    net = network()
    with pytest.raises(InputError, match=message):
        Penalties(penalised_weights(net).items(), torch.optim.SGD(net.parameters()), **options)


def test_frozen_weights_stay_as_they_are():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    penalties = Penalties(penalised_weights(net).items(), optimizer, l1=0.5, l2=0.5, max_norm=0.1)
    before = [weight.detach().clone() for weight in net.parameters()]
    net[1].requires_grad_(False)
    net(torch.ones(1, 3)).sum().backward()
    penalties.before_step()
    penalties.after_step()
    assert torch.equal(net[1].weight, before[2])
    assert net[0].weight.norm(dim=1).max() <= 0.1 + 1e-6
    net[1].requires_grad_(True)
    penalties.after_step()
    assert net[1].weight.norm(dim=1).max() <= 0.1 + 1e-6
