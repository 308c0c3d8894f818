"""BFGS's matrix where no start is given: against the formulas, at any scale, and how many evaluations that takes."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from seewhy.optim import BFGS, minimize
from seewhy.optim.dense import FIRST, Dense
from seewhy.optim.updates import Change, bfgs
from seewhy.optim.vectors import EMPTY


def _scaled():
    path = Path(__file__).parents[2] / "benchmarks" / "problems.py"
    spec = importlib.util.spec_from_file_location("benchmark_problems_scaled", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return {problem.name: problem for problem in module.SCALED}


SCALED = _scaled()
SCIPY = {
    "quadratic, 1 to 1e6": 70,
    "rotated quadratic, 1 to 1e6": 74,
    "quadratic, 1e-6 to 1": 248,
    "rotated quadratic, 1e-6 to 1": 198,
    "quadratic, 1e-2 to 1e2": 95,
    "chained Wood, n = 100": 790,
}
"""Evaluations of SciPy 1.17.1's BFGS."""


@pytest.mark.parametrize("name", SCIPY)
def test_evaluations_where_scales_differ_are_about_scipys_or_fewer(name):
    problem = SCALED[name]
    result = minimize(problem.value, problem.from_start(1.0), "bfgs", max_iter=1000)
    assert result.success
    assert result.nfev <= 1.1 * SCIPY[name]


@pytest.mark.parametrize("power", [-40, -10, 10, 40])
def test_the_matrix_follows_the_scale_of_the_function(power):
    """f and 2^k f have the same iterates, to the bit, once the first step's length is the same."""
    problem, ends = SCALED["quadratic, 1e-2 to 1e2"], []
    for factor in (1.0, 2.0**power):
        x = nn.Parameter(problem.from_start(1.0))
        optimizer = BFGS([x], max_iter=20, gtol=0.0, lr=1.0)
        memory = optimizer._memory
        size = factor * problem.value(x).item()
        g = torch.autograd.grad(factor * problem.value(x), x)[0]
        optimizer._predicted = 1e-3 * size * float(g.square().sum()) / float(g.square().sum())

        def closure(x=x, optimizer=optimizer, factor=factor):
            optimizer.zero_grad()
            loss = factor * problem.value(x)
            loss.backward()
            return loss

        optimizer.step(closure)
        ends.append((x.detach().clone(), memory.product(torch.ones_like(x)).detach() * factor))
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)


def _pairs(n, seed=0):
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, dtype=torch.float64, generator=rng)
    H = A @ A.T + 0.01 * torch.eye(n, dtype=torch.float64)
    for s in torch.randn(n + 3, n, dtype=torch.float64, generator=rng):
        yield s, H @ s


def _matrix(memory, n):
    return torch.stack([memory.product(unit) for unit in torch.eye(n, dtype=torch.float64)])


@pytest.mark.parametrize("excess", [0.5, 3.0])
def test_it_is_the_formula(excess):
    """The twin keeps D and P as matrices, and changes D by the difference of gamma."""
    n = 7
    memory = Dense(n, bfgs, dtype=torch.float64, device=torch.device("cpu"))
    identity = torch.eye(n, dtype=torch.float64)
    D, gamma, seen = None, 0.0, torch.zeros(n, 0, dtype=torch.float64)
    for s, y in _pairs(n):
        for buffer, value in zip(memory.buffers(), (s, y), strict=True):
            buffer.copy_(value)
        memory.update(Change(y, EMPTY, EMPTY, excess=excess))
        if D is None:
            gamma = FIRST * float(s @ s / (s @ y))
            D = gamma * identity
        elif excess > 1.0:
            D, gamma = excess * D, excess * gamma
        V = identity - torch.outer(y, s) / (s @ y)
        D = V.T @ D @ V + torch.outer(s, s) / (s @ y)
        if seen.shape[1] < n:
            q = y - seen @ torch.linalg.lstsq(seen, y[:, None]).solution.squeeze(1) if seen.shape[1] else y
            seen = torch.cat([seen, y[:, None]], 1)
            Q = torch.linalg.qr(seen)[0]
            larger = max(gamma, float(s @ q / (q @ q)))
            D = D + (larger - gamma) * (identity - Q @ Q.T)
            gamma = larger
        torch.testing.assert_close(_matrix(memory, n), D, rtol=1e-7, atol=1e-9 * float(D.abs().max()))
        torch.testing.assert_close(memory.product(y), s, rtol=1e-6, atol=1e-8)
    assert memory.basis is None


def test_a_noisy_pair_says_nothing_of_other_directions():
    memory = Dense(4, bfgs, dtype=torch.float64, device=torch.device("cpu"))
    for s, y in list(_pairs(4))[:2]:
        for buffer, value in zip(memory.buffers(), (s, y), strict=True):
            buffer.copy_(value)
        memory.update(Change(y, EMPTY, EMPTY))
    assert memory.basis is None
    assert memory.gamma == 0.0


def test_state_holds_the_basis():
    memory, other = (Dense(9, bfgs, dtype=torch.float64, device=torch.device("cpu")) for _ in range(2))
    for s, y in list(_pairs(9))[:4]:
        for buffer, value in zip(memory.buffers(), (s, y), strict=True):
            buffer.copy_(value)
        memory.update(Change(y, EMPTY, EMPTY, excess=1.0))
    other.load(memory.state())
    v = torch.arange(9, dtype=torch.float64)
    assert torch.equal(other.product(v), memory.product(v))
    memory.clear()
    assert memory.empty
    assert torch.equal(memory.product(v), v)


@pytest.mark.parametrize("method", ["bfgs", "lbfgs"])
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_functions_of_any_size_are_minimised_alike(method, factor):
    """A first pair is judged by the change of slope: beside D = I, the curvature of a small function is nothing at all."""
    result = minimize(
        lambda x: factor * (100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2),
        torch.tensor([-1.2, 1.0], dtype=torch.float64),
        method,
        gtol=1e-6 * factor,
    )
    assert result.success
    assert result.nfev < 90
