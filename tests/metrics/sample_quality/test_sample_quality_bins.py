"""Modes by k-means bins: the test of two proportions against SciPy's, and modes that are missed."""

import pytest
import torch
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.metrics import bin_coverage, kmeans_centres
from seewhy.metrics.sample_quality.bins import usual_bins

CORNERS = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])


def around(counts, seed=0):
    """Points around the corners, so many at each."""
    noise = torch.randn(sum(counts), 2, generator=torch.Generator().manual_seed(seed))
    return CORNERS.repeat_interleave(torch.tensor(counts), 0) + 0.3 * noise


def test_centres_are_those_of_the_clusters():
    centres = kmeans_centres(around([50, 40, 30, 60]), 4)
    assert torch.cdist(CORNERS.double(), centres).min(1).values.max() < 0.3
    assert torch.equal(centres, kmeans_centres(around([50, 40, 30, 60]), 4))


def test_bins_differ_by_the_test_of_two_proportions():
    train, images = around([100, 100, 100, 100]), around([130, 80, 88, 2], seed=1)
    found = bin_coverage(train, images, CORNERS, extractor="corners")
    # Pearson's test of a 2 x 2 table without correction is the two-proportion test, z squared.
    p_values = [stats.chi2_contingency([[100, 300], [m, 300 - m]], correction=False).pvalue for m in (130, 80, 88, 2)]
    assert found.different == sum(p < 0.05 for p in p_values) == 2
    assert (found.covered, found.bins, found.n, found.n_train) == (3, 4, 300, 400)
    assert found.expected_different == pytest.approx(0.2)
    strict = bin_coverage(train, images, CORNERS, extractor="corners", significance=1e-9)
    assert strict.different == sum(p < 1e-9 for p in p_values) == 1
    assert bin_coverage(train, images, CORNERS, extractor="corners", min_share=0.01).covered == 4


def test_equal_shares_differ_in_no_bin_and_one_mode_in_all():
    train = around([100, 100, 100, 100])
    same = bin_coverage(train, around([50, 50, 50, 50], seed=3), CORNERS, extractor="corners")
    assert (same.covered, same.different) == (4, 0)
    alone = bin_coverage(train, around([200, 0, 0, 0], seed=3), CORNERS, extractor="corners")
    assert (alone.covered, alone.different) == (1, 4)
    assert alone.to_json()["covered"] == 1


def test_few_images_have_few_bins():
    assert [usual_bins(10_000, n) for n in (5000, 1000, 269, 30, 10)] == [100, 100, 26, 3, 2]


def test_equal_images_make_fewer_bins():
    images = torch.zeros(20, 1, 2, 2, dtype=torch.uint8)
    images[10:] = 255
    centres = kmeans_centres(images, 5)
    assert centres.tolist() == [[0.0] * 4, [1.0] * 4]
    assert bin_coverage(images, images[:10], centres, extractor="pixels").covered == 1


def test_what_cannot_be_meant_is_refused():
    points = around([5, 5, 5, 5])
    for call, message in (
        (lambda: kmeans_centres(points, 21), r"bins: must be from 2 to the number of training images \(20\), got 21"),
        (lambda: kmeans_centres(points, 1), "bins: must be from 2"),
        (
            lambda: bin_coverage(points, points, CORNERS, extractor="", significance=0.0),
            "significance: must be above 0",
        ),
        (lambda: bin_coverage(points, points[:, :1], CORNERS, extractor=""), "images: must have as many features"),
    ):
        with pytest.raises(InputError, match=message):
            call()
