"""Temperatures against closed forms and SciPy's minimiser, bins and scores against their definitions."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from seewhy.core.errors import InputError
from seewhy.metrics import (
    apply_temperature,
    brier_score,
    calibration_bins,
    expected_calibration_error,
    fit_temperature,
    log_loss,
)


def binary(margin, n, correct):
    """Return n equal predictions of two classes, log p_0 - log p_1 = margin, of which so many are right."""
    p = 1 / (1 + math.exp(-margin))
    labels = (torch.arange(n) >= correct).long()
    return torch.tensor([[p, 1 - p]], dtype=torch.float64).expand(n, 2), labels


def noisy(n, K, scale, seed):
    """Return predictions whose logits are `scale` times those that the labels are sampled from: T = scale is right."""
    rng = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, K, generator=rng, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=rng)[:, 0]
    return (scale * logits).softmax(1), labels


@pytest.mark.parametrize(("margin", "correct"), [(3.0, 70), (0.5, 90), (-1.0, 20), (12.0, 99)])
def test_equal_predictions_of_two_classes_get_the_observed_frequency(margin, correct):
    # softmax(log p / T) has the margin / T; the log-loss is least where that is the log-odds of the frequency.
    probabilities, labels = binary(margin, 100, correct)
    temperature = fit_temperature(probabilities, labels, smoothing=0)
    assert temperature == pytest.approx(margin / math.log(correct / (100 - correct)), rel=1e-9)
    calibrated = apply_temperature(probabilities, temperature)
    torch.testing.assert_close(calibrated[:, 0], torch.full((100,), correct / 100))


def test_two_levels_of_confidence_solve_the_equation_of_the_mean_margin():
    # Margins a and 2a with b = 1 / T: n_1 a (s(ab) - f_1) + 2 n_2 a (s(2ab) - f_2) = 0, s the logistic function.
    (p, y), (q, z) = binary(1.5, 60, 40), binary(3.0, 40, 35)
    b = 1 / fit_temperature(torch.cat([p, q]), torch.cat([y, z]), smoothing=0)

    def s(x):
        return 1 / (1 + math.exp(-x))

    assert 60 * 1.5 * (s(1.5 * b) - 40 / 60) + 40 * 3.0 * (s(3.0 * b) - 35 / 40) == pytest.approx(0.0, abs=1e-8)


@settings(deadline=None, max_examples=25)
@given(st.integers(20, 200), st.integers(2, 12), st.floats(0.2, 6), st.integers(0, 999), st.booleans())
def test_it_is_scipys_minimum(n, K, scale, seed, single):
    probabilities, labels = noisy(n, K, scale, seed)
    if single:
        probabilities = probabilities.float()

    def loss(log_temperature):
        logits = probabilities.double().clamp_min(1e-12).log() / math.exp(log_temperature)
        return torch.nn.functional.cross_entropy(logits, labels).item()

    bounds = (math.log(0.05), math.log(20))
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10})
    temperature = fit_temperature(probabilities, labels, smoothing=0)
    assert 0.05 <= temperature <= 20
    assert loss(math.log(temperature)) <= best.fun + 1e-12
    if bounds[0] + 0.1 < best.x < bounds[1] - 0.1:
        assert temperature == pytest.approx(math.exp(best.x), rel=1e-4)


def test_the_right_temperature_is_found_and_calibrates():
    probabilities, labels = noisy(5000, 5, 3.0, 0)
    temperature = fit_temperature(probabilities, labels, smoothing=0)
    assert temperature == pytest.approx(3.0, rel=0.05)
    assert temperature == fit_temperature(probabilities, labels, smoothing=0)
    calibrated = apply_temperature(probabilities, temperature)
    errors = [expected_calibration_error(calibration_bins(p, labels), 5000) for p in (probabilities, calibrated)]
    assert errors[1] < 0.02 < 0.05 < errors[0]
    assert log_loss(calibrated, labels) < log_loss(probabilities, labels)
    assert fit_temperature(calibrated, labels, smoothing=0) == pytest.approx(1.0, abs=1e-4)


def test_logits_scaled_by_a_factor_scale_the_temperature():
    _, labels = noisy(300, 4, 1.0, 1)
    logits = noisy(300, 4, 1.0, 1)[0].log()
    one, two = (fit_temperature((factor * logits).softmax(1), labels, smoothing=0) for factor in (1.0, 2.5))
    assert two == pytest.approx(2.5 * one, rel=1e-6)


def test_without_a_finite_minimum_it_stops_at_its_bounds():
    probabilities, _ = noisy(50, 3, 1.0, 0)
    assert fit_temperature(probabilities, probabilities.argmax(1), smoothing=0) == 0.05
    assert fit_temperature(probabilities, probabilities.argmin(1), smoothing=0) == 20.0


def test_zeros_and_ones_do_no_harm():
    probabilities = torch.eye(3)[torch.arange(60) % 3]
    labels = torch.where(torch.arange(60) < 12, (torch.arange(60) + 1) % 3, torch.arange(60) % 3)
    # One class has log p = 0 and two have log 1e-12: exp(m / T) = 2 * 48 / 12 with m = -log 1e-12.
    assert fit_temperature(probabilities, labels, smoothing=0) == pytest.approx(
        -math.log(1e-12) / math.log(8), rel=1e-6
    )


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)),
        (torch.tensor([[0.2, 0.8]]), torch.tensor([0])),
        (torch.full((9, 3), 1 / 3), torch.arange(9) % 3),
        (torch.ones(9, 1), torch.zeros(9, dtype=torch.int64)),
    ],
)
def test_what_says_nothing_changes_nothing(probabilities, labels):
    assert fit_temperature(probabilities, labels, smoothing=0) == 1.0


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 30), st.floats(0.05, 20), st.integers(0, 999), st.sampled_from([1e-7, 0.01, 1.0, 30.0]))
def test_rows_stay_distributions_with_the_same_prediction(K, temperature, seed, spread):
    rng = torch.Generator().manual_seed(seed)
    probabilities = (spread * torch.randn(40, K, generator=rng)).softmax(1)
    probabilities[0] = 1 / K  # all tied
    probabilities[1] = 0.0
    probabilities[1, K // 2] = 1.0
    calibrated = apply_temperature(probabilities, temperature)
    assert calibrated.dtype == torch.float32
    torch.testing.assert_close(calibrated.sum(1), torch.ones(40), rtol=0, atol=2e-6)
    assert torch.equal(calibrated.argmax(1), probabilities.argmax(1))


def test_temperatures_above_1_soften_and_below_sharpen():
    probabilities = torch.tensor([[0.7, 0.2, 0.1]])
    soft, sharp = apply_temperature(probabilities, 2.0), apply_temperature(probabilities, 0.5)
    roots = probabilities.sqrt()
    torch.testing.assert_close(soft, roots / roots.sum())
    torch.testing.assert_close(sharp, probabilities.square() / probabilities.square().sum())
    assert torch.equal(apply_temperature(probabilities[0], 1.0), probabilities[0])
    torch.testing.assert_close(apply_temperature(probabilities[0], 2.0), soft[0])


def test_close_probabilities_are_not_rounded_into_another_prediction():
    first = torch.tensor(0.3)
    above = first.nextafter(torch.tensor(1.0))
    probabilities = torch.stack([first, above, 1 - first - above])[None]
    assert apply_temperature(probabilities, 20.0).argmax(1).tolist() == [2]
    probabilities = torch.stack([torch.tensor(0.5).nextafter(torch.tensor(0.0)), torch.tensor(0.5)])[None]
    assert (probabilities.double().log() / 20).softmax(1).float().argmax(1).tolist() == [0]  # what rounding does
    assert apply_temperature(probabilities, 20.0).argmax(1).tolist() == [1]


def test_bins_are_those_of_confidence():
    probabilities = torch.tensor([[0.95, 0.05], [0.92, 0.08], [0.4, 0.6], [1.0, 0.0]])
    rows = calibration_bins(probabilities, torch.tensor([0, 1, 1, 0]), bins=10)
    assert [row["n"] for row in rows] == [1, 3]
    assert [row["confidence"] for row in rows] == pytest.approx([0.6, (0.95 + 0.92 + 1.0) / 3])
    assert [row["accuracy"] for row in rows] == pytest.approx([1.0, 2 / 3])
    assert all(row["lo"] < row["accuracy"] <= row["hi"] for row in rows)
    assert expected_calibration_error(rows, 4) == pytest.approx(0.25 * 0.4 + 0.75 * abs(2 / 3 - 2.87 / 3))


def test_the_brier_score_is_its_sum_over_classes():
    probabilities, labels = noisy(200, 4, 1.5, 0)
    expected = (probabilities - torch.nn.functional.one_hot(labels, 4)).square().sum(1).mean().item()
    assert brier_score(probabilities, labels) == pytest.approx(expected)
    assert brier_score(torch.tensor([[1.0, 0.0]]), torch.tensor([1])) == 2.0


WRONG = [
    (lambda p, y: fit_temperature(p, y[:3]), r"labels: must be int64 \(5,\), got 'torch.int64 \(3,\)'"),
    (lambda p, y: fit_temperature(p, y + 9), "labels: must be from 0 to 2"),
    (lambda p, y: fit_temperature(p - 1, y), "probabilities: must be at least 0 and finite"),
    (lambda p, y: fit_temperature(p * math.nan, y), "probabilities: must be at least 0 and finite"),
    (lambda p, y: apply_temperature(p, 0.0), "temperature: must be above 0 and finite, got 0.0"),
    (lambda p, y: apply_temperature(p, math.nan), "temperature: must be above 0 and finite, got nan"),
    (lambda p, y: apply_temperature(y, 2.0), r"probabilities: must be floating \(..., K\)"),
    (lambda p, y: apply_temperature(-p, 2.0), "probabilities: must be at least 0 and finite"),
    (lambda p, y: calibration_bins(p, y, bins=0), "bins: must be at least 1, got 0"),
    (lambda p, y: brier_score(p, y[:0]), r"labels: must be int64 \(5,\)"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_wrong_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(torch.full((5, 3), 1 / 3), torch.arange(5) % 3)


def test_few_images_that_are_all_right_do_not_make_certainty():
    """With Platt's targets the fit of N images of K = 2 classes at one level of confidence has a closed form."""
    n = 50
    probabilities, labels = torch.tensor([[0.7, 0.3]]).repeat(n, 1), torch.zeros(n, dtype=torch.int64)
    assert fit_temperature(probabilities, labels, smoothing=0) == 0.05  # the bound: no error was seen
    temperature = fit_temperature(probabilities, labels)
    share = 1 - 0.5 / (n + 2)  # of the true class in the smoothed target
    assert apply_temperature(probabilities, temperature)[0, 0].item() == pytest.approx(share, abs=1e-6)
    assert temperature == pytest.approx(math.log(0.7 / 0.3) / math.log(share / (1 - share)), rel=1e-6)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(InputError, match="smoothing: must be at least 0 and less than 1"):
        fit_temperature(torch.full((3, 2), 0.5), torch.zeros(3, dtype=torch.int64), smoothing=smoothing)
