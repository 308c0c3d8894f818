"""What every registered activation and normalisation must do."""

import pytest
import torch

from seewhy.nn import ACTIVATIONS, INITS, NORMS, activation, norm, variant

SHAPES = [(6, 16), (6, 16, 5, 4)]
"""What comes out; where an activation has k pieces, k times the features go in."""

CASES = [
    (family, name, shape)
    for family, names in (("activation", ACTIVATIONS.names()), ("norm", NORMS.names()))
    for name in names
    for shape in SHAPES
    if (name, len(shape)) != ("instance", 2)  # refused, as its own test says
]


def make(family, name, shape):
    """Return the layer and the shape of its input."""
    n, features, *sides = shape
    if family == "activation":
        return activation(name, features=features), (n, features * variant(name).pieces, *sides)
    return norm(name, features, dims=2 if sides else 1), shape


@pytest.mark.parametrize(("family", "name", "shape"), CASES)
def test_keeps_shape_and_layout_and_is_differentiable(family, name, shape):
    torch.manual_seed(0)
    layer, taken = make(family, name, shape)
    layer = layer.double()
    x = torch.randn(taken, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    assert y.shape == shape
    assert y.dtype == x.dtype
    if len(shape) == 4:
        last = x.detach().contiguous(memory_format=torch.channels_last)
        assert layer(last).is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(layer(last), y)
    small = x.detach()[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(layer, (small,))


@pytest.mark.parametrize(("family", "name", "shape"), CASES)
def test_only_batch_normalisation_differs_between_train_and_eval(family, name, shape):
    torch.manual_seed(0)
    layer, taken = make(family, name, shape)
    x = torch.randn(taken) * 3 + 1
    trained = layer.train()(x)
    assert torch.equal(trained, layer.eval()(x)) == (name != "batch")


@pytest.mark.parametrize(("family", "name", "shape"), CASES)
def test_runs_under_bf16_autocast_with_float32_parameters(family, name, shape):
    torch.manual_seed(0)
    layer, taken = make(family, name, shape)
    x = torch.randn(taken).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        y.float().square().sum().backward()
    torch.testing.assert_close(y.float(), layer(x.detach().float()), atol=0.05, rtol=0.05)
    assert torch.isfinite(x.grad).all()
    assert all(p.grad.dtype == torch.float32 for p in layer.parameters())


@pytest.mark.parametrize(("family", "name", "shape"), CASES)
def test_state_dict_round_trip(family, name, shape):
    torch.manual_seed(0)
    (layer, taken), (copy, _) = make(family, name, shape), make(family, name, shape)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(0.1, 0.9)
    x = torch.randn(taken)
    layer(x)
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval()(x), copy.eval()(x))


@pytest.mark.parametrize("technique", [*ACTIVATIONS, *INITS, *NORMS], ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
    assert technique.qualified_name.startswith(("seewhy.nn.", "torch.nn."))
