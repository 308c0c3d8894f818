"""Stopping a run so that it can go on: Ctrl-C, SIGTERM, or a caller's own word."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from seewhy.core.errors import RunError

Stop = Callable[[], bool]
"""Asked after every step; True ends the run with a checkpoint."""


class InterruptedRunError(RunError):
    """The run was asked to stop (Ctrl-C, SIGTERM, `stop`) and has saved a checkpoint.

    Attributes:
        folder: of the run.
        done, total: the steps taken, of how many; of an ensemble the members.
    """

    def __init__(self, folder: Path, done: int, total: int, unit: str = "step") -> None:
        self.folder, self.done, self.total = folder, done, total
        super().__init__(f"stopped at {unit} {done:,} of {total:,}; go on with: seewhy train --resume {folder}")


@contextmanager
def stop_requests(stop: Stop | None = None) -> Iterator[Stop]:
    """Turn Ctrl-C and SIGTERM into an answer to "stop?", beside the caller's own; a second Ctrl-C stops at once.

    Signals reach only a program's main thread; elsewhere only the caller's `stop` is asked. The former handlers are put back.
    """
    asked = threading.Event()

    def answer() -> bool:
        return asked.is_set() or (stop is not None and bool(stop()))

    if threading.current_thread() is not threading.main_thread():
        yield answer
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    former: Mapping[signal.Signals, object] = {
        which: signal.signal(which, handler) for which in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield answer
    finally:
        for which, action in former.items():
            signal.signal(which, action)  # type: ignore[arg-type]
