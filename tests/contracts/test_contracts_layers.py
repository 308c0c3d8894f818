"""What every registered activation and normalisation must do."""

import pytest
import torch

from seewhy.nn import ACTIVATIONS, INITS, NORMS, activation, norm

LAYERS = [("activation", name) for name in ACTIVATIONS.names()] + [("norm", name) for name in NORMS.names()]
INPUTS = [(6, 16), (6, 16, 5, 4)]


def make(family, name, shape):
    if family == "activation":
        return activation(name, features=shape[1])
    return norm(name, shape[1], dims=len(shape) - 1 if len(shape) == 2 else 2)


@pytest.mark.parametrize("shape", INPUTS)
@pytest.mark.parametrize(("family", "name"), LAYERS)
def test_keeps_shape_and_layout_and_is_differentiable(family, name, shape):
    torch.manual_seed(0)
    layer = make(family, name, shape).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    if len(shape) == 4:
        last = x.detach().contiguous(memory_format=torch.channels_last)
        assert layer(last).is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(layer(last), y)
    small = x.detach()[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(layer, (small,))


@pytest.mark.parametrize("shape", INPUTS)
@pytest.mark.parametrize(("family", "name"), LAYERS)
def test_only_batch_normalisation_differs_between_train_and_eval(family, name, shape):
    torch.manual_seed(0)
    layer = make(family, name, shape)
    x = torch.randn(shape) * 3 + 1
    trained = layer.train()(x)
    assert torch.equal(trained, layer.eval()(x)) == (name != "batch")


@pytest.mark.parametrize("shape", INPUTS)
@pytest.mark.parametrize(("family", "name"), LAYERS)
def test_runs_under_bf16_autocast_with_float32_parameters(family, name, shape):
    torch.manual_seed(0)
    layer = make(family, name, shape)
    x = torch.randn(shape).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
        y.float().square().sum().backward()
    torch.testing.assert_close(y.float(), layer(x.detach().float()), atol=0.05, rtol=0.05)
    assert torch.isfinite(x.grad).all()
    assert all(p.grad.dtype == torch.float32 for p in layer.parameters())


@pytest.mark.parametrize(("family", "name"), LAYERS)
def test_state_dict_round_trip(family, name):
    torch.manual_seed(0)
    shape = (6, 16)
    layer, copy = make(family, name, shape), make(family, name, shape)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(0.1, 0.9)
    x = torch.randn(shape)
    layer(x)
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval()(x), copy.eval()(x))


@pytest.mark.parametrize("technique", [*ACTIVATIONS, *INITS, *NORMS], ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
    assert technique.lives_in.startswith("seewhy.nn.")
