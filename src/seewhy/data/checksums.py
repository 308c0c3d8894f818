"""Whether an entry of the cache is still what was written: a CRC-32 of every chunk."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import RunError
from seewhy.data.threads import in_threads

Bytes = npt.NDArray[np.uint8]
Bounds = Sequence[tuple[int, int]]
"""First and last byte (exclusive) of every chunk."""


def checksum(data: memoryview | bytes) -> int:
    """Return the CRC-32 of bytes."""
    return zlib.crc32(data)


def damaged_chunk(data: Bytes, bounds: Bounds, checksums: npt.NDArray[np.uint32]) -> int | None:
    """Return the first chunk whose bytes are not what was written; None if all are."""
    if len(bounds) != len(checksums):
        return 0
    found = in_threads(lambda chunk: checksum(data[chunk[0] : chunk[1]].data), bounds)
    return next((n for n, (own, kept) in enumerate(zip(found, checksums.tolist(), strict=True)) if own != kept), None)


class BackgroundCheck:
    """Checks a large entry in a thread while it is used; `raise_if_damaged` tells what was found so far."""

    def __init__(self, entry: Path, data: Bytes, bounds: Bounds, checksums: npt.NDArray[np.uint32]) -> None:
        """Start the thread, which ends with the process."""
        self._entry = entry
        self._damaged = False
        self._work = (data, bounds, checksums)
        self.thread = threading.Thread(target=self._run, name="seewhy-checksums", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        data, bounds, checksums = self._work
        if len(bounds) != len(checksums) or any(
            checksum(data[start:end].data) != kept
            for (start, end), kept in zip(bounds, checksums.tolist(), strict=True)
        ):
            self._damaged = True

    def raise_if_damaged(self) -> None:
        """Raise RunError if damage has been found; the entry is then built again at the next start."""
        if self._damaged:
            (self._entry / "entry.json").unlink(missing_ok=True)
            raise RunError(f"{self._entry}: the cached images are damaged; start again: they are then made anew")
