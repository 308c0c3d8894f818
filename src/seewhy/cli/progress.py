"""What a person sees on stderr while a command goes on, beside a run's own progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seewhy.core.escaping import escaped
from seewhy.runs.progress import Reporter
from seewhy.runs.run import Run
from seewhy.runs.screens import TerminalScreen


def tell_unfinished(run: Run) -> None:
    """Say on stderr that a run has not ended, where its network is used all the same."""
    if not run.ended:
        print(
            f"note: {escaped(str(run.folder))} has not ended: the best weights so far are used, uncalibrated",
            file=sys.stderr,
        )


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal while something is counted; yields `update(done, total)`."""
    screen = TerminalScreen()

    def update(done: int, total: int) -> None:
        if not screen.counting and done < total:
            screen.start(what, total)
        screen.update(done, total=total)

    try:
        yield update
    finally:
        screen.stop()


@contextmanager
def planning() -> Iterator[Reporter]:
    """Yield an observer that shows the progress of decoding, and the plan, on stderr."""
    reporter = Reporter()
    try:
        yield reporter
    finally:
        reporter.close()
