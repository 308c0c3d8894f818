"""Figures of a classifier against their definitions and scikit-learn's."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn import metrics

from seewhy.core.errors import InputError
from seewhy.metrics import ClassificationMetrics, classification_metrics, entropy, log_loss, mutual_information

CLASSES = tuple("abcdefg")


@pytest.fixture
def predictions():
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(400, 7, generator=rng) * 2
    labels = torch.randint(0, 7, (400,), generator=rng)
    logits[torch.arange(400), labels] += 2
    return logits.softmax(1), labels


def test_figures_agree_with_scikit_learn(predictions):
    probabilities, labels = predictions
    exact = probabilities.double() / probabilities.double().sum(1, keepdim=True)
    figures = classification_metrics("test", CLASSES, probabilities, labels)
    predicted = probabilities.argmax(1)
    assert figures.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert figures.log_loss == pytest.approx(metrics.log_loss(labels, exact.numpy()), rel=1e-5)
    assert figures.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, probabilities.numpy(), k=5))
    assert figures.confusion == metrics.confusion_matrix(labels, predicted).tolist()
    precision, recall, f1, count = metrics.precision_recall_fscore_support(labels, predicted)
    for index, row in enumerate(figures.per_class):
        values = (row["precision"], row["recall"], row["f1"], row["n"])
        assert values == pytest.approx((precision[index], recall[index], f1[index], count[index]))


def test_calibration_bins_make_the_expected_calibration_error(predictions):
    probabilities, labels = predictions
    figures = classification_metrics("test", CLASSES, probabilities, labels)
    confidence, correct = probabilities.max(1).values.numpy(), (probabilities.argmax(1) == labels).numpy()
    bins = np.digitize(confidence, np.linspace(0, 1, 16)[1:-1])
    gaps = [abs(correct[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)]
    assert figures.ece == pytest.approx(sum(gaps) / 400, abs=1e-6)
    assert sum(row["n"] for row in figures.calibration) == 400


def test_a_class_without_images_or_predictions_has_no_figures():
    probabilities = torch.tensor([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1]])
    rows = classification_metrics("test", ("a", "b", "c"), probabilities, torch.tensor([0, 1])).per_class
    assert (rows[1]["precision"], rows[1]["recall"]) == (None, 0.0)
    assert (rows[2]["precision"], rows[2]["recall"], rows[2]["f1"]) == (None, None, None)


def test_the_headline_and_everything_are_json(predictions):
    figures = classification_metrics("val", CLASSES, *predictions)
    more = ["balanced_accuracy", "macro_f1", "class_recall", "top5"]
    assert list(figures.headline()) == ["n", "accuracy", "interval", "log_loss", "ece", *more]
    everything = json.loads(json.dumps(figures.to_json()))
    assert everything["split"] == "val"
    assert everything["classes"] == list(CLASSES)
    assert "ensemble" not in everything
    headline = figures.headline()
    assert headline.pop("class_recall") == {row["class"]: row["recall"] for row in figures.per_class}
    assert headline.items() <= everything.items()
    few = classification_metrics("val", "ab", torch.tensor([[0.9, 0.1]]), torch.tensor([0]))
    assert few.top5 is None
    assert "top5" not in few.headline()
    members = ClassificationMetrics(**{**vars(few), "ensemble": {"gain": 0.0}})
    assert members.to_json()["ensemble"] == {"gain": 0.0}


def test_log_loss_of_an_impossible_class_is_finite():
    assert log_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == pytest.approx(-math.log(1e-12), rel=1e-5)


def test_entropy_is_known_at_its_ends():
    probabilities = torch.tensor([[0.25] * 4, [1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(entropy(probabilities), torch.tensor([math.log(4), 0.0]))


def test_mutual_information_is_that_of_member_and_class():
    rng = torch.Generator().manual_seed(0)
    members = torch.randn(4, 50, 3, generator=rng).softmax(2)
    # The joint distribution of member and class, image by image: I = sum p(m, k) log p(m, k) / (p(m) p(k)).
    joint = members.double() / len(members)
    expected = (joint * (joint / (joint.sum(0, keepdim=True) * joint.sum(2, keepdim=True))).log()).sum((0, 2))
    torch.testing.assert_close(mutual_information(members).double(), expected, atol=1e-6, rtol=1e-5)
    assert mutual_information(members[:1].expand(3, -1, -1)).max() < 1e-6


WRONG = [
    (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), "labels: must be of at least 1 image, got 0"),
    (torch.full((2, 3), 1 / 3), torch.tensor([0, 1]), r"probabilities: must be \(N, 2\), a column for each class"),
    (torch.full((2, 2), 0.5), torch.tensor([0, 1, 1]), r"labels: must be int64 \(2,\)"),
    (torch.full((2, 2), 0.5), torch.tensor([0, 2]), r"labels: must be from 0 to 1, got \(0, 2\)"),
    (torch.ones(2, 2, dtype=torch.int64), torch.tensor([0, 1]), r"probabilities: must be floating \(N, K\)"),
]


@pytest.mark.parametrize(("probabilities", "labels", "message"), WRONG)
def test_wrong_input_is_named(probabilities, labels, message):
    with pytest.raises(InputError, match=message):
        classification_metrics("test", "ab", probabilities, labels)


def test_balanced_figures_agree_with_scikit_learn():
    generator = torch.Generator().manual_seed(4)
    labels = torch.tensor([0] * 60 + [1] * 7 + [2] * 3)
    probabilities = torch.rand(70, 5, generator=generator).softmax(1)
    probabilities[:50, 0] += 1
    found, predicted = classification_metrics("test", list("abcde"), probabilities, labels), probabilities.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    expected = metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    assert found.macro_f1 == pytest.approx(expected)
    assert found.headline()["class_recall"]["b"] == (predicted[60:67] == 1).double().mean().item()
    assert found.headline()["class_recall"]["e"] is None
