"""events.jsonl: every event of a run, a line each, for whoever follows it from another process.

A resumed run goes on in the same file: lines of steps after its checkpoint, and a line that a killed process left half written, are removed
first, so that every step stands there once.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import IO, Any

from seewhy.core.files import naming, write_text
from seewhy.training.events import Event, GradientsReady, OptimizerStepped, StepEnded

FILE = "events.jsonl"

FLUSH_SECONDS = 0.5
"""Lines of steps may wait so long before others can read them."""


class EventLog:
    """An observer that writes events.jsonl; what happens before the run has its folder is kept until `open`."""

    def __init__(self) -> None:
        self._file: IO[str] | None = None
        self._waiting: list[str] = []
        self._flushed = 0.0

    def open(self, folder: Path, step: int) -> None:
        """Begin to write in a run's folder, or go on there after step `step`."""
        path = folder / FILE
        with naming(path):
            if path.exists():
                _truncate(path, step)
            self._file = open(path, "a", encoding="utf-8", newline="\n")  # noqa: SIM115  closed by `close`
            self._file.writelines(self._waiting)
            self._file.flush()
        self._waiting = []

    def __call__(self, event: Event) -> None:
        """Write an event."""
        line = json.dumps({"time": round(time.time(), 3), **event.to_json()}, ensure_ascii=False) + "\n"
        if self._file is None:
            self._waiting.append(line)
            return
        with naming(Path(self._file.name)):
            self._file.write(line)
            now = time.monotonic()
            if now - self._flushed > FLUSH_SECONDS or not isinstance(
                event, (StepEnded, GradientsReady, OptimizerStepped)
            ):
                self._file.flush()
                self._flushed = now

    def close(self) -> None:
        """Write what is left."""
        if self._file is not None:
            self._file.close()
        self._file = None


def read_events(folder: Path) -> list[dict[str, Any]]:
    """Return the events of a run so far, oldest first; a line that is being written is left out."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [event for line in text.split("\n")[:-1] if (event := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _truncate(path: Path, step: int) -> None:
    """Remove lines of steps after `step`, and those that are no events."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    kept = [line for line in lines if (event := _parsed(line)) is not None and not _after(event, step)]
    text = "".join(f"{line}\n" for line in kept)
    if text != "\n".join(lines):
        write_text(path, text)


def _after(event: dict[str, Any], step: int) -> bool:
    row = event.get("row")
    reached = row.get("step") if isinstance(row, dict) else event.get("step")
    return event.get("event") != "run_started" and isinstance(reached, (int, float)) and reached > step
