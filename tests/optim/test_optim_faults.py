"""Faults that were found in use, one test for each kind: every method, `step` and `minimize`. What a step does when something is wrong."""

import math
import warnings

import pytest
import torch
from optim_faults import CLOSURES, METHODS, QUASI, START, beale, closure_for, himmelblau, point, rosenbrock, stepper
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim import BFGS, DFP, LBFGS, OPTIMISERS, Newton, build, minimize
from seewhy.optim.noise import Noise

# a: constants of the line search


def test_dfp_searches_nearly_exactly():
    result = minimize(rosenbrock, point(*START), "dfp")
    assert result.success
    assert (result.nit, result.nfev) <= (25, 75)


@pytest.mark.parametrize("name", ["dfp", "bfgs", "lbfgs", "damped_newton", "hessian_free"])
def test_constants_of_the_search_are_in_each_record(name):
    record = OPTIMISERS[name]
    assert "c1" in record.hyperparameters
    assert "c1 = 1e-4" in record.formula
    x = nn.Parameter(point(*START))
    assert build(name, [("x", x)], c1=1e-2).param_groups[0]["c1"] == 1e-2
    if "c2" in record.hyperparameters:
        assert f"c2 = {build(name, [('x', x)]).param_groups[0]['c2']:g}" in record.formula


# b: an exception or Ctrl-C inside the closure


@pytest.mark.parametrize("name", CLOSURES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("when", [1, 2, 3, 5, 8])
def test_an_interrupted_step_leaves_the_last_accepted_point(name, error, when):
    x, calls = nn.Parameter(point(*START)), []

    def f(w):
        calls.append(w.detach().clone())
        if len(calls) == when:
            raise error
        return rosenbrock(w)

    _, step = stepper(name, x, f)
    before, accepted = x.detach().clone(), [x.detach().clone()]

    def advance():
        for _ in range(20):
            step()
            accepted.append(x.detach().clone())

    with pytest.raises(error):
        advance()
    assert torch.equal(x, accepted[-1])
    assert rosenbrock(x) <= rosenbrock(before) or name == "newton"
    for _ in range(3):  # it goes on
        step()
    assert rosenbrock(x) < rosenbrock(before)


@pytest.mark.parametrize("kind", QUASI.values(), ids=QUASI)
@pytest.mark.parametrize("when", [3, 6, 11])
def test_an_interrupted_step_of_many_iterations_keeps_those_that_ended(kind, when):
    x, calls = nn.Parameter(point(*START)), []
    optimizer = kind([x], max_iter=50)

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(x)
        calls.append(loss.item())
        if len(calls) == when:
            x.data.fill_(math.inf)
            raise RuntimeError("out of memory")
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="out of memory"):
        optimizer.step(closure)
    assert x.isfinite().all()
    assert rosenbrock(x).item() in calls[: when - 1]
    assert rosenbrock(x).item() <= calls[0]
    gradient = torch.autograd.grad(rosenbrock(x), x)[0]
    torch.testing.assert_close(x.grad, gradient)


def test_a_memory_that_was_interrupted_in_the_middle_of_a_pair_is_cleared(monkeypatch):
    x = nn.Parameter(point(*START))
    optimizer = LBFGS([x], max_iter=3)
    closure = closure_for("lbfgs", optimizer, x, rosenbrock)
    optimizer.step(closure)

    def interrupted(change):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(optimizer._memory, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            optimizer.step(closure)
    assert optimizer._memory.empty
    before = rosenbrock(x).item()
    optimizer.step(closure)
    assert rosenbrock(x).item() < before


@pytest.mark.parametrize("method", METHODS)
def test_an_interrupted_minimisation_leaves_the_last_accepted_point_in_the_callbacks_x(method):
    records, calls = [], []

    def f(x):
        calls.append(0)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return rosenbrock(x)

    with pytest.raises(KeyboardInterrupt):
        minimize(f, point(*START), method, gtol=1e-30, callback=lambda x, status: records.append((x, x.clone())))
    assert torch.equal(*records[-1])


# c: noise


def noisy(f, size):
    rng = torch.Generator().manual_seed(0)
    return lambda x: f(x) * (1 + size * (2 * torch.rand((), generator=rng, dtype=torch.float64) - 1))


@pytest.mark.parametrize("method", [method for method in METHODS if method != "gradient"])
@pytest.mark.parametrize("size", [3e-15, 4e-10])
def test_noise_in_the_last_digits_is_no_randomness(method, size):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = minimize(noisy(rosenbrock, size), point(*START), method, gtol=1e-4)
    assert result.status != 4, result.message
    assert result.fun < 1e-5
    assert sum("taken as the noise" in str(warning.message) for warning in caught) <= 1


@pytest.mark.parametrize("name", [name for name in CLOSURES if name != "newton"])
def test_noise_in_the_last_digits_is_no_randomness_in_steps(name):
    x = nn.Parameter(point(*START))
    optimizer, step = stepper(name, x, noisy(rosenbrock, 3e-14))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(60):
            step()
            assert optimizer.status.reason != "not_deterministic"
            if optimizer.status.reason == "precision":
                break
    assert optimizer.status.value < 1e-6
    assert sum("taken as the noise" in str(warning.message) for warning in caught) <= 1


@pytest.mark.parametrize("name", [name for name in CLOSURES if name != "newton"])
def test_dropout_is_still_told(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 20), nn.Tanh(), nn.Dropout(0.5), nn.Linear(20, 1))
    inputs, target = torch.randn(8, 4), torch.randn(8, 1)
    optimizer = build(name, list(net.named_parameters()))

    def graph():
        outputs = net(inputs)
        loss = (outputs - target).square().mean()
        return (loss, outputs) if name == "hessian_free" else loss

    def closure():
        optimizer.zero_grad()
        loss = graph()
        loss.backward()
        return loss

    with pytest.warns(RuntimeWarning, match="a line search needs one function"):
        optimizer.step(graph if isinstance(optimizer, Newton) else closure)
    assert optimizer.status.reason == "not_deterministic"


def test_the_measured_difference_becomes_the_noise():
    noise = Noise(scale=10.0)
    assert noise.compare(10.0, 10.0 * (1 + 1e-15), eps=2.2e-16) == "same"
    with pytest.warns(RuntimeWarning, match="taken as the noise of the loss"):
        assert noise.compare(10.0, 10.0 + 1e-12, eps=2.2e-16) == "noisy"
    assert noise.level == pytest.approx(4e-12, rel=1e-3)
    assert noise.compare(1e-3, 1e-3 + 3e-12, eps=2.2e-16) == "same"
    assert noise.compare(1e-3, 1e-3 + 1e-11, eps=2.2e-16) == "noisy"  # and says nothing more
    with pytest.warns(RuntimeWarning, match="a line search needs one function"):
        assert noise.compare(10.0, 10.1, eps=2.2e-16) == "random"


# d: stationary points that are no minima

STATIONARY = [
    (himmelblau, (-0.270844590667, -0.923038522283)),  # a maximum
    (beale, (0.0, 1.0)),
    (lambda x: x[0] ** 2 - x[1] ** 2, (0.0, 0.0)),
    (lambda x: -x.square().sum(), (0.0, 0.0)),
]


@pytest.mark.parametrize("method", [method for method in METHODS if method != "damped_newton"])
@pytest.mark.parametrize(("f", "start"), STATIONARY)
def test_a_start_that_is_stationary_is_no_success_unless_it_is_a_minimum(method, f, start):
    result = minimize(f, point(*start), method)
    assert not result.success
    assert result.status == 5
    assert "stationary, not a minimum" in result.message


def test_newton_that_is_drawn_to_a_maximum_says_so():
    assert minimize(himmelblau, point(0.0, 0.0), "newton").status == 5
    assert minimize(beale, point(1.0, 1.0), "newton").status == 5
    assert minimize(himmelblau, point(0.0, 0.0), "damped_newton").success
    x = nn.Parameter(point(0.0, 0.0))
    optimizer = Newton([x], damping=None)
    for _ in range(20):
        optimizer.step(lambda: himmelblau(x))
        if optimizer.status.reason != "progress":
            break
    assert optimizer.status.reason == "stationary"


@pytest.mark.parametrize("method", ["bfgs", "dfp", "lbfgs", "gradient"])
def test_a_descent_that_ends_at_a_saddle_says_so(method):
    result = minimize(lambda x: x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4, point(1.0, 0.0), method)
    assert (result.success, result.status) == (False, 5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("maximize", [False, True])
def test_minima_are_still_successes(method, maximize):
    sign = -1 if maximize else 1
    result = minimize(lambda x: sign * (x - 1).square().sum(), point(3.0, 4.0), method, maximize=maximize)
    assert result.success
    assert minimize(lambda x: sign * x.pow(4).sum(), point(0.0, 0.0), method, maximize=maximize).success


def test_a_large_stationary_start_is_tested_with_products():
    assert minimize(lambda x: x[0] ** 2 - x[1:].square().sum(), torch.zeros(3000), "lbfgs").status == 5


# e: what does not depend on the parameters


@pytest.mark.parametrize("method", METHODS)
def test_a_function_that_ignores_x_is_refused(method):
    other = torch.ones(2, requires_grad=True)
    with pytest.raises(InputError, match=r"depends? on"):
        minimize(lambda x: other.square().sum(), point(1.0, 2.0), method)


@pytest.mark.parametrize("kind", [BFGS, DFP, LBFGS], ids=["bfgs", "dfp", "lbfgs"])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_a_closure_without_backward_is_refused(kind, set_to_none):
    x = nn.Parameter(point(1.0, 2.0))
    x.grad = torch.zeros(2, dtype=torch.float64)
    optimizer = kind([x])

    def closure():
        optimizer.zero_grad(set_to_none=set_to_none)
        return x.square().sum()

    with pytest.raises(InputError, match=r"closure: left .*call loss\.backward\(\) in the closure"):
        optimizer.step(closure)
    assert x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", CLOSURES)
def test_a_closure_of_other_parameters_is_refused(name):
    x, other = nn.Parameter(point(1.0, 2.0)), nn.Parameter(point(3.0, 4.0))
    _, step = stepper(name, x, lambda _: other.square().sum())
    with pytest.raises(InputError, match="closure: "):
        step()
