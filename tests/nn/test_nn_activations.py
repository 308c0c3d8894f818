"""Activations: formulas written out, gains by numerical integration, options, contracts."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from seewhy import optim
from seewhy.core.errors import InputError
from seewhy.nn import ACTIVATIONS, activation, gain
from seewhy.nn.activations import OUTPUTS, softmax, variant

FORMULAS = {
    "relu": lambda x: np.maximum(0, x),
    "leaky_relu": lambda x: np.maximum(0.01 * x, x),
    "prelu": lambda x: np.where(x > 0, x, 0.25 * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": lambda x: x * stats.norm.cdf(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
}

VARIANTS = {name: variant(name) for name in ACTIVATIONS.names()}
VARIANTS |= {
    "maxout of 3": variant("maxout", pieces=3),
    "shared prelu": variant("prelu", shared=True),
    "steep elu": variant("elu", alpha=1.5),
    "leaky relu of 0.2": variant("leaky_relu", slope=0.2),
}
SHAPES = [(6, 12), (3, 12, 5, 4)]


@pytest.mark.parametrize("name", FORMULAS)
def test_values_equal_the_formula(name):
    x = torch.linspace(-6, 6, 60, dtype=torch.float64).reshape(5, 12)
    module = activation(name, features=12).double()
    np.testing.assert_allclose(module(x).detach().numpy(), FORMULAS[name](x.numpy()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in FORMULAS if name not in ("tanh", "sigmoid")])
def test_gain_keeps_the_mean_square(name):
    halves = ((-40, 0), (0, 40))
    square = sum(
        integrate.quad(lambda x: FORMULAS[name](x) ** 2 * stats.norm.pdf(x), *half, epsabs=1e-13)[0] for half in halves
    )
    assert gain(name) == pytest.approx(square**-0.5, rel=1e-7)


@pytest.mark.parametrize("pieces", [2, 3, 5, 12])
def test_gain_of_maxout_keeps_the_mean_square(pieces):
    def density(x):
        return pieces * stats.norm.pdf(x) * stats.norm.cdf(x) ** (pieces - 1)

    square = integrate.quad(lambda x: x * x * density(x), -np.inf, np.inf)[0]
    assert gain("maxout", pieces=pieces) == pytest.approx(square**-0.5, rel=1e-7)


def test_customary_gains():
    assert gain("tanh") == pytest.approx(torch.nn.init.calculate_gain("tanh"))
    assert gain("sigmoid") == 1.0
    assert gain(None) == 1.0
    assert gain("maxout") == pytest.approx(1.0)


def test_prelu_has_a_slope_for_each_feature_or_one():
    assert activation("prelu", features=7).weight.shape == (7,)
    shared = activation("prelu", features=7, shared=True)
    assert shared.weight.shape == (1,)
    torch.testing.assert_close(shared(torch.full((2, 7, 3), -2.0)), torch.full((2, 7, 3), -0.5))
    assert activation("prelu", features=7, shared=False).weight.shape == (7,)


@pytest.mark.parametrize("shared", [True, False])
def test_slopes_do_not_decay(shared):
    slope = activation("prelu", features=3, shared=shared)
    layer = torch.nn.Linear(3, 3)
    named = [*layer.named_parameters(), ("slope", slope.weight)]
    rule = optim.build("sgd", named, lr=0.1, weight_decay=0.1)
    decays = {id(p): group["weight_decay"] for group in rule.param_groups for p in group["params"]}
    assert decays[id(slope.weight)] == 0.0
    assert decays[id(layer.weight)] == 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rellu",), r"activation: 'rellu' is not known.*did you mean 'relu'"),
        (("softmax",), r"activation: 'softmax' is for the output alone; choose one of relu, "),
    ],
)
def test_unknown_names_and_outputs_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        activation(*arguments, features=1)


def test_options_of_other_activations_are_refused():
    with pytest.raises(InputError, match=r"pieces: is an option of maxout, got 3 with 'relu'; leave it out"):
        variant("relu", pieces=3)
    with pytest.raises(InputError, match=r"shared: is an option of prelu, got True with 'relu'; leave it out"):
        variant("relu", shared=True)
    with pytest.raises(InputError, match=r"beta: no option of activations; elu has alpha; leave it out"):
        variant("elu", beta=1.0)
    with pytest.raises(InputError, match=r"alpha: elu has its options already"):
        variant(variant("elu"), alpha=2.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("maxout", {"pieces": 1}, r"pieces: must be 2 to 255, got 1"),
        ("elu", {"alpha": 0.0}, r"alpha: must be more than 0 and finite, got 0\.0"),
        ("leaky_relu", {"slope": -0.1}, r"slope: must be at least 0 and finite, got -0\.1"),
        ("prelu", {"init": math.nan}, r"init: must be finite, got nan"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(InputError, match=message):
        variant(name, **options)


OPTIONS = [
    ("elu", {"alpha": 0.3}, lambda x: np.where(x > 0, x, 0.3 * (np.exp(np.minimum(x, 0)) - 1))),
    ("elu", {"alpha": 2.5}, lambda x: np.where(x > 0, x, 2.5 * (np.exp(np.minimum(x, 0)) - 1))),
    ("leaky_relu", {"slope": 0.3}, lambda x: np.where(x > 0, x, 0.3 * x)),
    ("leaky_relu", {"slope": 0.0}, lambda x: np.maximum(x, 0)),
    ("prelu", {"init": -0.5}, lambda x: np.where(x > 0, x, -0.5 * x)),
]


@pytest.mark.parametrize(("name", "options", "formula"), OPTIONS)
def test_values_and_gains_follow_the_options(name, options, formula):
    x = torch.linspace(-6, 6, 60, dtype=torch.float64).reshape(5, 12)
    act = variant(name, **options)
    np.testing.assert_allclose(act(features=12).double()(x).detach().numpy(), formula(x.numpy()), rtol=1e-7, atol=1e-9)
    halves = ((-40, 0), (0, 40))
    square = sum(
        integrate.quad(lambda x: formula(x) ** 2 * stats.norm.pdf(x), *half, epsabs=1e-13)[0] for half in halves
    )
    assert act.gain == gain(name, **options) == pytest.approx(square**-0.5, rel=1e-7)
    assert act.maximum_slope == pytest.approx(
        np.abs(np.gradient(formula(np.linspace(-8, 8, 160001)), 1e-4)).max(), rel=1e-3
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_softmax_is_stable(dtype):
    logits = torch.tensor([[1.0, 2.0, 3.0], [1e4, 0.0, -1e4]], dtype=dtype)
    p = softmax(logits)
    assert p.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(p.sum(1), torch.ones(2, dtype=p.dtype))
    z = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(p[0].double().numpy(), np.exp(z) / np.exp(z).sum(), rtol=1e-6)
    torch.testing.assert_close(p[1], torch.tensor([1.0, 0.0, 0.0], dtype=p.dtype))
    maps = torch.randn(2, 4, 3)
    torch.testing.assert_close(softmax(maps, dim=2).sum(2), torch.ones(2, 4))
    assert OUTPUTS["softmax"].factory is softmax


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_contract_shape_dtype_layout_and_modes(name, shape, dtype):
    act = VARIANTS[name]
    module = activation(act, features=12 // act.pieces).to(dtype)
    x = torch.randn(shape).to(dtype)
    y = module(x)
    assert y.shape == (shape[0], 12 // act.pieces, *shape[2:])
    assert y.dtype == dtype
    assert torch.equal(module.eval()(x), y)
    if len(shape) == 4:
        last = module(x.contiguous(memory_format=torch.channels_last))
        assert last.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(last, y)


@pytest.mark.parametrize("name", VARIANTS)
def test_contract_gradients_twice(name):
    torch.manual_seed(0)
    act = VARIANTS[name]
    module = activation(act, features=6 // act.pieces).double()
    x = torch.randn(3, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, (x,))
    assert torch.autograd.gradgradcheck(module, (x,))


@pytest.mark.parametrize("name", VARIANTS)
def test_contract_state_compile_and_export(name):
    act = VARIANTS[name]
    module, copy = (activation(act, features=6 // act.pieces) for _ in range(2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.uniform_(0.1, 0.9)
    copy.load_state_dict(module.state_dict())
    x = torch.randn(4, 6, 3, 3)
    y = module(x)
    assert torch.equal(copy(x), y)
    torch.compiler.reset()
    assert torch.equal(torch.compile(module, backend="eager", fullgraph=True)(x), y)
    assert torch.equal(torch.export.export(module, (x,)).module()(x), y)


def test_records_are_complete():
    for technique in (*ACTIVATIONS, *OUTPUTS):
        assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
        assert technique.qualified_name.startswith(("seewhy.nn.", "torch.nn."))


def test_gain_constants_are_to_ten_figures():
    assert gain("relu") == math.sqrt(2)
    assert gain("elu") == 1.2451983007
    assert gain("prelu") == pytest.approx(math.sqrt(2 / (1 + 1 / 16)), rel=1e-15)
