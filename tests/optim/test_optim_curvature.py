"""Curvature against matrices built entry by entry, and conjugate gradients against direct solvers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seewhy.core.errors import InputError
from seewhy.optim.curvature import (
    absolute_solve,
    conjugate_gradients,
    gauss_newton_product,
    gauss_newton_vector,
    hessian,
    hessian_matrix,
    hessian_product,
    hessian_vector,
    most_negative,
)

TOLERANCE = {torch.float32: 2e-4, torch.float64: 1e-11}
DTYPES = list(TOLERANCE)


def random(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def bumpy(x):
    """Indefinite, with every second derivative different from zero."""
    return (x.sin() * x.roll(1)).sum() + (x**2).sum() * x.cumsum(0).cos().sum() / 10


def network(dtype=torch.float64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3)).to(dtype)


def cross_entropy(dtype=torch.float64):
    net = network(dtype)
    outputs = net(random(7, 3, dtype=dtype))
    loss = F.cross_entropy(outputs, torch.tensor([0, 1, 2, 0, 1, 2, 0]))
    return net, outputs, loss


def as_functions(net):
    """The same network and loss as functions of one vector and of the outputs."""
    shapes = {name: p.shape for name, p in net.named_parameters()}

    def outputs(w):
        parts = w.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)}
        return torch.func.functional_call(net, weights, (random(7, 3, dtype=w.dtype),))

    def loss(z):
        return F.cross_entropy(z, torch.tensor([0, 1, 2, 0, 1, 2, 0]))

    w = torch.cat([p.detach().reshape(-1) for p in net.parameters()])
    return outputs, loss, w


def spectrum(*values, seed=0, dtype=torch.float64):
    """A symmetric matrix with these eigenvalues."""
    q = torch.linalg.qr(random(len(values), len(values), seed=seed))[0]
    return ((q * torch.tensor(values, dtype=torch.float64)) @ q.T).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_agree_with_autograds_hessian(dtype):
    x, v = random(6, dtype=dtype), random(6, seed=1, dtype=dtype)
    matrix = torch.autograd.functional.hessian(bumpy, x)
    assert torch.linalg.eigvalsh(matrix)[0] < 0 < torch.linalg.eigvalsh(matrix)[-1]
    torch.testing.assert_close(hessian(bumpy, x), matrix, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
    assert torch.equal(hessian(bumpy, x), hessian(bumpy, x).T)
    torch.testing.assert_close(hessian_vector(bumpy, x, v), matrix @ v, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_graphs_agree_with_autograds_hessian(dtype):
    net, _, loss = cross_entropy(dtype)
    outputs, inner, w = as_functions(net)
    matrix = torch.autograd.functional.hessian(lambda w: inner(outputs(w)), w)
    slope = torch.autograd.functional.jacobian(lambda w: inner(outputs(w)), w)
    v = random(len(w), seed=1, dtype=dtype)
    g, product = hessian_product(loss, list(net.parameters()))
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(g, slope, **close)
    torch.testing.assert_close(product(v), matrix @ v, **close)
    g, solution = hessian_matrix(loss, list(net.parameters()))
    torch.testing.assert_close(g, slope, **close)
    torch.testing.assert_close(solution, matrix, **close)
    assert product(v).dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_gauss_newton_is_the_product_of_its_three_factors(dtype):
    net, outputs, loss = cross_entropy(dtype)
    z, inner, w = as_functions(net)
    J = torch.autograd.functional.jacobian(z, w).reshape(21, -1)
    H = torch.autograd.functional.hessian(inner, z(w)).reshape(21, 21)
    v = random(len(w), seed=1, dtype=dtype)
    close = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    g, product = gauss_newton_product(loss, outputs, list(net.parameters()))
    torch.testing.assert_close(product(v), J.T @ (H @ (J @ v)), **close)
    torch.testing.assert_close(gauss_newton_vector(z, inner, w, v), J.T @ (H @ (J @ v)), **close)
    torch.testing.assert_close(g, torch.autograd.functional.jacobian(lambda w: inner(z(w)), w), **close)
    true = torch.autograd.functional.hessian(lambda w: inner(z(w)), w)
    assert (J.T @ H @ J - true).norm() > 0.05 * true.norm()  # the two products differ


def test_hessian_of_more_rows_than_are_differentiated_at_once():
    x = nn.Parameter(random(300))
    d = torch.arange(1.0, 301.0, dtype=torch.float64)
    _, matrix = hessian_matrix((d * x**4).sum() + (x[0] * x[299]), [x])
    expected = torch.diag(12 * d * x.detach() ** 2)
    expected[0, 299] = expected[299, 0] = 1.0
    torch.testing.assert_close(matrix, expected)


def test_unused_linear_and_shared_parameters():
    a, b, unused = (nn.Parameter(random(3, seed=k)) for k in range(3))
    matrices = [hessian_matrix(loss, [a, b, unused])[1] for loss in ((a * b).sum(), a.sum())]
    expected = torch.zeros(9, 9, dtype=torch.float64)
    expected[:3, 3:6] = expected[3:6, :3] = torch.eye(3)
    torch.testing.assert_close(matrices[0], expected)
    assert matrices[1].count_nonzero() == 0
    g, product = hessian_product(a.sum() + (b[0] + a[1]), [a, b, unused])
    assert g.tolist() == [1, 2, 1, 1, 0, 0, 0, 0, 0]
    assert product(torch.ones(9, dtype=torch.float64)).count_nonzero() == 0


def test_half_linear_losses():
    """One gradient is constant, the other has a graph."""
    a, b = nn.Parameter(random(2)), nn.Parameter(random(2, seed=1))
    _, product = hessian_product(a.sum() + (b**2).sum(), [a, b])
    assert product(torch.ones(4, dtype=torch.float64)).tolist() == [0, 0, 2, 2]


def test_closures_that_cannot_be_used_are_refused():
    x = nn.Parameter(random(3))
    spent = (x**2).sum()
    spent.backward()
    with pytest.raises(InputError, match="closure: must not call backward"):
        hessian_product(spent, [x])
    with pytest.raises(InputError, match="closure: must return the loss with its graph"):
        hessian_product((x**2).sum().detach(), [x])
    with pytest.raises(InputError, match="closure: must return the loss as a tensor of one number, got float"):
        hessian_matrix(1.5, [x])
    with pytest.raises(InputError, match=r"one number, got shape \(3,\)"):
        hessian_matrix(x**2, [x])
    with pytest.raises(InputError, match="the loss is computed from, got others"):
        gauss_newton_product((x**2).sum(), 2 * x, [x])
    with pytest.raises(InputError, match="closure: must return the outputs as a tensor with its graph"):
        gauss_newton_product((x**2).sum(), x.detach(), [x])


@pytest.mark.parametrize("dtype", DTYPES)
def test_conjugate_gradients_solve(dtype):
    A = spectrum(*torch.linspace(1, 50, 12).tolist(), dtype=dtype)
    b = random(12, dtype=dtype)
    solution = conjugate_gradients(lambda v: A @ v, b, max_iter=40, rtol=10 * torch.finfo(dtype).eps)
    assert solution.reason == "residual"
    close = {"rtol": 50 * TOLERANCE[dtype], "atol": 50 * TOLERANCE[dtype]}
    torch.testing.assert_close(solution.x, torch.linalg.solve(A, b), **close)
    assert solution.model == pytest.approx(float(-b @ torch.linalg.solve(A, b) / 2), rel=1e-4)


def test_conjugate_gradients_end_after_as_many_steps_as_there_are_eigenvalues():
    A = spectrum(1, 1, 1, 5, 5, 5, 9, 9)
    solution = conjugate_gradients(lambda v: A @ v, random(8), max_iter=40, rtol=1e-10)
    assert solution.iterations == 3


def test_a_good_start_and_a_good_preconditioner_save_iterations():
    d = torch.logspace(0, 4, 30, dtype=torch.float64)
    b, options = random(30), {"max_iter": 500, "rtol": 1e-8}
    plain = conjugate_gradients(lambda v: d * v, b, **options)
    assert plain.iterations > 20
    scaled = conjugate_gradients(lambda v: d * v, b, scale=d * (1 + 0.01 * random(30, seed=1)), **options)
    assert scaled.iterations < 12
    near = conjugate_gradients(lambda v: d * v, b, start=b / d * (1 + 1e-9), **options)
    assert near.iterations <= 1
    for solution in (scaled, near):
        torch.testing.assert_close(solution.x, b / d, rtol=1e-4, atol=1e-6)


def test_a_start_that_the_model_does_not_like_is_dropped():
    A, b = spectrum(1, 2, 3), random(3)
    bad = conjugate_gradients(lambda v: A @ v, b, start=-b, max_iter=2)
    torch.testing.assert_close(bad.x, conjugate_gradients(lambda v: A @ v, b, max_iter=2).x)


@pytest.mark.parametrize("seed", range(5))
def test_negative_curvature_is_met_and_measured(seed):
    A = spectrum(-0.5, 1, 2, 3, 4, 5, seed=seed)
    solution = conjugate_gradients(lambda v: A @ v, random(6, seed=seed + 10), max_iter=20, rtol=1e-12)
    assert solution.reason == "negative_curvature"
    d = solution.negative
    assert float(d @ A @ d) == pytest.approx(solution.curvature, rel=1e-9)
    assert solution.curvature < 0 < solution.slope
    if solution.iterations:
        assert solution.model < 0


def test_the_model_falls_along_the_iterates():
    A, b = spectrum(*torch.logspace(-3, 1, 40).tolist()), random(40)
    solution = conjugate_gradients(lambda v: A @ v, b, max_iter=35)
    assert solution.reason == "limit"
    models = [q for _, _, q in solution.iterates]
    assert models == pytest.approx([float(x @ A @ x / 2 - b @ x) for _, x, _ in solution.iterates])
    assert models == sorted(models, reverse=True)
    assert [i for i, _, _ in solution.iterates][:4] == [1, 2, 3, 4]
    assert solution.iterates[-1][0] == 35
    assert torch.equal(solution.iterates[-1][1], solution.x)


def test_relative_progress_stops_as_martens_says():
    """The rule written out over the models of all iterations, each from a run that ends there."""
    A, b = spectrum(*torch.logspace(-2, 1, 60).tolist()), random(60)
    models = [0.0] + [conjugate_gradients(lambda v: A @ v, b, max_iter=i).model for i in range(1, 60)]
    epsilon = 5e-3
    expected = next(
        i for i in range(1, 60)
        if i > max(10, 0.1 * i) and models[i] < 0 and (models[i] - models[i - 10]) / models[i] < 10 * epsilon
    )  # fmt: skip
    solution = conjugate_gradients(lambda v: A @ v, b, max_iter=60, progress=epsilon)
    assert (solution.reason, solution.iterations) == ("progress", expected)


def test_hidden_negative_curvature_is_found():
    """The gradient at a saddle shows none; a random vector does."""
    A = spectrum(-0.1, *range(1, 30))
    d, curvature = most_negative(lambda v: A @ v, random(30), max_iter=60)
    assert float(d.norm()) == pytest.approx(1.0)
    assert float(d @ A @ d) == pytest.approx(curvature, rel=1e-6)
    assert curvature < 0
    positive = spectrum(0.1, *range(1, 30))
    assert most_negative(lambda v: positive @ v, random(30), max_iter=60) is None
    assert most_negative(torch.zeros_like, random(30), max_iter=60) is None


@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_the_absolute_solve(damping):
    """Against the matrix function written out; where A is positive definite it is the plain solve."""
    g, eye = random(5), torch.eye(5, dtype=torch.float64)
    positive, indefinite = spectrum(0.5, 1, 2, 3, 4), spectrum(-3, -0.5, 1, 2, 4)
    torch.testing.assert_close(absolute_solve(positive, g, damping), -torch.linalg.solve(positive + damping * eye, g))
    absolute = spectrum(3, 0.5, 1, 2, 4) + damping * eye
    torch.testing.assert_close(absolute_solve(indefinite, g, damping), -torch.linalg.solve(absolute, g))
    assert float(g @ absolute_solve(indefinite, g, damping)) < 0
    torch.testing.assert_close(absolute_solve(0 * positive, g), -g)
    assert absolute_solve(spectrum(-1, 0, 0, 1, 2), g).isfinite().all()
