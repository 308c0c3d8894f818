"""Files of JSON objects, a line each, to which a process appends that may be killed at any moment, and which others read meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import read_text, write_text


def parse(text: str | bytes) -> Any:
    """Return what JSON says; raises ValueError where it says nothing, is nested too deep, or holds a whole number of more than 64 bits."""
    try:
        return json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("is nested too deep") from None


def _whole(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise ValueError("a whole number is of more than 64 bits")
    return number


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, oldest first; [] if there is no file. A line that is being written is left out, as is one that is none.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        text = read_text(path, "replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return [value for line in text.split("\n")[:-1] if (value := _parsed(line)) is not None]


def keep_lines(path: Path, kept: Callable[[dict[str, Any]], bool]) -> None:
    """Remove from a file the lines that are no objects, and those whose object is not to be kept; asked in order."""
    lines = read_text(path, "replace").split("\n")
    text = "".join(f"{line}\n" for line in lines if (value := _parsed(line)) is not None and kept(value))
    if text != "\n".join(lines):
        write_text(path, text)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = parse(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
