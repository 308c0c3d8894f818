"""Where progress is shown: a terminal or a pipe (stderr), or the cell of a notebook.

A screen has lines that stay and one bar that goes. The notebook's needs nothing but what every notebook has: one output that is drawn again.
"""

from __future__ import annotations

import html
import os
import sys
import time
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from seewhy.core.escaping import escaped

USUAL_WIDTH = 80
"""Columns of a terminal that says it has none."""

LABEL = 12
"""Columns of a line's label."""

REDRAW = 0.25
"""Seconds between two pictures of a notebook's bar."""

LINES = 200
"""Lines that a notebook's cell keeps, the last ones."""


class Screen(Protocol):
    """Somewhere to show lines, and a bar while something is counted."""

    @property
    def live(self) -> bool:
        """Whether bars are seen."""

    @property
    def counting(self) -> bool:
        """Whether there is a bar."""

    def line(self, text: str, label: str = "") -> None:
        """Show a line that stays."""

    def start(self, what: str, total: int) -> None:
        """Begin a bar."""

    def update(self, done: int, *, total: int | None = None, note: str = "") -> None:
        """Move the bar, if there is one."""

    def stop(self) -> None:
        """Take the bar away."""


class TerminalScreen:
    """stderr: colours and bars where it is a terminal, plain lines where it is not."""

    def __init__(self, console: Console | None = None) -> None:
        columns = os.environ.get("COLUMNS", "")
        width = (
            USUAL_WIDTH if columns.isdigit() and not int(columns) else None
        )  # of none rich makes a screen of no columns
        plain = console is None and not sys.stderr.isatty()
        self._console = console or Console(width=width, stderr=True, highlight=False, soft_wrap=plain)
        self._bar: Progress | None = None
        self._task = TaskID(0)

    @property
    def live(self) -> bool:
        """Whether bars are seen."""
        return self._console.is_terminal

    @property
    def counting(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def line(self, text: str, label: str = "") -> None:
        """Show a line that stays."""
        start = [(f"{label:>{LABEL}}  ", "bold")] if label else []
        self._console.print(Text.assemble(*start, escaped(text)))

    def start(self, what: str, total: int) -> None:
        """Begin a bar, on a terminal."""
        self.stop()
        if not self.live:
            return
        note = TextColumn("{task.fields[note]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), note, TimeRemainingColumn())
        self._bar = Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task(what, total=total, note="")
        self._bar.start()

    def update(self, done: int, *, total: int | None = None, note: str = "") -> None:
        """Move the bar, if there is one."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
        self._bar = None


class NotebookScreen:
    """The output of a notebook's cell, drawn again as things go on."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._bar: tuple[str, int, int, str] | None = None  # what, done, total, note
        self._began = self._drawn = 0.0
        self._handle: Any = None

    @property
    def live(self) -> bool:
        """Whether bars are seen."""
        return True

    @property
    def counting(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    def line(self, text: str, label: str = "") -> None:
        """Show a line that stays."""
        self._lines = [*self._lines, f"{label:>{LABEL}}  {escaped(text)}" if label else escaped(text)][-LINES:]
        self._draw()

    def start(self, what: str, total: int) -> None:
        """Begin a bar."""
        self._bar, self._began = (what, 0, total, ""), time.perf_counter()
        self._draw()

    def update(self, done: int, *, total: int | None = None, note: str = "") -> None:
        """Move the bar, if there is one; drawn a few times a second."""
        if self._bar is None:
            return
        what, _, former, _ = self._bar
        self._bar = (what, done, former if total is None else total, note)
        if time.perf_counter() - self._drawn >= REDRAW:
            self._draw()

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar = None
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        self._drawn = time.perf_counter()
        picture = HTML(f"<pre>{html.escape(chr(10).join(self._lines))}</pre>{self._bar_html()}")
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def _bar_html(self) -> str:
        if self._bar is None:
            return ""
        what, done, total, note = self._bar
        gone = self._drawn - self._began
        left = f"{gone / done * (total - done):,.0f} s left" if done else ""
        words = "  ".join(part for part in (f"{done:,}/{total:,}", note, left) if part)
        bar = f'<progress value="{done}" max="{total}" aria-label="{html.escape(what)}"></progress>'
        return f"<div>{html.escape(what)} {bar} {html.escape(words)}</div>"


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")


def screen() -> Screen:
    """Return where progress is shown here."""
    return NotebookScreen() if in_notebook() else TerminalScreen()
