"""What the held-out programs share: how they are listed, and the figures that they end with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Watcher = Callable[..., Any]


@dataclass(frozen=True)
class Hand:
    """One architecture with its data and its loop, as one person wrote them.

    Attributes:
        name: of the architecture.
        train: from watcher, seed and arguments to the watch and the final metric, of which 1 is perfect and 0 needs no learning.
        faults: by kind: the codes that count as its cause, separated by blanks, and the arguments that plant it.
        healthy: arguments of healthy programs, by name; the plain one has none.
    """

    name: str
    train: Callable[..., tuple[Any, float]]
    faults: Mapping[str, tuple[str, Mapping[str, Any]]]
    healthy: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def balanced(predicted: Tensor, y: Tensor) -> float:
    """Return the mean of the classes' recalls, moved so that chance is 0."""
    classes = y.unique().tolist()
    mean = sum(float((predicted[y == c] == c).float().mean()) for c in classes) / len(classes)
    return (mean - 1 / len(classes)) / (1 - 1 / len(classes))


def explained(z: Tensor, y: Tensor) -> float:
    """Return R^2."""
    return 1 - float((z - y).square().sum() / (y - y.mean(0)).square().sum())


def shuffled(y: Tensor) -> Tensor:
    return y[torch.randperm(len(y))]


def noisy(y: Tensor, share: float, classes: int) -> Tensor:
    """Give a share of the labels at random."""
    return torch.where(torch.rand(len(y)) < share, torch.randint(classes, (len(y),)), y)


def thinned(y: Tensor, ratio: int) -> Tensor:
    """Return the rows that are left when one in `ratio` of every class but the first is kept."""
    return torch.nonzero((y == 0) | (torch.arange(len(y)) % ratio == 0)).squeeze(1)
