"""Stopping a run so that it can go on: Ctrl-C, SIGTERM, a caller's word, a file in its folder, or the end of what launched it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from seewhy.core.errors import RunError
from seewhy.core.files import naming

Stop = Callable[[], bool]
"""Asked after every step; True ends the run with a checkpoint."""

LAUNCHER = "SEEWHY_LAUNCHER"
"""Environment variable by which a launched run knows the process that launched it, whose end is its own."""

STOPPED = "stopped at "
"""How the message begins of a run that was asked to stop and has saved."""

ASKED = "stop"
"""The file in the folder of a run or a study by which anybody who can write there asks it to stop, from whatever machine."""

LOOK_SECONDS = 1.0
"""Between looks for that file."""


def ask_to_stop(folder: Path) -> None:
    """Ask whoever trains in a folder to stop with a checkpoint; raises RunError if nothing can be written there."""
    with naming(folder / ASKED):
        (folder / ASKED).touch()


def forget_stop(folder: Path) -> None:
    """Take back that a folder was asked to stop: whoever begins to train there does not answer what was asked of others."""
    with naming(folder / ASKED):
        (folder / ASKED).unlink(missing_ok=True)


def _format(folder: Path, done: int, total: int, unit: str) -> str:
    return f"{STOPPED}{unit} {done:,} of {total:,}; go on with: seewhy train --resume {folder}"


class InterruptedRunError(RunError):
    """The run was asked to stop (SIGTERM, `stop`) and has saved a checkpoint.

    Attributes:
        folder: of the run.
        done, total: the steps taken, of how many; of an ensemble the members.
    """

    def __init__(self, folder: Path, done: int, total: int, unit: str = "step") -> None:
        self.folder, self.done, self.total = folder, done, total
        super().__init__(_format(folder, done, total, unit))


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C stopped the run, which has saved a checkpoint; like any Ctrl-C it is not caught by `except Exception`.

    Attributes as those of `InterruptedRunError`.
    """

    def __init__(self, folder: Path, done: int, total: int, unit: str = "step") -> None:
        self.folder, self.done, self.total = folder, done, total
        super().__init__(_format(folder, done, total, unit))


def orphaned() -> bool:
    """Whether a process launched this one, and is gone."""
    launcher = os.environ.get(LAUNCHER, "")
    return bool(launcher) and str(os.getppid()) != launcher


class StopRequest:
    """Whether a run has been asked to stop; called after every step.

    Attributes:
        signal: the signal that asked, None for none.
    """

    def __init__(self, stop: Stop | None, folder: Path | None = None) -> None:
        self.signal: signal.Signals | None = None
        self._stop, self._folder = stop, folder
        self._looked, self._asked = 0.0, False

    def __call__(self) -> bool:
        """Answer."""
        return (
            self.signal is not None
            or orphaned()
            or (self._stop is not None and bool(self._stop()))
            or self._asked_in_folder()
        )

    def _asked_in_folder(self) -> bool:
        """Whether the file is there; looked for now and then, since a shared disk may be slow."""
        now = time.monotonic()
        if self._folder is not None and not self._asked and now - self._looked >= LOOK_SECONDS:
            self._looked, self._asked = now, (self._folder / ASKED).exists()
        return self._asked

    def interruption(
        self, folder: Path, done: int, total: int, unit: str = "step"
    ) -> InterruptedRun | InterruptedRunError:
        """Return what is to be raised once the run has saved."""
        kind = InterruptedRun if self.signal == signal.SIGINT else InterruptedRunError
        return kind(folder, done, total, unit)


@contextmanager
def stop_requests(stop: Stop | None = None, folder: Path | None = None) -> Iterator[StopRequest]:
    """Turn Ctrl-C and SIGTERM into an answer to "stop?", beside the caller's own and a file in a folder; a second Ctrl-C stops at once.

    Signals reach only a program's main thread; elsewhere only `stop` and the folder are asked. The former handlers are put back.
    """
    request = StopRequest(stop, folder)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handler(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            signal.default_int_handler(number, frame)
        request.signal = signal.Signals(number)

    former: Mapping[signal.Signals, object] = {
        which: signal.signal(which, handler) for which in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for which, action in former.items():
            signal.signal(which, action)  # type: ignore[arg-type]
