"""What the gradient that arrives at a network's outputs tells of the loss, without a word from the user.

For outputs z (N, K), p = softmax(z) and targets q, the gradient of cross-entropy is

    g = s (p - q),    s = 1/N for the mean over the rows, 1 for their sum

so that q = p - g / s once s is known. With hard labels y and label smoothing e, q is e/K off the label and 1 - e + e/K on it: if some s leads to
such targets in every row, the loss is a cross-entropy of these outputs, and y, e and s are known. The scale is tried as 1/N and 1, and as the
slope of the straight line g = s (p - e/K) off the label, which gradient accumulation and loss scaling change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.diagnosis.records import BinaryRecord, LogitsRecord
from seewhy.diagnosis.row_weights import Weighted, read_weighted

ROWS = 4096
"""Rows that are looked at, spread over all."""

FIT, HALF_FIT = 2e-3, 2e-2
"""Largest deviation of a target from those of smoothed hard labels; where outputs or gradients have 8 or 11 bits."""

SURE = 1 - 1e-6
"""Probability from which a row may have no gradient because it is right, not because it is ignored."""

DOUBT = 2e-5
"""Difference of a probability and its target below which rounding hides it."""

BINARY_FIT = 1e-2
"""Largest relative deviation of a binary cross-entropy's scale from output to output."""

ALIKE = 1e-9
"""Deviation of probabilities below which all are one, as those of saturated outputs: one scale fits any gradient that is the same for all."""

FIRST = 8
"""Outputs that are looked at before all others."""

VERY = 0.9
"""Probability above which a wrong prediction is a sure one."""

COLUMNS = 8192
"""Columns of the inputs that are compared with the labels."""

NEAR, NEAR_COLUMNS = 128, 1024
"""Rows and columns of the inputs of which the nearest neighbours are looked for."""

COOLED, ROUNDS = 1.5, 8
"""Temperature from which logits count as divided, and rounds in which it is found."""

HALF = 0.5
SIMPLEX = 1e-3
"""How far the sum of probabilities may be from 1."""


def read_logits(outputs: Tensor, gradient: Tensor, inputs: Tensor | None = None) -> LogitsRecord | None:
    """Return what outputs and their gradient tell; None where the loss is no cross-entropy of them.

    Args:
        outputs: (N, K), (N, K, ...) or (N, ..., K), floating point.
        gradient: of the loss, of the same shape.
        inputs: (N, ...), what the network got; None to leave out whether they tell the labels.
    """
    rows = _rows(outputs, gradient)
    if rows is None:
        return None
    z, g, p = rows
    simplex = bool((z >= 0).all() & ((z.sum(1) - 1).abs() < SIMPLEX).all())
    if simplex and _squared_probabilities(z, g):
        return None
    half = min(torch.finfo(outputs.dtype).bits, torch.finfo(gradient.dtype).bits) < 32
    fit = _fit(z, g, p, HALF_FIT if half else FIT, weigh=not simplex)
    if fit is None:
        return None
    z, p, labels, weighted = fit.z, fit.p, fit.labels, fit.weighted
    classes = z.shape[1]
    weights = None if weighted is None or weighted.focus else weighted.weights
    counts = torch.bincount(labels, minlength=classes)
    weighed = counts if weights is None else counts * weights
    shares = [share for share in (weighed / weighed.sum()).tolist() if share]
    log_p = torch.log_softmax(z, 1)
    predicted = z.argmax(1)
    right = predicted == labels
    sure_wrong = (p.amax(1) > VERY) & ~right
    told = log_p.gather(1, labels[:, None])[:, 0]
    if weights is not None:
        told = told * weights[labels] * (len(labels) / weighed.sum())
    means = [told.mean(), log_p.mean(), right.double().mean(), sure_wrong.double().mean()]
    on_label, anywhere, accuracy, wrong = torch.stack(means).tolist()
    whole = inputs is not None and len(inputs) == len(z) == len(outputs)  # each row of the outputs is of one input
    return LogitsRecord(
        rows=len(z),
        classes=classes,
        loss=-(1 - fit.smoothing) * on_label - fit.smoothing * anywhere,
        entropy=-sum(share * math.log(share) for share in shares),
        accuracy=accuracy,
        smoothing=fit.smoothing,
        scale=fit.scale,
        labels=tuple(counts.tolist()),
        predicted=tuple(torch.bincount(predicted, minlength=classes).tolist()),
        probabilities=fit.twice or simplex,
        rows_differ=bool((z - z[0]).abs().max() > 1e-6 * z.abs().max()),
        right=tuple(torch.bincount(labels[right], minlength=classes).tolist()),
        sure_wrong=wrong,
        leak=label_leak(inputs, labels) if whole and inputs is not None else None,
        neighbours=neighbours(inputs, labels) if whole and inputs is not None else None,
        temperature=fit.temperature,
        weights=None if weights is None else tuple(weights.tolist()),
        focus=0.0 if weighted is None else weighted.focus,
    )


@dataclass(frozen=True)
class _Fit:
    """The cross-entropy that a gradient is of.

    Attributes:
        z: its logits, (N, K): the outputs divided by a temperature, or what a second softmax makes of them.
        p: the softmax of the outputs, divided by the temperature.
        labels: (N).
        smoothing: of the labels.
        scale: s, of a row.
        temperature: by which the outputs were divided.
        twice: whether the softmax was taken twice.
        weighted: what the rows count, where not all count alike.
    """

    z: Tensor
    p: Tensor
    labels: Tensor
    smoothing: float
    scale: float
    temperature: float = 1.0
    twice: bool = False
    weighted: Weighted | None = None


def _fit(z: Tensor, g: Tensor, p: Tensor, tolerance: float, *, weigh: bool) -> _Fit | None:
    """Return the cross-entropy whose gradient is g, the plainest one; None if it is of none. Rows are weighed where that is asked for."""
    plain = next((fit for scale in _scales(p, g) if (fit := _targets(p, g, scale, tolerance)) is not None), None)
    if plain is not None:
        return _Fit(z, p, *plain)
    if (twice := _softmax_twice(p, g, tolerance)) is not None:
        return _Fit(p, p, *twice, twice=True)
    if (cooled := _divided(z, g, tolerance)) is not None:
        fitted, temperature = cooled
        z = z / temperature
        return _Fit(z, torch.softmax(z, 1), *fitted, temperature=temperature)
    if weigh and (weighted := read_weighted(p, g, tolerance)) is not None:
        return _Fit(z, p, weighted.labels, 0.0, weighted.scale, weighted=weighted)
    return None


@torch.no_grad()
def label_leak(inputs: Tensor, labels: Tensor) -> tuple[int, float, float] | None:
    """Return the column of the inputs that tells the label best, and how well.

    Of a column x, 1 - (N - 1) / (N - K) * (variance within the classes) / (variance): epsilon squared (Kelley 1935), which is 0 on average
    for a column that has nothing to do with the labels, and 1 for one that follows from them.

    Args:
        inputs: (N, ...), of which at most `COLUMNS` columns are looked at.
        labels: (N).

    Returns:
        that column, its share, and the upper quartile of all columns; None where there are fewer than three rows a class.
    """
    x = inputs.detach().flatten(1)[:, :COLUMNS].to("cpu", torch.float32)
    one_hot = torch.nn.functional.one_hot(labels).float()
    one_hot = one_hot[:, one_hot.sum(0) > 0]
    n, k = one_hot.shape
    if n < 3 * k or k < 2:
        return None
    x = x - x.mean(0)
    total = x.square().sum(0)
    means = one_hot.T @ x / one_hot.sum(0)[:, None]
    within = (total - (means.square() * one_hot.sum(0)[:, None]).sum(0)).clamp_min(0)
    told = torch.where(total > 1e-12 * n, 1 - (n - 1) / (n - k) * within / total.clamp_min(1e-30), 0.0)
    best = int(told.argmax())
    return (
        best,
        float(told[best]),
        float(told[total > 1e-12 * n].quantile(0.75)) if bool((total > 1e-12 * n).any()) else 0.0,
    )


@torch.no_grad()
def neighbours(inputs: Tensor, labels: Tensor) -> tuple[int, int, float] | None:
    """Return how many rows have the label of the row next to them, of how many, and how many would if labels had nothing to do with inputs.

    Args:
        inputs: (N, ...), of which at most `NEAR` rows and `NEAR_COLUMNS` columns are compared.
        labels: (N).

    Returns:
        those three; None where there are fewer than 8 rows, or one label only.
    """
    if not inputs.is_floating_point() or len(inputs) < 8:
        return None
    x, y = inputs.detach()[:NEAR].flatten(1), labels[:NEAR]
    x = x[:, :: max(1, x.shape[1] // NEAR_COLUMNS)].to("cpu", torch.float32)
    std = x.std(0)
    x = torch.where(std > 1e-4 * std.max(), (x - x.mean(0)) / std.clamp_min(1e-30), 0.0)
    counts = torch.bincount(y)
    n = len(y)
    if int((counts > 0).sum()) < 2:
        return None
    distances = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    nearest = distances.masked_fill(distances == 0, math.inf).argmin(1)  # a row that was drawn twice tells nothing
    return int((y[nearest] == y).sum()), n, float((counts * (counts - 1)).sum()) / (n - 1)


def _divided(z: Tensor, g: Tensor, tolerance: float) -> tuple[tuple[Tensor, float, float], float] | None:
    """Return labels, smoothing (0), scale and temperature T > 1 if g is the gradient of the mean cross-entropy of z / T.

    Off the label g = p / (N T), where p, the softmax of z / T, is about 1 / K if T is large: T is found from there in a few rounds.
    """
    labels = g.argmin(1)
    off = torch.ones_like(g, dtype=torch.bool).scatter_(1, labels[:, None], value=False)
    size = float(g[off].mean()) * len(g)
    if not size > 0:
        return None
    t = 1 / (size * z.shape[1])
    for _ in range(ROUNDS):
        t = float(torch.softmax(z / t, 1)[off].mean()) / size
    q = torch.softmax(z / t, 1) - g * (len(g) * t)
    if t < COOLED or float((q - torch.nn.functional.one_hot(labels, z.shape[1])).abs().max()) > tolerance:
        return None
    return (labels, 0.0, 1 / len(g)), t


def read_binary(outputs: Tensor, gradient: Tensor) -> tuple[str, BinaryRecord] | None:
    """Return what outputs and their gradient tell of a binary cross-entropy, and what it is of; None where the loss is none.

    For logits z, s = sigmoid(z) and targets y of 0 or 1 the gradient is c (s - y), c > 0: where it is positive y is 0, else 1, and then
    g / (s - y) is c everywhere. For probabilities s it is c (s - y) / (s (1 - s)), and c s (1 - s) (sigmoid(s) - y) where the loss takes the
    sigmoid of what are probabilities already.

    Args:
        outputs: of any shape, floating point.
        gradient: of the loss, of the same shape.

    Returns:
        "binary" for logits, "probabilities" for these, "twice" for logits whose sigmoid is taken for logits.
    """
    stride = max(1, outputs.numel() // ROWS)
    z, g = (t.detach().reshape(-1)[::stride].double().cpu() for t in (outputs, gradient))
    if len(z) < 4 or not bool(torch.isfinite(g).all()):
        return None
    found = _binary(torch.sigmoid(z), z > 0, g)
    if found is not None:
        return "binary", found
    if bool(((z > 0) & (z < 1)).all()) and (found := _binary(z, z > 0.5, g * z * (1 - z))) is not None:
        return "probabilities", found
    s = torch.sigmoid(z)
    if (found := _binary(torch.sigmoid(s), z > 0, g / (s * (1 - s)).clamp_min(1e-12))) is not None:
        return "twice", found
    return None


def _binary(s: Tensor, sure: Tensor, g: Tensor) -> BinaryRecord | None:
    """Return what c (s - y) = g tells, if there are such a c and targets; of outputs that are sure enough no gradient is left."""
    if not _may_be_binary(s[:FIRST].tolist(), g[:FIRST].tolist()):
        return None
    y = torch.where(g == 0, sure, g < 0).double()
    doubtful = (s - y).abs() > DOUBT
    if bool(doubtful.any()):
        scales = g[doubtful] / (s - y)[doubtful]
        scale = scales.median()
        if (
            not scale > 0
            or bool(((scales / scale - 1).abs() > BINARY_FIT).any())
            or float(s[doubtful].std(correction=0)) < ALIKE
        ):
            return None
    elif float(g.abs().max()) > DOUBT:
        return None
    else:  # all are right beyond what a gradient can show
        y = sure.double()
    chosen = torch.where(y > 0, s, 1 - s)
    return BinaryRecord(
        loss=float(-chosen.clamp_min(1e-38).log().mean()),
        positive=float(y.mean()),
        accuracy=float((sure == (y > 0)).double().mean()),
        confidence=float(chosen.mean()),
    )


def _may_be_binary(s: list[float], g: list[float]) -> bool:
    """Whether a few outputs have one scale, as far as rounding lets it be seen: most losses are ruled out by them."""
    scales = [
        at / (chance - (at < 0)) for chance, at in zip(s, g, strict=True) if at and abs(chance - (at < 0)) > DOUBT
    ]
    return len(scales) < 2 or max(scales) <= (1 + 3 * BINARY_FIT) * min(scales)


def _scales(p: Tensor, g: Tensor) -> Iterator[float]:
    """Yield what the gradient of a row's loss may be multiplied by."""
    yield 1 / len(g)
    yield 1.0
    yield -1 / len(g)
    yield -1.0
    for sign in (1, -1):
        off = torch.ones_like(g, dtype=torch.bool).scatter_(1, (sign * g).argmin(1)[:, None], value=False)
        x, y = p[off], sign * g[off]
        spread = (x - x.mean()).square().sum()
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread > 0 else 0.0
        if slope > 0 and math.isfinite(slope):
            yield sign * slope


def _targets(p: Tensor, g: Tensor, scale: float, tolerance: float) -> tuple[Tensor, float, float] | None:
    """Return labels (N), smoothing and scale if q = p - g / scale are smoothed hard labels; None if they are not."""
    q = p - g / scale
    on_label, labels = q.max(1)
    rows, classes = q.shape
    uniform = float(q.sum() - on_label.sum()) / (rows * (classes - 1))
    smoothing = uniform * classes
    if not -tolerance < smoothing < 0.995:
        return None
    off = float((q.scatter(1, labels[:, None], uniform) - uniform).abs().max())
    on = float((on_label - (1 - smoothing + uniform)).abs().max())
    if not (off < tolerance and on < tolerance):
        return None
    if smoothing > HALF and float((p - q).abs().max()) < 10 * tolerance:
        return None  # probabilities that are nearly alike, and hardly a gradient: of any loss
    return labels, smoothing if smoothing > tolerance else 0.0, scale


def _squared_probabilities(z: Tensor, g: Tensor) -> bool:
    """Whether of outputs that are probabilities the squared error is taken (Brier): g = c (z - y) with one label y a row."""
    y = torch.nn.functional.one_hot(g.argmin(1), z.shape[1])
    c = float((g * (z - y)).sum() / (z - y).square().sum().clamp_min(1e-30))
    return c > 0 and float((g - c * (z - y)).abs().max()) <= 1e-3 * float(g.abs().max())


def _softmax_twice(p: Tensor, g: Tensor, tolerance: float) -> tuple[Tensor, float, float] | None:
    """Return labels, smoothing (0) and scale if g is the gradient, before a softmax, of a cross-entropy of its probabilities p.

    With h = softmax(p) - q the gradient at the logits is s p (h - sum_k p_k h_k), and smallest at the label.
    """
    labels = g.argmin(1)
    h = torch.softmax(p, 1) - torch.nn.functional.one_hot(labels, p.shape[1])
    expected = p * (h - (p * h).sum(1, keepdim=True))
    size = float(expected.square().sum())
    scale = float((g * expected).sum()) / size if size > 0 else 0.0
    if not scale > 0 or float((g - scale * expected).abs().max()) > tolerance * float(g.abs().max()):
        return None
    return labels, 0.0, scale


def _rows(outputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return outputs, gradient and softmax as (rows, K), float64; along the classes' axis the gradient sums to 0.

    Rows without any are left out.
    """
    if outputs.dim() < 2 or not outputs.is_floating_point() or outputs.shape != gradient.shape:
        return None
    size = float(gradient.detach().abs().sum(dtype=torch.float64))
    if not 0 < size < math.inf:
        return None
    for axis in dict.fromkeys((1, outputs.dim() - 1)):
        classes = outputs.shape[axis]
        if classes < 2:
            continue
        z, g = (t.detach().movedim(axis, -1).reshape(-1, classes) for t in (outputs, gradient))
        stride = max(1, len(z) // ROWS)
        z, g = z[::stride].double().cpu(), g[::stride].double().cpu()
        p = torch.softmax(z, 1)
        chances = z.exp()
        if bool(((chances.sum(1) - 1).abs() < SIMPLEX).all()):  # logarithms: the gradient before log_softmax
            g = g - chances * g.sum(1, keepdim=True)
        sizes = g.abs().sum(1)
        used = (sizes > 0) | (p.amax(1) > SURE)
        if not bool(used.all()):
            z, g, p, sizes = z[used], g[used], p[used], sizes[used]
        # bfloat16 rounds each term to 1 in 256; of rows that are sure and right only rounding is left
        if len(z) > 1 and bool((g.sum(1).abs() <= 1e-2 * sizes + 1e-6 * sizes.max()).all()):
            return z, g, p
    return None
