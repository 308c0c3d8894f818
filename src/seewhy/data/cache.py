"""The decoded pixels of a folder, made once, shared by every run, and never half there.

An entry is a folder of the cache directory named by its fingerprint: the hash of every file's relative path, size and
modification time, the decode settings, and the version of this format. It holds

- `pixels.u8`: uint8 [N, H, W, C], row after row, to be mapped; or, where encoded bytes are kept, `bytes.bin` and `offsets.npy`;
- `facts.npz`: for every image its own size, whether it is grey, a hash of its pixels, and their sums and sums of squares by
  channel, from which the mean and deviation of any part follow exactly;
- `entry.json`: what it was made from, and the files that could not be used (their rows are zero).

An entry is built under an exclusive lock, in a folder with another name, and renamed when it is whole. A second process
waits and finds it; a builder that dies leaves a folder that the next one removes. Files are written by position, never through
the map, so that a full disk is an error and not a signal; entries of the same source that its files have outgrown are removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from seewhy.core.files import naming, write_json
from seewhy.data.dataset import ByteStore, PixelStore
from seewhy.data.decode import BadImageError, Bytes, decode_into, fit_into, in_threads, read_bytes, strict_pillow
from seewhy.data.sources import Catalog, cache_home
from seewhy.data.splits import Ints

VERSION = 1
CHUNK_BYTES, CHUNK_ROWS = 4 << 20, 256
READ_AHEAD = 32
"""Files that are read one after the other before they are decoded: alternating costs a third more time."""

Frame = tuple[int, int, int]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Facts:
    """What is known of every image after decoding it once.

    Attributes:
        sizes: int64 [N, 2], own height and width.
        grey: bool [N].
        hashes: uint64 [N], of the decoded pixels.
        sums: int64 [N, C], of the pixels by channel.
        squares: int64 [N, C], of the squared pixels by channel.
        bad: reason for each row that cannot be used.
    """

    sizes: Ints
    grey: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint64]
    sums: Ints
    squares: Ints
    bad: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int, channels: int) -> Facts:
        """Make the arrays to be filled."""
        return cls(
            np.zeros((count, 2), np.int64),
            np.zeros(count, np.bool_),
            np.zeros(count, np.uint64),
            np.zeros((count, channels), np.int64),
            np.zeros((count, channels), np.int64),
            {},
        )

    def measure(self, rows: slice, block: Bytes) -> None:
        """Fill hashes and sums of `rows` from their pixels [n, H, W, C]."""
        self.hashes[rows] = pixel_hash(block)
        n, height, width, channels = block.shape
        wide = torch.from_numpy(block.reshape(n, height, width * channels)).to(torch.int32)  # exact: 255^2 H < 2^31
        sums = wide.sum(1, dtype=torch.int32)
        squares = wide.mul_(wide).sum(1, dtype=torch.int32)
        for target, column in ((self.sums, sums), (self.squares, squares)):
            target[rows] = column.view(n, width, channels).sum(1).numpy()


def pixel_hash(block: Bytes) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each image of [n, H, W, C]; images that agree in it are compared before they count as equal."""
    flat = block.reshape(len(block), -1)
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    words = flat.view(np.uint64)
    weights = np.random.default_rng(8).integers(0, 1 << 63, words.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.asarray(((words ^ (words >> np.uint64(29))) * weights).sum(1, dtype=np.uint64))


def fingerprint(content: str, shape: Frame, *, encoded: bool) -> str:
    """Return the name of a cache entry."""
    text = f"{VERSION}|{content}|{shape}|{'bytes' if encoded else 'pixels'}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def from_arrays(catalog: Catalog, shape: Frame, progress: Progress | None) -> tuple[PixelStore, Facts]:
    """Take the pixels of arrays as they are, or scaled to `shape`; nothing is written."""
    from PIL import Image

    given = catalog.pixels
    assert given is not None
    count = len(given)
    facts = Facts.empty(count, shape[2])
    facts.sizes[:] = given.shape[1:3]
    facts.grey[:] = given.shape[3] == 1
    fits = given.shape[1:] == shape
    pixels = given if fits else np.empty((count, *shape), np.uint8)

    def work(rows: slice) -> int:
        if not fits:
            for source, row in zip(given[rows], pixels[rows], strict=True):
                fit_into(Image.fromarray(source[..., 0] if source.shape[2] == 1 else source), row)
        facts.measure(rows, pixels[rows])
        return int(rows.stop)

    for done in in_threads(work, _chunks(count, shape)):
        if progress is not None:
            progress(done, count)
    return PixelStore(torch.from_numpy(pixels)), facts


def from_files(
    catalog: Catalog, shape: Frame, *, encoded: bool, cache_dir: Path | None, progress: Progress | None
) -> tuple[PixelStore | ByteStore, Facts]:
    """Open the cache entry of a folder, building it first if it is not there.

    Raises:
        RunError: the entry cannot be written, as on a full disk; names it.
    """
    home = cache_dir or Path(os.environ.get("SEEWHY_CACHE") or cache_home())
    entry = home / fingerprint(catalog.content, shape, encoded=encoded)
    origin = {"source": os.path.realpath(catalog.root), "shape": list(shape), "encoded": encoded}
    found = _open(entry, catalog, shape, encoded=encoded)
    if found is not None:
        return found
    with naming(entry):
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home / f"{entry.name}.lock"):
            found = _open(entry, catalog, shape, encoded=encoded)
            if found is None:
                for leftover in (*home.glob(f"{entry.name}.*.tmp"), entry):
                    shutil.rmtree(leftover, ignore_errors=True)
                _build(entry, catalog, shape, origin, progress)
                found = _open(entry, catalog, shape, encoded=encoded)
                _forget(home, entry, origin)
    assert found is not None, "an entry that was just built can be opened"
    return found


def _open(entry: Path, catalog: Catalog, shape: Frame, *, encoded: bool) -> tuple[PixelStore | ByteStore, Facts] | None:
    """Map a whole entry; None if there is none, or it is damaged."""
    count = len(catalog.paths)
    try:
        record = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        with open(entry / "facts.npz", "rb") as handle, np.load(handle, allow_pickle=False) as file:
            facts = Facts(
                **{name: file[name] for name in file.files}, bad={int(k): v for k, v in record["bad"].items()}
            )
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


def _build(entry: Path, catalog: Catalog, shape: Frame, origin: dict[str, Any], progress: Progress | None) -> None:
    """Decode every file once, in threads, into a temporary folder; rename it when it is whole."""
    encoded = bool(origin["encoded"])
    count, stride = len(catalog.paths), int(np.prod(shape))
    facts, bad = Facts.empty(count, shape[2]), dict[int, str]()
    temporary = entry.with_name(f"{entry.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir()
        lengths = np.zeros(count + 1, np.int64)
        with open(temporary / ("bytes.bin" if encoded else "pixels.u8"), "wb") as file, strict_pillow():
            if not encoded:
                _reserve(file.fileno(), count * stride)

            def work(rows: slice) -> tuple[slice, list[bytes]]:
                block = np.empty((rows.stop - rows.start, *shape), np.uint8)
                kept = _decode(catalog, rows, block, facts, bad, keep=encoded)
                facts.measure(rows, block)
                if not encoded:
                    _write_at(file.fileno(), block, rows.start * stride)
                return rows, kept

            for rows, kept in in_threads(work, _chunks(count, shape)):
                if encoded:
                    lengths[rows.start + 1 : rows.stop + 1] = [len(data) for data in kept]
                    file.writelines(kept)
                if progress is not None:
                    progress(rows.stop, count)
            file.flush()
            os.fsync(file.fileno())
        if encoded:
            np.save(temporary / "offsets.npy", lengths.cumsum())
        columns = {name: getattr(facts, name) for name in ("sizes", "grey", "hashes", "sums", "squares")}
        np.savez(temporary / "facts.npz", **columns)
        write_json(temporary / "entry.json", {**origin, "bad": {str(row): bad[row] for row in sorted(bad)}})
        os.rename(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _decode(
    catalog: Catalog, rows: slice, block: Bytes, facts: Facts, bad: dict[int, str], *, keep: bool
) -> list[bytes]:
    """Decode a chunk of files into `block`; returns their encoded bytes if they are to be kept."""
    kept: list[bytes] = []
    seen: list[tuple[int, int, bool]] = []
    prefix = catalog.root.rstrip("/") + "/"
    for first in range(rows.start, rows.stop, READ_AHEAD):
        ahead = range(first, min(first + READ_AHEAD, rows.stop))
        files = [_read(prefix + catalog.paths[row]) for row in ahead]
        for row, data in zip(ahead, files, strict=True):
            place = row - rows.start
            try:
                if isinstance(data, BadImageError):
                    raise data
                seen.append(decode_into(data, block[place]))
            except BadImageError as error:
                bad[row] = str(error)
                seen.append((0, 0, False))
                block[place] = 0
            if keep:
                kept.append(data if isinstance(data, bytes) and row not in bad else b"")
    table = np.array(seen, np.int64)  # once a chunk: assigning row by row costs as much as a system call
    facts.sizes[rows], facts.grey[rows] = table[:, :2], table[:, 2]
    return kept


def _read(path: str) -> bytes | BadImageError:
    """Return a file's bytes, or why it cannot be read."""
    try:
        return read_bytes(path)
    except BadImageError as error:
        return error


def _chunks(count: int, shape: Frame) -> list[slice]:
    """Cut the rows into tasks of some megabytes."""
    step = max(1, min(CHUNK_ROWS, CHUNK_BYTES // int(np.prod(shape))))
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def _reserve(handle: int, size: int) -> None:
    """Take the disk space at once, so that a full disk is found before the work."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.truncate(handle, size)


def _write_at(handle: int, block: Bytes, offset: int) -> None:
    """Write all of a block at its place; the system may take it in pieces."""
    view = block.data.cast("B")
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes; the system frees it when its owner dies."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget(home: Path, entry: Path, origin: dict[str, Any]) -> None:
    """Remove entries of the same source and settings whose files have changed since; maps of them stay valid."""
    for record in home.glob("*/entry.json"):
        if record.parent == entry:
            continue
        with contextlib.suppress(OSError, ValueError):
            if {key: json.loads(record.read_text(encoding="utf-8")).get(key) for key in origin} == origin:
                shutil.rmtree(record.parent, ignore_errors=True)
                record.parent.with_name(f"{record.parent.name}.lock").unlink(missing_ok=True)
