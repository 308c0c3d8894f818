"""What the loop works on: the job, which stays the same, and the progress, which a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from seewhy.data import Batch, Mix
from seewhy.optim.penalties import Penalties
from seewhy.training.fabric import Engine
from seewhy.training.loop.averaging import MovingAverage
from seewhy.training.loop.checkpoint import Checkpoints
from seewhy.training.loop.events import Emit
from seewhy.training.tasks import Task

Take = Callable[..., list[float]]
"""(job, step, images, labels, targets, batch) -> sums over the whole batch, one for each of the task's columns: one step on one batch."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that stays the same while a run trains."""

    engine: Engine
    task: Task
    take: Take
    validate: (
        Callable[[nn.Module], dict[str, float]] | None
    )  # figures of the weights that would predict, None without data for it
    model: nn.Module  # the network itself: evaluated, saved
    wrapped: Any  # the same network behind the engine: called in training
    optimizer: Any
    classes: int
    penalties: Penalties | None
    base_lrs: tuple[float, ...]  # of the optimiser's groups, which the schedule multiplies
    schedule: Callable[[int], float]
    batches: Callable[[int, int], Iterator[Batch]]  # (epoch, first step within it) -> this process's batches
    mix: Mix | None  # mixes pairs of a batch
    early_steps: int  # taken at a lower resolution:
    early_side: int  # in pixels
    steps_per_epoch: int
    total_steps: int
    seed: int
    average: MovingAverage | None
    patience: int | None
    snapshots: Mapping[int, Path]  # steps after which the weights are kept, and where
    checkpoints: Checkpoints
    checkpoint_seconds: float
    emit: Emit


@dataclass
class Progress:
    """What a run remembers from step to step beside its weights; saved with every checkpoint."""

    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: list[float] = field(default_factory=list)  # the best score; empty before any
    epochs_without_gain: int = 0
    sums: list[float] = field(
        default_factory=list
    )  # of the running epoch: the job's columns, images, seconds; empty at its start

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, step: int, state: Mapping[str, Any]) -> Progress:
        """Restore from a checkpoint's state."""
        return cls(**{**state, "step": step})
