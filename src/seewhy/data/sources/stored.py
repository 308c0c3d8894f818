"""Images that lie within larger files, such as the members of a tar: where each begins and how long it is.

They are read at their places, and nothing is ever unpacked: what a member is called is a name for people and no path.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seewhy.data.reading import LARGEST, BadImageError
from seewhy.data.split_rules import Ints

_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True)
class Stored:
    """N images in F files.

    Attributes:
        files: F paths.
        file: int64 [N], in which of them.
        offsets: int64 [N], where each begins.
        sizes: int64 [N], its bytes.
    """

    files: Sequence[str]
    file: Ints
    offsets: Ints
    sizes: Ints

    def __len__(self) -> int:
        return len(self.file)

    def take(self, rows: Ints) -> Stored:
        """Return the images of int64 rows [n]."""
        return Stored(self.files, self.file[rows], self.offsets[rows], self.sizes[rows])

    def read(self, row: int) -> bytes:
        """Return the bytes of an image.

        Raises:
            BadImageError: they cannot be read, are too many, or there are none.
        """
        path, offset, size = self.files[int(self.file[row])], int(self.offsets[row]), int(self.sizes[row])
        if size > LARGEST:
            raise BadImageError(f"is too large: {size:,} bytes; the limit is {LARGEST:,}")
        if size == 0:
            raise BadImageError("is empty (0 bytes)")
        try:
            data = read_at(path, offset, size)
        except OSError as error:
            raise BadImageError(f"cannot be read: {error.strerror or error}", passing=True) from None
        if len(data) < size:
            raise BadImageError(f"cannot be read: {os.path.basename(path)} ends before it does", passing=True)
        return data

    def stats(self) -> Ints:
        """Return what tells whether an image has changed, int64 [N, 5] (`identity`): its size, and times, inode and device of its file."""
        known = np.zeros((len(self.files), 4), np.int64)
        for row, path in enumerate(self.files):
            status = os.stat(path)
            known[row] = status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev
        return np.concatenate([self.sizes[:, None], known[self.file]], axis=1)


def read_at(path: str, offset: int, size: int) -> bytes:
    """Return up to `size` bytes of a file from `offset` on; fewer where it ends."""
    handle = os.open(path, _FLAGS)
    try:
        if not hasattr(os, "pread"):
            os.lseek(handle, offset, os.SEEK_SET)
        blocks, missing = [], size
        while missing:
            block = (
                os.pread(handle, missing, offset + size - missing) if hasattr(os, "pread") else os.read(handle, missing)
            )
            if not block:
                break
            blocks.append(block)
            missing -= len(block)
    finally:
        os.close(handle)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)
