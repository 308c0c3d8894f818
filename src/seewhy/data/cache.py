"""The decoded pixels of a folder, made once, shared by every run, and never half there.

An entry is a folder of the cache directory named by its fingerprint: the hash of every file's relative path, size and
modification time, the decode options, and the version of this format. It holds

- `pixels.u8`: uint8 [N, H, W, C], row after row, to be mapped; or, for `cache="bytes"`, `bytes.bin` and `offsets.npy`;
- `facts.npz`: for every image its own size, whether it is grey, a hash of its pixels, and their sums and sums of squares by
  channel, from which the mean and standard deviation of any split follow exactly;
- `entry.json`: what it was made from, and the files that could not be used (their rows are zero).

An entry is built under an exclusive lock, in a folder with another name, and renamed when it is whole. A second process
waits and finds it; a builder that dies leaves a folder that the next one removes. Files are written by position, never through
the map, so that a full disk is an error and not a signal; entries of the same source that its files have outgrown are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from seewhy.core.files import naming, write_json
from seewhy.data.codec import BadImageError, Bytes, Shape, decode_into, in_threads, read_bytes, strict_pillow
from seewhy.data.dataset import ByteStore, PixelStore
from seewhy.data.facts import ImageFacts
from seewhy.data.sources import Catalog, cache_home

VERSION = 1
CHUNK_BYTES, CHUNK_ROWS = 4 << 20, 256
READ_AHEAD = 32
"""Files that are read one after the other before they are decoded: alternating costs a third more time."""

FACTS = ("sizes", "grey", "hashes", "sums", "squares")

Progress = Callable[[int, int], None]


def fingerprint(content: str, shape: Shape, *, encoded: bool) -> str:
    """Return the name of a cache entry."""
    text = f"{VERSION}|{content}|{shape}|{'bytes' if encoded else 'pixels'}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def cached(
    catalog: Catalog, shape: Shape, *, encoded: bool, cache_dir: Path | None, progress: Progress | None
) -> tuple[PixelStore | ByteStore, ImageFacts]:
    """Open the cache entry of a folder, building it first if it is not there.

    Args:
        catalog: the files.
        shape: (H, W, C) of the decoded images.
        encoded: keep the files' bytes instead of their pixels.
        cache_dir: where entries are kept; default: `SEEWHY_CACHE`, else the user's cache folder.
        progress: called with (images done, images in all) while they are decoded.

    Raises:
        RunError: the entry cannot be written, as on a full disk; names it.
    """
    home = cache_dir or Path(os.environ.get("SEEWHY_CACHE") or cache_home())
    entry = home / fingerprint(catalog.content, shape, encoded=encoded)
    origin = {"source": os.path.realpath(catalog.root), "shape": list(shape), "encoded": encoded}
    opened = _open(entry, catalog, shape, encoded=encoded)
    if opened is not None:
        return opened
    with naming(entry):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f"{entry.name}.lock"):  # the system frees it when its owner dies
            opened = _open(entry, catalog, shape, encoded=encoded)
            if opened is None:
                for leftover in (*home.glob(f"{entry.name}.*.tmp"), entry):
                    shutil.rmtree(leftover, ignore_errors=True)
                _build(entry, catalog, shape, origin, progress)
                opened = _open(entry, catalog, shape, encoded=encoded)
                _remove_outgrown(home, entry, origin)
    assert opened is not None, "an entry that was just built can be opened"
    return opened


def _open(
    entry: Path, catalog: Catalog, shape: Shape, *, encoded: bool
) -> tuple[PixelStore | ByteStore, ImageFacts] | None:
    """Map a whole entry; None if there is none, or it is damaged."""
    count = len(catalog.paths)
    try:
        record = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        unreadable = {int(row): reason for row, reason in record["bad"].items()}
        with open(entry / "facts.npz", "rb") as handle, np.load(handle, allow_pickle=False) as file:
            facts = ImageFacts(**{name: file[name] for name in FACTS}, unreadable=unreadable)
        if len(facts.hashes) != count:
            return None
        if encoded:
            offsets = np.load(entry / "offsets.npy", allow_pickle=False)
            blob = entry / "bytes.bin"
            if blob.stat().st_size != offsets[-1]:
                return None
            return ByteStore(np.memmap(blob, np.uint8, "r"), offsets, shape, catalog.names), facts
        path, size = entry / "pixels.u8", count * int(np.prod(shape))
        if path.stat().st_size != size:
            return None
        pixels = torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return PixelStore(pixels.view(count, *shape)), facts


def _build(entry: Path, catalog: Catalog, shape: Shape, origin: dict[str, Any], progress: Progress | None) -> None:
    """Decode every file once, in threads, into a temporary folder; rename it when it is whole."""
    encoded = bool(origin["encoded"])
    count, stride = len(catalog.paths), int(np.prod(shape))
    facts, unreadable = ImageFacts.empty(count, shape[2]), dict[int, str]()
    temporary = entry.with_name(f"{entry.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir()
        lengths = np.zeros(count + 1, np.int64)
        with open(temporary / ("bytes.bin" if encoded else "pixels.u8"), "wb") as file, strict_pillow():
            if not encoded:
                _reserve(file.fileno(), count * stride)

            def decode_chunk(rows: slice) -> tuple[slice, list[bytes]]:
                pixels = np.empty((rows.stop - rows.start, *shape), np.uint8)
                contents = _decode_rows(catalog, rows, pixels, facts, unreadable, keep=encoded)
                facts.measure(rows, pixels)
                if not encoded:
                    _write_at(file.fileno(), pixels, rows.start * stride)
                return rows, contents

            for rows, contents in in_threads(decode_chunk, row_chunks(count, shape)):
                if encoded:
                    lengths[rows.start + 1 : rows.stop + 1] = [len(data) for data in contents]
                    file.writelines(contents)
                if progress is not None:
                    progress(rows.stop, count)
            file.flush()
            os.fsync(file.fileno())
        if encoded:
            np.save(temporary / "offsets.npy", lengths.cumsum())
        np.savez(temporary / "facts.npz", **{name: getattr(facts, name) for name in FACTS})
        reasons = {str(row): unreadable[row] for row in sorted(unreadable)}
        write_json(temporary / "entry.json", {**origin, "bad": reasons})
        os.rename(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode_rows(
    catalog: Catalog, rows: slice, pixels: Bytes, facts: ImageFacts, unreadable: dict[int, str], *, keep: bool
) -> list[bytes]:
    """Decode a chunk of files into `pixels`; returns their encoded bytes if they are to be kept."""
    contents: list[bytes] = []
    headers: list[tuple[int, int, bool]] = []
    prefix = catalog.root.rstrip("/") + "/"
    for first in range(rows.start, rows.stop, READ_AHEAD):
        ahead = range(first, min(first + READ_AHEAD, rows.stop))
        files = [_read(prefix + catalog.paths[row]) for row in ahead]
        for row, data in zip(ahead, files, strict=True):
            position = row - rows.start
            try:
                if isinstance(data, BadImageError):
                    raise data
                headers.append(decode_into(data, pixels[position]))
            except BadImageError as error:
                unreadable[row] = str(error)
                headers.append((0, 0, False))
                pixels[position] = 0
            if keep:
                contents.append(data if isinstance(data, bytes) and row not in unreadable else b"")
    table = np.array(headers, np.int64)  # once a chunk: assigning row by row costs as much as a system call
    facts.sizes[rows], facts.grey[rows] = table[:, :2], table[:, 2]
    return contents


def _read(path: str) -> bytes | BadImageError:
    """Return a file's bytes, or why it cannot be read."""
    try:
        return read_bytes(path)
    except BadImageError as error:
        return error


def row_chunks(count: int, shape: Shape) -> list[slice]:
    """Cut the rows into chunks of some megabytes."""
    step = max(1, min(CHUNK_ROWS, CHUNK_BYTES // int(np.prod(shape))))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


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


def _remove_outgrown(home: Path, entry: Path, origin: dict[str, Any]) -> None:
    """Remove entries of the same source and options whose files have changed since; maps of them stay valid."""
    for record in home.glob("*/entry.json"):
        if record.parent == entry:
            continue
        with contextlib.suppress(OSError, ValueError):
            if {key: json.loads(record.read_text(encoding="utf-8")).get(key) for key in origin} == origin:
                shutil.rmtree(record.parent, ignore_errors=True)
                record.parent.with_name(f"{record.parent.name}.lock").unlink(missing_ok=True)
