"""What the loop works on: the job, which stays the same, and the progress, which a checkpoint keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from seewhy.data import Batch, Split
from seewhy.models.family import Objective
from seewhy.optim import Penalties
from seewhy.training.averaging import MovingAverage
from seewhy.training.checkpoint import Checkpoints
from seewhy.training.events import Emit
from seewhy.training.fabric import Engine


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that stays the same while a run trains."""

    engine: Engine
    objective: Objective
    validation: Split | None
    model: nn.Module  # the network itself: evaluated, saved
    wrapped: Any  # the same network behind the engine: called in training
    optimizer: Any
    closure: bool  # whether the optimiser evaluates the loss itself
    penalties: Penalties | None
    classes: int
    base_lrs: tuple[float, ...]  # of the optimiser's groups, which the schedule multiplies
    schedule: Callable[[int], float]
    batches: Callable[[int, int], Iterator[Batch]]  # (epoch, first step within it) -> this process's batches
    initial_steps: int  # taken at the initial resolution
    steps_per_epoch: int
    total_steps: int
    seed: int
    average: MovingAverage | None
    patience: int | None
    snapshots: Mapping[int, Path]  # steps after which the weights are kept, and where
    checkpoints: Checkpoints
    frozen: frozenset[str]  # names in the model's state that never change
    checkpoint_seconds: float
    emit: Emit
    watch: Callable[[], Mapping[str, Any]] = dict  # what watching the run needs to go on, kept in each checkpoint


@dataclass
class Progress:
    """What a run remembers from step to step beside its weights; saved with every checkpoint."""

    step: int = 0
    seconds: float = 0.0
    rows: list[dict[str, float]] = field(default_factory=list)
    best: list[float] = field(default_factory=list)  # the best score; empty before any
    epochs_without_gain: int = 0
    sums: dict[str, float] = field(default_factory=dict)  # of the running epoch: metrics by name; empty at its start
    images: int = 0  # of the running epoch
    epoch_seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, step: int, state: Mapping[str, Any]) -> Progress:
        """Restore from a checkpoint's state."""
        return cls(**{**state, "step": step})
