"""Which classes were generated: counts, divergence and what chance makes of them."""

import json
import math

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.metrics import class_coverage


def predictions(labels, classes=4, confidence=0.9):
    """Probabilities of a classifier that puts images into the given classes."""
    rest = (1 - confidence) / (classes - 1)
    return torch.full((len(labels), classes), rest).scatter(1, torch.tensor(labels)[:, None], confidence)


def test_even_classes_are_covered():
    coverage = class_coverage(predictions([0, 1, 2, 3] * 5), [10, 10, 10, 10], classifier="c")
    assert coverage.shares == (0.25,) * 4
    assert (coverage.covered, coverage.classes, coverage.collapsed) == (4, 4, False)
    assert coverage.kl == pytest.approx(0.0, abs=1e-12)
    assert coverage.effective_classes == pytest.approx(4.0)
    assert coverage.confidence == pytest.approx(0.9)


def test_one_class_is_collapse():
    coverage = class_coverage(predictions([2] * 20), [1, 1, 2, 4], classifier="c")
    assert (coverage.covered, coverage.collapsed) == (1, True)
    assert coverage.kl == pytest.approx(math.log(4))
    assert coverage.effective_classes == pytest.approx(1.0)


def test_divergence_is_its_sum():
    counts = torch.tensor([0.4, 0.3, 0.2, 0.1])
    coverage = class_coverage(predictions([0] * 5 + [1] * 3 + [3] * 2), counts, classifier="c")
    assert coverage.kl == pytest.approx(0.5 * math.log(0.5 / 0.4) + 0.3 * math.log(1) + 0.2 * math.log(0.2 / 0.1))
    assert (coverage.covered, coverage.collapsed) == (3, True)


def test_a_rare_class_of_the_data_may_be_rare():
    rare = predictions([0] * 98 + [1] * 2, classes=2)
    assert not class_coverage(rare, [95, 5], classifier="c").collapsed
    assert class_coverage(rare, [50, 50], classifier="c").collapsed
    assert class_coverage(rare, [95, 5], min_share=0.5, classifier="c").collapsed


def test_chance_alone_makes_the_expected_divergence():
    rng = torch.Generator().manual_seed(0)
    repeats = [
        class_coverage(predictions(torch.randint(4, (200,), generator=rng).tolist()), [1] * 4, classifier="c")
        for _ in range(200)
    ]
    assert sum(coverage.kl for coverage in repeats) / 200 == pytest.approx(repeats[0].expected_kl, rel=0.2)


def test_a_class_that_the_data_do_not_have_is_no_class():
    coverage = class_coverage(predictions([0, 1, 2] * 4), [1, 1, 1, 0], classifier="c")
    assert (coverage.covered, coverage.classes, coverage.collapsed) == (3, 3, False)
    with pytest.raises(
        InputError, match="class_counts: the data have no image of a class that the classifier predicts"
    ):
        class_coverage(predictions([0, 3]), [1, 1, 1, 0], classifier="c")


def test_the_result_names_the_classifier():
    figures = class_coverage(predictions([0, 1]), [1] * 4, classifier="convnet of run a").to_json()
    figures = json.loads(json.dumps(figures))
    assert figures["classifier"] == "convnet of run a"
    assert figures["n"] == 2
    assert figures["data_shares"] == [0.25] * 4


def test_wrong_input_is_named():
    with pytest.raises(InputError, match=r"probabilities: must be floating \(n, K\)"):
        class_coverage(torch.zeros(0, 4), [1] * 4, classifier="c")
    with pytest.raises(InputError, match="class_counts: must be 4 counts or shares"):
        class_coverage(predictions([0]), [1, 1], classifier="c")
    with pytest.raises(InputError, match="class_counts: must be 4 counts or shares"):
        class_coverage(predictions([0]), [1, 1, 1, -1], classifier="c")
    with pytest.raises(InputError, match="min_share: must be above 0"):
        class_coverage(predictions([0]), [1] * 4, min_share=0.0, classifier="c")
