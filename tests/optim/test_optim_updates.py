"""Quasi-Newton updates as algebra: the secant condition, definiteness, duality, and the compact form against the two loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.optim import vectors
from seewhy.optim.dense import Dense
from seewhy.optim.pairs import Pairs, two_loop
from seewhy.optim.updates import Change, bfgs, damped, dfp

seeds = st.integers(0, 10**6)
quiet = settings(deadline=None)


def definite(n, rng):
    A = torch.randn(n, n, dtype=torch.float64, generator=rng)
    square = A @ A.T + 0.1 * torch.eye(n, dtype=torch.float64)
    return (square + square.T) / 2


def pair(n, seed):
    rng = torch.Generator().manual_seed(seed)
    D, H = definite(n, rng), definite(n, rng)
    s = torch.randn(n, dtype=torch.float64, generator=rng)
    return D, s, H @ s


def projections(memory, g):
    products = memory.project(g)
    return np.empty(0) if products is None else products.double().numpy()


@quiet
@given(seeds, st.integers(1, 12), st.sampled_from([bfgs, dfp]))
def test_secant_condition_symmetry_and_definiteness(seed, n, update):
    D, s, y = pair(n, seed)
    new = update(D, s, y)
    torch.testing.assert_close(new @ y, s, rtol=1e-7, atol=1e-7)
    assert torch.equal(new, new.T)
    assert torch.linalg.eigvalsh(new).min() > 0
    assert torch.equal(update(D.clone(), s, y, in_place=True), new)


@quiet
@given(seeds, st.integers(1, 8))
def test_dfp_is_bfgs_with_s_and_y_exchanged_and_the_matrix_inverted(seed, n):
    D, s, y = pair(n, seed)
    dual = torch.linalg.inv(bfgs(torch.linalg.inv(D), y, s))
    torch.testing.assert_close(dfp(D, s, y), dual, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("update", [bfgs, dfp])
def test_large_matrices_are_updated_in_blocks(update, monkeypatch):
    D, s, y = pair(40, 3)
    whole = update(D, s, y)
    monkeypatch.setattr("seewhy.optim.updates.BLOCK", 40 * 7)
    assert torch.equal(update(D, s, y), whole)


@given(seeds, st.integers(1, 7), st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_the_compact_form_is_the_two_loops_and_bfgs(seed, m, count):
    n, rng = 9, torch.Generator().manual_seed(seed)
    H = definite(n, rng)
    pairs = Pairs(m, n, dtype=torch.float64, device=torch.device("cpu"))
    pairs_added = []
    for _ in range(count):
        s = torch.randn(n, dtype=torch.float64, generator=rng)
        pairs.add(s, H @ s)
        pairs_added.append((s, H @ s))
    g = torch.randn(n, dtype=torch.float64, generator=rng)
    got = -pairs.direction(g, projections(pairs, g))
    torch.testing.assert_close(got, two_loop(pairs, g), rtol=1e-8, atol=1e-9)
    D = torch.eye(n, dtype=torch.float64)
    if pairs_added:
        s, y = pairs_added[-1]
        D *= torch.dot(s, y) / torch.dot(y, y)
    for s, y in pairs_added[-m:]:
        D = bfgs(D, s, y)
    torch.testing.assert_close(got, D @ g, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_products_by_differences_are_the_products(dtype):
    """y is the difference of two gradients with known projections, so its products with the older rows are differences too."""
    n, m, rng = 20, 4, torch.Generator().manual_seed(0)
    H = definite(n, rng)
    lazy, eager = (Pairs(m, n, dtype=dtype, device=torch.device("cpu")) for _ in range(2))
    w = torch.randn(n, dtype=torch.float64, generator=rng)
    g = H @ w
    known = projections(lazy, g)
    close = {"rtol": 1e-9, "atol": 1e-10} if dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    for _ in range(11):
        d, twin = lazy.direction(g, known).clone(), eager.direction(g, projections(eager, g))
        torch.testing.assert_close(d, twin, **close)
        s = 0.3 * d.double()
        after = g + H @ s
        of_g, y = projections(lazy, after), after - g
        row_s, row_y = lazy.buffers()
        row_s.copy_(s)
        row_y.copy_(y)
        known = lazy.update(Change(after, of_g, of_g - known, float(s @ y), float(s @ after)))
        eager.add(s, y)
        np.testing.assert_allclose(known, projections(lazy, after), **close)
        w, g = w + s, after


def test_a_memory_survives_being_saved():
    for make in (
        lambda: Pairs(3, 5, dtype=torch.float64, device=torch.device("cpu")),
        lambda: Dense(5, bfgs, dtype=torch.float64, device=torch.device("cpu")),
    ):
        memory, rng = make(), torch.Generator().manual_seed(1)
        for _ in range(5):
            row_s, row_y = memory.buffers()
            s = torch.randn(5, dtype=torch.float64, generator=rng)
            y_projections = projections(memory, 2 * s)
            row_s.copy_(s)
            row_y.copy_(2 * s)
            memory.update(Change(row_y, y_projections, y_projections))
        copy = make()
        copy.load(memory.state())
        g = torch.randn(5, dtype=torch.float64, generator=rng)
        assert torch.equal(copy.direction(g, projections(copy, g)), memory.direction(g, projections(memory, g)))
        memory.clear()
        assert torch.equal(memory.direction(g, projections(memory, g)), -g)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e-200])
def test_a_pair_that_is_not_a_pair_empties_the_memory(bad):
    memory = Pairs(3, 5, dtype=torch.float64, device=torch.device("cpu"))
    memory.add(torch.ones(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64))
    g = torch.full((5,), bad, dtype=torch.float64)
    of_g = projections(memory, g)
    for row in memory.buffers():
        row.copy_(g)
    assert memory.update(Change(g, of_g, of_g)) is None
    assert memory.empty


@pytest.mark.parametrize("n", [1 << 17, (1 << 17) + 3])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_long_vectors_are_taken_in_pieces(n, kind):
    """Twins in float64 without pieces; sizes that do and do not divide among the cores."""
    rng = torch.Generator().manual_seed(0)
    rows = torch.randn(5, n, dtype=kind, generator=rng)
    g, x = torch.randn(2, n, dtype=torch.float64, generator=rng)
    c = torch.randn(5, dtype=kind, generator=rng)
    close = {"rtol": 1e-9, "atol": 1e-9} if kind == torch.float64 else {"rtol": 1e-4, "atol": 2e-2}
    torch.testing.assert_close(vectors.times(rows, g.to(kind)).double(), rows.double() @ g, **close)
    torch.testing.assert_close(
        vectors.add_rows(g.to(kind, copy=True), rows, c).double(),
        g + rows.double().T @ c.double(),
        rtol=1e-5,
        atol=1e-5,
    )
    assert torch.equal(vectors.subtract(x, g, out=torch.empty(n, dtype=kind)), (x - g).to(kind))


@quiet
@given(seeds)
def test_damping_leaves_just_enough_curvature(seed):
    rng = torch.Generator().manual_seed(seed)
    s, y = torch.randn(2, 6, dtype=torch.float64, generator=rng)
    B = definite(6, rng)
    sy, sBs = float(s @ y), float(s @ B @ s)
    if sy < 0.2 * sBs:
        assert float(s @ damped(y, B @ s, sy, sBs)) == pytest.approx(0.2 * sBs)
