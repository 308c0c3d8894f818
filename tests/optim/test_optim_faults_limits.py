"""Faults that were found in use, one test for each kind: limits, copies, names, searches and what is no closure."""

import copy
import io
import itertools
import pickle

import pytest
import torch
from optim_faults import CLOSURES, METHODS, QUASI, START, beale, closure_for, himmelblau, point, rosenbrock
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim import BFGS, DFP, LBFGS, OPTIMISERS, Newton, build, minimize

# g: the most evaluations


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("f", [rosenbrock, himmelblau, beale, lambda x: x.square().sum().sqrt()])
def test_max_eval_is_never_exceeded(method, f):
    for most in (*range(1, 30), 50):
        calls = []

        def counted(x, calls=calls):
            calls.append(0)
            return f(x)

        result = minimize(counted, point(-1.2, 1.0), method, max_eval=most)
        assert len(calls) == result.nfev + result.nhev <= most
        assert result.fun == f(result.x).item()
        assert result.fun <= f(point(-1.2, 1.0)).item() or method == "newton"


@pytest.mark.parametrize("kind", [*QUASI.values(), Newton], ids=[*QUASI, "newton"])
def test_max_eval_of_a_step_is_never_exceeded(kind):
    for most in range(1, 12):
        x, calls = nn.Parameter(point(*START)), []
        optimizer = kind([x], max_eval=most)

        def f(w, calls=calls):
            calls.append(0)
            return rosenbrock(w)

        closure = closure_for("newton" if kind is Newton else "", optimizer, x, f)
        for _ in range(3):
            calls.clear()
            optimizer.step(closure)
            assert len(calls) <= most
            assert optimizer.status.value == rosenbrock(x).item()


# h: copies


def _by_torch(pair):
    file = io.BytesIO()
    torch.save(pair, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("name", OPTIMISERS.names())
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair)), _by_torch], ids=["copy", "pickle", "torch"]
)
def test_a_copy_goes_on_like_the_original(name, copied):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    inputs, target = torch.randn(12, 3, dtype=torch.float64), torch.randn(12, 2, dtype=torch.float64)
    optimizer = build(name, list(net.named_parameters()), lr=None if name in CLOSURES else 0.01)

    def advance(net, optimizer):
        def graph():
            outputs = net(inputs)
            loss = (outputs - target).square().mean()
            return (loss, outputs) if name == "hessian_free" else loss

        def closure():
            optimizer.zero_grad()
            loss = graph()
            loss.backward()
            return loss

        for _ in range(14):
            optimizer.step(graph if isinstance(optimizer, Newton) else closure)
        return torch.cat([p.detach().reshape(-1) for p in net.parameters()])

    before = advance(net, optimizer)
    other_net, other = copied((net, optimizer))
    assert torch.equal(torch.cat([p.detach().reshape(-1) for p in other_net.parameters()]), before)
    assert getattr(other, "status", None) == getattr(optimizer, "status", None)
    one, two = advance(net, optimizer), advance(other_net, other)
    assert torch.equal(one, two)
    assert not torch.equal(one, before)
    assert getattr(other, "status", None) == getattr(optimizer, "status", None)


# i: Newton evaluates a point once


@pytest.mark.parametrize("method", ["newton", "damped_newton"])
@pytest.mark.parametrize(("f", "start"), [(rosenbrock, START), (himmelblau, (3.5, 2.5)), (beale, (2.5, 0.4))])
def test_newton_evaluates_a_point_once(method, f, start):
    points = []

    def watched(x):
        points.append(tuple(x.detach().tolist()))
        return f(x)

    result = minimize(watched, point(*start), method, gtol=1e-8)
    assert result.success
    assert len(points) == len(set(points)) == result.nfev


@pytest.mark.parametrize("damping", [None, "line_search"])
def test_a_newton_step_evaluates_where_it_starts_and_where_it_ends(damping):
    """And once more at the first step of a search, which tells a random closure."""
    x, calls = nn.Parameter(point(3.0, 4.0)), []
    optimizer = Newton([x], damping=damping)
    for _ in range(3):
        optimizer.step(lambda: calls.append(0) or (x**4).sum())
    assert len(calls) == optimizer.status.evaluations == (6 if damping is None else 7)


# j: exact line search, and one meaning of a name


@pytest.mark.parametrize("method", ["bfgs", "dfp", "lbfgs", "gradient", "damped_newton"])
def test_exact_search_on_a_quadratic_is_the_closed_form(method):
    """lambda = -g'd / (d'H d): steepest descent with it, iterate by iterate, and n steps for the others."""
    torch.manual_seed(0)
    A = torch.randn(5, 5, dtype=torch.float64)
    H, b = A @ A.T + torch.eye(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    points = []
    result = minimize(
        lambda x: 0.5 * x @ H @ x - b @ x,
        torch.zeros(5, dtype=torch.float64),
        method,
        line_search="exact",
        gtol=1e-9,
        max_iter=5,
        callback=lambda x, status: points.append(x.clone()),
        **({"history": 5} if method == "lbfgs" else {}),
    )
    if method == "gradient":
        x = torch.zeros(5, dtype=torch.float64)
        for reached in points:
            g = H @ x - b
            x = x - (g @ g) / (g @ H @ g) * g
            torch.testing.assert_close(reached, x, rtol=1e-9, atol=1e-10)
        assert result.nfev == 1 + 2 * len(points)
    else:
        torch.testing.assert_close(result.x, torch.linalg.solve(H, b), rtol=1e-7, atol=1e-8)
    if method == "damped_newton":
        assert (result.nit, result.nfev) == (1, 2)


@pytest.mark.parametrize("method", ["bfgs", "dfp", "lbfgs", "gradient", "damped_newton"])
def test_exact_search_is_an_argmin_along_the_line(method):
    points = [point(*START)]
    minimize(
        rosenbrock,
        point(*START),
        method,
        line_search="exact",
        max_iter=4,
        callback=lambda x, status: points.append(x.clone()),
    )
    for before, after in itertools.pairwise(points):
        d = after - before
        x = after.clone().requires_grad_()
        slope = torch.autograd.grad(rosenbrock(x), x)[0] @ d
        x = before.clone().requires_grad_()
        assert abs(slope) <= 1e-6 * abs(torch.autograd.grad(rosenbrock(x), x)[0] @ d)


def test_damped_newton_is_the_same_in_minimize_and_in_training():
    x = nn.Parameter(point(*START))
    optimizer = build("damped_newton", [("x", x)])
    points = []
    minimize(rosenbrock, point(*START), "damped_newton", max_iter=6, callback=lambda x, _: points.append(x.clone()))
    for expected in points:
        optimizer.step(lambda: rosenbrock(x))
        assert torch.equal(x, expected)
    free = build("hessian_free", [("x", x)])
    assert (free.damping, free.curvature) == ("levenberg", "gauss_newton")


def test_exact_search_belongs_to_the_line_search_damping():
    with pytest.raises(InputError, match="line_search: must be 'backtracking' with damping='levenberg', got 'exact'"):
        Newton([nn.Parameter(point(1.0))], damping="levenberg", line_search="exact")


# k: raw errors


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("x0", "message"),
    [
        (torch.tensor([3, 4]), r"x0: must be of float32, float64 or bfloat16, got torch\.int64; write x0\.double\(\)"),
        (torch.tensor([True]), r"x0: must be of float32, .* got torch\.bool"),
        (torch.tensor([1j]), r"x0: must be of float32, .* got torch\.complex64"),
        (torch.ones(2, dtype=torch.float16), r"x0: must be of float32, .* got torch\.float16"),
        ([1.0, 2.0], r"x0: must be a torch\.Tensor, got 'list'"),
    ],
)
def test_starts_that_are_no_numbers_are_refused(method, x0, message):
    with pytest.raises(InputError, match=message):
        minimize(lambda x: x.square().sum(), x0, method)


@pytest.mark.parametrize("method", METHODS)
def test_compiled_functions_work_or_are_refused_by_name(method):
    compiled = torch.compile(rosenbrock, backend="aot_eager")
    if "newton" in method:
        with pytest.raises(InputError, match=r"closure: a function of torch\.compile has no second derivatives"):
            minimize(compiled, point(*START), method)
    else:
        result = minimize(compiled, point(*START), method, gtol=1e-3, max_iter=2000)
        assert result.fun < 1e-3
    torch._dynamo.reset()


@pytest.mark.parametrize("name", CLOSURES)
def test_gradient_scalers_are_refused_by_name(name):
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    x = nn.Parameter(torch.tensor(START))
    optimizer = build(name, [("x", x)])
    with pytest.raises(InputError, match="closure: must be a function without arguments, got GradScaler"):
        optimizer.step(scaler)
    closure = closure_for(name, optimizer, x, rosenbrock)
    scaler.scale(rosenbrock(x)).backward()
    with pytest.raises(InputError, match=r"GradScaler: .* without a scaler"):
        scaler.step(optimizer, closure)
    assert x.tolist() == pytest.approx(START)
    if not isinstance(optimizer, Newton):
        with pytest.raises(InputError, match="overlap: must be a function without arguments, got GradScaler"):
            optimizer.step(closure, scaler)


@pytest.mark.parametrize("kind", [BFGS, DFP, LBFGS], ids=["bfgs", "dfp", "lbfgs"])
def test_a_gradient_that_is_scaled_inside_the_closure_is_told(kind):
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    x = nn.Parameter(point(*START))
    optimizer = kind([x])

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(x)
        scaler.scale(loss).backward()
        return loss

    optimizer.step(closure)
    assert optimizer.status.reason == "wrong_gradient"
    assert "scaled (GradScaler)" in optimizer.status.message
    assert x.tolist() == pytest.approx(START)
