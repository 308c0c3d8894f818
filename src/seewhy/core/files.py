"""Files that are either whole or not there.

Everything the project writes goes to a temporary name in the same folder, is flushed to the disk and then renamed, so
that a crash, a full disk or a second process never leaves half a file under a real name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seewhy.core.errors import RunError


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an operating-system error while writing `path` into a RunError that names it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"cannot write {path}: {reason}; what was there before is unchanged") from error


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it into place.

    Args:
        path: the file to make or to replace.
        write: called with the temporary path; it must create that file.

    Raises:
        RunError: the disk is full, the folder is read-only, ...; names the path, leaves the old file as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            write(temporary)
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def is_inside(folder: Path, name: str) -> bool:
    """Whether `name` is a file within a folder; names from records must not lead out of it."""
    path = (folder / name).resolve()
    return path.is_relative_to(folder.resolve()) and path.is_file()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left; call it only while nobody else writes there."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomic(path, lambda temporary: _put(temporary, text))


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically, indented, without NaN or Infinity (which are no JSON)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
