"""How an entry of the cache is made: every file read, hashed, decoded, measured and written, in threads, in one pass."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seewhy.core.files import write_json
from seewhy.data.checksums import checksum
from seewhy.data.codec import Bytes, Header, Shape, decode_into
from seewhy.data.facts import ImageFacts
from seewhy.data.fitting import DecodeRule
from seewhy.data.identity import DIGEST, UNKNOWN, FileIndex, content_hash, digest, hash_of_failure
from seewhy.data.pillow_limits import strict_pillow
from seewhy.data.reading import BadImageError
from seewhy.data.sources import Catalog
from seewhy.data.threads import in_threads

CHUNK_BYTES, CHUNK_ROWS = 4 << 20, 256
READ_AHEAD = 32
"""Files that are read one after the other before they are decoded: alternating costs a third more time."""

STORES = {"pixels": "pixels.u8", "bytes": "bytes.bin"}
"""The file of an entry, by what it keeps."""

FACTS = ("sizes", "grey", "several", "hashes", "sums", "squares")

Progress = Callable[[int, int], None]

Keep = Literal["pixels", "bytes", "none"]


@dataclass(frozen=True)
class Origin:
    """What an entry is made from.

    Attributes:
        source: the folder, without links.
        shape: (H, W, C).
        keep: what the entry holds of every image: its "pixels", its encoded "bytes", or "none" of it but the facts.
        rule: of decoding.
    """

    source: str
    shape: Shape
    keep: Keep
    rule: DecodeRule

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        peaks = None if self.rule.peaks is None else list(self.rule.peaks)
        rule = {"fit": self.rule.fit, "max_pixels": self.rule.max_pixels, "peaks": peaks}
        source = os.fsencode(self.source).decode("utf-8", "backslashreplace")
        return {"source": source, "shape": list(self.shape), "keep": self.keep, **rule}


@dataclass
class _Work:
    """What the threads of one build share.

    Attributes:
        passing: why, by row, where a file could not be read for a reason that may pass.
    """

    catalog: Catalog
    origin: Origin
    facts: ImageFacts
    index: FileIndex
    unreadable: dict[int, str] = field(default_factory=dict)
    passing: dict[int, str] = field(default_factory=dict)


def checksum_of(record: dict[str, Any]) -> str:
    """Return the checksum of an entry's record."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def row_chunks(count: int, shape: Shape) -> list[slice]:
    """Cut the rows into chunks of some megabytes."""
    step = max(1, min(CHUNK_ROWS, CHUNK_BYTES // int(np.prod(shape))))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def build(
    home: Path, layout: str, catalog: Catalog, origin: Origin, index: FileIndex, progress: Progress | None
) -> tuple[Path, dict[int, str]]:
    """Decode every file once, in threads, into a temporary folder; rename it when it is whole.

    Args:
        home: of the entries.
        layout: first half of the entry's name; the second is the hash of the contents, known at the end.
        catalog: the files.
        origin: how they are decoded.
        index: takes the hashes of the files.
        progress: called with (images done, images in all).

    Returns:
        the entry, and the files that could not be read for a reason that may pass.
    """
    count, shape = len(catalog.paths), origin.shape
    work = _Work(catalog, origin, ImageFacts.empty(count, shape[2]), index)
    temporary = home / f"{layout}.{os.getpid()}.tmp"
    try:
        temporary.mkdir()
        with open(temporary / STORES[origin.keep] if origin.keep != "none" else os.devnull, "wb") as file:
            with strict_pillow(origin.rule.max_pixels):
                offsets, checksums = _write_chunks(file, work, progress)
            file.flush()
            if origin.keep != "none":
                os.fsync(file.fileno())
        facts = {name: getattr(work.facts, name) for name in FACTS}
        np.savez(temporary / "facts.npz", **facts, offsets=offsets, checksums=checksums)
        reasons = {str(row): work.unreadable[row] for row in sorted(work.unreadable)}
        written = (temporary / "facts.npz").read_bytes()
        record = {**origin.to_json(), "bad": reasons, "facts": content_hash(written).hex()}
        write_json(temporary / "entry.json", {**record, "checksum": checksum_of(record)})
        entry = home / f"{layout}-{digest(index.hashes)}"
        shutil.rmtree(entry, ignore_errors=True)  # a damaged one
        os.rename(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return entry, work.passing


def _write_chunks(file: Any, work: _Work, progress: Progress | None) -> tuple[Any, Any]:
    """Fill the file with pixels or bytes; returns the offsets of the rows, int64 [N + 1], and the checksums of the chunks."""
    count, shape, keep = len(work.catalog.paths), work.origin.shape, work.origin.keep
    stride = int(np.prod(shape))
    lengths = np.full(count + 1, stride if keep == "pixels" else 0, np.int64)
    lengths[0] = 0
    if keep == "pixels":
        _reserve(file.fileno(), count * stride)

    def decode_chunk(rows: slice) -> tuple[slice, list[bytes], int]:
        pixels = np.empty((rows.stop - rows.start, *shape), np.uint8)
        contents = _decode_rows(work, rows, pixels)
        work.facts.measure(rows, pixels)
        if keep == "none":
            return rows, [], 0
        if keep == "bytes":
            return rows, contents, checksum(b"".join(contents))
        _write_at(file.fileno(), pixels, rows.start * stride)
        return rows, contents, checksum(pixels.reshape(-1).data)

    checksums = []
    for rows, contents, crc in in_threads(decode_chunk, row_chunks(count, shape)):
        checksums.append(crc)
        if keep == "bytes":
            lengths[rows.start + 1 : rows.stop + 1] = [len(data) for data in contents]
            file.writelines(contents)
        if progress is not None:
            progress(rows.stop, count)
    return lengths.cumsum(), np.array(checksums, np.uint32)


def _decode_rows(work: _Work, rows: slice, pixels: Bytes) -> list[bytes]:
    """Decode a chunk of files into `pixels`; returns their encoded bytes if they are to be kept."""
    contents: list[bytes] = []
    headers: list[Header] = []
    hashes: list[bytes] = []
    for first in range(rows.start, rows.stop, READ_AHEAD):
        ahead = range(first, min(first + READ_AHEAD, rows.stop))
        files = [_read(work.catalog, row) for row in ahead]
        for row, data in zip(ahead, files, strict=True):
            position = row - rows.start
            try:
                if isinstance(data, BadImageError):
                    raise data
                hashes.append(content_hash(data))
                headers.append(decode_into(data, pixels[position], work.origin.rule))
            except BadImageError as error:
                del hashes[position:]
                hashes.append(_note_failure(work, row, data, error))
                headers.append((0, 0, False, False))
                pixels[position] = 0
            if work.origin.keep == "bytes":
                contents.append(data if isinstance(data, bytes) and row not in work.unreadable else b"")
    table = np.array(headers, np.int64)  # once a chunk: assigning row by row costs as much as a system call
    work.facts.sizes[rows], work.facts.grey[rows], work.facts.several[rows] = table[:, :2], table[:, 2], table[:, 3]
    work.index.hashes[rows] = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, DIGEST)
    return contents


def _note_failure(work: _Work, row: int, data: bytes | BadImageError, error: BadImageError) -> bytes:
    """Keep why a file cannot be used; returns the hash of its content, none where the reason may pass."""
    work.unreadable[row] = str(error)
    if error.passing:
        work.passing[row] = str(error)
        return UNKNOWN
    return content_hash(data) if isinstance(data, bytes) else hash_of_failure(error)


def _read(catalog: Catalog, row: int) -> bytes | BadImageError:
    """Return an image's bytes, or why they cannot be read."""
    try:
        return catalog.read(row)
    except BadImageError as error:
        return error


def _reserve(handle: int, size: int) -> None:
    """Take the disk space at once, so that a full disk is found before the work."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)


_write_lock = threading.Lock()


def _write_at(handle: int, pixels: Bytes, offset: int) -> None:
    """Write all of a chunk at its position; the system may take it in several writes."""
    view = pixels.data.cast("B")
    while view:
        if hasattr(os, "pwrite"):
            written = os.pwrite(handle, view, offset)
        else:
            with _write_lock:  # the position belongs to the file, which threads share
                os.lseek(handle, offset, os.SEEK_SET)
                written = os.write(handle, view)
        view, offset = view[written:], offset + written
