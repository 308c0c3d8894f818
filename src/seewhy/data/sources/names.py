"""Names of files and classes: sorted as people count, printable, one form of each, and none twice."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sort key by which "img2" comes before "img10"."""
    words = re.split(r"(\d+)", name.casefold())
    return tuple((1, int(word[:4000]), "") if word.isdecimal() else (0, 0, word) for word in words if word), name


def printable(path: str) -> str:
    r"""Return a path that can be printed and stored: composed Unicode (NFC), and bytes that are no UTF-8 as \xff."""
    if path.isascii():
        return path
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:  # no name of a file
        raw = path.encode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", raw.decode("utf-8", "backslashreplace"))


def composed(name: str) -> str:
    """Return the composed form (NFC) of a name; two names that look the same are the same class."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def unique(names: Iterable[str]) -> list[str]:
    """Return the names, with " (2)", " (3)", ... after one that was there before."""
    names = list(names)
    if len(set(names)) == len(names):
        return names
    result, taken = [], set[str]()
    for name in names:
        other, number = name, 1
        while other in taken:
            number += 1
            other = f"{name} ({number})"
        taken.add(other)
        result.append(other)
    return result
