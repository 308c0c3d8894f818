"""Random numbers are pure functions of their address, uniform, and independent between addresses."""

import torch
from scipy import stats

from seewhy.core.seeding import derive, murmur_hash_, random_bits16, rng, uniform

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
    assert torch.equal(torch.rand(3, generator=rng(5, "x")), torch.rand(3, generator=rng(5, "x")))


def test_values_are_those_of_an_earlier_version():
    assert derive(7, "split", "val", "a/1.jpg") == 7973789135940190030
    assert torch.randint(0, 1 << 30, (3,), generator=rng(5, "order", 2)).tolist() == [281898436, 151894854, 174514697]
    numbers = uniform(torch.tensor([0, 1, 12345, -5]), 3, "flip", 2) * (1 << 24)
    assert numbers.long().tolist() == [15351932, 2744964, 14745554, 15303911]


def murmur(x):
    """The twin: the 32-bit finaliser of MurmurHash3 on one unsigned integer."""
    x ^= x >> 16
    x = x * 0x85EBCA6B % (1 << 32)
    x ^= x >> 13
    x = x * 0xC2B2AE35 % (1 << 32)
    return x ^ x >> 16


def test_the_hash_is_murmurs_finaliser_in_place():
    counters = torch.randint(-(2**31), 2**31, (1000,), generator=rng(0), dtype=torch.int64).to(torch.int32)
    expected = [murmur(x % (1 << 32)) for x in counters.tolist()]
    hashes = murmur_hash_(counters)
    assert hashes is counters
    assert [x % (1 << 32) for x in hashes.tolist()] == expected
    known = murmur_hash_(torch.tensor([0, 1, -1, 123456789, -(2**31)], dtype=torch.int32))
    assert known.tolist() == [0, 1364076727, -2114883783, -1168058214, 1832674720]


def test_hashes_of_a_counter_are_uniform_bits():
    hashes = murmur_hash_(torch.arange(1 << 16, dtype=torch.int32) * -1640531535 + 12345)
    assert len(torch.unique(hashes)) == 1 << 16
    bits = (hashes[:, None] >> torch.arange(32)) & 1
    assert (bits.float().mean(dim=0) - 0.5).abs().max() < 0.01


def test_random_bits_are_sixteen_per_element():
    bits = random_bits16((300, 401), rng(1))
    assert (bits.shape, bits.dtype) == ((300, 401), torch.int16)
    counts = torch.bincount(bits.flatten().long() + 2**15 >> 8, minlength=256)
    assert stats.chisquare(counts.numpy()).pvalue > 0.001
    assert torch.equal(bits, random_bits16((300, 401), rng(1)))
    assert (random_bits16(()).shape, random_bits16((0, 3)).shape) == ((), (0, 3))
    torch.manual_seed(11)
    assert random_bits16((6,)).tolist() == [-28993, 4476, 10137, -20954, 7259, -21973]
