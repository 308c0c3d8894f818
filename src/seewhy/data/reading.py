"""A file's bytes, where it is a file: pipes, sockets and devices are refused before they can block or never end."""

from __future__ import annotations

import os
import stat

from seewhy.core.errors import InputError

LARGEST = 2 << 30
"""Bytes of a file that is read into memory."""

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class BadImageError(InputError):
    """An image that cannot be used; the message is the reason, for people.

    Attributes:
        passing: whether the reason lies outside the file's bytes (permissions, memory), so that it may be gone the next time.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


def special_kind(mode: int) -> str | None:
    """Return what a file is that is no regular one, such as "a named pipe"; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return next((words for applies, words in _KINDS if applies(mode)), "no regular file")


def open_regular(path: str, flags: int) -> int:
    """Open a regular file, as the `opener` of open().

    Raises:
        BadImageError: it is a pipe, a socket or a device.
    """
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    kind = special_kind(os.fstat(handle).st_mode)
    if kind is not None:
        os.close(handle)
        raise BadImageError(f"is {kind}, not a file", passing=True)
    return handle


def read_bytes(path: str) -> bytes:
    """Read a whole file; faster than open() for many small ones.

    Raises:
        BadImageError: the file cannot be read, is no regular file, too large, or empty.
    """
    try:
        handle = os.open(path, _FLAGS)
        try:
            status = os.fstat(handle)
            kind = special_kind(status.st_mode)
            if kind is not None:
                raise BadImageError(f"is {kind}, not a file", passing=True)
            if status.st_size > LARGEST:
                raise BadImageError(f"is too large: {status.st_size:,} bytes; the limit is {LARGEST:,}")
            data = _read_to_end(handle, status.st_size)
        finally:
            os.close(handle)
    except OSError as error:
        raise BadImageError(f"cannot be read: {error.strerror or error}", passing=True) from None
    except ValueError as error:
        if isinstance(error, BadImageError):
            raise
        raise BadImageError(f"cannot be read: {error}", passing=True) from None  # a name with a zero byte
    if not data:
        raise BadImageError("is empty (0 bytes)")
    return data


def _read_to_end(handle: int, size: int) -> bytes:
    """Read a file of a size; a short answer is followed until there is nothing more."""
    data = os.read(handle, size + 1)
    if len(data) == size:
        return data
    blocks = [data]
    while block := os.read(handle, 1 << 20):
        blocks.append(block)
        if sum(map(len, blocks)) > LARGEST:
            raise BadImageError(f"grows while it is read, beyond {LARGEST:,} bytes", passing=True)
    return b"".join(blocks)
