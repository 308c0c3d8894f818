"""Text for whatever stands at the other end: a terminal that knows few letters, a pipe, a full disk, nothing at all, another program."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import suppress
from typing import Any

from seewhy.core.escaping import CONTROLS

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Beginnings of a cell that a spreadsheet computes."""


def usable_streams() -> None:
    """Let stdin, stdout and stderr be there, and let them escape what their encoding lacks, instead of failing.

    Where one is closed, the next file that is opened, a checkpoint perhaps, would get its number and what is printed. File names may hold any
    letter, and even bytes that are no text.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # It takes the lowest number that is free, which is this one. What goes to a stdout that is closed is lost, and is to fail.
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  it stays open
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # as Python reads the names of files


def give_up(stream: Any) -> None:
    """Send what a stream still holds nowhere, since it cannot be written; the interpreter would try it again at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.flush()


def cell(text: str) -> str:
    """Return a text as a cell of CSV that no spreadsheet computes: an apostrophe stands before what begins as a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def json_text(value: Any, indent: int | None = 2) -> str:
    """Return JSON that stdout's encoding can carry: letters as they are in UTF-8, else as JSON's own escapes."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    written = json.dumps(value, indent=indent, ensure_ascii=not unicode)
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", written)
