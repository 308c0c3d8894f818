"""Random numbers are pure functions of their address, uniform, and independent between addresses."""

import torch
from scipy import stats

from seewhy.core.seeding import derive, generator, uniform

INDICES = torch.arange(50_000)


def test_uniform_is_a_function_of_the_index_alone():
    whole = uniform(INDICES, 3, "flip", 1)
    subset = INDICES[[7, 49_999, 7]]
    assert torch.equal(uniform(subset, 3, "flip", 1), whole[subset])


def test_uniform_is_uniform():
    numbers = uniform(INDICES, 0, "flip", 0)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 0.001


def test_addresses_are_independent():
    first = uniform(INDICES, 0, "flip", 0)
    for other in (uniform(INDICES, 1, "flip", 0), uniform(INDICES, 0, "flip", 1), uniform(INDICES, 0, "crop", 0)):
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.02


def test_neighbours_are_independent():
    numbers = uniform(INDICES, 0, "flip", 0)
    assert abs(torch.corrcoef(torch.stack([numbers[1:], numbers[:-1]]))[0, 1]) < 0.02


def test_derive_separates_addresses_and_fits_torch():
    seeds = {derive(0, "a", 12), derive(0, "a1", 2), derive(0, "a", 1, 2), derive(1, "a", 12)}
    assert len(seeds) == 4
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert torch.equal(torch.rand(3, generator=generator(5, "x")), torch.rand(3, generator=generator(5, "x")))
