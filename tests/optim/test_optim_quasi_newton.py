"""BFGS, DFP and L-BFGS as torch optimisers: convergence, robustness, resume, refusals."""

import io
import math
import warnings

import pytest
import torch
from torch import nn

from seewhy.core.errors import InputError
from seewhy.optim import BFGS, DFP, LBFGS, strong_wolfe
from seewhy.optim.line_search import Search

KINDS = {"bfgs": BFGS, "dfp": DFP, "lbfgs": LBFGS}
each = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def rosenbrock(x):
    return (100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2).sum()


def closure_of(optimiser, loss):
    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    return closure


def quadratic(n, seed=0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, dtype=dtype, generator=rng)
    return A @ A.T + torch.eye(n, dtype=dtype), torch.randn(n, dtype=dtype, generator=rng)


def exact(H):
    """Return a search that goes to the minimum of a quadratic along the line."""

    def search(phi, value, slope, *, step, noise, max_eval, **_):
        _, slope_at = phi(step)
        best = step * slope / (slope - slope_at)
        value_best, slope_best = phi(best)
        return Search(best, value_best, slope_best, 2, "met")

    return search


@each
def test_n_steps_end_an_n_dimensional_quadratic_with_exact_search(kind):
    H, b = quadratic(6)
    x = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    options = {"history": 6} if kind is LBFGS else {}
    optimiser = kind([x], line_search=exact(H), max_iter=6, gtol=0.0, **options)
    optimiser.step(closure_of(optimiser, lambda: 0.5 * x @ H @ x - b @ x))
    torch.testing.assert_close(x.detach(), torch.linalg.solve(H, b), rtol=1e-7, atol=1e-8)
    assert optimiser.status.iterations == 6


@each
def test_steps_meet_the_strong_wolfe_conditions(kind):
    searches = []

    def watched(phi, value, slope, **options):
        result = strong_wolfe(phi, value, slope, **options)
        searches.append((result, value, slope))
        return result

    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = kind([x], line_search=watched, max_iter=30)
    optimiser.step(closure_of(optimiser, lambda: rosenbrock(x)))
    assert len(searches) > 20
    for result, value, slope in searches:
        assert result.met
        assert result.value <= value + 1e-4 * result.step * slope + 1e-12
        assert abs(result.slope) <= 0.9 * -slope


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_minimise_in_every_precision(kind, dtype):
    H, b = quadratic(8, dtype=dtype)
    x = nn.Parameter(torch.zeros(8, dtype=dtype))
    optimiser = kind([x], max_iter=100, gtol=1e-5 if dtype == torch.float32 else 1e-9)
    optimiser.step(closure_of(optimiser, lambda: 0.5 * x @ H @ x - b @ x))
    torch.testing.assert_close(
        x.detach(), torch.linalg.solve(H, b), rtol=1e-3 if dtype == torch.float32 else 1e-7, atol=1e-4
    )
    assert optimiser.status.reason in ("converged", "precision")


def test_history_is_float32_where_weights_are_bf16_or_where_asked_for():
    x = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    optimiser = LBFGS([x], max_iter=10)
    optimiser.step(closure_of(optimiser, lambda: (x.float() - 3).square().sum()))
    assert (x.float() - 3).abs().max() < 0.02
    assert optimiser.state_dict()["quasi_newton"]["memory"]["S"].dtype == torch.float32
    y = nn.Parameter(torch.ones(4, dtype=torch.float64))
    optimiser = LBFGS([y], max_iter=50, history_dtype=torch.float32)
    optimiser.step(closure_of(optimiser, lambda: (y - 3).pow(4).sum() + (y - 3).square().sum()))
    assert (y - 3).abs().max() < 1e-7
    assert optimiser.state_dict()["quasi_newton"]["memory"]["S"].dtype == torch.float32


@each
def test_maximising_is_minimising_the_negative(kind):
    ends = []
    for sign in (1, -1):
        x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        optimiser = kind([x], maximize=sign < 0, max_iter=12)
        optimiser.step(closure_of(optimiser, lambda x=x, sign=sign: sign * rosenbrock(x)))
        ends.append(x.detach().clone())
        assert optimiser.status.value == pytest.approx(sign * rosenbrock(x).item())
    assert torch.equal(*ends)


@each
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("when", [1, 2, 3, 7, 12])
def test_what_is_not_finite_never_enters_the_parameters(kind, bad, when):
    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = kind([x], max_iter=1)
    count = 0

    def loss():
        nonlocal count
        count += 1
        return rosenbrock(x) * (bad if count == when else 1.0)

    before = rosenbrock(x).item()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # such a closure is also not deterministic, which is said
        for _ in range(12):
            optimiser.step(closure_of(optimiser, loss))
            assert torch.isfinite(x).all()
            assert rosenbrock(x).item() <= before + 1e-12
            before = rosenbrock(x).item()
    assert before < 24.2


@each
def test_a_start_that_is_not_finite_is_left_as_it_is(kind):
    x = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimiser = kind([x])
    optimiser.step(closure_of(optimiser, lambda: (x * math.nan).sum()))
    assert x.tolist() == [1.0, 2.0]
    assert optimiser.status.reason == "not_finite"
    assert "not finite" in optimiser.status.message


@each
def test_a_closure_that_is_not_one_function_is_reported(kind):
    torch.manual_seed(0)
    x = nn.Parameter(torch.ones(3))
    optimiser = kind([x])
    with pytest.warns(RuntimeWarning, match="at the same parameters; a line search needs one function"):
        optimiser.step(closure_of(optimiser, lambda: (x * torch.rand(3)).square().sum()))
    assert optimiser.status.reason == "not_deterministic"
    assert x.tolist() == [1.0] * 3


@each
def test_a_gradient_that_lies_ends_the_search_with_a_reason(kind):
    x = nn.Parameter(torch.ones(2, dtype=torch.float64))
    optimiser = kind([x], max_iter=5)

    def closure():
        x.grad = torch.tensor([-1.0, -1.0], dtype=torch.float64)  # uphill
        return x.square().sum().detach()

    optimiser.step(closure)
    assert optimiser.status.reason == "line_search"
    assert x.tolist() == [1.0, 1.0]


@each
def test_resume_is_equal_to_the_bit(kind):
    def run(x, optimiser, steps):
        for _ in range(steps):
            optimiser.step(closure_of(optimiser, lambda: rosenbrock(x)))

    start = torch.tensor([-1.2, 1.0, 0.5, -0.3], dtype=torch.float64)
    whole = nn.Parameter(start.clone())
    run(whole, kind([whole], max_iter=3), 8)
    half = nn.Parameter(start.clone())
    optimiser = kind([half], max_iter=3)
    run(half, optimiser, 4)
    file = io.BytesIO()
    torch.save(optimiser.state_dict(), file)
    file.seek(0)
    resumed = nn.Parameter(half.detach().clone())
    other = kind([resumed], max_iter=3)
    other.load_state_dict(torch.load(file, weights_only=True))
    run(resumed, other, 4)
    assert torch.equal(whole, resumed)
    with pytest.raises(InputError, match="state_dict: must come from"):
        other.load_state_dict(torch.optim.SGD([resumed], lr=1.0).state_dict())


@each
def test_parameters_of_every_kind(kind):
    """Not contiguous, shared, frozen, unused, and a view into a larger tensor: each moves as it should."""
    big = torch.arange(12, dtype=torch.float64).view(3, 4)
    strided = nn.Parameter(big.t())
    shared = nn.Parameter(torch.ones(2, dtype=torch.float64))
    frozen = nn.Parameter(torch.ones(2, dtype=torch.float64), requires_grad=False)
    unused = nn.Parameter(torch.ones(2, dtype=torch.float64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says that a parameter is listed twice
        optimiser = kind([strided, shared, shared, frozen, unused], max_iter=60)
    optimiser.step(closure_of(optimiser, lambda: (strided - 1).square().sum() + (shared * frozen - 4).square().sum()))
    torch.testing.assert_close(strided.detach(), torch.ones(4, 3, dtype=torch.float64), rtol=0, atol=1e-6)
    torch.testing.assert_close(shared.detach(), torch.full((2,), 4.0, dtype=torch.float64), rtol=0, atol=1e-6)
    assert frozen.tolist() == unused.tolist() == [1.0, 1.0]


@each
def test_status_tells_what_was_done(kind):
    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = kind([x], max_iter=4)
    assert math.isnan(optimiser.status.value)
    calls = []

    def loss():
        calls.append(1)
        return rosenbrock(x)

    first = optimiser.step(closure_of(optimiser, loss))
    status = optimiser.status
    assert first.item() == pytest.approx(24.2)
    assert status.value == pytest.approx(rosenbrock(x).item())
    assert status.gradient_norm == pytest.approx(float(x.grad.norm()))
    assert status.gradient_max == pytest.approx(float(x.grad.abs().max()))
    assert status.evaluations == len(calls)
    assert status.iterations == 4
    assert status.reason == "progress"
    assert status.goes_on
    if kind is not DFP:  # which would take thousands
        optimiser.param_groups[0]["max_iter"] = 100
        optimiser.step(closure_of(optimiser, loss))
        assert optimiser.status.reason == "converged"
        assert not optimiser.status.goes_on


def test_the_most_evaluations_are_kept():
    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = LBFGS([x], max_eval=7)
    calls = []

    def loss():
        calls.append(1)
        return rosenbrock(x)

    optimiser.step(closure_of(optimiser, loss))
    assert len(calls) <= 8
    assert optimiser.status.reason == "max_eval"


def test_gradient_clipping_and_no_grad_habits():
    x = nn.Parameter(torch.full((3,), 5.0))
    optimiser = LBFGS([x], max_iter=40)

    def closure():
        optimiser.zero_grad()
        loss = x.square().sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([x], 1e6)
        return loss

    with torch.no_grad():
        optimiser.step(closure)
    assert x.abs().max() < 1e-3


def test_multi_batch_pairs_come_from_the_overlap():
    torch.manual_seed(0)
    target = torch.randn(6, dtype=torch.float64)
    w = nn.Parameter(torch.zeros(6, dtype=torch.float64))
    optimiser = LBFGS([w], history=5)
    data = torch.randn(4000, 6, dtype=torch.float64)
    answers = data @ target + 0.1 * torch.randn(4000, dtype=torch.float64)

    def over(rows):
        return closure_of(optimiser, lambda: (data[rows] @ w - answers[rows]).square().mean())

    for step in range(30):
        rows = torch.randperm(4000, generator=torch.Generator().manual_seed(step))[:400]
        optimiser.step(over(rows), over(rows[200:]))
    assert (w - target).norm() < 0.05
    assert optimiser.status.iterations == 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LBFGS([nn.Parameter(torch.zeros(2, dtype=torch.complex64))]), "complex"),
        (lambda: LBFGS([nn.Parameter(torch.zeros(2, dtype=torch.float16))]), "float16"),
        (
            lambda: LBFGS([{"params": [nn.Parameter(torch.zeros(2))], "lr": 0.1}]),
            "groups cannot have options of their own",
        ),
        (lambda: LBFGS([nn.Parameter(torch.zeros(2))], history=0), "history: must be at least 1, got 0"),
        (lambda: LBFGS([nn.Parameter(torch.zeros(2))], lr=0.0), "lr: must be more than 0 and finite, got 0"),
        (lambda: LBFGS([nn.Parameter(torch.zeros(2))], line_search="wolfe"), "line_search: 'wolfe' is not known"),
        (lambda: BFGS([nn.Parameter(torch.zeros(300, 300))]), "at most 40,000 parameters, got 90,000; use LBFGS"),
        (lambda: BFGS([nn.Parameter(torch.zeros(2))], D0=torch.eye(3)), "D0: must be of shape"),
        (lambda: LBFGS([nn.Parameter(torch.zeros(2))]).step(), "closure: LBFGS.step evaluates the loss several times"),
        (lambda: LBFGS(nn.Parameter(torch.zeros(2))), "params: must be a list of parameters, got one tensor"),
        (lambda: LBFGS([]), "empty parameter list|at least one parameter"),
    ],
)
def test_what_they_cannot_take_is_refused(make, message):
    with pytest.raises((InputError, ValueError), match=message):
        make()


def test_sparse_gradients_and_half_autocast_are_refused_by_name():
    table = nn.Embedding(4, 3, sparse=True)
    optimiser = LBFGS(table.parameters())
    with pytest.raises(InputError, match="sparse"):
        optimiser.step(closure_of(optimiser, lambda: table(torch.tensor([1, 2])).sum()))
    x = nn.Parameter(torch.zeros(2))
    optimiser = LBFGS([x])
    with torch.autocast("cpu", torch.float16), pytest.raises(InputError, match="autocast: fp16 loses"):
        optimiser.step(closure_of(optimiser, lambda: x.square().sum()))
    with pytest.raises(InputError, match="closure: must return the loss as one number"):
        optimiser.step(lambda: x.detach())


def test_a_second_group_is_refused():
    optimiser = LBFGS([nn.Parameter(torch.zeros(2))])
    with pytest.raises(InputError, match="LBFGS moves all parameters together, got a second group"):
        optimiser.add_param_group({"params": [nn.Parameter(torch.zeros(2))]})


def test_a_direction_orthogonal_to_the_gradient_clears_a_limited_memory():
    """Powell's badly scaled function leads L-BFGS to angles whose cosines are lost in rounding; 219 evaluations go by without a new start."""

    def f(x):
        return (1e4 * x[0] * x[1] - 1) ** 2 + (torch.exp(-x[0]) + torch.exp(-x[1]) - 1.0001) ** 2

    x = nn.Parameter(torch.tensor([0.0, 1.0], dtype=torch.float64))
    optimiser = LBFGS([x], max_iter=500, gtol=1e-5)
    optimiser.step(closure_of(optimiser, lambda: f(x)))
    assert optimiser.status.reason == "converged"
    assert optimiser.status.restarts > 0
    assert optimiser.status.evaluations < 150


@each
@pytest.mark.parametrize("line_search", ["strong_wolfe", "backtracking", "none"])
@pytest.mark.parametrize("maximize", [False, True])
def test_on_gradient_is_called_once_a_step_before_anything_moves(kind, line_search, maximize):
    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = kind(
        [x], line_search=line_search, lr=1.0 if line_search != "none" else 0.1, max_iter=3, maximize=maximize
    )
    sign = -1 if maximize else 1
    records = []

    def observe():
        records.append((x.detach().clone(), x.grad.clone()))

    for _ in range(4):
        before = x.detach().clone()
        optimiser.step(closure_of(optimiser, lambda: sign * rosenbrock(x)), on_gradient=observe)
        at, gradient = records.pop()
        assert not records
        assert torch.equal(at, before)
        point = before.clone().requires_grad_()
        torch.testing.assert_close(gradient, torch.autograd.grad(sign * rosenbrock(point), point)[0], rtol=0, atol=0)
        assert not torch.equal(x, before)


@each
def test_on_gradient_is_given_the_gradient_of_a_known_start_too(kind):
    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    unused = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimiser = kind([x, unused], max_iter=1)
    closure = closure_of(optimiser, lambda: rosenbrock(x))
    optimiser.step(closure, fresh=False)
    count, gradients = optimiser.status.evaluations, []
    point = x.detach().clone().requires_grad_()
    optimiser.zero_grad()
    optimiser.step(
        closure, on_gradient=lambda: gradients.append((x.grad.clone(), optimiser.status.evaluations)), fresh=False
    )
    ((gradient, evaluations),) = gradients
    assert evaluations == count
    torch.testing.assert_close(gradient, torch.autograd.grad(rosenbrock(point), point)[0])


def test_on_gradient_is_given_the_gradient_of_the_batch_not_of_the_overlap():
    w = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    optimiser, gradients = LBFGS([w]), []
    batch = closure_of(optimiser, lambda: (w * torch.tensor([3.0, 1.0])).square().sum())
    overlap = closure_of(optimiser, lambda: (w * torch.tensor([3.0, 1.5])).square().sum())
    optimiser.step(batch, overlap, lambda: gradients.append(w.grad.clone()))
    assert [gradient.tolist() for gradient in gradients] == [[18.0, 4.0]]


@each
def test_watching_changes_nothing(kind):
    ends = []
    for on_gradient in (None, lambda: None):
        x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        optimiser = kind([x], max_iter=2)
        for _ in range(4):
            optimiser.step(closure_of(optimiser, lambda x=x: rosenbrock(x)), on_gradient=on_gradient)
        ends.append((x.detach(), optimiser.status))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@each
def test_constants_of_the_search_are_options(kind):
    constants = []

    def watched(phi, value, slope, **options):
        constants.append((options["c1"], options["c2"]))
        return strong_wolfe(phi, value, slope, **options)

    x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimiser = kind([x], line_search=watched, c1=1e-3, c2=0.1, max_iter=5)
    optimiser.step(closure_of(optimiser, lambda: rosenbrock(x)))
    assert set(constants) == {(1e-3, 0.1)}
    counts = []
    for c2 in (0.9, 0.01):
        x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        optimiser = kind([x], c2=c2, max_iter=10)
        optimiser.step(closure_of(optimiser, lambda x=x: rosenbrock(x)))
        counts.append(optimiser.status.evaluations / optimiser.status.iterations)
    assert counts[1] > counts[0]  # nearly exact searches evaluate more often


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"c1": 0.0}, r"c1: must be more than 0 and less than 1, got 0\.0"),
        ({"c2": 1.0}, r"c2: must be more than c1, 0\.0001, and less than 1, got 1\.0"),
        ({"c1": 0.5, "c2": 0.4}, r"c2: must be more than c1, 0\.5, and less than 1, got 0\.4"),
    ],
)
def test_constants_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        BFGS([nn.Parameter(torch.zeros(2))], **options)
