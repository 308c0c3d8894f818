"""`minimize`: SciPy's door, and the iteration counts that the literature knows."""

import math

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.optim import minimize

START = torch.tensor([-1.2, 1.0], dtype=torch.float64)


def rosenbrock(x):
    return (100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2).sum()


@pytest.mark.parametrize(("method", "most"), [("bfgs", 34), ("newton", 5), ("damped_newton", 21), ("lbfgs", 40)])
def test_iterations_on_rosenbrock(method, most):
    """Nocedal & Wright 2006, section 6.1: BFGS 34, Newton with a line search 21, steepest descent 5264, to a gradient norm of 1e-5."""
    options = {"D0": torch.eye(2, dtype=torch.float64)} if method == "bfgs" else {}  # as there
    result = minimize(rosenbrock, START, method, gtol=1e-5, norm=2, **options)
    assert result.success
    assert result.nit <= most
    torch.testing.assert_close(result.x, torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["newton", "damped_newton", "bfgs", "lbfgs"])
@pytest.mark.parametrize("norm", [2, math.inf])
def test_it_ends_where_the_gradient_is_as_small_as_was_asked(method, norm):
    """x^4 is flat: each iteration shrinks the gradient by a factor, so the one that is asked for is where it ends."""
    records = []
    result = minimize(
        lambda x: x.pow(4).sum(),
        torch.full((3,), 2.0, dtype=torch.float64),
        method,
        gtol=1e-3,
        norm=norm,
        callback=lambda x, status: records.append(status),
    )
    by = 2 if "newton" in method else norm
    sizes = [status.gradient_norm if by == 2 else status.gradient_max for status in records]
    assert result.success
    assert sizes[-1] <= 1e-3 < min(sizes[:-1])


def test_steepest_descent_crawls():
    result = minimize(rosenbrock, START, "gradient", gtol=1e-3, norm=2, max_iter=400)
    assert not result.success
    assert result.fun > 1e-6


def test_lbfgs_on_the_extended_function():
    """n = 8 to a gradient of 1e-3: 36 iterations and 43 evaluations (Liu & Nocedal's code)."""
    result = minimize(rosenbrock, START.repeat(4), "lbfgs", gtol=1e-3, norm=2)
    assert result.success
    assert result.nit <= 36
    assert result.nfev <= 43


def test_the_result_has_scipys_fields():
    records = []
    result = minimize(rosenbrock, START, "bfgs", callback=lambda x, status: records.append((x.clone(), status)))
    assert (result.success, result.status, result.message) == (True, 0, "The gradient is as small as was asked for.")
    assert result.fun == pytest.approx(float(rosenbrock(result.x)), abs=1e-15)
    assert result.grad.abs().max() <= 1e-5
    assert result.grad.shape == result.x.shape == START.shape
    assert result.nfev >= result.nit == len(records)
    assert records[-1][1].value == pytest.approx(result.fun)
    assert START.tolist() == [-1.2, 1.0]


@pytest.mark.parametrize(("options", "status"), [({"max_iter": 3}, 1), ({"max_eval": 4}, 1)])
def test_limits_are_kept(options, status):
    result = minimize(rosenbrock, START, "lbfgs", **options)
    assert (result.success, result.status) == (False, status)
    assert result.nit <= 3 or result.nfev <= 5


def test_a_callback_ends_it():
    def stop(x, status):
        return status.iterations == 2

    def raise_stop(x, status):
        raise StopIteration

    assert minimize(rosenbrock, START, callback=stop).nit == 2
    result = minimize(rosenbrock, START, callback=raise_stop)
    assert (result.nit, result.status) == (1, 99)


def test_shapes_and_dtypes_are_those_of_the_start():
    x0 = torch.zeros(2, 3, dtype=torch.float32)
    result = minimize(lambda x: (x - 2).square().sum(), x0)
    assert result.x.shape == (2, 3)
    assert result.x.dtype == torch.float32
    torch.testing.assert_close(result.x, torch.full((2, 3), 2.0))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((rosenbrock, START, "bgfs"), {}, "method: 'bgfs' is not known; .*did you mean 'bfgs'"),
        ((rosenbrock, START), {"norm": 1}, "norm: must be 2 or math.inf, got 1"),
        ((rosenbrock, START), {"max_iter": 0}, "max_iter: must be at least 1, got 0"),
        ((rosenbrock, START), {"memory": 3}, "options: bfgs lacks one of memory"),
        ((lambda x: x.sum().item(), START), {}, "f: must return one number computed from x with torch, got float"),
        ((lambda x: x.sum().detach(), START), {}, "got a tensor without a graph"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        minimize(*arguments, **options)
