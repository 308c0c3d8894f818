"""What a person sees while a study goes on: a live table on a terminal, else a line for each run that ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from seewhy.comparison.design import Variant
from seewhy.comparison.folder import Cell
from seewhy.comparison.progress import Progress
from seewhy.comparison.results import finite
from seewhy.comparison.study import Study
from seewhy.core.escaping import escaped
from seewhy.runs.diagnose.verdict import format_values
from seewhy.training.plan import format_duration


class StudyScreen:
    """Shows how far a study is; used as a context.

    Args:
        study: whose runs are watched.
    """

    def __init__(self, study: Study) -> None:
        self._design = study.design
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True) if sys.stderr.isatty() else None
        self._began = time.monotonic()
        self._known: set[tuple[str, str, str]] | None = None
        self._before = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Show how far the study is now."""
        cells = progress.all_cells()
        ended = [cell for cell in cells if progress.ended(cell) is not None]
        keys = {_key(cell) for cell in ended}
        done = sum(map(self._expected, ended))
        if self._known is None:
            self._known, self._before = keys, done
        left = self._left(sum(map(self._expected, cells)) - done, done - self._before)
        if self._live is not None:
            self._live.update(self._table(progress, cells, left), refresh=True)
        else:
            for cell in ended:
                if _key(cell) not in self._known:
                    print(escaped(self._line(progress, cell, len(ended), len(cells), left)), file=sys.stderr)
        self._known = keys

    def _expected(self, cell: Cell) -> float:
        """Return a run's share of the cost: what it was expected to take."""
        return self._design.run_seconds[cell.variant.name] * (0.5 if cell.kind == "tuning" else 1.0)

    def _left(self, waiting: float, done: float) -> str:
        elapsed = time.monotonic() - self._began
        return f"about {format_duration(waiting * elapsed / done)} left" if done > 0 and waiting > 0 else ""

    def _line(self, progress: Progress, cell: Cell, done: int, total: int, left: str) -> str:
        ended, metric = progress.ended(cell), self._design.metric
        assert ended is not None
        split = self._design.split if cell.kind == "runs" else "val"
        value = finite(ended.results.get(split, {}).get(metric.name))
        how = f"failed: {ended.reason}" if value is None else f"{metric.name} {format_values([value], metric)}"
        which = f"seed {cell.seed}" if cell.rate is None else f"tuning at rate {cell.rate:g}"
        return f"run {done:>3}/{total}  {cell.variant.name}, {which}: {how}{f'  ({left})' if left else ''}"

    def _table(self, progress: Progress, cells: Sequence[Cell], left: str) -> Table:
        metric = self._design.metric
        table = Table(title=f"{metric.name} on {self._design.split} images{f', {left}' if left else ''}")
        for name, justify in (("variant", "left"), ("rate", "right"), ("runs", "right"), ("failed", "right")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        table.add_column("so far", justify="right")
        for variant in self._design.variants:
            table.add_row(*self._cells_of(progress, cells, variant))
        return table

    def _cells_of(self, progress: Progress, cells: Sequence[Cell], variant: Variant) -> tuple[str, ...]:
        own = [cell for cell in cells if cell.variant == variant and cell.kind == "runs"]
        tuning = [cell for cell in cells if cell.variant == variant and cell.kind == "tuning"]
        tuned = sum(progress.ended(cell) is not None for cell in tuning)
        rate = progress.rate(variant) if tuned == len(tuning) else None
        shown = f"{rate:g}" if rate is not None else f"{tuned}/{len(tuning)}" if tuning else "its own"
        results = [ended for cell in own if (ended := progress.ended(cell)) is not None]
        values = [finite(each.results.get(self._design.split, {}).get(self._design.metric.name)) for each in results]
        done = f"{len(results)}/{len(own)}" if own else "dropped"
        failed = sum(value is None for value in values)
        return escaped(variant.name), shown, done, str(failed or ""), format_values(values, self._design.metric)


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.kind, cell.variant.name, cell.name
