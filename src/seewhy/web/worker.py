"""The one thread that computes: it imports torch when somebody first needs it, and keeps the runs that were opened last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from seewhy.runs.run import Run

KEPT = 4
"""Runs whose networks stay in memory."""

R = TypeVar("R")


class Worker:
    """Computes one thing after another, beside the thread that answers.

    Args:
        trust: whether code that a run names may be imported.
    """

    def __init__(self, *, trust: bool = False) -> None:
        self._trust = trust
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="seewhy-web")
        self._runs: OrderedDict[Path, tuple[Any, Run]] = OrderedDict()

    async def do(self, work: Callable[[], R]) -> R:
        """Return what some work gives, done in its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def with_run(self, folder: Path, work: Callable[[Run], R]) -> R:
        """Return what some work with an opened run gives."""
        return await self.do(lambda: work(self._open(folder)))

    def load(self, folder: Path) -> None:
        """Open a run and load its network in the background, so that the first image need not wait."""

        def load() -> None:
            run = self._open(folder)
            for each in run.members or (run,):
                _ = each.model

        self._pool.submit(load)

    def close(self) -> None:
        """End without waiting for what is not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _open(self, folder: Path) -> Run:
        from seewhy.runs.run import Run

        stamp = _stamp(folder)
        known = self._runs.pop(folder, None)
        run = known[1] if known is not None and known[0] == stamp else Run(folder, trust=self._trust)
        self._runs[folder] = (stamp, run)
        while len(self._runs) > KEPT:
            self._runs.popitem(last=False)
        return run


def _stamp(folder: Path) -> list[int]:
    """Return what changes when a run's network or figures do."""
    paths = (folder / "results.json", folder / "spec.toml", folder / "checkpoint")
    return [path.stat().st_mtime_ns if path.exists() else 0 for path in paths]
