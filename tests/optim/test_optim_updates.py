"""Quasi-Newton updates as algebra: the secant condition, definiteness, duality, and the compact form against the two loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.optim.updates import Dense, Pairs, bfgs, damped, dfp, two_loop

seeds = st.integers(0, 10**6)
quiet = settings(deadline=None)


def definite(n, generator):
    A = torch.randn(n, n, dtype=torch.float64, generator=generator)
    square = A @ A.T + 0.1 * torch.eye(n, dtype=torch.float64)
    return (square + square.T) / 2


def pair(n, seed):
    generator = torch.Generator().manual_seed(seed)
    D, H = definite(n, generator), definite(n, generator)
    s = torch.randn(n, dtype=torch.float64, generator=generator)
    return D, s, H @ s


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
    n, generator = 9, torch.Generator().manual_seed(seed)
    H = definite(n, generator)
    pairs = Pairs(m, n, dtype=torch.float64, device=torch.device("cpu"))
    kept = []
    for _ in range(count):
        s = torch.randn(n, dtype=torch.float64, generator=generator)
        pairs.add(s, H @ s)
        kept.append((s, H @ s))
    g = torch.randn(n, dtype=torch.float64, generator=generator)
    got = -pairs.descend(g)
    torch.testing.assert_close(got, two_loop(pairs, g), rtol=1e-8, atol=1e-9)
    D = torch.eye(n, dtype=torch.float64)
    if kept:
        s, y = kept[-1]
        D *= torch.dot(s, y) / torch.dot(y, y)
    for s, y in kept[-m:]:
        D = bfgs(D, s, y)
    torch.testing.assert_close(got, D @ g, rtol=1e-7, atol=1e-8)


def test_products_that_are_put_off_are_the_same():
    """`follows`: y is the difference of the gradients that D was applied to, so its products with the older rows come for free."""
    n, m, generator = 20, 4, torch.Generator().manual_seed(0)
    H = definite(n, generator)
    lazy, eager = (Pairs(m, n, dtype=torch.float64, device=torch.device("cpu")) for _ in range(2))
    w = torch.randn(n, dtype=torch.float64, generator=generator)
    for _ in range(11):
        d, twin = lazy.descend(H @ w), eager.descend(H @ w)
        torch.testing.assert_close(d, twin, rtol=1e-9, atol=1e-10)
        s = 0.3 * d
        for memory in (lazy, eager):
            row_s, row_y = memory.room()
            row_s.copy_(s)
            row_y.copy_(H @ s)
            memory.learn(follows=memory is lazy)
        w = w + s


def test_a_memory_survives_being_saved():
    for make in (
        lambda: Pairs(3, 5, dtype=torch.float64, device=torch.device("cpu")),
        lambda: Dense(5, bfgs, dtype=torch.float64, device=torch.device("cpu")),
    ):
        memory, generator = make(), torch.Generator().manual_seed(1)
        for _ in range(5):
            row_s, row_y = memory.room()
            row_s.copy_(torch.randn(5, dtype=torch.float64, generator=generator))
            row_y.copy_(2 * row_s)
            memory.learn(follows=False)
        copy = make()
        copy.load(memory.state())
        g = torch.randn(5, dtype=torch.float64, generator=generator)
        assert torch.equal(copy.descend(g), memory.descend(g))
        memory.clear()
        assert torch.equal(memory.descend(g), -g)


@quiet
@given(seeds)
def test_damping_leaves_just_enough_curvature(seed):
    generator = torch.Generator().manual_seed(seed)
    s, y = torch.randn(2, 6, dtype=torch.float64, generator=generator)
    B = definite(6, generator)
    sy, sBs = float(s @ y), float(s @ B @ s)
    if sy < 0.2 * sBs:
        assert float(s @ damped(y, B @ s, sy, sBs)) == pytest.approx(0.2 * sBs)
