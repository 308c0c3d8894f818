"""Functions of two variables and the trajectories of all optimisers over them."""

import math

import numpy as np
import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.optim import OPTIMISERS
from seewhy.optim.planar import FUNCTIONS, STEP_SIZES, trajectory_of


@pytest.mark.parametrize("name", FUNCTIONS)
def test_marks_are_stationary_and_the_minimum_is_the_least(name):
    function = FUNCTIONS[name]
    for mark, x, y in function.marks:
        w = torch.tensor([x, y], dtype=torch.float64, requires_grad=True)
        value = function(w)
        assert torch.autograd.grad(value, w)[0].abs().max() < 1e-12
        least = torch.linalg.eigvalsh(torch.autograd.functional.hessian(function, w))[0]
        assert (least > 0) == (mark == "minimum")
        assert (value.item() == pytest.approx(function.minimum, abs=1e-12)) == (mark == "minimum")
        assert function.x[0] <= x <= function.x[1]
        assert function.y[0] <= y <= function.y[1]
    x, y, values = function.grid(41)
    assert values.shape == (41, 41)
    assert values.min() >= function.minimum - 1e-12
    assert values[3, 5] == pytest.approx(function(torch.tensor([x[5], y[3]])).item())


def test_formulas_are_those_of_the_functions():
    w = torch.tensor([0.7, -1.3], dtype=torch.float64)
    x, y = w.tolist()
    for function in FUNCTIONS.values():
        text = function.formula.replace("^", "**").replace("x y", "x*y").replace(") (", ")*(")
        for number in ("100", "50"):
            text = text.replace(f"{number} ", f"{number}*")
        assert function(w).item() == pytest.approx(eval(text, {"x": x, "y": y})), function.name


@pytest.mark.parametrize("method", OPTIMISERS.names())
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_optimiser_has_a_trajectory(method, name):
    function = FUNCTIONS[name]
    result = trajectory_of(method, name)
    assert result.method == method
    assert tuple(result.points[0]) == function.start
    assert result.points.shape == (len(result.values), 2)
    assert 2 <= len(result.values) <= 201
    assert np.isfinite(result.points).all()
    for point, value in zip(result.points, result.values, strict=True):
        assert function(torch.tensor(point)).item() == value
    if OPTIMISERS[method].factory.closure:
        assert result.lr is None
        assert result.ended == ("stationary" if method == "newton" and name in ("beale", "saddle") else "converged")
    else:
        assert result.lr == STEP_SIZES[method][name]
        assert result.ended == "max_iter"
    if result.ended != "stationary":
        assert result.values[-1] - function.minimum < 0.05 * (result.values[0] - function.minimum)


def test_arguments_of_a_trajectory():
    result = trajectory_of("sgd", "ravine", (1.0, 1.0), max_iter=3, lr=0.01)
    np.testing.assert_allclose(result.points, [[0.99**k, 0.5**k] for k in range(4)])
    assert (result.lr, result.ended) == (0.01, "max_iter")
    assert len(trajectory_of("lbfgs", "rosenbrock", max_iter=5, c2=0.5).points) == 6
    diverged = trajectory_of("sgd", "rosenbrock", lr=1.0)
    assert diverged.ended == "not_finite"
    assert np.isfinite(diverged.values).all()


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("lbfgs", "rosenbrok"), {}, "function: 'rosenbrok' is not known; .* did you mean 'rosenbrock'"),
        (("lbgfs", "beale"), {}, "optimizer: 'lbgfs' is not known"),
        (("lbfgs", "beale", (1.0,)), {}, "start: must be two finite numbers"),
        (("lbfgs", "beale", (1.0, math.nan)), {}, "start: must be two finite numbers"),
        (("lbfgs", "beale"), {"max_iter": 0}, "max_iter: must be at least 1, got 0"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        trajectory_of(*arguments, **options)
    with pytest.raises(InputError, match="resolution: must be at least 2"):
        FUNCTIONS["beale"].grid(1)
