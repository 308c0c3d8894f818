"""The members of a tar, listed by their headers alone: nothing is extracted, and what is damaged is named with its place."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, cast

from seewhy.core.errors import InputError
from seewhy.data.audit import count
from seewhy.data.sources.names import printable

LONGEST_HEADER = 1 << 20
"""Bytes of a member's names and attributes."""

_BLOCK = 512
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True)
class Member:
    """A file within a tar.

    Attributes:
        name: its path there, for people; may be anything.
        offset: where its bytes begin.
        size: how many they are.
        header: where its header begins.
    """

    name: str
    offset: int
    size: int
    header: int


class _Headers:
    """A file of which only headers are read: whoever asks for more is stopped."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.seek, self.close = file.tell, file.seek, file.close

    def read(self, size: int) -> bytes:
        if size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


def members(path: str, special: list[str]) -> Iterator[Member]:
    """Yield the regular files of a tar, in order.

    Args:
        path: of the tar.
        special: takes the names of members that are links, devices, or have holes; folders are no matter.

    Raises:
        InputError: it is compressed, cannot be read, is damaged, or ends too early; says at which byte.
    """
    shown, at = printable(os.path.basename(path)), 0
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if (kind := _COMPRESSED.get(file.read(2))) is not None:
                raise InputError(
                    f"source: {shown} is compressed ({kind}), so that no member can be found by its place; unpack it to a plain .tar "
                    "(images are compressed already)"
                )
            file.seek(0)
            with tarfile.open(fileobj=cast("IO[bytes]", _Headers(file)), mode="r:") as tar:
                while (entry := tar.next()) is not None:
                    vars(tar)["members"].clear()  # else every header stays in memory
                    at = entry.offset
                    if entry.size < 0 or tar.offset <= entry.offset:
                        raise tarfile.ReadError(f"{printable(entry.name)} has a size of {entry.size:,} bytes")
                    if entry.offset_data + entry.size > size:
                        raise tarfile.ReadError(f"{printable(entry.name)} goes on beyond the end of the file")
                    if entry.isreg() and not entry.issparse():
                        yield Member(printable(entry.name), entry.offset_data, entry.size, entry.offset)
                    elif not entry.isdir():
                        special.append(f"{shown}/{printable(entry.name)}")
                at = tar.offset
            _validate_end(file, at, size)
    except OSError as error:
        raise InputError(f"source: {shown} cannot be read: {error.strerror or error}") from None
    except (tarfile.TarError, ValueError, EOFError, OverflowError, RecursionError) as error:  # by hostile headers
        if isinstance(error, InputError):
            raise
        raise _damaged(shown, at, " ".join(str(error).split())[:120]) from None


def _validate_end(file: IO[bytes], at: int, size: int) -> None:
    """Refuse a tar that does not end with its mark, two blocks of zeros: what follows would be lost in silence."""
    file.seek(at)
    mark = file.read(2 * _BLOCK)
    if not mark.strip(b"\0") and len(mark) == 2 * _BLOCK:
        while block := file.read(1 << 20):
            if block.strip(b"\0"):
                raise tarfile.ReadError(
                    "it goes on behind its end, as tars do that were joined; write them anew as one"
                )
        return
    if len(mark) < 2 * _BLOCK:
        raise tarfile.ReadError(
            f"it ends after {count(size, 'byte')} without the mark of its end, as a broken download does"
        )
    raise tarfile.ReadError("there is no header where one should be")


def _damaged(shown: str, at: int, reason: str) -> InputError:
    return InputError(f"source: {shown} is damaged at byte {at:,}: {reason}; fetch or write it again")
