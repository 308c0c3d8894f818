"""Quasi-Newton methods on the problems of More, Garbow & Hillstrom (1981), and on the quadratic that distinguishes BFGS from DFP."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seewhy.optim import BFGS, DFP, minimize


def _problems():
    path = Path(__file__).parents[2] / "benchmarks" / "problems.py"
    spec = importlib.util.spec_from_file_location("benchmark_problems", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return {problem.name: problem for problem in module.PROBLEMS}


PROBLEMS = _problems()

ZEROS = {
    "helical valley": (1, 0, 0),
    "Biggs EXP6": (1, 10, 1, 5, 4, 3),
    "Powell badly scaled": (1.09815932969981e-5, 9.10614673986632),
    "Box three-dimensional": (1, 10, 1),
    "variably dimensioned": (1,) * 10,
    "Brown badly scaled": (1e6, 2e-6),
    "Gulf": (50, 25, 1.5),
    "trigonometric": (0,) * 10,
    "extended Rosenbrock": (1,) * 10,
    "extended Powell singular": (0,) * 12,
    "Beale": (3, 0.5),
    "Wood": (1,) * 4,
}
"""Where the paper has f = 0."""

LEAST = {
    "Biggs EXP6": 5.65565e-3,  # where the paper has a local minimum, and the Hessian an eigenvalue of -0.0098: a saddle
    "Gaussian": 1.12793e-8,
    "Watson": 1.39976e-6,
    "penalty I": 7.08765e-5,
    "penalty II": 2.93660e-4,
    "Brown and Dennis": 85822.2,
    "trigonometric": 2.79506e-5,  # local
    "Chebyquad": 3.51687e-3,
}
"""The paper's minima where they are not 0, and two local ones that it lists."""


def test_there_are_eighteen_with_the_papers_minima():
    assert len(PROBLEMS) == 18
    assert set(PROBLEMS) == set(ZEROS) | set(LEAST)
    for name, x in ZEROS.items():
        x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = PROBLEMS[name].value(x)
        assert value.item() < 1e-19, name
        assert len(x) == len(PROBLEMS[name].start), name


@pytest.mark.parametrize("method", ["bfgs", "lbfgs"])
@pytest.mark.parametrize("name", PROBLEMS)
def test_they_are_solved_from_the_standard_start(name, method):
    problem = PROBLEMS[name]
    result = minimize(problem.value, problem.from_start(1.0), method, gtol=1e-7)
    saddle = name == "Biggs EXP6" and result.status == 5
    assert result.success or saddle or result.message.startswith("The value cannot fall further"), result.message
    known = [0.0] if name in ZEROS else []
    known += [LEAST[name]] if name in LEAST else []
    assert min(abs(result.fun - value) / max(value, 1e-3) for value in known) < 1e-4, result.fun


def _angles(k, method, degrees):
    """Return the most steps that 1/2 |x|^2 takes to |x| <= 1e-4 from B0 = diag(1, 10^k) and points on the unit circle."""
    D0 = torch.diag(torch.tensor([1.0, 10.0**-k], dtype=torch.float64))
    counts = []
    for degree in degrees:
        angle = torch.tensor(math.radians(degree), dtype=torch.float64)
        start = torch.stack([angle.cos(), angle.sin()])
        options = {"D0": D0, "line_search": "none", "gtol": 1e-4, "norm": 2, "max_iter": 20_000}
        result = minimize(lambda x: 0.5 * x.square().sum(), start, method, **options)
        assert result.success
        counts.append(result.nit)
    return max(counts)


@pytest.mark.parametrize(("k", "most"), [(1, 8), (2, 10), (3, 12), (4, 15)])
def test_bfgs_corrects_a_bad_matrix(k, most):
    """The 45 angles are the odd degrees below 90 (Powell 1986; Byrd, Nocedal & Yuan 1987: unit steps, a quadratic)."""
    assert _angles(k, "bfgs", range(1, 90, 2)) == most


@pytest.mark.parametrize(("k", "degrees", "most"), [(1, range(1, 90, 2), 16), (2, [85], 106), (3, [87], 855)])
def test_dfp_hardly_does(k, degrees, most):
    """The same, for k = 2 and 3 from the worst of the angles alone; k = 4 takes 8,188 steps from 89 degrees."""
    assert _angles(k, "dfp", degrees) == pytest.approx(most, abs=max(1, most // 100))


@given(st.integers(0, 10**6), st.integers(1, 7), st.sampled_from([BFGS, DFP]), st.booleans())
@settings(deadline=None, max_examples=25)
def test_every_accepted_pair_leaves_a_definite_matrix_that_maps_y_to_s(seed, n, kind, scaled):
    """On f = 1/2 x'Hx + 1/4 sum x^4 from a random point, H indefinite: pairs without curvature have to be left out."""
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, dtype=torch.float64, generator=rng)
    D0 = None if scaled else torch.eye(n, dtype=torch.float64)
    x = nn.Parameter(torch.randn(n, dtype=torch.float64, generator=rng))
    optimiser = kind([x], max_iter=1, D0=D0)

    def closure():
        optimiser.zero_grad()
        loss = 0.5 * x @ (A + A.T) @ x + 0.25 * x.pow(4).sum()
        loss.backward()
        return loss

    for _ in range(15):
        loss, before = closure(), x.detach().clone()
        g, skipped, restarts = x.grad.clone(), optimiser.status.skipped_pairs, optimiser.status.restarts
        optimiser.step(closure)
        status = optimiser.status
        D = optimiser.state_dict()["quasi_newton"]["memory"]["D"]
        if not status.step_length or D is None:
            break
        assert status.value <= loss.item() + 1e-12
        assert torch.equal(D, D.T)
        spectrum = torch.linalg.eigvalsh(D)
        assert spectrum[0] > -1e-12 * spectrum[-1]
        if status.skipped_pairs == skipped and status.restarts == restarts:
            s, y = x.detach() - before, x.grad - g
            rounding = 1e-12 * spectrum[-1] * y.norm()
            assert (D @ y - s).norm() <= 1e-6 * s.norm() + rounding
