"""The sampling of values one after the other, with networks whose distributions are known."""

import itertools
import math

import pytest
import torch
from raster_cases import in_order
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.models.autoregressive.loss import log_likelihood
from seewhy.models.autoregressive.raster import by_level, scaled, validate_raster
from seewhy.models.autoregressive.sampling import sample_raster


class Chain:
    """A network by hand: every value repeats the one before it with probability `again`, other levels being equally likely."""

    classes = None

    def __init__(self, shape, levels, again):
        self.shape, self.levels, self.again = shape, levels, again

    def __call__(self, values, labels=None):
        indices = in_order(self.shape)
        logits = torch.zeros(len(values), self.levels, *self.shape)
        for before, index in itertools.pairwise(indices):
            same = torch.nn.functional.one_hot(values[(slice(None), *before)].long(), self.levels).bool()
            other = (1 - self.again) / (self.levels - 1)
            logits[(slice(None), slice(None), *index)] = torch.where(same, self.again, other).log()
        return logits


def test_likelihood_is_the_sum_over_values_in_nats():
    net = Chain((2, 2, 2), 3, again=0.8)
    values = torch.tensor([[[[0, 1], [1, 1]], [[0, 1], [1, 2]]]])  # in order: 0 0, 1 1, 1 1, 1 2
    expected = math.log(1 / 3) + 5 * math.log(0.8) + 2 * math.log(0.1)
    assert log_likelihood(net, values).item() == pytest.approx(expected, rel=1e-5)
    assert log_likelihood(net, values.to(torch.uint8)).item() == pytest.approx(expected, rel=1e-5)


def test_samples_follow_the_chain():
    n = 500
    net = Chain((2, 2, 3), 3, again=0.7)
    samples = sample_raster(net, torch.zeros(n, 2, 2, 3, dtype=torch.int64), rng=torch.Generator().manual_seed(0))
    inline = torch.stack([samples[(slice(None), *index)] for index in in_order(net.shape)], 1)
    repeats = (inline[:, 1:] == inline[:, :-1]).sum().item()
    assert stats.binomtest(repeats, n * 11, 0.7).pvalue > 1e-3
    assert stats.chisquare(inline[:, 0].bincount(minlength=3)).pvalue > 1e-3


def test_given_values_stay_and_are_seen_by_those_behind():
    net = Chain((1, 2, 3), 4, again=1 - 1e-12)
    values = torch.tensor([[[[3, 0, 0], [2, 0, 0]]]])
    given = torch.tensor([[[True, False, False], [True, False, False]]])
    samples = sample_raster(net, values, given, rng=torch.Generator().manual_seed(0))
    assert samples.tolist() == [[[[3, 3, 3], [2, 2, 2]]]]
    assert values.tolist() == [[[[3, 0, 0], [2, 0, 0]]]]  # not changed


def test_temperature_0_takes_the_likeliest_and_high_ones_level_out():
    net = Chain((1, 300), 2, again=0.9)
    blank = torch.ones(1, 1, 300, dtype=torch.int64)
    sure = sample_raster(net, blank, blank.bool() & (torch.arange(300) == 0), temperature=0.0)
    assert sure.unique().tolist() == [1]
    for temperature in (0.5, 2.0):
        samples = sample_raster(net, blank, rng=torch.Generator().manual_seed(0), temperature=temperature)
        repeats = (samples[..., 1:] == samples[..., :-1]).sum().item()
        odds = 9 ** (1 / temperature)
        assert stats.binomtest(repeats, 299, odds / (1 + odds)).pvalue > 1e-3


def test_equal_generators_give_equal_rasters_and_others_do_not():
    net = Chain((1, 4, 4), 2, again=0.6)
    blank = torch.zeros(3, 1, 4, 4, dtype=torch.int64)
    first, same, other = (sample_raster(net, blank, rng=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_progress_counts_positions():
    reports = []
    net = Chain((2, 2, 2), 2, again=0.6)
    sample_raster(
        net, torch.zeros(1, 2, 2, 2, dtype=torch.int64), progress=lambda done, total: reports.append((done, total))
    )
    assert reports == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_samples_are_ordinary_tensors():
    samples = sample_raster(Chain((1, 2), 2, again=0.6), torch.zeros(1, 1, 2, dtype=torch.int64))
    assert not samples.is_inference()
    samples += 1


def test_scaled_reaches_from_minus_1_to_1():
    assert scaled(torch.tensor([0, 1]), 2).tolist() == [-1.0, 1.0]
    assert scaled(torch.tensor([0, 255], dtype=torch.uint8), 256).tolist() == pytest.approx([-1.0, 1.0])


def test_levels_come_out_beside_their_colour():
    features = torch.arange(6.0).reshape(1, 6, 1).bfloat16()
    logits = by_level(features, 2, 3)
    assert logits.dtype == torch.float32
    assert logits[0, :, :, 0].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf])
def test_bad_temperatures_are_refused(temperature):
    with pytest.raises(InputError, match="temperature: must be at least 0"):
        sample_raster(Chain((1, 2), 2, again=0.6), torch.zeros(1, 1, 2, dtype=torch.int64), temperature=temperature)


def test_rasters_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"values: must have the network's shape \(N, 1, 2\), got \(1, 1, 3\)"):
        sample_raster(Chain((1, 2), 2, again=0.6), torch.zeros(1, 1, 3, dtype=torch.int64))
    with pytest.raises(InputError, match="labels"):
        sample_raster(
            Chain((1, 2), 2, again=0.6), torch.zeros(1, 1, 2, dtype=torch.int64), labels=torch.zeros(1).long()
        )
    for shape, levels, classes in [((1,), 2, None), ((1, 2), 1, None), ((1, 2), 2, 0)]:
        with pytest.raises(InputError):
            validate_raster(shape, levels, classes)
