"""Losses, views and figures against their definitions."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics

from seewhy.training.loop.averaging import MovingAverage
from seewhy.training.results.evaluation import evaluate, log_loss, wilson_interval
from seewhy.training.tasks import Recognition


def test_smoothed_loss_is_its_formula():
    torch.manual_seed(0)
    logits, labels = torch.randn(7, 5, dtype=torch.float64), torch.randint(0, 5, (7,))
    target = 0.8 * torch.nn.functional.one_hot(labels, 5) + 0.2 / 5
    expected = -(target * torch.log(logits.exp() / logits.exp().sum(1, keepdim=True))).sum(1).mean()
    torch.testing.assert_close(Recognition(label_smoothing=0.2).loss(logits, labels), expected)


def test_views_are_the_mirror_and_the_shifts():
    seen = []

    def model(images):
        seen.append(images)
        return torch.zeros(len(images), 3)

    images = torch.arange(2 * 1 * 4 * 5, dtype=torch.uint8).reshape(2, 1, 4, 5)
    probabilities = Recognition(tta="flip_shift").probabilities(model, images)
    torch.testing.assert_close(probabilities, torch.full((2, 3), 1 / 3))
    plain, mirrored = images.numpy(), images.numpy()[..., ::-1]
    border = ((0, 0), (0, 0), (1, 1), (1, 1))
    lower_right = np.pad(plain, border, mode="reflect")[:, :, 0:4, 0:5]
    upper_left = np.pad(mirrored, border, mode="reflect")[:, :, 2:6, 2:7]
    for view, want in zip(seen, [plain, mirrored, lower_right, upper_left], strict=True):
        np.testing.assert_array_equal(view.numpy(), want)


def test_view_weights():
    def model(images):
        return torch.where(images[:, :1, 0, 0] > 0, 100.0, -100.0) * torch.tensor([1.0, -1.0])

    image = torch.zeros(1, 1, 3, 3, dtype=torch.uint8)
    image[0, 0, 0, 0] = 255  # only the image itself has its bright corner at the upper left
    assert Recognition(tta="none").probabilities(model, image)[0, 0] == 1
    assert Recognition(tta="flip").probabilities(model, image)[0, 0] == 0.5
    assert Recognition(tta="flip_shift").probabilities(model, image)[0, 0] == 0.25


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (7, 10), (9050, 10_000)])
def test_wilson_interval_is_scipys(successes, n):
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.fixture
def predictions():
    torch.manual_seed(1)
    logits = torch.randn(400, 7) * 2
    labels = torch.randint(0, 7, (400,))
    logits[torch.arange(400), labels] += 2
    return logits.softmax(1), labels


def test_figures_agree_with_scikit_learn(predictions):
    probabilities, labels = predictions
    exact = probabilities.double() / probabilities.double().sum(1, keepdim=True)
    names = tuple("abcdefg")
    found = evaluate("test", names, probabilities, labels)
    predicted = probabilities.argmax(1)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert found.log_loss == pytest.approx(metrics.log_loss(labels, exact.numpy()), rel=1e-5)
    assert found.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, probabilities.numpy(), k=5))
    assert found.confusion == metrics.confusion_matrix(labels, predicted).tolist()
    precision, recall, f1, count = metrics.precision_recall_fscore_support(labels, predicted)
    for place, row in enumerate(found.per_class):
        got = (row["precision"], row["recall"], row["f1"], row["n"])
        assert got == pytest.approx((precision[place], recall[place], f1[place], count[place]))


def test_calibration_bins_make_the_expected_calibration_error(predictions):
    probabilities, labels = predictions
    found = evaluate("test", tuple("abcdefg"), probabilities, labels)
    confidence, right = probabilities.max(1).values.numpy(), (probabilities.argmax(1) == labels).numpy()
    bins = np.digitize(confidence, np.linspace(0, 1, 16)[1:-1])
    gaps = [abs(right[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)]
    assert found.ece == pytest.approx(sum(gaps) / 400, abs=1e-6)
    assert sum(row["n"] for row in found.calibration) == 400


def test_a_class_without_images_or_predictions_has_no_figures():
    probabilities = torch.tensor([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1]])
    rows = evaluate("test", ("a", "b", "c"), probabilities, torch.tensor([0, 1])).per_class
    assert (rows[1]["precision"], rows[1]["recall"]) == (None, 0.0)
    assert (rows[2]["precision"], rows[2]["recall"], rows[2]["f1"]) == (None, None, None)


def test_log_loss_of_an_impossible_class_is_finite():
    assert log_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == pytest.approx(-math.log(1e-12), rel=1e-5)


def test_moving_average_is_its_recurrence():
    model = torch.nn.Linear(3, 2)
    average = MovingAverage(model, 0.9)
    expected = model.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.weight.detach()
    torch.testing.assert_close(average.state["weight"], expected)
