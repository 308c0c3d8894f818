"""LSUV: variance 1 in every layer, whatever stands between, and a network left as it was."""

import copy

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn import BatchNorm, ConvNormAct, DropConnectLinear, Parts, ResidualBlock
from seewhy.nn.initialisation import LAYERS
from seewhy.nn.lsuv import lsuv_
from seewhy.nn.maxout import MaxoutConv2d, MaxoutLinear


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def variances(net, x):
    """The variance of each layer's output, by hooks of the test's own."""
    measured, hooks = {}, []
    for name, layer in net.named_modules():
        if isinstance(layer, LAYERS):

            def note(layer, inputs, y, name=name):
                affine = layer.affine(*inputs) if isinstance(layer, MaxoutLinear | MaxoutConv2d) else y
                measured[name] = affine.var(correction=0).item()

            hooks.append(layer.register_forward_hook(note))
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return measured


NETWORKS = {
    "deep sigmoid": (lambda: nn.Sequential(*[part for _ in range(20) for part in (nn.Linear(30, 30), nn.Sigmoid())]), (64, 30)),
    "convolutions": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, groups=2), nn.GELU(), nn.ConvTranspose2d(8, 4, 2),
            nn.Flatten(), nn.Linear(4 * 25, 5),
        ),
        (8, 3, 14, 14),
    ),
    "residual": (
        lambda: nn.Sequential(ResidualBlock(3, 6, Parts("elu", "none"), stride=2), ConvNormAct(6, 4, Parts("relu", "none"))),
        (8, 3, 8, 8),
    ),
    "maxout": (lambda: nn.Sequential(MaxoutConv2d(3, 6, 3, 3), nn.Flatten(), MaxoutLinear(6 * 36, 10), nn.Linear(10, 3)), (8, 3, 8, 8)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_has_variance_one(name):
    torch.manual_seed(0)
    make, shape = NETWORKS[name]
    net, x = make(), torch.randn(shape) * 3 + 1
    records = lsuv_(net, x, rng=rng())
    measured = variances(net, x)
    assert sorted(record.layer for record in records) == sorted(measured)
    for record in records:
        assert measured[record.layer] == pytest.approx(1.0, abs=0.02)
        assert record.after == pytest.approx(measured[record.layer], rel=1e-4)
        assert record.iterations <= 2  # without biases the first division is exact


def test_orthogonal_comes_first_and_only_if_wanted():
    net = nn.Linear(6, 6)
    start = net.weight.detach().clone()
    lsuv_(net, torch.randn(50, 6))
    ratio = net.weight.detach() / start
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    lsuv_(net, torch.randn(50, 6), rng=rng())
    square = net.weight.detach() @ net.weight.detach().T
    torch.testing.assert_close(square / square[0, 0], torch.eye(6), atol=1e-5, rtol=0)


def test_biases_stay_and_are_reckoned_with():
    net = nn.Linear(20, 4)
    with torch.no_grad():
        net.bias.copy_(torch.tensor([-0.5, -0.2, 0.2, 0.5]))
    x = torch.randn(200, 20)
    (record,) = lsuv_(net, x, tolerance=1e-3, max_iter=60)
    assert record.iterations > 1
    assert net(x).var(correction=0).item() == pytest.approx(1.0, abs=1e-3)
    torch.testing.assert_close(net.bias.detach(), torch.tensor([-0.5, -0.2, 0.2, 0.5]))


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.unused = nn.Linear(5, 5, bias=False), nn.Linear(5, 5)

    def forward(self, x):
        return self.layer(torch.relu(self.layer(x)))


def test_shared_layers_are_scaled_where_first_used_and_unused_ones_stay():
    torch.manual_seed(0)
    net, x = Shared(), torch.randn(40, 5)
    unused = net.unused.weight.detach().clone()
    (record,) = lsuv_(net, x)
    assert record.layer == "layer"
    assert net.layer(x).var(correction=0).item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(net.unused.weight, unused)


def test_frozen_skipped_and_constant_layers_stay():
    torch.manual_seed(0)
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
    net[0].weight.requires_grad_(False)
    nn.init.zeros_(net[3].weight)
    nn.init.ones_(net[3].bias)
    before = copy.deepcopy(net.state_dict())
    records = lsuv_(net, torch.randn(30, 4), skip=[net[1]])
    assert [record.layer for record in records] == ["2", "3"]
    assert records[0].iterations > 0
    assert records[1].iterations == 0  # its output does not vary
    assert records[1].after == 0
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"2.weight"}


def test_modes_statistics_hooks_and_random_state_are_restored():
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3), BatchNorm(4), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    net.train()
    net[1].eval()
    modes = [part.training for part in net.modules()]
    buffers = {key: value.clone() for key, value in net.named_buffers()}
    state = torch.get_rng_state()
    x = torch.randn(8, 2, 6, 6, generator=rng(1)) * 5
    lsuv_(net, x, rng=rng())
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(value, buffers[key]) for key, value in net.named_buffers())
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in net.modules())
    # Also when the pass fails half way.
    with pytest.raises(RuntimeError):
        lsuv_(net, torch.randn(8, 2, 9, 9))
    assert [part.training for part in net.modules()] == modes
    assert all(torch.equal(value, buffers[key]) for key, value in net.named_buffers())
    assert not any(part._forward_hooks for part in net.modules())


def test_bad_numbers_are_refused():
    with pytest.raises(InputError, match="tolerance: must be more than 0 and less than 1, got 0"):
        lsuv_(nn.Linear(2, 2), torch.zeros(3, 2), tolerance=0)
    with pytest.raises(InputError, match="max_iter: must be at least 1, got 0"):
        lsuv_(nn.Linear(2, 2), torch.zeros(3, 2), max_iter=0)


def test_dropconnect_is_scaled_before_the_activation_inside():
    torch.manual_seed(0)
    layers = [DropConnectLinear(40, 40, activation=nn.Sigmoid()) for _ in range(3)]
    net = nn.Sequential(*layers)
    x = torch.randn(256, 40)
    records = lsuv_(net, x, rng=rng())
    assert [record.after for record in records] == pytest.approx([1.0] * 3, abs=0.02)
    for layer in layers:
        assert layer.affine(x).var(correction=0).item() == pytest.approx(1.0, abs=0.02)
        x = layer.eval()(x).detach()


def test_a_layer_whose_biases_vary_too_much_is_left_alone():
    torch.manual_seed(0)
    layer = nn.Linear(32, 32)
    nn.init.normal_(layer.bias, std=2.0)
    before = layer.weight.detach().clone()
    (record,) = lsuv_(layer, torch.randn(64, 32))
    assert record.iterations == 0
    assert torch.equal(layer.weight, before)
