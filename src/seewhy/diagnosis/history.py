"""What is known of a network's training so far: what its probes have recorded, what is counted between them, what the user told."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from seewhy.diagnosis.records import ProbeRecord

FIRST, LAST = 12, 48
"""Records that are kept from the start, and of the latest probes: memory does not grow with the steps."""

TOLD = 1000
"""Values of each name that the user tells that are kept, the latest."""


@dataclass
class LoopRecord:
    """What is counted at the steps between probes: how the loop treats modes and gradients.

    Attributes:
        step: steps so far.
        stale: steps in a row whose gradients held those of the step before.
        cleared: steps at which that could be told, and whose gradients did not.
        eval_steps: steps whose forward pass was in evaluation mode throughout, though there is dropout or batch norm.
        train_steps: other steps.
        train_evaluations: forward passes without gradients in training mode, though there is dropout or batch norm.
        evaluated: steps after which the former came.
        evaluations: other forward passes without gradients.
        closure: whether the optimiser evaluates the loss itself.
        mode_matters: whether the network has dropout or batch norm.
        backwards: backward passes since the last step, as far as they are counted.
        eval_run: steps in a row whose forward pass was in evaluation mode, as `eval_steps`.
        closed: whether watching has ended.
        looked: passes without gradients whose inputs were looked at.
        looked_rows: rows of these.
        looked_mean, looked_square: of the inputs of these passes, the mean over their rows.
        live_dropout: passes in evaluation mode in which a function dropped all the same.
    """

    step: int = 0
    stale: int = 0
    cleared: int = 0
    eval_steps: int = 0
    train_steps: int = 0
    train_evaluations: int = 0
    evaluated: int = 0
    evaluations: int = 0
    closure: bool = False
    mode_matters: bool = False
    backwards: int = 0
    eval_run: int = 0
    closed: bool = False
    looked: int = 0
    looked_rows: int = 0
    looked_mean: float = 0.0
    looked_square: float = 0.0
    live_dropout: int = 0


Told = dict[str, list[tuple[int, float]]]
"""What the user told, by name: (step, value) pairs."""


@dataclass(frozen=True)
class Entry:
    """What one probe adds to a network's history: a line of its journal.

    Attributes:
        network: its name.
        alone: whether no other network is watched in the same loop.
        loop: what was counted by then.
        record: what was measured.
        told: what the user told since the entry before.
    """

    network: str
    alone: bool
    loop: LoopRecord
    record: ProbeRecord
    told: Told = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON values: numbers to six digits, those that are not finite as texts."""
        value = plain(asdict(self))
        assert isinstance(value, dict)
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Entry:
        """Return an entry from its JSON."""
        entry = _reader().validate_python(value)
        assert isinstance(entry, Entry)
        return entry


@cache
def _reader() -> Any:
    from pydantic import TypeAdapter  # here, for who only watches a loop needs no files

    return TypeAdapter(Entry)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: floats to six digits, those that are not finite as texts."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@dataclass
class History:
    """The records of one network: the first ones and the latest.

    Attributes:
        network: its name.
        alone: whether no other network is watched in the same loop.
        loop: what is counted at every step.
        first: records from the start.
        latest: the last ones.
        observed: what the user told, by name: (step, value) pairs.
        rivals: the other networks of the same loop.
        derived: what was computed from records and told values, until there are new ones.
    """

    network: str
    alone: bool = True
    loop: LoopRecord = field(default_factory=LoopRecord)
    first: list[ProbeRecord] = field(default_factory=list)
    latest: deque[ProbeRecord] = field(default_factory=lambda: deque(maxlen=LAST))
    observed: dict[str, deque[tuple[int, float]]] = field(default_factory=dict)
    rivals: list[History] = field(default_factory=list, repr=False)
    derived: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def add(self, record: ProbeRecord) -> None:
        """Keep a record."""
        self.derived.clear()
        if len(self.first) < FIRST:
            self.first.append(record)
        self.latest.append(record)

    def tell(self, name: str, step: int, value: float) -> None:
        """Keep what the user tells."""
        self.derived.clear()
        self.observed.setdefault(name, deque(maxlen=TOLD)).append((step, value))

    @property
    def records(self) -> list[ProbeRecord]:
        """All that are kept, in order."""
        start = self.latest[0].step if self.latest else 0
        return [record for record in self.first if record.step < start] + list(self.latest)


def peak_rate(history: History) -> float | None:
    """Return the largest learning rate so far."""
    rates = [record.lr for record in history.records if record.lr is not None]
    return max(rates) if rates else None
