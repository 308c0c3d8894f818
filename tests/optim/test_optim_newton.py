"""Newton's method: rates, saddles, damping, resumption, refusals, and what never enters the parameters."""

import io
import itertools
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.optim.newton import EXACT_UP_TO, Newton
from seewhy.optim.newton_search import adapted

EVERY = [(c, d) for c in ("exact", "hessian", "gauss_newton") for d in (None, "line_search", "levenberg")]
GUARDED = [(c, d) for c, d in EVERY if d is not None]


def point(*values, dtype=torch.float64):
    return nn.Parameter(torch.tensor(values, dtype=dtype))


def rosenbrock(p):
    return 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2


def two_wells(p):
    return p[0] ** 2 - p[1] ** 2 + p[1] ** 4 / 4


def monkey(p):
    return p[0] ** 3 - 3 * p[0] * p[1] ** 2


def minimise(f, p, steps, **options):
    optimiser = Newton([p], **options)
    for _ in range(steps):
        optimiser.step(lambda: f(p))
        if optimiser.status.reason != "progress":
            break
    return optimiser


def regression(dtype=torch.float64, size=24):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)).to(dtype)
    random = torch.Generator().manual_seed(1)
    x = torch.randn(size, 3, generator=random).to(dtype)
    target = torch.stack([x[:, 0] * x[:, 1], (2 * x[:, 2]).sin()], dim=1)
    return net, x, target


def closure_for(net, x, target, curvature):
    def closure():
        outputs = net(x)
        loss = F.mse_loss(outputs, target)
        return (loss, outputs) if curvature == "gauss_newton" else loss

    return closure


def weights(net):
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()])


@pytest.mark.parametrize("damping", ["line_search", "levenberg"])
def test_rosenbrock_takes_as_many_iterations_as_published(damping):
    """Nocedal & Wright (2006), section 6.1: 21 from (-1.2, 1) to a gradient of 1e-5."""
    p = point(-1.2, 1.0)
    optimiser = minimise(rosenbrock, p, 30, gtol=1e-5, damping=damping)
    assert optimiser.status.reason == "converged"
    assert optimiser.status.iterations <= 21
    torch.testing.assert_close(p.detach(), torch.ones(2, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("curvature", ["exact", "hessian"])
def test_products_alone_solve_rosenbrock_too(curvature):
    optimiser = minimise(rosenbrock, point(-1.2, 1.0), 60, gtol=1e-5, curvature=curvature)
    assert optimiser.status.reason == "converged"


@pytest.mark.parametrize("damping", [None, "line_search"])
def test_the_error_is_squared_near_the_solution(damping):
    """The exponents log e(k+1) / log e(k) approach 2; the third derivatives do not vanish at the minimum."""

    def f(p):
        return p[0].exp() - p[0] + (p[1] - p[0]).exp() - (p[1] - p[0]) + 0.1 * p[0] ** 2 * p[1]

    p = point(0.7, -0.6)
    optimiser = Newton([p], damping=damping, gtol=0.0)
    errors = []
    for _ in range(9):
        errors.append(float(p.detach().norm()))
        optimiser.step(lambda: f(p))
    small = [e for e in errors if 1e-14 < e < 0.2]
    exponents = [math.log(b) / math.log(a) for a, b in itertools.pairwise(small)]
    assert len(exponents) >= 2
    assert all(1.8 < exponent < 3.0 for exponent in exponents), exponents
    assert errors[-1] < 1e-14


@pytest.mark.parametrize("curvature", ["exact", "hessian"])
def test_the_plain_step_on_a_quadratic_is_the_solution(curvature):
    A = torch.tensor([[3.0, 1.0], [1.0, 2.0]], dtype=torch.float64)
    b = torch.tensor([1.0, -4.0], dtype=torch.float64)
    p = point(5.0, 7.0)
    optimiser = Newton([p], damping=None, curvature=curvature, gtol=1e-10)
    loss = optimiser.step(lambda: 0.5 * p @ A @ p - b @ p)
    assert float(loss) == pytest.approx(0.5 * 3 * 25 + 35 + 49 - 5 + 28)  # where the step started
    if curvature == "exact":
        assert optimiser.status.reason == "converged"
    for _ in range(20):
        optimiser.step(lambda: 0.5 * p @ A @ p - b @ p)
    torch.testing.assert_close(p.detach(), torch.linalg.solve(A, b), atol=1e-8, rtol=0)


def test_lr_shortens_the_step():
    p = point(4.0, -2.0)
    Newton([p], damping=None, lr=0.25).step(lambda: (p**2).sum())
    torch.testing.assert_close(p.detach(), torch.tensor([3.0, -1.5], dtype=torch.float64))


@pytest.mark.parametrize(("curvature", "damping"), [pair for pair in GUARDED if pair[0] != "gauss_newton"])
@pytest.mark.parametrize("start", [(1.0, 0.0), (0.0, 0.0), (1.0, 1e-9), (-2.0, 0.5)])
def test_a_saddle_is_left_for_a_minimum(curvature, damping, start):
    p = point(*start)
    optimiser = minimise(two_wells, p, 60, curvature=curvature, damping=damping, gtol=1e-6)
    assert optimiser.status.reason == "converged"
    assert optimiser.status.value == pytest.approx(-1.0)
    assert p.abs().tolist() == pytest.approx([0.0, math.sqrt(2)], abs=1e-4)


def test_the_plain_method_is_drawn_to_the_saddle():
    p = point(1.0, 0.1)
    minimise(two_wells, p, 20, damping=None)
    torch.testing.assert_close(p.detach(), torch.zeros(2, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("curvature", "damping"), [pair for pair in GUARDED if pair[0] != "gauss_newton"])
@pytest.mark.parametrize("start", [(0.5, 0.0), (1e-3, 1e-3), (0.3, 0.1)])
def test_the_monkey_saddle_is_left(curvature, damping, start):
    p = point(*start)
    optimiser = Newton([p], curvature=curvature, damping=damping, gtol=1e-5)
    for _ in range(60):
        optimiser.step(lambda: monkey(p))
        assert p.isfinite().all()
        if optimiser.status.value < -1.0:
            break
    assert optimiser.status.value < -1.0


@pytest.mark.parametrize(("curvature", "damping"), EVERY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_is_fitted(curvature, damping, dtype):
    net, x, target = regression(dtype)
    closure = closure_for(net, x, target, curvature)
    optimiser = Newton(net.parameters(), curvature=curvature, damping=damping, lr=1.0 if damping else 0.1)
    first = None
    for _ in range(25):
        value = float(optimiser.step(closure))
        first = value if first is None else first
        assert weights(net).isfinite().all()
    if damping:
        assert optimiser.status.value < 0.2 * first
        loss = closure()[0] if curvature == "gauss_newton" else closure()
        assert optimiser.status.value == loss.item()
        gradient = torch.autograd.grad(loss, list(net.parameters()))
        norm = math.sqrt(sum(float((part.double() ** 2).sum()) for part in gradient))
        assert optimiser.status.gradient_norm == pytest.approx(norm, rel=1e-4)
        for p, part in zip(net.parameters(), gradient, strict=True):
            torch.testing.assert_close(p.grad, part)


def test_values_never_rise_with_a_guard():
    for curvature, damping in GUARDED:
        net, x, target = regression()
        optimiser = Newton(net.parameters(), curvature=curvature, damping=damping)
        values = [float(optimiser.step(closure_for(net, x, target, curvature))) for _ in range(12)]
        assert values == sorted(values, reverse=True), (curvature, damping)


def test_bfloat16_parameters_descend():
    net, x, target = regression(torch.bfloat16)
    optimiser = Newton(net.parameters(), curvature="gauss_newton", damping="levenberg")
    closure = closure_for(net, x, target, "gauss_newton")
    first = closure()[0].item()
    for _ in range(8):
        optimiser.step(closure)
    assert optimiser.status.value < 0.5 * first
    assert all(p.dtype == torch.bfloat16 for p in net.parameters())


def test_levenberg_follows_the_reduction_ratio():
    assert adapted(3.0, 0.9, 1.5) == 2.0
    assert adapted(3.0, 0.5, 1.5) == 3.0
    assert adapted(3.0, 0.1, 1.5) == 4.5
    assert adapted(3.0, math.nan, 1.5) == 4.5
    p = point(3.0, -2.0)
    optimiser = Newton([p], damping="levenberg", curvature="exact", levenberg=8.0)
    optimiser.step(lambda: (p**2).sum())  # H = 2 I: a step of -2 p / (2 + 8), and the model is exact
    torch.testing.assert_close(p.detach(), 0.8 * torch.tensor([3.0, -2.0], dtype=torch.float64))
    optimiser.step(lambda: (p**2).sum())
    torch.testing.assert_close(p.detach(), 0.4 * torch.tensor([3.0, -2.0], dtype=torch.float64))  # lambda = 2


def test_maximize_is_minimising_the_negative():
    for curvature in ("exact", "hessian"):
        for damping in (None, "line_search", "levenberg"):
            one, other = point(-1.2, 1.0), point(-1.2, 1.0)
            down = Newton([one], curvature=curvature, damping=damping)
            up = Newton([other], curvature=curvature, damping=damping, maximize=True)
            for _ in range(5):
                down.step(lambda one=one: rosenbrock(one))
                up.step(lambda other=other: -rosenbrock(other))
            assert torch.equal(one, other)
            assert up.status.value == -down.status.value


@pytest.mark.parametrize(("curvature", "damping"), EVERY)
def test_resumes_bit_equal(curvature, damping):
    def train(net, optimiser, steps):
        for _ in range(steps):
            optimiser.step(closure_for(net, x, target, curvature))

    options = {"curvature": curvature, "damping": damping, "lr": 1.0 if damping else 0.1}
    whole, x, target = regression(torch.float32)
    train(whole, Newton(whole.parameters(), **options), 6)
    half, _, _ = regression(torch.float32)
    optimiser = Newton(half.parameters(), **options)
    train(half, optimiser, 3)
    file = io.BytesIO()
    torch.save({"model": half.state_dict(), "optimizer": optimiser.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    resumed, _, _ = regression(torch.float32)
    resumed.load_state_dict(saved["model"])
    optimiser = Newton(resumed.parameters(), **options)
    optimiser.load_state_dict(saved["optimizer"])
    train(resumed, optimiser, 3)
    assert torch.equal(weights(whole), weights(resumed))


def test_a_resumed_warm_start_keeps_its_precision():
    net, x, target = regression(torch.bfloat16)
    optimiser = Newton(net.parameters(), curvature="gauss_newton", damping="levenberg")
    optimiser.step(closure_for(net, x, target, "gauss_newton"))
    other = Newton(net.parameters(), curvature="gauss_newton", damping="levenberg")
    other.load_state_dict(optimiser.state_dict())
    first, second = (o.state[net[0].weight]["solution"] for o in (optimiser, other))
    assert second.dtype == torch.float32
    assert torch.equal(first, second)


@pytest.mark.parametrize(("curvature", "damping"), EVERY)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("call", [0, 1, 2, 4])
def test_nothing_that_is_not_finite_enters_the_parameters(curvature, damping, bad, call):
    net, x, target = regression()
    honest = closure_for(net, x, target, curvature)
    calls = 0

    def closure():
        nonlocal calls
        result = honest()
        calls += 1
        if calls - 1 != call:
            return result
        return (result[0] * bad, result[1]) if curvature == "gauss_newton" else result * bad

    optimiser = Newton(net.parameters(), curvature=curvature, damping=damping)
    before, reasons = weights(net), []
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # such a closure is also not deterministic, which is said
            optimiser.step(closure)
        assert weights(net).isfinite().all()
        reasons.append(optimiser.status.reason)
        if calls == 1 and call == 0:
            assert reasons == ["not_finite"]
            assert torch.equal(weights(net), before)
            assert optimiser.status.iterations == 0


def test_a_place_from_which_everything_is_nan_is_kept():
    """sqrt has no value where the steps lead; the last good point stays."""
    p = point(1.0)
    optimiser = Newton([p], damping="line_search")
    optimiser.step(lambda: p.sum() if p.item() == 1.0 else p.sum() * math.nan)
    assert p.tolist() == [1.0]
    assert optimiser.status.reason == "line_search"
    assert optimiser.status.restarts == 1
    plain = Newton([p], damping=None, curvature="exact")
    plain.step(lambda: p.square().sum() if p.item() == 1.0 else p.sum() * math.nan)
    assert p.tolist() == [1.0]
    assert (plain.status.reason, plain.status.restarts) == ("line_search", 1)


def test_the_plain_method_follows_the_gradient_where_its_step_is_not_defined():
    p = point(1.0, 2.0)
    optimiser = Newton([p], damping=None, curvature="exact")
    optimiser.step(lambda: p[0] ** 2 + p[1])  # singular
    assert p.tolist() == [-1.0, 1.0]  # the gradient is (2, 1), and f falls from 3 to 2
    assert optimiser.status.restarts == 1


def test_a_closure_that_is_not_deterministic_is_told():
    p, calls = point(1.0, 2.0), []

    def closure():
        calls.append(0)
        return (p**2).sum() + 100.0 * len(calls)

    optimiser = Newton([p])
    with pytest.warns(RuntimeWarning, match="at the same parameters; a line search needs one function"):
        optimiser.step(closure)
    assert optimiser.status.reason == "not_deterministic"
    assert p.tolist() == [1.0, 2.0]


def test_frozen_shared_and_strided_parameters():
    shared, frozen = point(3.0, 4.0), nn.Parameter(torch.ones(2, dtype=torch.float64), requires_grad=False)
    strided = nn.Parameter(torch.ones(3, 2, dtype=torch.float64).T)
    optimiser = Newton([frozen, shared, strided], damping=None)
    optimiser.step(lambda: ((shared - frozen) ** 2).sum() + ((strided - 5) ** 2).sum())
    assert shared.tolist() == [1.0, 1.0]
    assert frozen.tolist() == [1.0, 1.0]
    torch.testing.assert_close(strided.detach(), torch.full((2, 3), 5.0, dtype=torch.float64))
    assert strided.stride() == (1, 2)


def test_the_curvature_follows_the_size():
    assert Newton([point(1.0)]).curvature == "exact"
    assert Newton([nn.Parameter(torch.zeros(EXACT_UP_TO + 1))]).curvature == "hessian"
    with pytest.raises(InputError, match="curvature: 'exact' holds a matrix of 10,001 x 10,001"):
        Newton([nn.Parameter(torch.zeros(10_001))], curvature="exact")


def test_wrong_closures_are_refused():
    p = point(1.0, 2.0)

    def backward():
        loss = (p**2).sum()
        loss.backward()
        return loss

    with pytest.raises(InputError, match="closure: must not call backward"):
        Newton([p]).step(backward)
    with pytest.raises(InputError, match=r"closure: Newton\.step evaluates the loss several times"):
        Newton([p]).step()
    with pytest.raises(InputError, match=r"closure: must return \(loss, outputs\)"):
        Newton([p], curvature="gauss_newton").step(lambda: (p**2).sum())
    with pytest.raises(InputError, match="closure: must return the loss alone"):
        Newton([p]).step(lambda: ((p**2).sum(), p))
    with pytest.raises(InputError, match="closure: must return the loss with its graph"):
        Newton([p]).step(lambda: (p.detach() ** 2).sum())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": "linesearch"}, "damping: 'linesearch' is not known; .* did you mean 'line_search'"),
        ({"curvature": "gauss"}, "curvature: 'gauss' is not known"),
        ({"lr": 0.0}, "lr: must be more than 0 and finite, got 0.0"),
        ({"max_cg": 0}, "max_cg: must be at least 1 and finite, got 0"),
        ({"gtol": -1.0}, "gtol: must be at least 0 and finite, got -1.0"),
        ({"levenberg": math.inf}, "levenberg: must be more than 0 and finite, got inf"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Newton([point(1.0)], **options)


def test_bad_parameters_and_half_precision_are_refused():
    with pytest.raises(InputError, match="params: must be one group, got 2"):
        Newton([{"params": [point(1.0)]}, {"params": [point(2.0)]}])
    with pytest.raises(InputError, match="params: must be real"):
        Newton([nn.Parameter(torch.ones(2, dtype=torch.complex64))])
    with pytest.raises(InputError, match=r"params: must be float32, float64 or bfloat16, got torch\.float16"):
        Newton([nn.Parameter(torch.ones(2, dtype=torch.float16))])
    table = nn.Embedding(4, 3, sparse=True)
    with pytest.raises(InputError, match="params: must have dense gradients"):
        Newton(table.parameters()).step(lambda: table(torch.tensor([1, 2])).square().sum())
    p = point(1.0)
    with torch.autocast("cpu", torch.float16), pytest.raises(InputError, match="autocast: must not be float16"):
        Newton([p]).step(lambda: (p**2).sum())


@pytest.mark.parametrize("curvature", ["exact", "hessian", "gauss_newton"])
@pytest.mark.parametrize("damping", [None, "line_search", "levenberg"])
@pytest.mark.parametrize("maximize", [False, True])
def test_on_gradient_is_called_once_a_step_before_anything_moves(curvature, damping, maximize):
    sign = -1 if maximize else 1
    x = nn.Parameter(torch.tensor([1.5, -0.5, 2.0]))
    optimiser = Newton([x], curvature=curvature, damping=damping, maximize=maximize)

    def closure():
        z = x**2
        loss = sign * (z.square().sum() + z.sum())
        return (loss, z) if curvature == "gauss_newton" else loss

    records = []
    for _ in range(3):
        before = x.detach().clone()
        optimiser.step(closure, lambda: records.append((x.detach().clone(), x.grad.clone())))
        ((at, gradient),) = records
        records.clear()
        assert torch.equal(at, before)
        torch.testing.assert_close(gradient, sign * (4 * before**3 + 2 * before))
        assert not torch.equal(x, before)


@pytest.mark.parametrize("start", [0.0, math.nan])
def test_on_gradient_is_called_where_the_step_leads_nowhere(start):
    x = nn.Parameter(torch.tensor([start]))
    optimiser, count = Newton([x]), []
    optimiser.step(lambda: x.square().sum(), lambda: count.append(x.grad.clone()))
    assert len(count) == 1
    assert optimiser.status.reason == ("converged" if start == 0 else "not_finite")


def test_watching_changes_nothing():
    ends = []
    for on_gradient in (None, lambda: None):
        x = nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
        optimiser = Newton([x], damping="levenberg")
        for _ in range(5):
            optimiser.step(lambda x=x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2, on_gradient)
        ends.append((x.detach(), optimiser.status))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]
