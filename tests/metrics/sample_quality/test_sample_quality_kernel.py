"""KID against sums over pairs, and against what is known of Gaussians."""

import json
import math

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.metrics.sample_quality.kernel import kernel_distance, squared_mmd


def points(n, size, seed, shift=0.0):
    return torch.randn(n, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def test_the_kernel_distance_is_a_sum_over_pairs():
    x, y = points(6, 3, 0), points(5, 3, 1, 0.3)

    def k(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    within_x = sum(k(x[i], x[j]) for i in range(6) for j in range(6) if i != j) / 30
    within_y = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    across = sum(k(a, b) for a in x for b in y) / 30
    assert squared_mmd(x, y) == pytest.approx(within_x + within_y - 2 * across)


def test_the_kernel_distance_has_no_bias_and_its_standard_error_is_right():
    repeats = [kernel_distance(points(120, 3, s), points(120, 3, s + 500), block=20, extractor="t") for s in range(100)]
    values = torch.tensor([distance.kid for distance in repeats])
    assert values.min() < 0 < values.max()
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(100)
    errors = torch.tensor([distance.standard_error for distance in repeats]).square().mean().sqrt()
    assert errors.item() == pytest.approx(values.std().item(), rel=0.25)


def test_the_kernel_distance_of_gaussians_is_known():
    # E (a b / F + 1)^3 for F = 1: with x ~ N(0, 1), E (x x' + 1)^3 = 1 + 3; shifted by d: moments of N(d, 1).
    d = 0.8
    m1, m2, m3 = d, 1 + d * d, d**3 + 3 * d
    within = [1 + 3, 1 + 3 * m1 * m1 + 3 * m2 * m2 + m3 * m3]
    expected = within[0] + within[1] - 2 * (1 + 3 * 1 * m2)
    distance = kernel_distance(points(8000, 1, 0), points(8000, 1, 1, d), block=200, extractor="t")
    assert abs(distance.kid - expected) < 4 * distance.standard_error
    assert distance.standard_error < 0.2 * expected


def test_sorted_samples_are_shuffled_the_same_way_each_time():
    x, y = points(200, 2, 0), points(200, 2, 1)
    x, y = x[x[:, 0].argsort()], y[y[:, 0].argsort(descending=True)]
    first = kernel_distance(x, y, block=50, extractor="t")
    assert first == kernel_distance(x, y, block=50, extractor="t")
    other = kernel_distance(x, y, block=50, extractor="t", rng=torch.Generator().manual_seed(1))
    assert other.kid != first.kid
    assert abs(first.kid) < 5 * first.standard_error + 0.05


def test_one_block_has_no_standard_error():
    distance = kernel_distance(points(30, 2, 0), points(50, 2, 1), extractor="t")
    assert (distance.block, distance.blocks, distance.standard_error) == (30, 1, None)
    x, y = points(30, 2, 0), points(30, 2, 1)
    assert kernel_distance(x, y, extractor="t").kid == pytest.approx(squared_mmd(x, y))


def test_the_result_says_whose_features_and_how_many():
    x = points(30, 2, 0)
    figures = json.loads(json.dumps(kernel_distance(x, x, extractor="pixels").to_json()))
    assert [figures[name] for name in ("extractor", "n_real", "n_generated", "features")] == ["pixels", 30, 30, 2]


def test_wrong_samples_are_named():
    with pytest.raises(InputError, match="block: must be at least 2"):
        kernel_distance(torch.zeros(5, 3), torch.zeros(5, 3), block=1, extractor="t")
    with pytest.raises(InputError, match="as many features"):
        kernel_distance(torch.zeros(5, 3), torch.zeros(5, 4), extractor="t")
