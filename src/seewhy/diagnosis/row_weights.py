"""Cross-entropies whose rows do not count alike: weighted by class, or focal.

The gradient of each row is then g = s (p - q) with a scale s of its own, p the softmax of its logits and q its label, one-hot. Any loss that
falls with the probability of one class has such a gradient, a policy's too, whose scales are rewards. It is a weighted cross-entropy where s
depends on the label alone, and a focal one (Lin et al. 2017, 1708.02002) where it is, with p the label's probability and a the exponent,

    s = c ((1 - p)^a - a (1 - p)^(a - 1) p ln p)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SAME = 1e-2
"""Relative deviation of the scales of one class, or from those of a focal loss, that rounding makes."""

TESTED = 8
"""Rows whose scale another row has told before, at least."""

VARIED = 1e-3
"""Deviation of the labels' probabilities from which a scale that does not depend on them is no accident."""

FOCI = (2.0, 1.0, 3.0, 0.5, 1.5, 2.5, 4.0, 5.0)
"""Exponents of focal losses that are tried; 2 is usual."""


@dataclass(frozen=True)
class Weighted:
    """What the gradients of rows that do not count alike tell.

    Attributes:
        labels: (N).
        weights: of the classes, (K), 1 on average over the rows; 1 where it is not known.
        scale: of a row of weight 1; below 0 where the loss is maximised.
        focus: exponent of a focal loss, 0 for weights by class.
    """

    labels: Tensor
    weights: Tensor
    scale: float
    focus: float = 0.0


def read_weighted(p: Tensor, g: Tensor, tolerance: float) -> Weighted | None:
    """Return what the gradient tells if it is that of a cross-entropy weighted by class, or a focal one; None if it is not.

    Args:
        p: softmax of the logits, (N, K), float64.
        g: gradient at the logits, (N, K), float64.
        tolerance: largest deviation of a row's gradient, as a share of its largest entry.
    """
    for sign in (1, -1):
        downhill = sign * g
        if bool(((downhill < 0).sum(1) > 1).any()):  # all but the label's are pushed down
            continue
        labels = downhill.argmin(1, keepdim=True)
        wrong = 1 - p.gather(1, labels)
        sizes = g.abs().amax(1, keepdim=True)
        told = ((wrong > tolerance) & (sizes > 0))[:, 0]  # of a row that is surely right nothing but rounding is left
        if int(told.sum()) <= TESTED:
            continue
        scales = -downhill.gather(1, labels) / wrong
        rest = (downhill - scales * p).scatter(1, labels, 0.0).abs()
        if bool(((rest > tolerance * sizes).any(1) | (scales[:, 0] <= 0))[told].any()):
            continue
        rows = labels[told, 0], 1 - wrong[told, 0], scales[told, 0]
        every = torch.where(told, labels[:, 0], p.argmax(1))
        if (found := _by_class(*rows, p.shape[1])) is not None:
            return Weighted(every, found[0], sign * found[1])
        if (focal := _focal(*rows[1:])) is not None:
            return Weighted(every, p.new_ones(p.shape[1]), sign * focal[0], focal[1])
    return None


def _by_class(labels: Tensor, on_label: Tensor, scales: Tensor, classes: int) -> tuple[Tensor, float] | None:
    """Return weights and scale if the rows' scales depend on the label alone."""
    counts = torch.bincount(labels, minlength=classes)
    own = torch.bincount(labels, scales, minlength=classes) / counts
    apart = on_label - (torch.bincount(labels, on_label, minlength=classes) / counts)[labels]
    tested = len(labels) - int((counts > 0).sum())
    if tested < TESTED or float(apart.square().mean().sqrt()) < VARIED:
        return None
    if bool(((scales / own[labels] - 1).abs() > SAME).any()):
        return None
    typical = float(scales.mean())
    return torch.where(counts > 0, own / typical, 1.0), typical


def _focal(on_label: Tensor, scales: Tensor) -> tuple[float, float] | None:
    """Return scale and exponent if the rows' scales are those of a focal loss."""
    if float(on_label.std()) < VARIED:
        return None
    wrong = 1 - on_label
    for focus in FOCI:
        shape = wrong**focus - focus * wrong ** (focus - 1) * on_label * on_label.log()
        ratios = scales / shape
        typical = float(ratios.median())
        if not bool(((ratios / typical - 1).abs() > SAME).any()):
            return typical, focus
    return None
