"""The decoded pixels of a folder, made once, shared by every run, and never half there.

An entry is a folder of the cache directory. Its name is the data set's fingerprint: a hash of names, sizes, classes, splits, and of how
images are decoded (the layout), and one of the files' contents (`identity`). It holds

- `pixels.u8`: uint8 [N, H, W, C], row after row, to be mapped; for `cache="bytes"`, `bytes.bin`, the files one after the other; for
  `cache="none"` neither: images are read where they are, and told from others by their hashes;
- `facts.npz`: what was measured of every image (`facts.ImageFacts`), from which the mean and standard deviation of any split follow exactly;
  the checksums of the chunks of the pixels or bytes, and the offsets of the latter;
- `entry.json`: what it was made from, the files that could not be used (their rows are zero), and checksums of the facts and of itself.

An entry is built under an exclusive lock, in a folder with another name, and renamed when it is whole. A second process
waits and finds it; a builder that dies leaves a folder that the next one removes. Files are written by position, never through
the map, so that a full disk is an error and not a signal; entries of the same source that its files have outgrown are removed.

What is opened is checked against the checksums: at once up to a gigabyte, beyond that in the background. A damaged entry is built again.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from seewhy.core.errors import RunError
from seewhy.core.files import naming
from seewhy.data.cache_build import FACTS, STORES, Keep, Origin, Progress, build, checksum_of, row_chunks
from seewhy.data.checksums import BackgroundCheck, damaged_chunk
from seewhy.data.codec import Shape
from seewhy.data.dataset import ByteStore, FileStore, PixelStore
from seewhy.data.facts import ImageFacts
from seewhy.data.fitting import PLAIN, DecodeRule
from seewhy.data.identity import FileIndex, content_hash, digest
from seewhy.data.sources import Catalog, cache_folder

VERSION = 2
AT_ONCE = 1 << 30
"""Bytes of an entry that are checked before it is used; larger ones are checked while they are used."""

__all__ = ["Cached", "Progress", "cached", "layout_of", "row_chunks"]


@dataclass(frozen=True)
class Cached:
    """An open entry.

    Attributes:
        store: the pixels.
        facts: what is known of every image.
        fingerprint: of names, contents and the way of decoding.
    """

    store: PixelStore | ByteStore | FileStore
    facts: ImageFacts
    fingerprint: str


def layout_of(catalog: Catalog, shape: Shape, rule: DecodeRule, *, keep: Keep) -> str:
    """Return a hash of all that is known of a data set without reading its files, and of how they are decoded."""
    names = "\0".join(catalog.names).encode("utf-8", "surrogatepass")
    options = f"{VERSION}|{shape}|{keep}|{rule.fit}|{rule.max_pixels}|{rule.peaks}"
    sizes = np.zeros(0, np.int64) if catalog.stats is None else catalog.stats[:, 0]
    more = [catalog.content] if catalog.content and catalog.pixels is None else []
    return digest(options, names, sizes, catalog.labels, catalog.splits, *more)[:16]


def cached(
    catalog: Catalog,
    shape: Shape,
    *,
    keep: Keep,
    cache_dir: Path | None,
    progress: Progress | None,
    rule: DecodeRule = PLAIN,
) -> Cached:
    """Open the cache entry of a folder, building it first if it is not there, or is damaged.

    Args:
        catalog: the files.
        shape: (H, W, C) of the decoded images.
        keep: the images' pixels, their encoded bytes, or none, where they are read and decoded for every batch.
        cache_dir: where entries are kept; default: `SEEWHY_CACHE`, else the user's cache folder.
        progress: called with (images done, images in all) while they are decoded.
        rule: how they are decoded.

    Raises:
        RunError: the entry cannot be written, as on a full disk; names it.
    """
    home = cache_folder(cache_dir)
    layout = layout_of(catalog, shape, rule, keep=keep)
    origin = Origin(os.path.realpath(catalog.root), shape, keep, rule)
    opened = _find(home, layout, catalog, origin)
    if opened is not None:
        return opened
    with naming(home / layout):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f"{layout}.lock"):  # the system frees it when its owner dies
            opened = _find(home, layout, catalog, origin)
            if opened is None:
                for leftover in home.glob(f"{layout}.*.tmp"):
                    shutil.rmtree(leftover, ignore_errors=True)
                _validate_space(home, catalog, origin)
                index = FileIndex.open(home, catalog.root, catalog.paths, _stats(catalog))
                entry, reasons = build(home, layout, catalog, origin, index, progress)
                index.save()
                opened = _open(entry, catalog, origin, index, reasons, verify=False)
                _remove_outgrown(home, entry, origin)
    assert opened is not None, "an entry that was just built can be opened"
    return opened


def _validate_space(home: Path, catalog: Catalog, origin: Origin) -> None:
    """Refuse an entry that does not fit on the disk, before the work."""
    sizes = {"pixels": len(catalog.paths) * math.prod(origin.shape), "bytes": int(_stats(catalog)[:, 0].clip(0).sum())}
    needed, free = sizes.get(origin.keep, 0), shutil.disk_usage(home).free
    if needed > free:
        raise RunError(
            f"the cache needs {needed:,} bytes in {home}, where {free:,} are free; name another disk by SEEWHY_CACHE, or keep no images there: "
            "with data.cache none they are read where they are, and decoded for each batch"
        )


def _stats(catalog: Catalog) -> Any:
    assert catalog.stats is not None
    return catalog.stats


def _find(home: Path, layout: str, catalog: Catalog, origin: Origin) -> Cached | None:
    """Open the entry of the files' contents, if one of their layout is there at all: else there is nothing to read them for."""
    if not any(home.glob(f"{layout}-*")):
        return None
    index = FileIndex.open(home, catalog.root, catalog.paths, _stats(catalog))
    reasons: dict[int, str] = {}
    if len(index.unknown):
        reasons = index.read(catalog.read)
        index.save()
    return _open(home / f"{layout}-{digest(index.hashes)}", catalog, origin, index, reasons)


def _open(
    entry: Path, catalog: Catalog, origin: Origin, index: FileIndex, reasons: dict[int, str], *, verify: bool = True
) -> Cached | None:
    """Map a whole entry; None if there is none, or it is damaged."""
    count, shape = len(catalog.paths), origin.shape
    try:
        record = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        if record.pop("checksum") != checksum_of(record):
            return None
        unreadable = {**{int(row): reason for row, reason in record["bad"].items()}, **reasons}
        kept = (entry / "facts.npz").read_bytes()
        if record["facts"] != content_hash(kept).hex():
            return None
        with np.load(io.BytesIO(kept), allow_pickle=False) as file:
            facts = ImageFacts(**{name: file[name] for name in FACTS}, unreadable=unreadable)
            checksums, offsets = file["checksums"], file["offsets"]
        if len(facts.hashes) != count:
            return None
        if origin.keep == "none":
            store = FileStore(catalog.read, index.hashes, shape, catalog.names, origin.rule)
            return Cached(store, facts, entry.name)
        path = entry / STORES[origin.keep]
        size = int(offsets[-1])
        if path.stat().st_size != size:
            return None
        mapped = size and torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)
        pixels = mapped if isinstance(mapped, torch.Tensor) else torch.zeros(0, dtype=torch.uint8)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    data, bounds = pixels.numpy(), [(int(offsets[r.start]), int(offsets[r.stop])) for r in row_chunks(count, shape)]
    check = None
    if verify and size <= AT_ONCE:
        if damaged_chunk(data, bounds, checksums) is not None:
            return None
    elif verify:
        check = BackgroundCheck(entry, data, bounds, checksums)
    if origin.keep == "bytes":
        return Cached(ByteStore(data, offsets, shape, catalog.names, origin.rule, check), facts, entry.name)
    return Cached(PixelStore(pixels.view(count, *shape), check), facts, entry.name)


def _remove_outgrown(home: Path, entry: Path, origin: Origin) -> None:
    """Remove entries of the same source and options whose files have changed since; maps of them stay valid."""
    fields = origin.to_json()
    for record in home.glob("*/entry.json"):
        if record.parent == entry:
            continue
        with contextlib.suppress(OSError, ValueError):
            if {key: json.loads(record.read_text(encoding="utf-8")).get(key) for key in fields} == fields:
                shutil.rmtree(record.parent, ignore_errors=True)
                layout = record.parent.name.split("-")[0]
                if not any(home.glob(f"{layout}-*")) and layout != entry.name.split("-")[0]:
                    (home / f"{layout}.lock").unlink(missing_ok=True)
