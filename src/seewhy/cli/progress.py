"""What a person sees while a run goes on: the plan, a live bar on a terminal, one line an epoch; all on stderr."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from seewhy.cli.text import escaped
from seewhy.runs.run import Run
from seewhy.training.events import (
    DataProgress,
    EpochEnded,
    Event,
    MemberEnded,
    MembersStarted,
    Planned,
    RunEnded,
    RunStarted,
    StepEnded,
)

USUAL_WIDTH = 80
"""Columns of a terminal that says it has none."""


def stderr() -> Console:
    """Return a console on stderr, without colours or bars where that is no terminal."""
    columns = os.environ.get("COLUMNS", "")
    width = USUAL_WIDTH if columns.isdigit() and not int(columns) else None  # of none rich makes a screen of no columns
    return Console(
        width=width,
        stderr=True,
        highlight=False,
        soft_wrap=not sys.stderr.isatty(),
    )


class Reporter:
    """An observer that prints a run's progress."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or stderr()
        self.quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._steps = 0
        self._total = 0
        self._steps_per_epoch = 1
        self._images = 0
        self._since = time.perf_counter()
        self._decoded = time.perf_counter()

    def __call__(self, event: Event) -> None:
        """Print what the event means for a person."""
        if self.quiet:
            return
        try:
            self._print(event)
        except OSError:  # stderr goes to a full disk, or to nobody: training is not what fails
            self.quiet = True
            self._bar = None

    def _print(self, event: Event) -> None:
        match event:
            case DataProgress():
                self._data(event)
            case Planned():
                self._close()
                for name, line in event.lines:
                    self.console.print(Text.assemble((f"{name:>12}  ", "bold"), escaped(line)))
            case RunStarted():
                self._start(event)
            case MembersStarted():
                self.console.print(Text.assemble((f"{'run':>12}  ", "bold"), escaped(str(event.folder))))
                if event.done:
                    self.console.print(f"{event.done} of {event.total} members have ended before")
            case MemberEnded():
                split = "validation" if event.split == "val" else event.split
                figure = "trained" if event.accuracy is None else f"{split} accuracy {event.accuracy:.2%}"
                self.console.print(f"member {event.index:>3}/{event.total}  {figure}")
            case StepEnded():
                self._step(event)
            case EpochEnded():
                self._epoch(event)
            case RunEnded():
                self._close()
                if event.reason == "early stop":
                    self.console.print(f"stopped early at step {event.step:,}: validation no longer gets better")
                if event.reason != "interrupted" and self.console.is_terminal:
                    self.console.print("evaluating the best checkpoint")

    def close(self) -> None:
        """Take the live bar away; called when a run ends in any way."""
        self._close()

    def _live(self, columns: str, total: int) -> None:
        if not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._task = self._bar.add_task(columns, total=total, note="")
        self._bar.start()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = None

    def _data(self, event: DataProgress) -> None:
        if self._bar is None and event.done < event.total:
            self._live("decoding", event.total)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=event.done, total=event.total)
        if event.done >= event.total:
            self._close()

    def _start(self, event: RunStarted) -> None:
        self._close()
        self._total, self._steps_per_epoch = event.total_steps, event.steps_per_epoch
        self.console.print(Text.assemble((f"{'run':>12}  ", "bold"), escaped(str(event.folder))))
        if event.step >= event.total_steps:
            self.console.print(f"has taken all its {event.total_steps:,} steps; evaluating it again")
        elif event.step:
            self.console.print(f"going on at step {event.step:,} of {event.total_steps:,}")
        self._since, self._images = time.perf_counter(), 0
        self._live("training", event.total_steps)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=event.step)

    def _step(self, event: StepEnded) -> None:
        self._images += event.images
        if self._bar is None or self._task is None:
            return
        speed = self._images / max(time.perf_counter() - self._since, 1e-9)
        note = "  ".join(
            (*(_format_metric(name, value, 3) for name, value in event.metrics.items()), f"{speed:,.0f} images/s")
        )
        self._bar.update(self._task, completed=event.step, note=note)

    def _epoch(self, event: EpochEnded) -> None:
        row = event.row
        epochs = math.ceil(self._total / self._steps_per_epoch)
        parts = [
            f"epoch {event.epoch + 1:>3}/{epochs}",
        ]
        for prefix, word in (("train_", ""), ("val_", "validation ")):
            metrics = [
                _format_metric(name.removeprefix(prefix), value, 4)
                for name, value in row.items()
                if name.startswith(prefix)
            ]
            parts += [word + metrics[0], *metrics[1:]] if metrics else []
        parts += [f"{row['images_per_second']:,.0f} images/s", f"{row['seconds']:.0f} s"]
        self.console.print("  ".join(parts) + ("  *" if event.best else ""))
        self._since, self._images = time.perf_counter(), 0


def _format_metric(name: str, value: float, digits: int) -> str:
    """Word a metric: shares in percent, the rest as they are."""
    shown = f"{value:.{digits - 2}%}" if name == "accuracy" else f"{value:.{digits}f}"
    return f"{name.replace('_', ' ')} {shown}"


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
    reporter = Reporter()

    def update(done: int, total: int) -> None:
        if reporter._bar is None and done < total:
            reporter._live(what, total)
        if reporter._bar is not None and reporter._task is not None:
            reporter._bar.update(reporter._task, completed=done, total=total)

    try:
        yield update
    finally:
        reporter.close()
