"""Which classes were drawn: counts, divergence and what chance makes of them."""

import json
import math

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.training.fidelity.coverage import class_coverage


def said(labels, classes=4, confidence=0.9):
    """Probabilities of a recogniser that puts pictures into the given classes."""
    rest = (1 - confidence) / (classes - 1)
    return torch.full((len(labels), classes), rest).scatter(1, torch.tensor(labels)[:, None], confidence)


def test_even_classes_are_covered():
    found = class_coverage(said([0, 1, 2, 3] * 5), [10, 10, 10, 10], recogniser="r")
    assert found.shares == (0.25,) * 4
    assert (found.covered, found.classes, found.collapsed) == (4, 4, False)
    assert found.kl == pytest.approx(0.0, abs=1e-12)
    assert found.effective == pytest.approx(4.0)
    assert found.confidence == pytest.approx(0.9)


def test_one_class_is_collapse():
    found = class_coverage(said([2] * 20), [1, 1, 2, 4], recogniser="r")
    assert (found.covered, found.collapsed) == (1, True)
    assert found.kl == pytest.approx(math.log(4))
    assert found.effective == pytest.approx(1.0)


def test_divergence_is_its_sum():
    found = class_coverage(said([0] * 5 + [1] * 3 + [3] * 2), torch.tensor([0.4, 0.3, 0.2, 0.1]), recogniser="r")
    assert found.kl == pytest.approx(0.5 * math.log(0.5 / 0.4) + 0.3 * math.log(1) + 0.2 * math.log(0.2 / 0.1))
    assert (found.covered, found.collapsed) == (3, True)


def test_a_rare_class_of_the_data_may_be_rare():
    found = class_coverage(said([0] * 98 + [1] * 2, classes=2), [95, 5], recogniser="r")
    assert not found.collapsed
    assert class_coverage(said([0] * 98 + [1] * 2, classes=2), [50, 50], recogniser="r").collapsed
    assert class_coverage(said([0] * 98 + [1] * 2, classes=2), [95, 5], least=0.5, recogniser="r").collapsed


def test_chance_alone_makes_the_divergence_that_is_said():
    generator = torch.Generator().manual_seed(0)
    found = [
        class_coverage(said(torch.randint(4, (200,), generator=generator).tolist()), [1] * 4, recogniser="r")
        for _ in range(200)
    ]
    assert sum(figure.kl for figure in found) / 200 == pytest.approx(found[0].kl_by_chance, rel=0.2)


def test_a_class_that_the_data_have_not_is_no_class():
    found = class_coverage(said([0, 1, 2] * 4), [1, 1, 1, 0], recogniser="r")
    assert (found.covered, found.classes, found.collapsed) == (3, 3, False)
    with pytest.raises(InputError, match="data: has no picture of a class that the recogniser sees"):
        class_coverage(said([0, 3]), [1, 1, 1, 0], recogniser="r")


def test_the_result_says_whose_word_it_is():
    found = json.loads(json.dumps(class_coverage(said([0, 1]), [1] * 4, recogniser="convnet of run a").to_json()))
    assert found["recogniser"] == "convnet of run a"
    assert found["n"] == 2


def test_wrong_input_is_named():
    with pytest.raises(InputError, match=r"probabilities: must be floating \(n, K\)"):
        class_coverage(torch.zeros(0, 4), [1] * 4, recogniser="r")
    with pytest.raises(InputError, match="data: must be 4 counts or shares"):
        class_coverage(said([0]), [1, 1], recogniser="r")
    with pytest.raises(InputError, match="data: must be 4 counts or shares"):
        class_coverage(said([0]), [1, 1, 1, -1], recogniser="r")
    with pytest.raises(InputError, match="least: must be above 0"):
        class_coverage(said([0]), [1] * 4, least=0.0, recogniser="r")
