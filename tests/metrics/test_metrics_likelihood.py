"""The mean log-likelihood of a split, its interval and its bits per dimension."""

import json
import math

import pytest
import torch
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.metrics import likelihood_metrics

LOG_LIKELIHOODS = -90.0 - 8.0 * torch.randn(200, generator=torch.Generator().manual_seed(0))


def test_figures_are_their_definitions():
    figures = likelihood_metrics("test", LOG_LIKELIHOODS, 784, estimator="importance-weighted bound, k = 100", levels=2)
    nats = -LOG_LIKELIHOODS.double().numpy()
    assert (figures.split, figures.n, figures.levels) == ("test", 200, 2)
    assert figures.nats == pytest.approx(nats.mean())
    assert figures.interval == pytest.approx(
        stats.norm.interval(0.95, loc=nats.mean(), scale=stats.sem(nats)), rel=1e-6
    )
    assert figures.bits_per_dimension == pytest.approx(nats.mean() / 784 / math.log(2))
    assert figures.estimator == "importance-weighted bound, k = 100"


def test_equal_levels_take_their_logarithm():
    uniform = torch.full((5,), -12 * math.log(256))
    figures = likelihood_metrics("val", uniform, 12, levels=256)
    assert figures.bits_per_dimension == pytest.approx(8.0)
    assert figures.interval == pytest.approx((figures.nats, figures.nats))
    assert figures.estimator == "exact"


def test_it_is_json():
    figures = json.loads(json.dumps(likelihood_metrics("val", LOG_LIKELIHOODS[:1], 4).to_json()))
    assert figures["split"] == "val"
    assert figures["interval"] == [figures["nats"]] * 2
    assert figures["levels"] is None


def test_wrong_input_is_named():
    with pytest.raises(InputError, match=r"log_likelihoods: must be \(N\), N at least 1"):
        likelihood_metrics("val", torch.zeros(0), 4)
    with pytest.raises(InputError, match="dimensions: must be at least 1, got 0"):
        likelihood_metrics("val", LOG_LIKELIHOODS, 0)
