"""The Parzen window against a mixture of Gaussians spelt out, and against SciPy's density."""

import json
import math

import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from seewhy.core.errors import InputError
from seewhy.metrics.sample_quality import distances as pairwise
from seewhy.metrics.sample_quality.parzen import BANDWIDTHS, log_densities, parzen_likelihood


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(pairwise, "CHUNK", 7)


def sample(n, seed, size=5):
    return torch.rand(n, size, generator=torch.Generator().manual_seed(seed))


def twin(images, generated, bandwidth):
    size = generated.shape[1]
    covariance = bandwidth**2 * torch.eye(size).numpy()
    parts = [multivariate_normal(centre.numpy(), covariance) for centre in generated.double()]
    return [
        logsumexp([part.logpdf(image.numpy()) for part in parts]) - math.log(len(parts)) for image in images.double()
    ]


@pytest.mark.parametrize("bandwidth", [0.05, 0.3, 2.0])
def test_it_is_a_mixture_of_gaussians(bandwidth):
    images, generated = sample(10, 0), sample(15, 1)
    densities = log_densities(images, generated, [bandwidth])
    assert densities.shape == (1, 10)
    assert densities[0].tolist() == pytest.approx(twin(images, generated, bandwidth), rel=1e-4, abs=1e-3)


def test_bandwidths_share_the_distances():
    images, generated = sample(10, 0), sample(15, 1)
    together = log_densities(images, generated, [0.1, 0.4])
    torch.testing.assert_close(together[1], log_densities(images, generated, [0.4])[0])


def test_it_integrates_to_one():
    generated, step = torch.tensor([[0.2], [0.7], [0.75]]), 1e-3
    line = torch.arange(-2.0, 3.0, step)[:, None]
    assert (log_densities(line, generated, [0.15]).exp().sum() * step).item() == pytest.approx(1.0, abs=1e-4)


def test_the_bandwidth_is_the_best_on_validation_images():
    generated, validation, test = sample(40, 0), sample(12, 1), sample(15, 2)
    likelihood = parzen_likelihood(generated, validation, test)
    values = [sum(twin(validation, generated, bandwidth)) / 12 for bandwidth in BANDWIDTHS[:6]]
    assert likelihood.bandwidth == BANDWIDTHS[values.index(max(values))]
    assert not likelihood.at_edge
    each = torch.tensor(twin(test, generated, likelihood.bandwidth))
    assert likelihood.nats == pytest.approx(each.mean().item(), rel=1e-4)
    assert likelihood.standard_error == pytest.approx(each.std().item() / math.sqrt(15), rel=1e-3)
    assert parzen_likelihood(generated, validation, test, bandwidths=[5.0, 9.0]).at_edge


def test_the_authors_grid():
    assert len(BANDWIDTHS) == 10
    assert pytest.approx((0.1, 1.0)) == (BANDWIDTHS[0], BANDWIDTHS[-1])
    assert BANDWIDTHS[1] / BANDWIDTHS[0] == pytest.approx(BANDWIDTHS[9] / BANDWIDTHS[8])


def test_bytes_count_from_0_to_1_and_large_images_keep_their_digits():
    images = torch.randint(0, 256, (8, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    generated = torch.randint(0, 256, (9, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    a, b = (values.flatten(1).double() / 255 for values in (images, generated))
    squares = torch.tensor([[(x - y).square().sum() for y in b] for x in a], dtype=torch.float64)
    expected = torch.logsumexp(-squares / (2 * 0.2**2), 1) - math.log(9) - 392 * math.log(2 * math.pi * 0.2**2)
    torch.testing.assert_close(log_densities(images, generated, [0.2])[0], expected, rtol=0, atol=0.01)


def test_the_result_says_what_it_is_of():
    figures = json.loads(json.dumps(parzen_likelihood(sample(20, 0), sample(6, 1), sample(7, 2)).to_json()))
    assert (figures["n_generated"], figures["n_validation"], figures["n_test"], figures["dimensions"]) == (20, 6, 7, 5)
    assert figures["extractor"] == "pixels from 0 to 1"


def test_wrong_input_is_named():
    with pytest.raises(InputError, match="bandwidths: must be at least one, each above 0"):
        parzen_likelihood(sample(5, 0), sample(5, 1), sample(5, 2), bandwidths=[0.0])
    with pytest.raises(InputError, match="as many features as test"):
        parzen_likelihood(sample(5, 0), sample(5, 1), sample(5, 2, size=4))
