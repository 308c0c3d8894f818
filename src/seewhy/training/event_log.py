"""events.jsonl: every event of a run, a line each, for whoever follows it from another process.

A resumed run goes on in the same file: lines of steps after its checkpoint, the final evaluation, and a line that a killed process left half
written are removed first, so that all of it stands there once.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from seewhy.core.files import naming
from seewhy.core.json_lines import keep_lines, read_lines
from seewhy.training.events import Event, GradientsReady, OptimizerStepped, StepEnded

FILE = "events.jsonl"

WITHIN_A_STEP = (GradientsReady, OptimizerStepped)
"""Events whose lines wait for the end of their step."""


class EventLog:
    """An observer that writes events.jsonl; what happens before the run has its folder is kept until `open`."""

    def __init__(self) -> None:
        self._file: IO[str] | None = None
        self._path = Path(FILE)
        self._waiting: list[str] = []

    def open(self, folder: Path, step: int, at_checkpoint: Sequence[Event] = ()) -> None:
        """Begin to write in a run's folder, or go on there after step `step`.

        Args:
            folder: of the run.
            step: of the checkpoint from which the run goes on, 0 for the start.
            at_checkpoint: what happened when that checkpoint was saved; those that a killed process did not come to tell are told now.
        """
        path = self._path = folder / FILE
        with naming(path):
            if path.exists():
                _truncate(path, step)
            names = {(event.get("event"), _step_of(event)) for event in read_events(folder)}
            self._waiting[:0] = [_line(event) for event in at_checkpoint if (event.name, step) not in names]
            self._file = open(path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115  closed by `close`
            self._file.writelines(self._waiting)
            self._file.flush()
        self._waiting = []

    def __call__(self, event: Event) -> None:
        """Write an event."""
        line = _line(event)
        if self._file is None:
            self._waiting.append(line)
            return
        with naming(self._path):
            self._file.write(line)
            if not isinstance(event, WITHIN_A_STEP):
                self._file.flush()  # before a checkpoint of this step can be saved: a killed process has told what it resumes from

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._file.close()
        self._file = None


def _line(event: Event) -> str:
    """Return an event as a line. Those of every step are written by hand, in a third of the time."""
    now = f"{time.time():.3f}"
    if isinstance(event, WITHIN_A_STEP):
        return f'{{"time": {now}, "event": "{event.name}", "step": {event.step}, "network": {json.dumps(event.network)}}}\n'
    if isinstance(event, StepEnded) and all(map(math.isfinite, (*event.metrics.values(), event.lr))):
        metrics = ", ".join(f"{json.dumps(name)}: {value!r}" for name, value in event.metrics.items())
        fields = f'"step": {event.step}, "epoch": {event.epoch}, "metrics": {{{metrics}}}, "lr": {event.lr!r}, "images": {event.images}'
        return f'{{"time": {now}, "event": "{event.name}", {fields}}}\n'
    return json.dumps({"time": float(now), **event.to_json()}, ensure_ascii=False) + "\n"


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a run so far, oldest first; a line that is being written is left out."""
    return read_lines(folder / FILE)


def _truncate(path: Path, step: int) -> None:
    """Remove lines of steps after `step`, those that are no events, and all from the end of the training on, which will be told again."""
    ended = False

    def kept(event: dict[str, Any]) -> bool:
        nonlocal ended
        if _after(event, step):
            return False
        ended = ended or (event.get("event") == "run_ended" and event.get("reason") != "interrupted")
        return not ended

    keep_lines(path, kept)


def _after(event: dict[str, Any], step: int) -> bool:
    reached = _step_of(event)
    return event.get("event") != "run_started" and isinstance(reached, (int, float)) and reached > step


def _step_of(event: dict[str, Any]) -> Any:
    """Return the step at which an event happened, None for those before the first."""
    row = event.get("row")
    return row.get("step") if isinstance(row, dict) else event.get("step")
