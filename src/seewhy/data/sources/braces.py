"""Names with numbers or words in braces, by which shards are written: shards-{000..009}.tar, {train,val}-{0..3}.tar."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seewhy.core.errors import InputError

MOST = 100_000
"""Names that a pattern may mean."""

_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")


def is_pattern(name: str) -> bool:
    """Whether a name has numbers (a range) or words in braces."""
    return _BRACES.search(name) is not None


def expanded(pattern: str) -> list[str]:
    """Return the names that a pattern means, in order; of a range the numbers have as many digits as its first one.

    Raises:
        InputError: a range runs backwards, or there are too many.
    """
    total = 1
    for found in _BRACES.finditer(pattern):
        low, high, words = found.groups()
        size = int(high) - int(low) + 1 if low is not None else words.count(",") + 1
        if size < 1:
            raise InputError(f"source: {found[0]} in {pattern} runs backwards; write {{{high}..{low}}}")
        total *= size
        if total > MOST:
            raise InputError(f"source: {pattern} means more than {MOST:,} shards; check its numbers")
    return list(_names(pattern))


def _names(pattern: str) -> Iterator[str]:
    found = _BRACES.search(pattern)
    if found is None:
        yield pattern
        return
    low, high, words = found.groups()
    numbers = range(0) if low is None else range(int(low), int(high) + 1)
    each = [f"{number:0{len(low)}d}" for number in numbers] or words.split(",")
    rests = list(_names(pattern[found.end() :]))
    yield from (f"{pattern[: found.start()]}{one}{rest}" for one in each for rest in rests)
