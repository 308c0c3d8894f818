"""Files that are either whole or not there.

Everything the project writes goes to a temporary name in the same folder, is flushed to the disk and then renamed, so
that a crash, a full disk or a second process never leaves half a file under a real name.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seewhy.core.errors import InputError, RunError

WRONG_NAMES = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
"""Errors of the system that are about a name, not about the disk."""


def user_path(path: str | Path, field: str) -> Path:
    """Return a path as the user means it: `~` is the home folder.

    Args:
        path: what was given.
        field: what it is for, in the message.

    Raises:
        InputError: it is no path: of another type, empty, with a NUL, or longer than the system takes.
    """
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path) or "\0" in os.fspath(path):
        raise InputError(f"{field}: must be a path, got {path!r}")
    try:
        expanded = Path(path).expanduser()
        os.path.lexists(expanded)
        expanded.exists()
    except RuntimeError as error:  # no home folder of that user
        raise InputError(f"{field}: {os.fspath(path)} cannot be found: {error}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in WRONG_NAMES:
            return expanded
        raise InputError(f"{field}: {os.fspath(path)[:80]}... is no name of a file here: {error}") from None
    return expanded


def refuse_existing(path: Path, subject: str, instead: str) -> None:
    """Raise InputError if anything stands at a path, be it a link that leads nowhere; the message names the subject, and what to do instead."""
    if os.path.lexists(path):
        raise InputError(f"{subject} exists already and is not overwritten; {instead}")


def new_path(path: str | Path, field: str) -> Path:
    """Return a path that the user names for what is to be written; call it before any work.

    Args:
        path: what was given.
        field: what it is for, in the message.

    Raises:
        InputError: it is no path, or something stands there already.
    """
    file = user_path(path, field)
    refuse_existing(file, f"{field}: {file}", "choose another name, or remove it")
    return file


def refuse_taken(folder: Path) -> None:
    """Raise InputError if anything stands where a new run, or a new study, is to be."""
    refuse_existing(folder, f"{folder}:", f"choose another --out, or go on with --resume {folder}")


def free_path(path: Path, suffix: str = "") -> Path:
    """Return a path at which nothing stands, for what its user gave no name: `path` and the suffix, else with a number: `sample-2.png`, ..."""
    names = itertools.chain((path.name,), (f"{path.name}-{number}" for number in itertools.count(2)))
    return next(free for name in names if not os.path.lexists(free := path.with_name(name + suffix)))


def new_file(path: str | Path, field: str) -> Path:
    """Return `new_path` of a file in a folder that is there.

    Raises:
        InputError: it is no path, something stands there already, or its folder is not there.
    """
    file = new_path(path, field)
    if not file.parent.is_dir():
        raise InputError(f"{field}: there is no folder {file.parent}; make it first, or choose another name")
    return file


def regular(path: str, flags: int) -> int:
    """Open a file that is one, as the `opener` of `open`: a pipe among the files of a stranger would keep its reader waiting for ever.

    Raises:
        OSError: it is a pipe, a device or a folder, or cannot be opened.
    """
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no regular file", path)
    return handle


def read_text(path: Path, errors: str = "strict") -> str:
    """Return the text of a regular file in UTF-8; raises OSError or UnicodeDecodeError."""
    with open(path, encoding="utf-8", errors=errors, opener=regular) as file:
        return file.read()


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
        with suppress(OSError):  # where nothing can be written, the error is told already
            temporary.unlink(missing_ok=True)


def is_inside(folder: Path, name: str) -> bool:
    """Whether `name` is a file within a folder; names from records must not lead out of it."""
    path = (folder / name).resolve()
    return path.is_relative_to(folder.resolve()) and path.is_file()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder and below; call it only while nobody else writes there."""
    for path in folder.rglob(".*.tmp"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Let a block fill a folder with a temporary name, which is renamed to `path` when the block has ended well.

    Folders that killed processes left under such names are removed.

    Raises:
        RunError: the disk is full, the place is read-only, ...; names the path, of which nothing is left then.
    """
    temporary = path.with_name(f".{path.name[:100]}.{os.getpid()}.tmp")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in path.parent.glob(f".{path.name[:100]}.*.tmp"):
            if not _alive(leftover.name.split(".")[-2]):
                shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            os.rename(temporary, path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and path.exists():
                raise RunError(f"{path}: was made by another process meanwhile, and is not overwritten") from error
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _alive(process: str) -> bool:
    """Whether a process of this number runs on this machine."""
    with suppress(ValueError, ProcessLookupError, OverflowError):
        try:
            os.kill(int(process), 0)
        except PermissionError:
            return True
        return True
    return False


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomic(path, lambda temporary: _put(temporary, text))


def write_json(path: Path, value: object) -> None:
    """Write JSON atomically, indented, without NaN or Infinity (which are no JSON)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _put(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
