"""From a source to a data set that is ready to train on: list, decode, examine, split, measure."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.data import audit, splits
from seewhy.data.audit import Audit, Issue
from seewhy.data.cache import Facts, Frame, fingerprint, from_arrays, from_files
from seewhy.data.dataset import Dataset, Part, Store
from seewhy.data.decode import BadImageError, frame, look, strict_pillow
from seewhy.data.sources import Catalog, open_source
from seewhy.data.splits import LEFT_OUT, Ints

SMALL, LARGE_SIDE, SAMPLED = 64, 128, 512
STD_FLOOR = 1 / 255


def prepare(
    source: str | Path,
    *,
    resolution: int | None = None,
    channels: int | None = None,
    val_fraction: float | None = None,
    test_fraction: float = 0.15,
    split_seed: int = 0,
    cache: Literal["pixels", "bytes"] = "pixels",
    strict: bool = False,
    fewest_classes: int = 2,
    cache_dir: Path | None = None,
    data_dir: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Make a data set of a folder of class folders, a built-in name or an `.npz` file.

    Args:
        source: what to read; a built-in name wins over a folder of that name unless it is written with a separator.
        resolution: side of the square images in pixels. Default: the longest side where none is longer than 64, else 128.
        channels: 1 for grey, 3 for colour. Default: grey if all sampled pictures are.
        val_fraction: share of the training images for validation; default 10%, at most 2,000; see `splits`.
        test_fraction: share for testing where the data bring neither a test nor a val part.
        split_seed: seed of the split.
        cache: "pixels" keeps decoded pixels, "bytes" encoded ones that are decoded for every batch.
        strict: make an unreadable file an error instead of leaving it out.
        fewest_classes: that there must be usable images of: a recogniser needs two, a generator one.
        cache_dir: where decoded folders are kept; default: `SEEWHY_CACHE`, else the user's cache folder.
        data_dir: where built-in sets live; default: `SEEWHY_DATA`, else the user's cache folder.
        progress: called with (images done, images in all) while they are decoded.

    Raises:
        InputError: the source or a value is wrong, or too few classes have images.
        RunError: the cache cannot be written.
    """
    _check_values(val_fraction, test_fraction, cache)
    catalog = open_source(source, None if data_dir is None else Path(data_dir), fewest_classes)
    shape = _shape(catalog, resolution, channels)
    store: Store
    if catalog.pixels is None:
        home = None if cache_dir is None else Path(cache_dir)
        store, facts = from_files(catalog, shape, encoded=cache == "bytes", cache_dir=home, progress=progress)
    else:
        store, facts = from_arrays(catalog, shape, progress)
    bad = [(catalog.names[row], facts.bad[row]) for row in sorted(facts.bad)]
    if bad and strict:
        raise InputError(_refusal(bad))
    part = catalog.part.copy()
    part[list(facts.bad)] = LEFT_OUT
    labels, classes, emptied = _full_classes(catalog, part, fewest_classes)
    same = _twins(facts, store, part)
    part = splits.assign(
        part,
        labels,
        catalog.names,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        split_seed=split_seed,
        twins=same,
    )
    issues = [
        *catalog.issues,
        *audit.unreadable(bad),
        *emptied,
        *audit.classes(labels, part, classes),
        *audit.twins(same, labels, part, catalog.names, classes),
        *audit.sizes(facts.sizes[part != LEFT_OUT], shape),
        *audit.colours(facts.grey[part != LEFT_OUT], shape[2], asked=channels is not None),
    ]
    mean, std = _moments(facts, part, shape)
    data = Dataset(
        name=catalog.name,
        classes=classes,
        channels=shape[2],
        height=shape[0],
        width=shape[1],
        train=_part(splits.TRAIN, part, labels, catalog, store),
        val=_part(splits.VAL, part, labels, catalog, store),
        test=_part(splits.TEST, part, labels, catalog, store) if (part == splits.TEST).any() else None,
        mean=mean,
        std=std,
        audit=audit.collect(issues),
        fingerprint=fingerprint(catalog.content, shape, encoded=cache == "bytes"),
        source_kind=catalog.kind,
        mirrorable=shape[2] == 3 if catalog.mirrorable is None else catalog.mirrorable,
    )
    return replace(data, audit=replace(data.audit, summary=f"{data.summary()}\n{data.table()}"))


def check(source: str | Path, **options: Any) -> Audit:
    """Say what is wrong with the images and the split; takes and raises what `prepare` does.

    Returns:
        the audit; its `summary` tells the data set in a line and the images of every class by part.
    """
    return prepare(source, **options).audit


def prepare_all(source: str | Path, **options: Any) -> tuple[tuple[str, ...], Part]:
    """Return the classes and the images on which a recogniser is examined: the data's own test part, else every image.

    Takes and raises what `prepare` does.
    """
    data = prepare(source, **{**options, "val_fraction": 0.0, "test_fraction": 0.0})
    if data.test is not None:
        return data.classes, data.test
    parts = [part for part in (data.train, data.val) if len(part)]
    joined = Part(
        torch.cat([part.keys for part in parts]),
        torch.cat([part.labels for part in parts]),
        [name for part in parts for name in part.names],
        data.train.store,
    )
    return data.classes, joined


def _check_values(val_fraction: float | None, test_fraction: float, cache: str) -> None:
    """Refuse what cannot be meant before any work."""
    for field, value in (("data.val_fraction", val_fraction), ("data.test_fraction", test_fraction)):
        if value is not None and not 0 <= value < 1:
            raise bad_value(field, value, "at least 0 and less than 1")
    if cache not in ("pixels", "bytes"):
        raise unknown_name("data.cache", cache, ("pixels", "bytes"))


def _refusal(bad: Sequence[tuple[str, str]]) -> str:
    """Word the error of strict mode: every file up to twenty, with its reason."""
    lines = [
        f"data.strict: {audit.count(len(bad), 'file')} cannot be used; mend or remove, or leave out with strict off:"
    ]
    lines += [f"  {name} {reason}" for name, reason in bad[:20]]
    return "\n".join(lines + ([f"  and {len(bad) - 20:,} more"] if len(bad) > 20 else []))


def _shape(catalog: Catalog, resolution: int | None, channels: int | None) -> Frame:
    """Decide the shape (H, W, C) in which the images are kept."""
    if resolution is not None and channels is not None:
        return frame(resolution, channels)
    if catalog.pixels is not None:
        sizes, grey = [catalog.pixels.shape[1:3]], catalog.pixels.shape[3] == 1
    else:
        seen = _sample(catalog)
        sizes, grey = [item[:2] for item in seen], all(item[2] for item in seen)
    if channels is None:
        channels = 1 if grey else 3
    if resolution is not None:
        return frame(resolution, channels)
    side = max(max(size) for size in sizes)
    if side > SMALL:
        return frame(LARGE_SIDE, channels)
    return frame(side, channels)


def _sample(catalog: Catalog) -> list[tuple[int, int, bool]]:
    """Read up to 512 headers, spread evenly over the files.

    Raises:
        InputError: none of them is a picture.
    """
    count = len(catalog.paths)
    rows = sorted({count * i // SAMPLED for i in range(SAMPLED)}) if count > SAMPLED else range(count)

    def header(row: int) -> tuple[int, int, bool] | str:
        try:
            return look(os.path.join(catalog.root, catalog.paths[row]))
        except BadImageError as error:
            return f"{catalog.names[row]} {error}"

    with strict_pillow():
        found = [header(row) for row in rows]
    seen = [item for item in found if not isinstance(item, str)]
    if not seen:
        raise InputError(f"data: no picture in {catalog.root} can be read: {found[0] if found else 'there is none'}")
    return seen


def _full_classes(catalog: Catalog, part: Ints, fewest: int) -> tuple[Ints, tuple[str, ...], list[Issue]]:
    """Leave out classes of which no image can be used."""
    used = np.bincount(catalog.labels[part != LEFT_OUT], minlength=len(catalog.classes)) > 0
    names = tuple(name for name, has in zip(catalog.classes, used, strict=True) if has)
    if len(names) < fewest:
        raise InputError(
            f"data: {audit.count(len(names), 'class')} of {catalog.name} with usable images ({', '.join(names) or 'none'}); "
            f"{'a recogniser needs at least two' if fewest > 1 else 'there must be at least one'}"
        )
    emptied = tuple(name for name, has in zip(catalog.classes, used, strict=True) if not has)
    told = f"{audit.count(len(emptied), 'class')} without a usable image, left out: {audit.some(emptied)}"
    issues = [Issue("empty_class", "warning", told, emptied)] if emptied else []
    return np.maximum(np.cumsum(used) - 1, 0)[catalog.labels], names, issues


def _twins(facts: Facts, store: Store, part: Ints) -> Ints:
    """Return for every row the first row with the same pixels: int64 [N]."""
    same = np.arange(len(part), dtype=np.int64)
    used = np.flatnonzero(part != LEFT_OUT)
    _, first, inverse = np.unique(facts.hashes[used], return_index=True, return_inverse=True)
    leader = used[first[inverse]]
    later = np.flatnonzero(leader != used)
    for start in range(0, len(later), 256):
        some = later[start : start + 256]
        mine, theirs = (store.images(torch.from_numpy(rows)).flatten(1) for rows in (used[some], leader[some]))
        equal = (mine == theirs).all(1).numpy()
        same[used[some[equal]]] = leader[some[equal]]
    return same


def _moments(facts: Facts, part: Ints, shape: Frame) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and deviation by channel of the training part, in units where 255 is 1."""
    rows = part == splits.TRAIN
    pixels = int(rows.sum()) * shape[0] * shape[1]
    mean = facts.sums[rows].sum(0).astype(np.float64) / pixels
    square = facts.squares[rows].sum(0).astype(np.float64) / pixels
    std = np.sqrt(np.maximum(square - mean * mean, 0)) / 255
    return tuple((mean / 255).tolist()), tuple(np.maximum(std, STD_FLOOR).tolist())


def _part(which: int, part: Ints, labels: Ints, catalog: Catalog, store: Store) -> Part:
    """Make a part of its rows."""
    rows = np.flatnonzero(part == which)
    names = [catalog.names[row] for row in rows.tolist()]
    return Part(torch.from_numpy(rows), torch.from_numpy(labels[rows]), names, store)
