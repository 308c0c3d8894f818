"""Maxout against the obvious spelling, in every mode; widths, gains, and the functions it can learn."""

import math

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.nn.maxout import Maxout, MaxoutConv2d, MaxoutLinear, maxout, maxout_width

LAYERS = {
    "linear": (lambda **options: MaxoutLinear(5, 4, **options), (6, 5), (6, 4)),
    "conv": (lambda **options: MaxoutConv2d(3, 4, 3, stride=2, padding=1, **options), (2, 3, 7, 6), (2, 4, 4, 3)),
}


def obvious(x, pieces):
    return x.unflatten(1, (pieces, x.shape[1] // pieces)).max(1)[0]


@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize("shape", [(7, 30), (3, 30, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_is_the_obvious_spelling(pieces, shape, dtype):
    torch.manual_seed(0)
    ours = torch.randn(shape).to(dtype).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    y, expected = maxout(ours, pieces), obvious(theirs, pieces)
    assert torch.equal(y, expected)
    weights = torch.randn(y.shape).to(dtype)
    (y * weights).sum().backward()
    (expected * weights).sum().backward()
    # Equal values, which rounding makes in bf16, may choose different pieces; the sum over pieces is the same.
    if dtype == torch.float32:
        assert torch.equal(ours.grad, theirs.grad)
    summed = ours.grad.unflatten(1, (pieces, -1)).sum(1)
    assert torch.equal(summed, theirs.grad.unflatten(1, (pieces, -1)).sum(1))


def test_equal_pieces_share_one_gradient():
    x = torch.zeros(2, 6, requires_grad=True)
    maxout(x, 3).sum().backward()
    assert torch.equal(x.grad.unflatten(1, (3, 2)).sum(1), torch.ones(2, 2))


def test_not_a_number_is_passed_on():
    for index in range(3):
        x = torch.zeros(1, 3)
        x[0, index] = math.nan
        assert maxout(x, 3).isnan().all()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("pieces", [2, 3])
def test_layers_are_their_formula(kind, pieces):
    make, shape_in, shape_out = LAYERS[kind]
    layer = make(pieces=pieces)
    nn.init.normal_(layer.bias)
    x = torch.randn(shape_in)
    with torch.no_grad():
        parts = []
        for weight, bias in zip(layer.weight.chunk(pieces), layer.bias.chunk(pieces), strict=True):
            if kind == "linear":
                parts.append(x @ weight.T + bias)
            else:
                parts.append(nn.functional.conv2d(x, weight, bias, stride=2, padding=1))
        y = layer(x)
    assert y.shape == shape_out
    torch.testing.assert_close(y, torch.stack(parts).amax(0))
    assert make(pieces=pieces, bias=False).bias is None


@pytest.mark.parametrize("kind", LAYERS)
def test_contract(kind):
    torch.manual_seed(0)
    make, shape, _ = LAYERS[kind]
    layer, copy = make(), make()
    x = torch.randn(shape)
    copy.load_state_dict(layer.state_dict())
    y = layer(x)
    assert torch.equal(copy.eval()(x), y)
    torch.compiler.reset()
    compiled = torch.compile(copy, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), y)
    torch.testing.assert_close(torch.export.export(copy, (x,)).module()(x), y)
    y.square().sum().backward()
    compiled(x).square().sum().backward()
    torch.testing.assert_close(copy.weight.grad, layer.weight.grad)
    assert make().bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(layer(x).float(), y.detach(), atol=0.05, rtol=0.05)
    exact = x[:2].double().requires_grad_()
    assert torch.autograd.gradcheck(make().double(), (exact,))
    assert torch.autograd.gradgradcheck(make().double(), (exact,))


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_curvature_by_functional_transforms():
    torch.manual_seed(0)
    layer = MaxoutLinear(3, 2, 3).double()
    names = dict(layer.named_parameters())
    x = torch.randn(5, 3, dtype=torch.float64)

    def loss(parameters):
        return torch.func.functional_call(layer, parameters, (x,)).square().sum()

    def each(row):
        return torch.func.functional_call(layer, names, (row[None],))[0]

    torch.testing.assert_close(torch.func.vmap(each)(x), layer(x))
    direction = {name: torch.randn_like(value) for name, value in names.items()}
    _, forward = torch.func.jvp(loss, (names,), (direction,))
    slopes = torch.func.grad(loss)(names)
    backward = sum((slopes[name] * direction[name]).sum() for name in names)
    torch.testing.assert_close(forward, backward)


def test_width_keeps_the_weights_of_a_stack():
    for pieces in (2, 5):
        wide = maxout_width(400, pieces)
        assert MaxoutLinear(wide, wide, pieces, bias=False).weight.numel() == pytest.approx(400**2, rel=0.01)
        layer = MaxoutLinear(wide, 400, pieces, keep_parameters=True)
        assert layer.out_features == wide
        assert MaxoutConv2d(3, 400, 3, pieces, keep_parameters=True).out_channels == wide
    assert maxout_width(1, 200) == 1


@pytest.mark.parametrize("pieces", [2, 5])
def test_start_keeps_the_mean_square_through_50_layers(pieces):
    torch.manual_seed(0)
    net = nn.Sequential(*[MaxoutLinear(200, 200, pieces) for _ in range(50)])
    with torch.no_grad():
        assert 0.2 < net(torch.randn(50, 200)).square().mean().item() < 5


@pytest.mark.parametrize(
    ("function", "pieces", "error"),
    [(torch.abs, 2, 1e-3), (torch.relu, 2, 1e-3), (torch.square, 8, 0.03)],
    ids=["abs", "relu", "parabola"],
)
def test_fits_convex_functions(function, pieces, error):
    """One unit on [-1, 1]: root mean square error. The best straight line is off by 0.48, 0.29 and 0.30."""
    x = torch.linspace(-1, 1, 201)[:, None]
    unit = MaxoutLinear(1, 1, pieces)
    with torch.no_grad():
        unit.weight.copy_(torch.linspace(-0.6, 0.6, pieces)[:, None])
    optimiser = torch.optim.Adam(unit.parameters(), lr=0.05)
    steps = 600
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (unit(x) - function(x)).square().mean()
        loss.backward()
        optimiser.step()
        rate.step()
    assert loss.sqrt().item() < error


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Maxout(4, 1), "pieces: must be 2 to 255, got 1"),
        (lambda: MaxoutLinear(0, 4), "in_features: must be at least 1, got 0"),
        (lambda: MaxoutConv2d(3, 4, 0), "kernel_size: must be at least 1, got 0"),
        (
            lambda: Maxout(4, 2)(torch.zeros(2, 4)),
            "maxout: must be given 2 x 4 features, got 4; let the layer before give 8",
        ),
        (
            lambda: maxout(torch.zeros(2, 5), 2),
            r"maxout: axis 1 must be 2 blocks of equal size, got shape \(2, 5\); let the layer before give 2 times the features",
        ),
    ],
)
def test_bad_sizes_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
