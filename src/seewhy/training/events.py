"""What happens during training, as typed records.

Training emits these to every observer it is given; progress bars, loggers and diagnosis are all observers, and the loop knows none
of them. An observer is any callable that takes an event; it ignores the types it does not care for. Every event also stands as a line of JSON in
the run's events.jsonl, so that a page or a notebook can follow a run from another process.

The order within a step: for each network that is updated `GradientsReady`, then `OptimizerStepped`; then `StepEnded`. At the end of an epoch:
`Evaluated`, `Saved`, `EpochEnded`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from torch import nn, optim

from seewhy.spec import RunSpec


@dataclass(frozen=True)
class Event:
    """Anything that happens in a run."""

    name: ClassVar[str] = "event"
    """In snake_case, such as "step_ended"."""

    def __init_subclass__(cls) -> None:
        cls.name = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def to_json(self) -> dict[str, Any]:
        """Return the event's name and its fields as JSON values; live objects (networks, optimiser) are left out."""
        return {"event": self.name, **{name: _json(value) for name, value in vars(self).items() if not _live(value)}}


def _live(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_live, value.values()))
    return isinstance(value, (nn.Module, optim.Optimizer))


def _json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_json(item) for item in value]
    if isinstance(value, RunSpec):
        return {"source": value.source, **value.values()}
    return str(value) if isinstance(value, Path) else value


@dataclass(frozen=True)
class DataProgress(Event):
    """`done` of `total` images have been decoded into the cache."""

    done: int
    total: int


@dataclass(frozen=True)
class FeatureProgress(Event):
    """The features of `done` of `total` images have been computed, which training then takes in their place."""

    done: int
    total: int


@dataclass(frozen=True)
class Planned(Event):
    """The specification is resolved; nothing has been trained yet. `lines` say what will be done, for people."""

    spec: RunSpec
    lines: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class RunStarted(Event):
    """Training begins (or goes on, from `step`). Observers may keep networks and optimiser, and must not change them.

    `networks` are the parts of `model` that have updates of their own, by the names that `GradientsReady` and `OptimizerStepped` have.
    """

    folder: Path
    model: nn.Module
    optimizer: optim.Optimizer
    step: int
    total_steps: int
    steps_per_epoch: int
    networks: Mapping[str, nn.Module] = field(default_factory=dict)


@dataclass(frozen=True)
class GradientsReady(Event):
    """The gradients of step `step` (from 1) lie in `.grad`; the weights of `network` have not moved yet.

    `network` is "model", or "discriminator" or "generator" in adversarial training.
    """

    step: int
    network: str


@dataclass(frozen=True)
class OptimizerStepped(Event):
    """The weights of `network` have moved in step `step`."""

    step: int
    network: str


@dataclass(frozen=True)
class StepEnded(Event):
    """One step was taken; `metrics` are means over the batch, before the step, such as `loss` (nats, without smoothing) and `accuracy`."""

    step: int
    epoch: int
    metrics: Mapping[str, float]
    lr: float
    images: int


@dataclass(frozen=True)
class Evaluated(Event):
    """The weights that would predict were measured on a split ("val" or "test") after step `step`."""

    step: int
    split: str
    metrics: Mapping[str, Any]


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
class Found(Event):
    """A check of a watched run has found something at step `step`; `finding` is its JSON, `text` a line for people."""

    step: int
    finding: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class PassedAway(Event):
    """What had been found is no longer there at step `step`; `finding` is its JSON, `text` a line for people."""

    step: int
    finding: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class MembersStarted(Event):
    """The members of an ensemble begin to train; `done` of `total` had ended before."""

    folder: Path
    total: int
    done: int


@dataclass(frozen=True)
class MemberEnded(Event):
    """Member `index` (from 1) of `total` has ended with `accuracy` on `split` ("val" or "test"); None where there is neither.

    `findings` are lines for people of what watching has found wrong with its training.
    """

    index: int
    total: int
    split: str | None
    accuracy: float | None
    findings: tuple[str, ...] = ()


Emit = Callable[[Event], None]
Observer = Callable[[Event], None]


def emitter(observers: tuple[Observer, ...]) -> Emit:
    """Return a function that hands an event to every observer, in order; an observer's exception is not hidden."""

    def emit(event: Event) -> None:
        for observer in observers:
            observer(event)

    return emit
