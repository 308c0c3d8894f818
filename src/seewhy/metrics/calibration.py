"""Calibration: does a predicted probability of 0.8 come true 8 times in 10, and the temperature that makes it so.

Letters: p (N, K) predicted class probabilities of N images and K classes, y (N) the true classes, T the temperature.

    confidence    c_i = max over k of p_ik; the prediction is the class that has it
    ECE           sum over bins b of (n_b / N) |accuracy_b - mean confidence_b|     (Naeini et al. 2015; Guo et al. 2017, 1706.04599)
    temperature   softmax(log p / T), with the T of least log-loss on validation images     (Guo et al. 2017)

T = 1 changes nothing, T > 1 softens predictions that are too confident, T < 1 sharpens those that are too uncertain; the predicted class never
changes. With p = softmax(logits), log p / T differs from logits / T by a constant of each row, so that nothing is lost by starting from p.
Where p is a mean over views of an image or over the members of an ensemble, T is the temperature of the pooled prediction: pooling makes
predictions less confident, so the temperature is fitted after it (Rahaman & Thiery 2021, 2007.08792).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seewhy.core.errors import InputError, bad_value
from seewhy.metrics.intervals import wilson_interval

BINS = 15
"""Bins of confidence, as many as Guo et al. (2017) take."""

FLOOR = 1e-12
"""Probabilities are floored at this before a logarithm is taken, so that one error cannot be infinite."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
"""Where `fit_temperature` looks for the temperature."""


def validate_predictions(probabilities: Tensor, labels: Tensor, fewest: int = 1) -> None:
    """Raise InputError unless probabilities are floating (N, K) and labels int64 (N), each from 0 to K - 1, with N at least `fewest`."""
    if probabilities.dim() != 2 or not probabilities.is_floating_point():
        raise bad_value("probabilities", f"{probabilities.dtype} {tuple(probabilities.shape)}", "floating (N, K)")
    if labels.dtype != torch.int64 or labels.shape != probabilities.shape[:1]:
        raise bad_value("labels", f"{labels.dtype} {tuple(labels.shape)}", f"int64 ({len(probabilities)},)")
    if len(labels) < fewest:
        raise bad_value("labels", len(labels), f"of at least {fewest} image{'s' * (fewest > 1)}")
    K = probabilities.shape[1]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < K:
        raise bad_value("labels", (int(labels.min()), int(labels.max())), f"from 0 to {K - 1}")


def calibration_bins(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> list[dict[str, float]]:
    """Return the non-empty bins of equal width in confidence, lowest first.

    Args:
        probabilities: floating (N, K).
        labels: int64 (N).
        bins: how many between 0 and 1.

    Returns:
        for each bin its mean `confidence`, `accuracy` with its 95% Wilson interval from `lo` to `hi`, and the number of images `n`.

    Raises:
        InputError: shapes do not fit, or bins is below 1.
    """
    validate_predictions(probabilities, labels)
    if bins < 1:
        raise bad_value("bins", bins, "at least 1")
    confidence, predicted = probabilities.max(dim=1)
    correct = predicted == labels
    positions = (confidence * bins).long().clamp_(0, bins - 1)
    rows = []
    for position in torch.unique(positions).tolist():
        inside = positions == position
        n, hits = int(inside.sum()), int(correct[inside].sum())
        low, high = wilson_interval(hits, n)
        mean = confidence[inside].mean().item()
        rows.append({"confidence": mean, "accuracy": hits / n, "n": n, "lo": low, "hi": high})
    return rows


def expected_calibration_error(bins: Sequence[Mapping[str, float]], n: int) -> float:
    """Return ECE = sum over bins of (n_b / n) |accuracy_b - confidence_b|, in [0, 1] (Guo et al. 2017, 1706.04599).

    Args:
        bins: what `calibration_bins` returned.
        n: images in all of them.
    """
    return sum(row["n"] / n * abs(row["accuracy"] - row["confidence"]) for row in bins)


def brier_score(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean over images of sum_k (p_k - 1[k = y])^2, from 0 (certain and right) to 2 (certain and wrong) (Brier 1950).

    Args:
        probabilities: floating (N, K).
        labels: int64 (N).

    Raises:
        InputError: shapes do not fit.
    """
    validate_predictions(probabilities, labels)
    p = probabilities.double()
    true = p.gather(1, labels[:, None])[:, 0]
    return (p.square().sum(1) - 2 * true + 1).mean().item()


@torch.no_grad()
def fit_temperature(probabilities: Tensor, labels: Tensor, *, smoothing: float | None = None) -> float:
    """Return the temperature of least mean log-loss, argmin over T of mean -sum_k q_k log softmax(log p / T)_k (Guo et al. 2017, 1706.04599).

    The targets are q = (1 - s) onehot(y) + s / K with s = 1 / (N + 2), as Platt (1999) regularises his fit: few images that are all predicted
    right do not make every prediction certain. s = 0 is the plain maximum-likelihood fit.

    The loss is convex in b = 1 / T, with slope mean (E[z] - q'z) and curvature mean Var[z] for z = log p under softmax(b z): Newton's method,
    with bisection where a step would leave the bracket of the root. T stays within 0.05 and 20.

    Args:
        probabilities: floating (N, K) of images that were not trained on; floored at 1e-12. Of pooled predictions where those will be made.
        labels: int64 (N).
        smoothing: s, within [0, 1); None for 1 / (N + 2).

    Returns:
        T in [0.05, 20]; 1.0 where fewer than 2 images, or rows that are all uniform, say nothing about it.

    Raises:
        InputError: shapes do not fit, or probabilities are negative or not finite.
    """
    validate_predictions(probabilities, labels, fewest=0)
    _validate_range(probabilities)
    if smoothing is not None and not 0 <= smoothing < 1:
        raise bad_value("smoothing", smoothing, "at least 0 and less than 1")
    if len(labels) < 2:
        return 1.0
    z = probabilities.double().clamp_min(FLOOR).log()
    z = z - z.max(1, keepdim=True).values
    if not bool(z.any()):
        return 1.0
    share = 1.0 / (len(labels) + 2) if smoothing is None else smoothing
    z_true = (1.0 - share) * z.gather(1, labels[:, None])[:, 0] + share * z.mean(1)

    def derivatives(b: float) -> tuple[float, float]:
        weights = (b * z).softmax(1)
        mean = (weights * z).sum(1)
        variance = (weights * (z - mean[:, None]).square()).sum(1)
        return (mean - z_true).mean().item(), variance.mean().item()

    low, high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
    if derivatives(low)[0] >= 0:
        return MAX_TEMPERATURE
    if derivatives(high)[0] <= 0:
        return MIN_TEMPERATURE
    b = 1.0
    for _ in range(200):
        slope, curvature = derivatives(b)
        if slope > 0:
            high = b
        else:
            low = b
        newton = b - slope / curvature if curvature > 0 else math.inf
        if abs(newton - b) <= 1e-8 * b:  # the step squares the error, which then is that of rounding
            b = min(max(newton, low), high)
            break
        b = newton if low < newton < high else math.sqrt(low * high)
    return 1.0 / b


@torch.no_grad()
def tempered(probabilities: Tensor, temperature: float) -> Tensor:
    """Return softmax(log p / T), float32, of floating p (..., K): the formula alone, which branches on no value."""
    if temperature == 1.0:
        return probabilities.float()
    return (probabilities.double().clamp_min(FLOOR).log() / temperature).softmax(-1).float()


def apply_temperature(probabilities: Tensor, temperature: float) -> Tensor:
    """Return softmax(log p / T), float32 rows that sum to 1, with the same most probable class as before.

    Args:
        probabilities: floating (..., K); floored at 1e-12.
        temperature: T, such as `fit_temperature` returned.

    Raises:
        InputError: T is not above 0 and finite, or probabilities are negative or infinite. What is not a number stays so, for it is no
            fault of the caller's that a network's output is none.
    """
    if not 0 < temperature < math.inf:
        raise bad_value("temperature", temperature, "above 0 and finite")
    if probabilities.dim() < 1 or not probabilities.is_floating_point():
        raise bad_value("probabilities", f"{probabilities.dtype} {tuple(probabilities.shape)}", "floating (..., K)")
    _validate_range(probabilities.nan_to_num(0.0, posinf=math.inf))
    if temperature == 1.0:
        return probabilities.float()
    scaled = tempered(probabilities, temperature)
    # Probabilities that differed may be rounded to equal ones, of which another would be the first.
    predicted = probabilities.argmax(-1, keepdim=True)
    most = scaled.max(-1, keepdim=True)
    above = most.values.nextafter(torch.full_like(most.values, math.inf))
    return scaled.scatter(-1, predicted, torch.where(most.indices == predicted, most.values, above))


def _validate_range(probabilities: Tensor) -> None:
    if not bool((probabilities.isfinite() & (probabilities >= 0)).all()):
        raise InputError("probabilities: must be at least 0 and finite")
