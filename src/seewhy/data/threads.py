"""Work in a pool of threads, in order; codecs, checksums and reading release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_threads(work: Callable[[T], R], items: Sequence[T], threads: int | None = None) -> Iterator[R]:
    """Yield `work(item)` in order, computed by a pool of threads."""
    count = min(threads or available_processors(), len(items))
    if count < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="seewhy") as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 4 * count:  # results that nobody has taken must not pile up
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
