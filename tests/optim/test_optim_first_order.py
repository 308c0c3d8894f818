"""torch's optimisers behind our names, step by step against the formulas written out in NumPy."""

import numpy as np
import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim import OPTIMISERS, build

FIRST = [technique.name for technique in OPTIMISERS if not technique.factory.closure]

LR, RHO, DECAY = 0.03, 0.8, 0.01


def sgd(w, gradient, state, t):
    return w - LR * gradient(w)


def momentum(w, gradient, state, t):
    state["v"] = RHO * state.get("v", 0) + gradient(w)
    return w - LR * state["v"]


def nesterov(w, gradient, state, t):
    g = gradient(w)
    state["v"] = RHO * state.get("v", 0) + g
    return w - LR * (g + RHO * state["v"])


def adagrad(w, gradient, state, t):
    g = gradient(w)
    state["s"] = state.get("s", 0) + g**2
    return w - LR * g / (np.sqrt(state["s"]) + 1e-10)


def rmsprop(w, gradient, state, t):
    g = gradient(w)
    state["s"] = 0.9 * state.get("s", 0) + 0.1 * g**2
    state["v"] = RHO * state.get("v", 0) + g / (np.sqrt(state["s"]) + 1e-8)
    return w - LR * state["v"]


def adam(w, gradient, state, t):
    g = gradient(w)
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["s"] = 0.999 * state.get("s", 0) + 0.001 * g**2
    m, s = state["m"] / (1 - 0.9**t), state["s"] / (1 - 0.999**t)
    return w - LR * m / (np.sqrt(s) + 1e-8)


def adamw(w, gradient, state, t):
    return adam((1 - LR * DECAY) * w, lambda _: gradient(w), state, t)


TWINS = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam": adam,
    "adamw": adamw,
}


def test_every_torch_optimiser_has_a_twin():
    assert set(TWINS) == set(FIRST) - {"muon"}


@pytest.mark.parametrize("name", TWINS)
def test_steps_equal_the_formula(name):
    start = np.array([[1.0, -2.0], [0.5, 3.0]])
    curve = np.array([[1.0, 4.0], [0.2, 2.0]])
    weight = nn.Parameter(torch.tensor(start))
    takes_momentum = name in ("momentum", "nesterov", "rmsprop")
    optimiser = build(name, [("w", weight)], lr=LR, weight_decay=DECAY, **({"momentum": RHO} if takes_momentum else {}))
    w, state = start, {}
    decay = 0.0 if name == "adamw" else DECAY  # all others add it to the gradient
    for t in range(1, 11):
        optimiser.zero_grad()
        (0.5 * torch.tensor(curve) * weight**2 + torch.sin(weight)).sum().backward()
        optimiser.step()
        w = TWINS[name](w, lambda w: curve * w + np.cos(w) + decay * w, state, t)
        np.testing.assert_allclose(weight.detach().numpy(), w, rtol=1e-9)


def test_nesterov_is_the_look_ahead_after_a_change_of_variable():
    """v <- rho v + g(w - eta rho v); w <- w - eta v, with x = w - eta rho v the weights that torch keeps."""

    def gradient(x):
        return np.array([1.0, 5.0]) * x + np.cos(x)

    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimiser = build("nesterov", [("w", weight)], lr=LR, momentum=RHO)
    w, v = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(10):
        optimiser.zero_grad()
        (0.5 * torch.tensor([1.0, 5.0]) * weight**2 + torch.sin(weight)).sum().backward()
        optimiser.step()
        v = RHO * v + gradient(w - LR * RHO * v)
        w = w - LR * v
        np.testing.assert_allclose(weight.detach().numpy(), w - LR * RHO * v, rtol=1e-9)


@pytest.mark.parametrize("name", FIRST)
def test_weight_decay_spares_vectors_and_frozen_parameters_are_left_out(name):
    net = nn.Sequential(nn.Linear(3, 4), nn.PReLU(4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net[0].weight.requires_grad_(False)
    optimiser = build(name, net.named_parameters(), lr=LR, weight_decay=0.1)
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert decayed == {id(net[3].weight)}
    assert held == {id(p) for p in net.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["nesterov", "momentum", "rmsprop", "muon"])
def test_momentum_may_be_zero(name):
    weight = nn.Parameter(torch.ones(2, 2))
    optimiser = build(name, [("w", weight)], lr=LR, momentum=0.0)
    weight.sum().backward()
    optimiser.step()
    assert (weight < 1).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", FIRST)
def test_memory_format_of_weights_does_not_matter(name, layout):
    """Fused kernels walk through memory: weights, gradients and state must agree in layout."""

    def steps(layout):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 2, 1)).to(memory_format=layout)
        optimiser = build(name, net.named_parameters(), lr=LR)
        x = torch.randn(2, 3, 6, 6)
        for _ in range(3):
            optimiser.zero_grad()
            net(x).square().sum().backward()
            optimiser.step()
        return [p.detach().clone() for p in net.parameters()]

    for one, other in zip(steps(layout), steps(torch.contiguous_format), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgd", {"lr": 0.0}, "lr: must be more than 0 and finite, got 0.0"),
        ("adam", {"lr": float("nan")}, "lr: must be more than 0 and finite, got nan"),
        ("muon", {"lr": -1.0}, "lr: must be more than 0 and finite, got -1.0"),
        ("adam", {}, "lr: adam needs a learning rate, got None; give one"),
        (
            "adam",
            {"momentum": 0.9},
            "momentum: is an option of muon, momentum, nesterov, rmsprop, got 0.9 with 'adam'; leave it out",
        ),
        ("adam", {"beta": 0.9}, "beta: no option of optimisers; adam has betas, eps; leave it out"),
        ("momentum", {"lr": 0.1, "momentum": 1.0}, "momentum: must be at least 0 and less than 1, got 1.0"),
        ("muon", {"lr": 0.1, "momentum": 1.0}, "momentum: must be at least 0 and less than 1, got 1.0"),
        ("muon", {"lr": 0.1, "steps": 0}, "steps: must be at least 1, got 0"),
        ("rmsprop", {"lr": 0.1, "alpha": 1.0}, "alpha: must be at least 0 and less than 1, got 1.0"),
        ("adagrad", {"lr": 0.1, "eps": 0.0}, "eps: must be more than 0 and finite, got 0.0"),
        (
            "adamw",
            {"lr": 0.1, "betas": (0.9, 1.0)},
            "betas: must be two numbers of at least 0 and less than 1, got (0.9, 1.0)",
        ),
        ("newton", {"max_cg": 0}, "max_cg: must be at least 1 and finite, got 0"),
        ("hessian_free", {"levenberg": 0.0}, "levenberg: must be more than 0 and finite, got 0.0"),
        ("lbfgs", {"history": 0}, "history: must be at least 1, got 0; 10 is usual"),
        (
            "bfgs",
            {"line_search": "wolfe"},
            "line_search: 'wolfe' is not known; allowed: strong_wolfe, exact, backtracking, none",
        ),
        ("sgd", {"lr": 0.1, "weight_decay": -1.0}, "weight_decay: must be at least 0 and finite, got -1.0"),
        (
            "adan",
            {},
            "optimizer: 'adan' is not known; allowed: " + ", ".join(OPTIMISERS.names()) + "; did you mean 'adam'?",
        ),
    ],
)
def test_bad_input_is_refused(name, options, message):
    with pytest.raises(InputError) as caught:
        build(name, [("w", nn.Parameter(torch.ones(2, 2)))], **options)
    assert str(caught.value) == message


def test_nothing_to_train_is_refused():
    with pytest.raises(InputError, match="at least one parameter"):
        build("sgd", [("w", nn.Parameter(torch.ones(1), requires_grad=False))], lr=LR)


OPTIONS = {
    "muon": {"momentum": 0.7, "steps": 5},
    "momentum": {"momentum": 0.7},
    "nesterov": {"momentum": 0.7},
    "adagrad": {"eps": 1e-3},
    "rmsprop": {"alpha": 0.7, "momentum": 0.3, "eps": 1e-3},
    "adam": {"betas": (0.5, 0.9), "eps": 1e-3},
    "adamw": {"betas": (0.5, 0.9), "eps": 1e-3},
    "newton": {"max_cg": 7},
    "damped_newton": {"max_cg": 7, "line_search": "exact", "c1": 1e-3},
    "hessian_free": {"max_cg": 7, "levenberg": 3.0, "c1": 1e-3},
    "dfp": {"line_search": "backtracking", "c1": 1e-3, "c2": 0.5},
    "bfgs": {"line_search": "backtracking", "c1": 1e-3, "c2": 0.5},
    "lbfgs": {"history": 4, "line_search": "backtracking", "c1": 1e-3, "c2": 0.5},
}


@pytest.mark.parametrize("technique", list(OPTIMISERS), ids=lambda technique: technique.name)
def test_hyperparameters_arrive(technique):
    options = OPTIONS.get(technique.name, {})
    assert set(technique.hyperparameters) == set(options)
    optimiser = build(technique.name, [("w", nn.Parameter(torch.ones(3, 3)))], lr=LR, **options)
    (group,) = [group for group in optimiser.param_groups if group["params"]]
    options = {key: value for key, value in options.items() if key not in ("levenberg", "history")}
    if technique.name == "muon":  # the only matrix is the output layer
        assert optimiser.defaults["momentum"] == options.pop("momentum")
    assert {key: group[key] for key in options} == options
    assert group["lr"] == LR or technique.name == "muon"


def test_state_of_second_order_options():
    weight = [("w", nn.Parameter(torch.ones(3)))]
    assert build("lbfgs", weight, history=4)._memory.m == 4
    newton = build("hessian_free", weight, levenberg=3.0)
    assert newton._memory["damping"] == 3.0
    assert newton.param_groups[0]["lr"] == 1.0
    assert newton.param_groups[0]["max_cg"] == 30


@pytest.mark.parametrize("name", FIRST)
def test_a_parameter_may_have_its_first_gradient_late(name):
    """As in a layer that is dropped at random: its first step is what it would have been alone."""
    torch.manual_seed(0)
    early, late = nn.Linear(3, 3), nn.Linear(3, 3)
    alone = nn.Linear(3, 3)
    alone.load_state_dict(late.state_dict())
    both, single = (build(name, parts.named_parameters(), lr=0.01) for parts in (nn.ModuleList([early, late]), alone))
    x = torch.randn(4, 3)
    for step in range(3):
        both.zero_grad()
        (early(x).square().sum() + (late(x).square().sum() if step else 0)).backward()
        both.step()
        if step:
            single.zero_grad()
            alone(x).square().sum().backward()
            single.step()
    assert torch.allclose(late.weight, alone.weight, atol=1e-6)
