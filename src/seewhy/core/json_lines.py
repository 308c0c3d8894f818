"""Files of JSON objects, a line each, to which a process appends that may be killed at any moment, and which others read meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import write_text


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, oldest first; [] if there is no file. A line that is being written is left out, as is one that is none.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return [value for line in text.split("\n")[:-1] if (value := _parsed(line)) is not None]


def keep_lines(path: Path, kept: Callable[[dict[str, Any]], bool]) -> None:
    """Remove from a file the lines that are no objects, and those whose object is not to be kept; asked in order."""
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    text = "".join(f"{line}\n" for line in lines if (value := _parsed(line)) is not None and kept(value))
    if text != "\n".join(lines):
        write_text(path, text)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
