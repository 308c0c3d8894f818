"""What loss it is, and what guessing costs: recognised by its value and by its gradient at the outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.diagnosis.logits import SIMPLEX
from seewhy.diagnosis.trial.program import Pass, Program, Start

Name = Literal[
    "cross-entropy",
    "negative log-likelihood",
    "binary cross-entropy",
    "binary cross-entropy of probabilities",
    "mean squared error",
    "unknown",
]

EQUAL = 1e-4
"""Relative difference up to which a loss counts as the formula's."""


@dataclass(frozen=True)
class Kind:
    """A loss.

    Attributes:
        name: "unknown" for any other.
        value: of the batch, before training.
        chance: of a network that knows nothing, nats; None where that has no number.
        guessing: of the best constant outputs: what is reached without looking at the inputs.
    """

    name: Name
    value: float
    chance: float | None = None
    guessing: float | None = None


def kind_of(program: Program) -> Kind:
    """Return what the loss of the first step is."""
    return kind_of_pass(program.start.seen, program.targets, program.start)


def kind_of_pass(seen: Pass, targets: object, start: Start) -> Kind:
    """Return what the loss of a pass is."""
    assert seen.loss is not None
    value, scores = float(seen.loss.detach()), seen.scores
    if start.logits is not None:
        return Kind("cross-entropy", start.logits.loss, math.log(start.logits.classes), start.logits.entropy)
    if scores is None or not isinstance(targets, Tensor):
        return Kind("unknown", value)
    z = scores.detach()
    for name, formula in _FORMULAS.items():
        try:
            expected = float(formula(z, targets))
        except (RuntimeError, ValueError, IndexError):  # another loss, whose targets are of another kind
            continue
        if math.isclose(expected, value, rel_tol=EQUAL, abs_tol=1e-9):
            return _with_levels(name, value, z, targets)
    return Kind("unknown", value)


def _with_levels(name: Name, value: float, z: Tensor, targets: Tensor) -> Kind:
    t = targets.detach().to(torch.float64)
    if name == "negative log-likelihood":
        shares = torch.bincount(targets.flatten()[targets.flatten() >= 0]).double()
        shares = shares[shares > 0] / shares.sum()
        return Kind(name, value, math.log(z.shape[1]), float(-(shares * shares.log()).sum()))
    if name.startswith("binary"):
        p = t.mean(0).clamp(1e-12, 1 - 1e-12)
        return Kind(name, value, math.log(2), float(-(p * p.log() + (1 - p) * (1 - p).log()).mean()))
    return Kind(name, value, float(t.square().mean()), float(t.var(0, correction=0).mean()))


def _binary(z: Tensor, targets: Tensor) -> Tensor:
    if z.shape != targets.shape or not targets.is_floating_point():
        raise ValueError
    return F.binary_cross_entropy_with_logits(z, targets)


def _binary_of_probabilities(z: Tensor, targets: Tensor) -> Tensor:
    if z.shape != targets.shape or not targets.is_floating_point():
        raise ValueError
    return F.binary_cross_entropy(z, targets)


def _squared(z: Tensor, targets: Tensor) -> Tensor:
    if not targets.is_floating_point():
        raise ValueError
    return F.mse_loss(z.squeeze(-1) if z.dim() == targets.dim() + 1 else z, targets)


_FORMULAS: dict[Name, Callable[[Tensor, Tensor], Tensor]] = {
    "negative log-likelihood": F.nll_loss,
    "binary cross-entropy": _binary,
    "binary cross-entropy of probabilities": _binary_of_probabilities,
    "mean squared error": _squared,
}


def are_probabilities(z: Tensor, axis: int = 1) -> bool:
    """Whether the values are probabilities: not negative, with sums of 1 along an axis of two or more."""
    z = z.detach().float()
    return bool(z.shape[axis] > 1 and (z >= 0).all() and ((z.sum(axis) - 1).abs() < SIMPLEX).all())
