"""What a person sees while a run goes on: the plan, a bar, one line an epoch."""

from __future__ import annotations

import math
import time

from seewhy.reporting.formatting import format_term, is_share
from seewhy.runs.screens import Screen, screen
from seewhy.training.events import (
    DataProgress,
    EpochEnded,
    Event,
    FeatureProgress,
    Found,
    MemberEnded,
    MembersStarted,
    PassedAway,
    Planned,
    RunEnded,
    RunStarted,
    StepEnded,
)


class Reporter:
    """An observer that shows a run's progress."""

    def __init__(self, where: Screen | None = None, *, quiet: bool = False) -> None:
        """Show it on a screen; None for stderr or, in a notebook, its cell."""
        self.screen = where or screen()
        self.quiet = quiet
        self._total = 0
        self._steps_per_epoch = 1
        self._images = 0
        self._since = time.perf_counter()

    def __call__(self, event: Event) -> None:
        """Show what the event means for a person."""
        if self.quiet:
            return
        try:
            self._show(event)
        except OSError:  # stderr goes to a full disk, or to nobody: training is not what fails
            self.quiet = True

    def close(self) -> None:
        """Take the live bar away; called when a run ends in any way."""
        self.screen.stop()

    def _show(self, event: Event) -> None:
        screen = self.screen
        match event:
            case DataProgress():
                self._counted("decoding", event.done, event.total)
            case FeatureProgress():
                self._counted("features", event.done, event.total)
            case Planned():
                screen.stop()
                for name, line in event.lines:
                    screen.line(line, name)
            case RunStarted():
                self._start(event)
            case MembersStarted():
                screen.line(str(event.folder), "run")
                if event.done:
                    screen.line(f"{event.done} of {event.total} members have ended before")
            case MemberEnded():
                split = "validation" if event.split == "val" else event.split
                figure = "trained" if event.accuracy is None else f"{split} accuracy {event.accuracy:.2%}"
                screen.line(f"member {event.index:>3}/{event.total}  {figure}")
                for finding in event.findings:
                    screen.line(f"member {event.index:>3}/{event.total}  {finding}")
            case Found() | PassedAway():
                screen.line(event.text)
            case StepEnded():
                self._step(event)
            case EpochEnded():
                self._epoch(event)
            case RunEnded():
                screen.stop()
                if event.reason == "early stop":
                    screen.line(f"stopped early at step {event.step:,}: validation no longer gets better")
                if event.reason != "interrupted" and screen.live:
                    screen.line("evaluating the best checkpoint")

    def _counted(self, what: str, done: int, total: int) -> None:
        if not self.screen.counting and done < total:
            self.screen.start(what, total)
        self.screen.update(done, total=total)
        if done >= total:
            self.screen.stop()

    def _start(self, event: RunStarted) -> None:
        self.screen.stop()
        self._total, self._steps_per_epoch = event.total_steps, event.steps_per_epoch
        self.screen.line(str(event.folder), "run")
        if event.step >= event.total_steps:
            self.screen.line(f"has taken all its {event.total_steps:,} steps; evaluating it again")
        elif event.step:
            self.screen.line(f"going on at step {event.step:,} of {event.total_steps:,}")
        self._since, self._images = time.perf_counter(), 0
        self.screen.start("training", event.total_steps)
        self.screen.update(event.step)

    def _step(self, event: StepEnded) -> None:
        self._images += event.images
        if not self.screen.counting:
            return
        speed = self._images / max(time.perf_counter() - self._since, 1e-9)
        metrics = (_format_metric(name, value, 3) for name, value in event.metrics.items())
        self.screen.update(event.step, note="  ".join((*metrics, f"{speed:,.0f} images/s")))

    def _epoch(self, event: EpochEnded) -> None:
        row = event.row
        epochs = math.ceil(self._total / self._steps_per_epoch)
        parts = [f"epoch {event.epoch + 1:>3}/{epochs}"]
        for prefix, word in (("train_", ""), ("val_", "validation ")):
            metrics = [
                _format_metric(name.removeprefix(prefix), value, 4)
                for name, value in row.items()
                if name.startswith(prefix)
            ]
            parts += [word + metrics[0], *metrics[1:]] if metrics else []
        parts += [f"{row['images_per_second']:,.0f} images/s", f"{row['seconds']:.0f} s"]
        self.screen.line("  ".join(parts) + ("  *" if event.best else ""))
        self._since, self._images = time.perf_counter(), 0


def _format_metric(name: str, value: float, digits: int) -> str:
    """Word a metric: shares in percent, the rest as they are."""
    shown = f"{value:.{digits - 2}%}" if is_share(name) else f"{value:.{digits}f}"
    return f"{format_term(name)} {shown}"
