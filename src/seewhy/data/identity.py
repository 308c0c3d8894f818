"""Which images these are, by their content: a hash of every file's bytes, and an index that saves reading files again.

Size and modification time do not say what a file holds: two folders may exchange their names, and a copy has other times. So a data set is
known by its names, classes, splits and the hashes of its files' bytes; a copy or a moved folder of the same bytes is the same data set.

A file's hash is taken from the index only if its size, modification time, change time, inode and device are what they were when it was
read, and if it had rested for two seconds then (a later change within the clock's resolution would not show). The change time is the
system's own: it moves with every write, rename and exchange of names, and cannot be set.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import RunError
from seewhy.core.files import write_atomic
from seewhy.data.reading import BadImageError
from seewhy.data.threads import in_threads

DIGEST = 16
UNKNOWN = bytes(DIGEST)
"""The hash of a file that cannot be read."""

REST = 2_000_000_000
"""Nanoseconds for which a file must have been unchanged to be indexed: the coarsest clock of a file system."""

Hashes = npt.NDArray[np.uint8]
Stats = npt.NDArray[np.int64]
"""[N, 5]: size, modification time, change time (ns), inode, device; -1 where there is no file."""

_BLOCK = 4 << 20


def content_hash(data: bytes) -> bytes:
    """Return the hash of a file's bytes."""
    return hashlib.sha256(data).digest()[:DIGEST]


def digest(*values: Any) -> str:
    """Return a hash, in hexadecimal, of texts, bytes and arrays (with dtype and shape); arrays are hashed in threads."""
    whole = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            data = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
            whole.update(f"{value.dtype.str}{value.shape}|".encode())
            blocks = [data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK)]
            for part in in_threads(lambda block: hashlib.sha256(block).digest(), blocks):
                whole.update(part)
        else:
            text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
            whole.update(b"%d|" % len(text) + text)
    return whole.hexdigest()[: 2 * DIGEST]


@dataclass
class FileIndex:
    """The hashes of a folder's files, as they were read last.

    Attributes:
        path: of the index.
        paths: N paths below it.
        stats: int64 [N, 5].
        hashes: uint8 [N, 16]; zero where unknown.
    """

    path: Path
    paths: Sequence[str]
    stats: Stats
    hashes: Hashes

    @classmethod
    def open(cls, home: Path, root: str, paths: Sequence[str], stats: Stats) -> FileIndex:
        """Look up files in the index of their folder; those that are not in it as they are have no hash."""
        name = digest(os.path.realpath(root))[:DIGEST]
        index = cls(home / f"files-{name}.npz", paths, stats, np.zeros((len(paths), DIGEST), np.uint8))
        with (
            contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
            open(index.path, "rb") as handle,
            np.load(handle, allow_pickle=False) as file,
        ):
            index._take(file["paths"].tobytes(), file["stats"], file["hashes"])
        return index

    def _take(self, joined: bytes, stats: Stats, hashes: Hashes) -> None:
        """Take the hashes of files that are unchanged."""
        if joined == _joined(self.paths) and stats.shape == self.stats.shape:
            same = (stats == self.stats).all(1)
            self.hashes[same] = hashes[same]
            return
        rows = {path: row for row, path in enumerate(joined.decode("utf-8", "surrogatepass").split("\0"))}
        for row, path in enumerate(self.paths):
            before = rows.get(path)
            if before is not None and np.array_equal(stats[before], self.stats[row]):
                self.hashes[row] = hashes[before]

    @property
    def unknown(self) -> npt.NDArray[np.int64]:
        """The rows without a hash."""
        return np.flatnonzero(~self.hashes.any(1))

    def read(self, read: Callable[[int], bytes]) -> dict[int, str]:
        """Hash the files that have no hash yet, whose bytes `read` gives by row; returns why, by row, where one cannot be read."""
        reasons: dict[int, str] = {}
        rows = self.unknown.tolist()

        def hash_rows(some: list[int]) -> bytes:
            hashes = []
            for row in some:
                try:
                    hashes.append(content_hash(read(row)))
                except BadImageError as error:
                    hashes.append(hash_of_failure(error))
                    if error.passing:
                        reasons[row] = str(error)
            return b"".join(hashes)

        chunks = [rows[start : start + 256] for start in range(0, len(rows), 256)]
        for some, hashes in zip(chunks, in_threads(hash_rows, chunks), strict=True):
            self.hashes[some] = np.frombuffer(hashes, np.uint8).reshape(-1, DIGEST)
        return reasons

    def save(self) -> None:
        """Keep what is known for the next time; a cache that cannot be written stays as it is."""
        hashes = self.hashes.copy()
        hashes[self.stats[:, 2] > time.time_ns() - REST] = 0
        joined = np.frombuffer(_joined(self.paths), np.uint8)

        def write(path: Path) -> None:
            with open(path, "wb") as file:
                np.savez(file, paths=joined, stats=self.stats, hashes=hashes)

        with contextlib.suppress(RunError):
            write_atomic(self.path, write)


def hash_of_failure(error: BadImageError) -> bytes:
    """Return what stands for the hash of a file without bytes: none where the reason may pass, else that of nothing."""
    return UNKNOWN if error.passing else content_hash(b"")


def _joined(paths: Sequence[str]) -> bytes:
    return "\0".join(paths).encode("utf-8", "surrogatepass")
