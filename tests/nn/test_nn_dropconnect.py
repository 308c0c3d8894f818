"""DropConnect: masks of their own, exact gradients, moments that agree with sampling, and no large mask in memory."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.nn import DropConnectConv2d, DropConnectLinear, fold
from seewhy.nn import dropconnect as module
from seewhy.nn.dropconnect import masks


def conv(**options):
    return DropConnectConv2d(3, 4, 3, padding=1, **options)


LAYERS = {"linear": (lambda **options: DropConnectLinear(7, 5, **options), (6, 7)), "conv": (conv, (6, 3, 5, 4))}
both = pytest.mark.parametrize("kind", LAYERS)


def masked(layer, x, seed):
    torch.manual_seed(seed)
    return layer(x)


@pytest.mark.parametrize("keep", [0.5, 0.2, 0.9])
def test_masks_keep_the_right_share_and_are_independent(keep):
    count, weights = 400, 1003
    stays = (masks(torch.tensor(11), 0, count, weights, keep) != 0).double()
    error = math.sqrt(keep * (1 - keep))
    assert abs(stays.mean() - keep) < 4 * error / math.sqrt(count * weights)
    centred = (stays - keep) / error
    for by in (centred @ centred.T / weights, centred.T @ centred / count):
        size, trials = len(by), by.shape[0] if by is None else (weights if len(by) == count else count)
        others = by[~torch.eye(size, dtype=torch.bool)]
        assert others.abs().max() < 6 / math.sqrt(trials)
        assert abs(others.mean()) < 6 / math.sqrt(trials * size)


def test_masks_depend_on_seed_and_example_alone():
    whole = masks(torch.tensor(3), 0, 9, 70, 0.5)
    assert torch.equal(masks(torch.tensor(3), 4, 5, 70, 0.5), whole[4:])
    assert not torch.equal(masks(torch.tensor(4), 0, 9, 70, 0.5), whole)
    assert whole.unique().tolist() == [-1, 0]


def test_a_linear_layer_is_its_formula():
    layer, x = DropConnectLinear(7, 5, drop=0.3), torch.randn(6, 7)
    y = masked(layer, x, 1)
    torch.manual_seed(1)
    stays = (masks(torch.randint(0, 1 << 62, ()), 0, 6, 40, 0.7) != 0).float().view(6, 5, 8)
    expected = torch.einsum("noi,ni->no", stays[..., :7] * layer.weight, x) + stays[..., 7] * layer.bias
    torch.testing.assert_close(y, expected)


def test_a_convolution_is_its_formula():
    layer, x = conv(drop=0.3), torch.randn(6, 3, 5, 4)
    y = masked(layer, x, 1)
    torch.manual_seed(1)
    stays = (masks(torch.randint(0, 1 << 62, ()), 0, 6, layer.weight.numel(), 0.7) != 0).float()
    filters = stays.view(6, *layer.weight.shape) * layer.weight
    expected = torch.cat(
        [F.conv2d(one[None], each, layer.bias, padding=1) for one, each in zip(x, filters, strict=True)]
    )
    torch.testing.assert_close(y, expected)


@both
@pytest.mark.parametrize("shared", [1, 4])
def test_gradients(kind, shared):
    make, shape = LAYERS[kind]
    layer = make(drop=0.4, shared=shared).double()
    x = torch.randn(
        (5, *(min(n, 3) if kind == "conv" else n for n in shape[1:])), dtype=torch.float64, requires_grad=True
    )

    def run(x, weight, bias):
        torch.manual_seed(5)
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, x)

    assert torch.autograd.gradcheck(run, (x, layer.weight, layer.bias))


@both
@pytest.mark.parametrize("drop", [0.5, 0.3])
def test_products_in_half_precision_have_the_same_masks(kind, drop, monkeypatch):
    make, shape = LAYERS[kind]
    layer, x, results = make(drop=drop), torch.randn(40, *shape[1:]), []
    g = torch.randn_like(layer(x))
    for half in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = masked(layer, x, 7)
        assert y.dtype == (torch.bfloat16 if half else torch.float32)
        results.append([y.float(), *torch.autograd.grad(y, list(layer.parameters()), g.to(y.dtype))])
    for half, whole in zip(results[1], results[0], strict=True):
        assert half.dtype == torch.float32
        assert (half - whole).norm() < 0.01 * whole.norm()
    monkeypatch.setattr(module, "CHUNK_WEIGHTS", 1)  # sums over many chunks keep the weights' precision
    with torch.autocast("cpu", torch.bfloat16):
        y = masked(layer, x, 7)
    for half, whole in zip(
        torch.autograd.grad(y, list(layer.parameters()), g.to(y.dtype)), results[0][1:], strict=True
    ):
        assert (half - whole).norm() < 0.01 * whole.norm()


@both
def test_second_derivatives(kind):
    """Newton's methods differentiate gradients, one row at a time or many; float32 masks by bits, float64 by products."""
    make, shape = LAYERS[kind]
    layer, x, results = make(drop=0.4), torch.randn(shape), []
    for dtype in (torch.float32, torch.float64):
        layer.to(dtype)
        y = masked(layer, x.to(dtype), 7)
        (slope,) = torch.autograd.grad(y.pow(3).sum(), layer.weight, create_graph=True)
        rows = torch.eye(slope.numel(), dtype=dtype)[:12]
        each = [torch.autograd.grad(slope.flatten() @ row, layer.weight, retain_graph=True)[0] for row in rows]
        results.append(torch.stack(each))
        if kind == "linear":  # convolutions are differentiated for many rows by a slow path, of which torch warns
            (many,) = torch.autograd.grad(slope.flatten(), layer.weight, rows, is_grads_batched=True)
            torch.testing.assert_close(many, results[-1])
    assert results[1].abs().max() > 0.1
    torch.testing.assert_close(results[0].double(), results[1], rtol=1e-3, atol=1e-3)
    layer, exact = make(drop=0.4).double(), torch.randn((2, *shape[1:]), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: masked(layer, x, 5), (exact,))


@both
def test_pieces_are_the_whole(kind, monkeypatch):
    make, shape = LAYERS[kind]
    layer, x = make(), torch.randn(shape, requires_grad=True)
    y = masked(layer, x, 2)
    expected = torch.autograd.grad(y.square().sum(), [x, layer.weight])
    monkeypatch.setattr(module, "CHUNK_WEIGHTS", 1)
    again = masked(layer, x, 2)
    torch.testing.assert_close(again, y)
    torch.testing.assert_close(torch.autograd.grad(again.square().sum(), [x, layer.weight]), expected)


@both
def test_examples_share_masks_only_where_asked(kind):
    make, shape = LAYERS[kind]
    x = torch.randn(1, *shape[1:]).expand(6, *shape[1:])
    own = masked(make(shared=1), x, 3).flatten(1)
    assert all(not torch.equal(own[0], other) for other in own[1:])
    common = masked(make(shared=4), x, 3).flatten(1)
    torch.testing.assert_close(common[1:4], common[:1].expand(3, -1))
    torch.testing.assert_close(common[4], common[5])
    assert not torch.allclose(common[3], common[4])


@both
def test_evaluation_is_the_mean_over_masks(kind):
    make, shape = LAYERS[kind]
    layer, x = make(drop=0.3), torch.randn(1, *shape[1:])
    torch.manual_seed(0)
    with torch.no_grad():
        samples = layer(x.expand(20000, *shape[1:]))
        error = samples.std(0) / math.sqrt(len(samples))
        mean = layer.eval()(x)[0]
    if kind == "conv":  # a bias stays
        torch.testing.assert_close(layer.bias[:, None, None] + 0.7 * F.conv2d(x, layer.weight, padding=1)[0], mean)
    assert ((samples.mean(0) - mean).abs() < 5 * error + 1e-6).all()


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Tanh(), nn.Sigmoid()])
def test_evaluation_behind_an_activation_is_that_of_the_gaussian(activation):
    """With many inputs the pre-activation is near its Gaussian, whose mean activation the quadrature gives."""
    torch.manual_seed(0)
    layer = DropConnectLinear(400, 6, drop=0.5, activation=activation)
    with torch.no_grad():
        layer.weight.mul_(8)
        x = torch.randn(1, 400)
        samples = layer(x.expand(20000, 400))
        got, std = layer.eval()(x)[0], samples.std(0)
        error = std / math.sqrt(len(samples))
        plain = activation(0.5 * F.linear(x, layer.weight, layer.bias))[0]
    assert ((samples.mean(0) - got).abs() < 5 * error + 0.02 * std).all()
    assert ((samples.mean(0) - plain).abs() > 5 * error).any()  # the activation of the mean is another thing


@both
def test_nothing_dropped_is_the_plain_layer(kind):
    make, shape = LAYERS[kind]
    layer, x = make(drop=0.0, activation=nn.Tanh()), torch.randn(shape)
    plain = (
        F.linear(x, layer.weight, layer.bias) if kind == "linear" else F.conv2d(x, layer.weight, layer.bias, padding=1)
    )
    for mode in (True, False):
        torch.testing.assert_close(layer.train(mode)(x), plain.tanh())


@both
def test_contract(kind):
    make, shape = LAYERS[kind]
    layer, copy = make(activation=nn.ReLU()), make(activation=nn.ReLU())
    x = torch.randn(shape)
    assert torch.equal(masked(layer, x, 4), masked(layer, x, 4))
    assert not torch.equal(masked(layer, x, 4), masked(layer, x, 5))
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(copy.eval()(x), layer.eval()(x))
    torch.testing.assert_close(torch.export.export(layer, (x,)).module()(x), layer(x))
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(layer, backend="eager", fullgraph=True)(x), layer(x))
    layer.train()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x.bfloat16())
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert layer.weight.grad.dtype == torch.float32
    if kind == "conv":
        assert layer(x.contiguous(memory_format=torch.channels_last)).is_contiguous(memory_format=torch.channels_last)
    else:
        assert layer(torch.randn(2, 3, 7)).shape == (2, 3, 5)


def test_it_folds_a_normalisation_behind_it():
    torch.manual_seed(0)
    net = nn.Sequential(conv(drop=0.4), nn.BatchNorm2d(4), nn.ReLU())
    for _ in range(3):
        net(torch.randn(6, 3, 5, 4))
    x = torch.randn(6, 3, 5, 4)
    folded = fold(net.eval())
    assert folded.unfolded or not folded.folded or torch.allclose(folded.module(x), net(x), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"drop": 1.0}, "drop: must be at least 0 and less than 1, got 1"),
        ({"shared": 0}, "shared: must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    for make, _ in LAYERS.values():
        with pytest.raises(InputError, match=message):
            make(**options)
