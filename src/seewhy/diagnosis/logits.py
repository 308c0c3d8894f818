"""What the gradient that arrives at a network's outputs tells of the loss, without a word from the user.

For outputs z (N, K), p = softmax(z) and targets q, the gradient of cross-entropy is

    g = s (p - q),    s = 1/N for the mean over the rows, 1 for their sum

With hard labels y and label smoothing e, q_j = e/K off the label, so that off the label g_j = s (p_j - e/K): one straight line for all rows and
classes, whose slope is s and whose intercept gives e. If the line fits, and on the label q_y = 1 - e + e/K, the loss is a cross-entropy of these
outputs and y is its label.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seewhy.diagnosis.records import LogitsRecord

ROWS = 4096
"""Rows that are looked at, spread over all."""

FIT = 2e-2
"""Largest deviation from the line, as a share of the slope."""

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
    labels = g.argmin(1)
    on_label = torch.zeros_like(g, dtype=torch.bool).scatter_(1, labels[:, None], value=True)
    x, y = p[~on_label], g[~on_label]
    spread = (x - x.mean()).square().sum()
    if not spread > 0:
        return None
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    if not slope > 0 or not math.isfinite(slope):
        return None
    uniform = float(x.mean() - y.mean() / slope)  # e / K
    classes = z.shape[1]
    smoothing = uniform * classes
    off = (y / slope - (x - uniform)).abs().max()
    q = (p - g / slope)[on_label]
    on = (q - (1 - smoothing + uniform)).abs().max()
    if not (off < FIT and on < FIT and -FIT < smoothing < 0.9):
        return None
    counts = torch.bincount(labels, minlength=classes)
    shares = counts[counts > 0].double() / len(labels)
    log_p = torch.log_softmax(z, 1)
    on_labels = log_p.gather(1, labels[:, None]).mean()
    smoothing = max(0.0, smoothing) if smoothing > FIT else 0.0
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


def _rows(outputs: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return outputs and gradient as (rows, K), float64, the classes being the axis along which the gradient sums to 0; rows without any
    left out.
    """
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
        used = g.abs().sum(1) > 0
        z, g = z[used], g[used]
        # bfloat16 rounds each term to 1 in 256
        if len(z) > 1 and bool((g.sum(1).abs() <= 1e-2 * g.abs().sum(1)).all()):
            return z, g
    return None
