"""Paths as people write them: `~` for the home folder, and errors in words for what can be no path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from seewhy.core.errors import bad_value


def as_path(source: Any, field: str = "source") -> str:
    """Return a path as a text, with `~` replaced.

    Raises:
        InputError: it is no path, is empty, or contains a zero byte.
    """
    try:
        path = os.path.expanduser(os.fsdecode(source))
    except TypeError:
        raise bad_value(field, type(source).__name__, "a path, a name or arrays") from None
    if "\0" in path:
        raise bad_value(field, path, "a path, which has no zero byte")
    if not path:
        raise bad_value(field, path, "a path or a name")
    return path


def source_name(source: Any) -> str:
    """Return a source as the text that a specification holds: a text as it is, a path object absolute, for it never means a built-in set.

    Raises:
        InputError: it is neither.
    """
    if isinstance(source, str):
        return source
    return os.path.abspath(as_path(source))


def home_path(variable: str) -> Path | None:
    """Return the folder that an environment variable names, with `~` replaced; None if it is not set."""
    named = os.environ.get(variable)
    return Path(named).expanduser() if named else None
