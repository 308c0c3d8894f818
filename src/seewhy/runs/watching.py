"""A run that is watched: the very same watch as of anybody's loop, fed from the training's events.

Findings are told as events as they are confirmed, and stand in findings.json when the run ends, together with how every check ended.
"""

from __future__ import annotations

from pathlib import Path

from seewhy.core.files import write_json
from seewhy.core.findings import Finding
from seewhy.diagnosis import Watch, watch
from seewhy.diagnosis.records import plain
from seewhy.training.events import Emit, Evaluated, Event, Found, RunEnded, RunStarted

FILE = "findings.json"


class Watching:
    """An observer that watches the network of a run.

    Args:
        folder: of the run.
        emit: told of every finding.
    """

    def __init__(self, folder: Path, emit: Emit) -> None:
        self._folder, self._emit = folder, emit
        self._why: Watch | None = None

    def __call__(self, event: Event) -> None:
        """Begin with the run, hear its validation, and end with it."""
        match event:
            case RunStarted():
                self._why = watch(event.model, event.optimizer, tell=self._tell)
            case Evaluated(split="val") if self._why is not None and "loss" in event.metrics:
                self._why.observe(val_loss=event.metrics["loss"])
            case RunEnded() if self._why is not None:
                self._why.close()
                self._write(self._why)

    def _tell(self, finding: Finding) -> None:
        self._emit(Found(finding.step, plain(finding.to_json()), str(finding)))
        if self._why is not None:  # at once: what was found may be about to end the run
            self._write(self._why)

    def _write(self, why: Watch) -> None:
        found = {
            "findings": [plain(finding.to_json()) for finding in why.findings],
            "checks": [vars(check) for check in why.checks],
        }
        write_json(self._folder / FILE, found)
