"""Decoding beside computing: while the network computes one batch, threads decode the next.

Items are taken by the caller's thread, one batch ahead of what it is given. Nothing runs in the background while the caller has control, so that
what decoding and computing change of the process (Pillow's switches, torch's state) is never seen from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from seewhy.data.pillow_limits import strict_pillow

T = TypeVar("T")
D = TypeVar("D")
R = TypeVar("R")


def pipelined(
    items: Iterable[T], size: int, decode: Callable[[list[T]], D], compute: Callable[[list[T], D], R]
) -> Iterator[R]:
    """Yield `compute(batch, decode(batch))` for batches of items, in order.

    An error of the items' own iterator, or of `decode`, is raised after the results of all that came before it.

    Args:
        items: any number; at most two batches of them are held.
        size: of a batch.
        decode: called in another thread, while the batch before is computed.
        compute: called in the caller's thread.
    """
    given = iter(items)
    batch, failure = _take(given, size)
    with ThreadPoolExecutor(1, thread_name_prefix="seewhy-decode") as background:
        decoded = background.submit(decode, batch)
        while batch:
            following, late = ([], None) if failure is not None else _take(given, size)
            pixels = decoded.result()
            with strict_pillow():  # around both, which enter and leave states of the process at moments of their own
                decoded = background.submit(decode, following)
                result = compute(batch, pixels)
                wait([decoded])
            yield result
            batch, failure = following, failure or late
    if failure is not None:
        raise failure


def _take(given: Iterator[T], size: int) -> tuple[list[T], Exception | None]:
    """Return the next items and, where their iterator failed, its error."""
    items: list[T] = []
    try:
        items.extend(islice(given, size))
    except Exception as error:  # noqa: BLE001  raised by the caller once the items before it are answered
        return items, error
    return items, None
