"""Nearest-neighbour figures against brute force over every pair, and against what is known of simple samples."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.metrics.sample_quality import distances as pairwise
from seewhy.metrics.sample_quality.neighbours import (
    density_coverage,
    expected_coverage,
    memorisation,
    nearest_neighbours,
    precision_recall,
    squared_radii,
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(pairwise, "CHUNK", 7)


def sample(n, features, seed, shift=0.0):
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed)) + shift


def brute_force(real, generated, k):
    """All four figures by loops over points."""
    x, y = real.tolist(), generated.tolist()

    def radius(points, position):
        return sorted(math.dist(points[position], other) for i, other in enumerate(points) if i != position)[k - 1]

    r, s = [radius(x, i) for i in range(len(x))], [radius(y, j) for j in range(len(y))]
    precision = sum(any(math.dist(b, a) <= r[i] for i, a in enumerate(x)) for b in y) / len(y)
    recall = sum(any(math.dist(a, b) <= s[j] for j, b in enumerate(y)) for a in x) / len(x)
    density = sum(math.dist(a, b) <= r[i] for i, a in enumerate(x) for b in y) / (k * len(y))
    coverage = sum(any(math.dist(a, b) <= r[i] for b in y) for i, a in enumerate(x)) / len(x)
    return precision, recall, density, coverage


@settings(deadline=None, max_examples=15)
@given(
    st.integers(6, 30), st.integers(6, 30), st.integers(1, 5), st.integers(1, 4), st.floats(0, 3), st.integers(0, 99)
)
def test_all_four_are_their_definitions(n, m, features, k, shift, seed):
    real, generated = sample(n, features, seed), sample(m, features, seed + 100, shift)
    one = precision_recall(real, generated, k=k, extractor="t")
    two = density_coverage(real, generated, k=k, extractor="t")
    assert (one.precision, one.recall, two.density, two.coverage) == pytest.approx(brute_force(real, generated, k))
    assert (one.n_real, one.n_generated, two.n_real, two.n_generated) == (n, m, n, m)


def test_equal_samples_are_perfect_and_distant_ones_are_not():
    real = sample(60, 8, 0)
    one, two = precision_recall(real, real.clone(), extractor="t"), density_coverage(real, real.clone(), extractor="t")
    assert (one.precision, one.recall, two.coverage) == (1.0, 1.0, 1.0)
    assert two.density == pytest.approx(6 / 5)  # each ball holds its centre, and five more up to its edge
    one, two = precision_recall(real, real + 100, extractor="t"), density_coverage(real, real + 100, extractor="t")
    assert (one.precision, one.recall, two.density, two.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_collapse_keeps_precision_and_loses_recall_and_coverage():
    real = torch.cat([sample(50, 4, 0), sample(50, 4, 1, 20.0)])
    one, two = (measure(real, sample(100, 4, 2), extractor="t") for measure in (precision_recall, density_coverage))
    assert one.precision > 0.8
    assert one.recall <= 0.5
    assert two.coverage <= 0.5


def test_coverage_of_real_images_is_as_expected():
    repeats = [
        density_coverage(sample(200, 3, seed), sample(150, 3, seed + 50), k=3, extractor="t") for seed in range(20)
    ]
    mean = sum(figure.coverage for figure in repeats) / len(repeats)
    assert mean == pytest.approx(expected_coverage(200, 150, 3), abs=0.02)
    assert repeats[0].expected_coverage == expected_coverage(200, 150, 3)
    assert sum(figure.density for figure in repeats) / len(repeats) == pytest.approx(1.0, abs=0.05)


def test_coverage_is_expected_by_counting():
    assert expected_coverage(3, 2, 1) == pytest.approx(1 - 2 / 4)  # the nearest of 2 other real ones and 2 generated
    assert expected_coverage(3, 2, 2) == pytest.approx(1 - 2 / 4 * 1 / 3)


def test_far_from_the_origin_nothing_changes():
    real, generated = sample(40, 5, 0).double(), sample(40, 5, 1).double()
    far = [values + 1e7 for values in (real, generated)]
    near = [values - values.new_tensor(0.0) for values in (real, generated)]
    for measure in (precision_recall, density_coverage):
        assert measure(*far, extractor="t") == measure(*near, extractor="t")


def test_nearest_neighbours_are_a_sorted_search_through_all():
    queries, candidates = sample(20, 6, 0), sample(33, 6, 1)
    candidates[5] = queries[3]
    distances, indices = nearest_neighbours(queries, candidates, 4)
    every = [[math.dist(a, b) for b in candidates.tolist()] for a in queries.tolist()]
    for nearest, positions, row in zip(distances.tolist(), indices.tolist(), every, strict=True):
        order = sorted(range(33), key=lambda i, row=row: row[i])[:4]
        assert positions == order
        assert nearest == pytest.approx([row[i] for i in order])
    assert distances[3, 0] == 0.0
    assert indices[3, 0] == 5


def test_radii_count_copies_but_not_the_point_itself():
    x = torch.tensor([[0.0], [0.0], [1.0], [3.0]], dtype=torch.float64)
    assert squared_radii(x, 1).tolist() == [0.0, 0.0, 1.0, 4.0]
    assert squared_radii(x, 2).tolist() == [1.0, 1.0, 1.0, 9.0]


def test_copies_are_distinguished_from_new_images():
    train, held_out, new = sample(300, 6, 0), sample(200, 6, 1), sample(200, 6, 2)
    copies = train[:200] + 0.01 * sample(200, 6, 3)
    honest = memorisation(new, train, held_out, extractor="t")
    assert abs(honest.ratio - 1) < 3 * honest.standard_error
    assert honest.copies < 0.05
    caught = memorisation(copies, train, held_out, extractor="t")
    assert caught.ratio < 0.05
    assert caught.copies == 1.0
    half = memorisation(torch.cat([copies[:100], new[:100]]), train, held_out, extractor="t")
    assert 0.4 < half.copies < 0.6
    assert half.ratio == pytest.approx(0.5, abs=0.1)


def test_the_ratio_and_its_error_are_those_of_repeated_samples():
    train = sample(100, 3, 0)
    repeats = [
        memorisation(sample(80, 3, seed), train, sample(60, 3, seed + 500), extractor="t") for seed in range(1, 61)
    ]
    ratios = torch.tensor([figure.ratio for figure in repeats])
    error = torch.tensor([figure.standard_error for figure in repeats]).mean()
    assert ratios.mean().item() == pytest.approx(1.0, abs=0.05)
    assert error.item() == pytest.approx(ratios.std().item(), rel=0.25)
    one = repeats[0]
    ours = nearest_neighbours(sample(80, 3, 1), train)[0]
    theirs = nearest_neighbours(sample(60, 3, 501), train)[0]
    assert one.ratio == pytest.approx((ours.mean() / theirs.mean()).item())


def test_images_of_bytes_are_taken_too():
    images = torch.randint(0, 256, (9, 1, 3, 3), dtype=torch.uint8)
    floating = images.flatten(1).double() / 255
    assert torch.equal(nearest_neighbours(images[:3], images)[0], nearest_neighbours(floating[:3], floating)[0])


def test_results_say_whose_features_and_how_many():
    real = sample(20, 2, 0)
    results = [precision_recall(real, real, extractor="pixels"), density_coverage(real, real, extractor="pixels")]
    results.append(memorisation(real, real, real + 1, extractor="pixels"))
    for result in results:
        figures = json.loads(json.dumps(result.to_json()))
        assert figures["extractor"] == "pixels"
        assert figures["n_generated"] == 20
    assert results[2].to_json()["n_train"] == 20


WRONG = [
    (lambda: precision_recall(torch.zeros(3, 2), torch.zeros(9, 2), extractor=""), "real: must be .* N at least 4"),
    (lambda: density_coverage(torch.zeros(9, 2), torch.zeros(9, 3), extractor=""), "as many features as real"),
    (lambda: precision_recall(torch.zeros(9, 2), torch.zeros(9, 2), k=0, extractor=""), "k: must be at least 1"),
    (lambda: nearest_neighbours(torch.zeros(2, 2), torch.zeros(2, 2), 3), "k: must be from 1 to"),
    (
        lambda: nearest_neighbours(torch.full((2, 2), math.nan), torch.zeros(2, 2)),
        "queries: must be finite, but 2 of 2",
    ),
    (
        lambda: nearest_neighbours(torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 2)),
        "queries: must be floating, or uint8",
    ),
    (
        lambda: memorisation(*[torch.ones(3, 2)] * 3, extractor=""),
        "held_out: must be images that were not trained on",
    ),
    (lambda: memorisation(torch.zeros(1, 2), *[torch.ones(3, 2)] * 2, extractor=""), "generated: must be at least 2"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_wrong_samples_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
