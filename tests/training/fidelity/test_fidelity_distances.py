"""FID and KID against closed forms, SciPy's matrix root, and sums over pairs."""

import json
import math

import pytest
import torch
from scipy.linalg import sqrtm

from seewhy.core.errors import InputError
from seewhy.training.fidelity.distances import (
    distance_of_points,
    frechet_distance,
    gaussian_distance,
    kernel_distance,
    moments,
    squared_mmd,
)


def covariance(size, seed, rank=None):
    root = torch.randn(size, rank or size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return root @ root.T


def mean(size, seed):
    return torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def points(n, size, seed, shift=0.0):
    return torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def test_equal_covariances_leave_the_means():
    a, b, shared = mean(6, 0), mean(6, 1), covariance(6, 2)
    assert gaussian_distance(a, shared, b, shared) == pytest.approx((a - b).square().sum().item())
    assert gaussian_distance(a, shared, a, shared) == pytest.approx(0.0, abs=1e-9)


def test_diagonal_covariances_are_compared_by_deviation():
    a, b, v, w = mean(5, 0), mean(5, 1), mean(5, 2).square(), mean(5, 3).square()
    wanted = (a - b).square().sum() + (v.sqrt() - w.sqrt()).square().sum()
    assert gaussian_distance(a, v.diag(), b, w.diag()) == pytest.approx(wanted.item())


@pytest.mark.parametrize("rank", [None, 3])
def test_any_covariances_agree_with_the_matrix_root(rank):
    a, b, s, t = mean(7, 0), mean(7, 1), covariance(7, 2), covariance(7, 3, rank)
    root = sqrtm((s @ t).numpy()).real
    wanted = (a - b).square().sum() + s.trace() + t.trace() - 2 * root.trace()
    tolerance = 1e-7 if rank is None else 1e-5
    assert gaussian_distance(a, s, b, t) == pytest.approx(wanted.item(), rel=tolerance)
    assert gaussian_distance(b, t, a, s) == pytest.approx(wanted.item(), rel=tolerance)


def test_the_distance_is_of_sample_means_and_covariances():
    x, y = points(40, 4, 0), points(50, 4, 1, 0.5) * 2
    found = frechet_distance(x, y, extractor="t")
    s, t = torch.cov(x.T), torch.cov(y.T)
    root = sqrtm((s @ t).numpy()).real
    wanted = (x.mean(0) - y.mean(0)).square().sum() + s.trace() + t.trace() - 2 * root.trace()
    assert found.fid == pytest.approx(wanted.item())
    assert (found.n_real, found.n_drawn, found.features) == (40, 50, 4)


def test_fewer_points_than_features_will_do():
    x = points(5, 20, 0)
    assert frechet_distance(x, x, extractor="t").fid == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(x, x + 1, extractor="t").fid == pytest.approx(20.0)


@pytest.mark.parametrize(("n", "m", "size"), [(12, 9, 30), (30, 12, 20), (40, 50, 4)])
def test_points_give_the_distance_of_their_moments(n, m, size, monkeypatch):
    x, y = points(n, size, 0), points(m, size, 1, 0.5) * 2
    wanted = gaussian_distance(*moments(x), *moments(y))
    assert distance_of_points(x, y) == pytest.approx(wanted, rel=1e-6)
    assert distance_of_points(x, x) == pytest.approx(0.0, abs=1e-9)
    # As many features as a colour picture of 64 x 64 has, whose covariances would fill a gigabyte, are never squared.
    monkeypatch.setattr("seewhy.training.fidelity.distances.moments", lambda _: pytest.fail("covariances were made"))
    assert frechet_distance(points(5, 12288, 0), points(4, 12288, 1), extractor="t").fid > 0


def test_features_of_dead_units_do_no_harm():
    x, y = points(50, 4, 0), points(50, 4, 1)
    dead = [torch.cat([values, torch.zeros(50, 3, dtype=values.dtype)], 1) for values in (x, y)]
    assert frechet_distance(*dead, extractor="t").fid == pytest.approx(frechet_distance(x, y, extractor="t").fid)


def test_the_kernel_distance_is_a_sum_over_pairs():
    x, y = points(6, 3, 0), points(5, 3, 1, 0.3)

    def k(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    ours = sum(k(x[i], x[j]) for i in range(6) for j in range(6) if i != j) / 30
    theirs = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(k(a, b) for a in x for b in y) / 30
    assert squared_mmd(x, y) == pytest.approx(ours + theirs - 2 * across)


def test_the_kernel_distance_has_no_bias_and_knows_its_error():
    found = [kernel_distance(points(120, 3, s), points(120, 3, s + 500), block=20, extractor="t") for s in range(100)]
    values = torch.tensor([figure.kid for figure in found])
    assert values.min() < 0 < values.max()
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(100)
    said = torch.tensor([figure.standard_error for figure in found]).square().mean().sqrt()
    assert said.item() == pytest.approx(values.std().item(), rel=0.25)


def test_the_kernel_distance_of_gaussians_is_known():
    # E (a b / F + 1)^3 for F = 1: with x ~ N(0, 1), E (x x' + 1)^3 = 1 + 3; shifted by d: moments of N(d, 1).
    d = 0.8
    m1, m2, m3 = d, 1 + d * d, d**3 + 3 * d
    within = [1 + 3, 1 + 3 * m1 * m1 + 3 * m2 * m2 + m3 * m3]
    wanted = within[0] + within[1] - 2 * (1 + 3 * 1 * m2)
    found = kernel_distance(points(8000, 1, 0), points(8000, 1, 1, d), block=200, extractor="t")
    assert abs(found.kid - wanted) < 4 * found.standard_error
    assert found.standard_error < 0.2 * wanted


def test_sorted_samples_are_shuffled_the_same_way_each_time():
    x, y = points(200, 2, 0), points(200, 2, 1)
    x, y = x[x[:, 0].argsort()], y[y[:, 0].argsort(descending=True)]
    first = kernel_distance(x, y, block=50, extractor="t")
    assert first == kernel_distance(x, y, block=50, extractor="t")
    other = kernel_distance(x, y, block=50, extractor="t", generator=torch.Generator().manual_seed(1))
    assert other.kid != first.kid
    assert abs(first.kid) < 5 * first.standard_error + 0.05


def test_one_block_has_no_error():
    found = kernel_distance(points(30, 2, 0), points(50, 2, 1), extractor="t")
    assert (found.block, found.blocks, found.standard_error) == (30, 1, None)
    x, y = points(30, 2, 0), points(30, 2, 1)
    assert kernel_distance(x, y, extractor="t").kid == pytest.approx(squared_mmd(x, y))


def test_results_say_whose_features_and_how_many():
    x = points(30, 2, 0)
    for result in (frechet_distance(x, x, extractor="pixels"), kernel_distance(x, x, extractor="pixels")):
        said = json.loads(json.dumps(result.to_json()))
        assert (said["extractor"], said["n_real"], said["n_drawn"], said["features"]) == ("pixels", 30, 30, 2)


def test_wrong_samples_are_named():
    with pytest.raises(InputError, match=r"real: must be .* N at least 2"):
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3), extractor="t")
    with pytest.raises(InputError, match="block: must be at least 2"):
        kernel_distance(torch.zeros(5, 3), torch.zeros(5, 3), block=1, extractor="t")
    with pytest.raises(InputError, match="as many features"):
        kernel_distance(torch.zeros(5, 3), torch.zeros(5, 4), extractor="t")
