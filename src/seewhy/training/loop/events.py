"""What happens during training, as typed records.

The loop emits these to every observer it is given; progress bars, loggers and diagnosis are all observers, and the loop knows none
of them. An observer is any callable that takes an event; it ignores the types it does not care for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn, optim

from seewhy.training.spec import RunSpec


@dataclass(frozen=True)
class Event:
    """Anything that happens in a run."""


@dataclass(frozen=True)
class DataProgress(Event):
    """`done` of `total` images have been decoded into the cache."""

    done: int
    total: int


@dataclass(frozen=True)
class Planned(Event):
    """The specification is resolved; nothing has been trained yet. `lines` say what will be done, for people."""

    spec: RunSpec
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunStarted(Event):
    """Training begins (or goes on, from `step`). Observers may keep `model` and `optimizer`, and must not change them."""

    folder: Path
    model: nn.Module
    optimizer: optim.Optimizer
    step: int
    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class StepEnded(Event):
    """One step was taken; `means` over the batch, before the step: `loss` (log-loss without smoothing, nats) and `accuracy` of a recogniser."""

    step: int
    epoch: int
    means: Mapping[str, float]
    lr: float
    images: int


@dataclass(frozen=True)
class EpochEnded(Event):
    """An epoch (or the last part of one) ended; `row` is its line of metrics.csv."""

    epoch: int
    row: Mapping[str, float]
    best: bool


@dataclass(frozen=True)
class Saved(Event):
    """A checkpoint of `step` is safe on the disk."""

    step: int
    folder: Path


@dataclass(frozen=True)
class RunEnded(Event):
    """Training ended: `reason` is "finished", "early stop" or "interrupted"."""

    step: int
    reason: str


@dataclass(frozen=True)
class MembersStarted(Event):
    """The members of an ensemble begin to train; `done` of `total` had ended before."""

    folder: Path
    total: int
    done: int


@dataclass(frozen=True)
class MemberEnded(Event):
    """Member `index` (from 1) of `total` has ended with `accuracy` on `part` ("val" or "test"); None where there is neither."""

    index: int
    total: int
    part: str | None
    accuracy: float | None


Emit = Callable[[Event], None]
Observer = Callable[[Event], None]


def emitter(observers: tuple[Observer, ...]) -> Emit:
    """Return a function that hands an event to every observer, in order; an observer's exception is not hidden."""

    def emit(event: Event) -> None:
        for observer in observers:
            observer(event)

    return emit
