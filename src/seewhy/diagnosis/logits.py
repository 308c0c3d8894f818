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

import torch
from torch import Tensor

from seewhy.diagnosis.records import LogitsRecord

ROWS = 4096
"""Rows that are looked at, spread over all."""

FIT, HALF_FIT = 2e-3, 2e-2
"""Largest deviation of a target from those of smoothed hard labels; where outputs or gradients have 8 or 11 bits."""

SURE = 1 - 1e-6
"""Probability from which a row may have no gradient because it is right, not because it is ignored."""

SIMPLEX = 1e-3
"""How far the sum of probabilities may be from 1."""


def read_logits(outputs: Tensor, gradient: Tensor) -> LogitsRecord | None:
    """Return what outputs and their gradient tell; None where the loss is no cross-entropy of them.

    Args:
        outputs: (N, K), (N, K, ...) or (N, ..., K), floating point.
        gradient: of the loss, of the same shape.
    """
    rows = _rows(outputs, gradient)
    if rows is None:
        return None
    z, g = rows
    p = torch.softmax(z, 1)
    half = min(torch.finfo(outputs.dtype).bits, torch.finfo(gradient.dtype).bits) < 32
    tolerance = HALF_FIT if half else FIT
    fitted = next((fit for scale in _scales(p, g) if (fit := _targets(p, g, scale, tolerance)) is not None), None)
    if fitted is None:
        return None
    labels, smoothing, slope = fitted
    classes = z.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    shares = counts[counts > 0].double() / len(labels)
    log_p = torch.log_softmax(z, 1)
    on_labels = log_p.gather(1, labels[:, None]).mean()
    loss = float(-(1 - smoothing) * on_labels - smoothing * log_p.mean())
    predicted = z.argmax(1)
    return LogitsRecord(
        rows=len(z),
        classes=classes,
        loss=loss,
        entropy=float(-(shares * shares.log()).sum()),
        accuracy=float((predicted == labels).float().mean()),
        smoothing=smoothing,
        scale=slope,
        labels=tuple(counts.tolist()),
        predicted=tuple(torch.bincount(predicted, minlength=classes).tolist()),
        probabilities=bool(((z >= 0).all()) & ((z.sum(1) - 1).abs() < SIMPLEX).all()),
        rows_differ=bool((z - z[0]).abs().max() > 1e-6 * z.abs().max()),
    )


def _scales(p: Tensor, g: Tensor) -> Iterator[float]:
    """Yield what the gradient of a row's loss may be multiplied by."""
    yield 1 / len(g)
    yield 1.0
    off = torch.ones_like(g, dtype=torch.bool).scatter_(1, g.argmin(1)[:, None], value=False)
    x, y = p[off], g[off]
    spread = (x - x.mean()).square().sum()
    if spread > 0:
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
        if slope > 0 and math.isfinite(slope):
            yield slope


def _targets(p: Tensor, g: Tensor, scale: float, tolerance: float) -> tuple[Tensor, float, float] | None:
    """Return labels (N), smoothing and scale if q = p - g / scale are smoothed hard labels; None if they are not."""
    q = p - g / scale
    labels = q.argmax(1)
    on_label = torch.zeros_like(q, dtype=torch.bool).scatter_(1, labels[:, None], value=True)
    uniform = q[~on_label].mean()
    off = (q[~on_label] - uniform).abs().max()
    smoothing = float(uniform) * p.shape[1]
    on = (q[on_label] - (1 - smoothing + uniform)).abs().max()
    if not (off < tolerance and on < tolerance and -tolerance < smoothing < 0.9):
        return None
    return labels, smoothing if smoothing > tolerance else 0.0, scale


def _rows(outputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return outputs and gradient as (rows, K), float64; along the classes' axis the gradient sums to 0. Rows without any are left out."""
    if outputs.dim() < 2 or not outputs.is_floating_point() or outputs.shape != gradient.shape:
        return None
    size = gradient.abs().double().sum()
    if not size > 0 or not bool(torch.isfinite(size)):
        return None
    for axis in dict.fromkeys((1, outputs.dim() - 1)):
        classes = outputs.shape[axis]
        if classes < 2:
            continue
        z, g = (t.detach().movedim(axis, -1).reshape(-1, classes) for t in (outputs, gradient))
        stride = max(1, len(z) // ROWS)
        z, g = z[::stride].double().cpu(), g[::stride].double().cpu()
        used = (g.abs().sum(1) > 0) | (torch.softmax(z, 1).amax(1) > SURE)
        z, g = z[used], g[used]
        sizes = g.abs().sum(1)
        # bfloat16 rounds each term to 1 in 256; of rows that are sure and right only rounding is left
        if len(z) > 1 and bool((g.sum(1).abs() <= 1e-2 * sizes + 1e-6 * sizes.max()).all()):
            return z, g
    return None
