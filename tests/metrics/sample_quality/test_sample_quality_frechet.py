"""FID against closed forms and SciPy's matrix root."""

import json

import pytest
import torch
from scipy.linalg import sqrtm

from seewhy.core.errors import InputError
from seewhy.metrics.sample_quality.frechet import frechet_distance, frechet_from_moments, frechet_from_points, moments


def covariance(size, seed, rank=None):
    root = torch.randn(size, rank or size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return root @ root.T


def mean(size, seed):
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def points(n, size, seed, shift=0.0):
    return torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def test_equal_covariances_leave_the_means():
    a, b, shared = mean(6, 0), mean(6, 1), covariance(6, 2)
    assert frechet_from_moments(a, shared, b, shared) == pytest.approx((a - b).square().sum().item())
    assert frechet_from_moments(a, shared, a, shared) == pytest.approx(0.0, abs=1e-9)


def test_diagonal_covariances_are_compared_by_standard_deviation():
    a, b, v, w = mean(5, 0), mean(5, 1), mean(5, 2).square(), mean(5, 3).square()
    expected = (a - b).square().sum() + (v.sqrt() - w.sqrt()).square().sum()
    assert frechet_from_moments(a, v.diag(), b, w.diag()) == pytest.approx(expected.item())


@pytest.mark.parametrize("rank", [None, 3])
def test_any_covariances_agree_with_the_matrix_root(rank):
    a, b, s, t = mean(7, 0), mean(7, 1), covariance(7, 2), covariance(7, 3, rank)
    root = sqrtm((s @ t).numpy()).real
    expected = (a - b).square().sum() + s.trace() + t.trace() - 2 * root.trace()
    tolerance = 1e-7 if rank is None else 1e-5
    assert frechet_from_moments(a, s, b, t) == pytest.approx(expected.item(), rel=tolerance)
    assert frechet_from_moments(b, t, a, s) == pytest.approx(expected.item(), rel=tolerance)


def test_the_distance_is_of_sample_means_and_covariances():
    x, y = points(40, 4, 0), points(50, 4, 1, 0.5) * 2
    distance = frechet_distance(x, y, extractor="t")
    s, t = torch.cov(x.T), torch.cov(y.T)
    root = sqrtm((s @ t).numpy()).real
    expected = (x.mean(0) - y.mean(0)).square().sum() + s.trace() + t.trace() - 2 * root.trace()
    assert distance.fid == pytest.approx(expected.item())
    assert (distance.n_real, distance.n_generated, distance.features) == (40, 50, 4)


def test_fewer_points_than_features_will_do():
    x = points(5, 20, 0)
    assert frechet_distance(x, x, extractor="t").fid == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(x, x + 1, extractor="t").fid == pytest.approx(20.0)


@pytest.mark.parametrize(("n", "m", "size"), [(12, 9, 30), (30, 12, 20), (40, 50, 4)])
def test_points_give_the_distance_of_their_moments(n, m, size, monkeypatch):
    x, y = points(n, size, 0), points(m, size, 1, 0.5) * 2
    expected = frechet_from_moments(*moments(x), *moments(y))
    assert frechet_from_points(x, y) == pytest.approx(expected, rel=1e-6)
    assert frechet_from_points(x, x) == pytest.approx(0.0, abs=1e-9)
    # As many features as a colour image of 64 x 64 has, whose covariances would fill a gigabyte, are never squared.
    monkeypatch.setattr(
        "seewhy.metrics.sample_quality.frechet.moments", lambda _: pytest.fail("covariances were computed")
    )
    assert frechet_distance(points(5, 12288, 0), points(4, 12288, 1), extractor="t").fid > 0


def test_features_of_dead_units_do_no_harm():
    x, y = points(50, 4, 0), points(50, 4, 1)
    dead = [torch.cat([values, torch.zeros(50, 3, dtype=values.dtype)], 1) for values in (x, y)]
    assert frechet_distance(*dead, extractor="t").fid == pytest.approx(frechet_distance(x, y, extractor="t").fid)


def test_the_result_says_whose_features_and_how_many():
    x = points(30, 2, 0)
    figures = json.loads(json.dumps(frechet_distance(x, x, extractor="pixels").to_json()))
    assert (figures["extractor"], figures["n_real"], figures["n_generated"], figures["features"]) == (
        "pixels",
        30,
        30,
        2,
    )


def test_wrong_samples_are_named():
    with pytest.raises(InputError, match=r"real: must be .* N at least 2"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3), extractor="t")
