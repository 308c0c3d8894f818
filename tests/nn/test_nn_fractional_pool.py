"""Fractional max-pooling against its definition, pixel by pixel."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.nn import POOLINGS, FractionalMaxPool2d

KINDS = [(regions, overlapping) for regions in ("pseudorandom", "random") for overlapping in (True, False)]


@given(st.integers(2, 60), st.floats(1.01, 2.0), st.sampled_from(KINDS), st.booleans(), st.integers(0, 5))
def test_regions_cover_every_pixel_in_steps_of_one_and_two(n, ratio, kind, training, seed):
    pool = FractionalMaxPool2d(ratio, regions=kind[0], overlapping=kind[1]).train(training)
    torch.manual_seed(seed)
    m = math.ceil(n / ratio)
    starts, ends = pool._bounds(n, m)
    assert len(starts) == len(ends) == m
    assert starts[0] == 0
    assert ends[-1] == n - 1
    steps = starts.diff()
    assert ((steps >= 1) & (steps <= 2)).all()
    assert (starts <= ends).all()
    assert (ends - starts <= (2 if kind[1] else 1)).all()
    gaps = starts[1:] - ends[:-1]
    assert (gaps <= 1).all()
    if not kind[1]:
        assert (gaps == 1).all()


@pytest.mark.parametrize(("regions", "overlapping"), KINDS)
def test_it_is_the_maximum_over_its_regions(regions, overlapping):
    pool, x = FractionalMaxPool2d(1.4, regions=regions, overlapping=overlapping), torch.randn(2, 3, 11, 8)
    torch.manual_seed(1)
    y = pool(x)
    torch.manual_seed(1)
    rows, columns = (pool._bounds(n, math.ceil(n / 1.4)) for n in (11, 8))
    assert y.shape == (2, 3, len(rows[0]), len(columns[0]))
    for i, (top, bottom) in enumerate(zip(*rows, strict=True)):
        for j, (left, right) in enumerate(zip(*columns, strict=True)):
            torch.testing.assert_close(y[:, :, i, j], x[:, :, top : bottom + 1, left : right + 1].amax((2, 3)))


@pytest.mark.parametrize(("regions", "overlapping"), KINDS)
def test_training_samples_and_evaluation_does_not(regions, overlapping):
    pool, x = FractionalMaxPool2d(1.5, regions=regions, overlapping=overlapping), torch.randn(2, 3, 25, 25)
    samples = [pool(x) for _ in range(4)]
    assert any(not torch.equal(samples[0], other) for other in samples[1:])
    pool.eval()
    assert torch.equal(pool(x), pool(x))
    assert torch.equal(pool(x[:1]), pool(x)[:1])


def test_random_steps_are_in_every_order():
    torch.manual_seed(0)
    pool = FractionalMaxPool2d(1.5, regions="random", overlapping=False)
    patterns = {tuple(pool._edges(6, 4).diff().tolist()) for _ in range(200)}
    assert len(patterns) == 6  # ways to put two steps of 2 among four


def test_pseudorandom_steps_are_even():
    torch.manual_seed(0)
    pool = FractionalMaxPool2d(1.5, overlapping=False)
    for _ in range(20):
        edges = pool._edges(30, 20).double()
        assert (edges - 1.5 * torch.arange(21)).abs().max() <= 1


@pytest.mark.parametrize(("regions", "overlapping"), KINDS)
def test_contract(regions, overlapping):
    pool = FractionalMaxPool2d(1.5, regions=regions, overlapping=overlapping)
    x = torch.randn(2, 4, 9, 7)
    last = x.contiguous(memory_format=torch.channels_last)
    assert pool(last).is_contiguous(memory_format=torch.channels_last)
    assert pool(x.bfloat16()).dtype == torch.bfloat16
    pool.eval()
    assert torch.equal(pool(last), pool(x))
    assert torch.autograd.gradcheck(pool, (torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True),))
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(pool, backend="eager", fullgraph=True)(x), pool(x))
    torch.testing.assert_close(torch.export.export(pool, (x,)).module()(x), pool(x))
    torch.compile(pool.train(), backend="eager", fullgraph=True)(x)
    assert not pool.state_dict()
    assert pool(torch.randn(1, 1, 1, 1)).shape == (1, 1, 1, 1)


@pytest.mark.parametrize(("regions", "overlapping"), KINDS)
def test_a_region_has_one_gradient_even_among_equals(regions, overlapping):
    pool = FractionalMaxPool2d(1.5, regions=regions, overlapping=overlapping)
    x = torch.zeros(1, 2, 7, 6, requires_grad=True)
    y = pool(x)
    y.sum().backward()
    assert x.grad.sum() == y.numel()
    assert torch.equal(x.grad, x.grad.round())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("overlapping", [True, False])
def test_derivatives_forward_and_of_second_order(overlapping):
    torch.manual_seed(0)
    pool = FractionalMaxPool2d(1.5, overlapping=overlapping).eval()
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(pool, (x,), check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(pool, (x,))


@pytest.mark.parametrize("technique", list(POOLINGS), ids=lambda technique: technique.name)
def test_record_is_complete(technique):
    assert all((technique.summary, technique.formula, technique.source, technique.good_for, technique.bad_for))
    assert technique.factory()(torch.randn(1, 1, 8, 8)).shape[2] < 8


def test_numbers_and_names_out_of_range_are_refused():
    with pytest.raises(InputError, match=r"ratio: must be more than 1 and at most 2, got 2\.5"):
        FractionalMaxPool2d(2.5)
    with pytest.raises(InputError, match="regions: 'even' is not known"):
        FractionalMaxPool2d(1.5, regions="even")
