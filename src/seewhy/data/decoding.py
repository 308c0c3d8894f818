"""The second step: every image of a catalog becomes uint8 pixels of one shape, and what is known of it is measured."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from PIL import Image

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.data import cache
from seewhy.data.cache_build import Keep, Progress, row_chunks
from seewhy.data.codec import CHANNELS, Shape, image_shape, largest_value, read_header
from seewhy.data.dataset import PixelStore, Store
from seewhy.data.facts import ImageFacts
from seewhy.data.fitting import DecodeRule, Fit, fit_into, peak_of, scale_integers
from seewhy.data.formats import SHALLOW
from seewhy.data.identity import digest
from seewhy.data.pillow_limits import MAX_PIXELS, strict_pillow
from seewhy.data.reading import BadImageError
from seewhy.data.sources import Catalog
from seewhy.data.threads import in_threads

CACHES: tuple[Keep, ...] = get_args(Keep)
SMALL, LARGE_SIDE, HEADERS = 64, 128, 512
DEEP = 32
"""Deep images whose values are looked at, to find the scale of a data set."""


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How images are decoded.

    Attributes:
        resolution: side of the square images in pixels. Default: the longest side where none is longer than 64, else `large_side`.
        channels: 1 for grey, 3 for colour. Default: grey if all sampled images are.
        cache: "pixels" keeps decoded pixels, "bytes" encoded ones that are decoded for every batch, "none" nothing: images are read where they
            are and decoded for every batch.
        fit: how an image of another shape becomes square; see `DecodeRule`.
        max_pixels: pixels of an image that is decoded; larger ones are left out.
        large_side: the resolution where it is not given and an image has a side of more than 64 pixels.
        peaks: the values that are white in deep images (16 bits and more); default: decided by a sample of the data set. Give those of a run
            (`Dataset.rule.peaks`) to decode other images by its scale.

    Raises:
        InputError: a value is not allowed.
    """

    resolution: int | None = None
    channels: int | None = None
    cache: Keep = "pixels"
    fit: Fit = "crop"
    max_pixels: int = MAX_PIXELS
    large_side: int = LARGE_SIDE
    peaks: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.resolution is not None and self.resolution < 1:
            raise bad_value("resolution", self.resolution, "at least 1 pixel")
        if self.channels is not None and self.channels not in CHANNELS:
            raise bad_value("channels", self.channels, "1 (grey) or 3 (colour)")
        if self.cache not in CACHES:
            raise unknown_name("cache", self.cache, CACHES)
        DecodeRule(fit=self.fit, max_pixels=self.max_pixels)


@dataclass(frozen=True)
class Decoded:
    """The images of a catalog, decoded.

    Attributes:
        catalog: their names, labels and splits.
        options: as they were asked for.
        shape: (H, W, C) of every image.
        store: their pixels.
        facts: what was measured.
        fingerprint: hash of names, classes, splits, contents and the way of decoding.
        rule: how they were decoded.
    """

    catalog: Catalog
    options: DecodeOptions
    shape: Shape
    store: Store
    facts: ImageFacts
    fingerprint: str
    rule: DecodeRule

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """The files that cannot be used, as (name, reason)."""
        return [(self.catalog.names[row], self.facts.unreadable[row]) for row in sorted(self.facts.unreadable)]


def decode(
    catalog: Catalog,
    options: DecodeOptions | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """Decode the images of a catalog: files by way of the cache, arrays in memory.

    Args:
        catalog: of `list_images`.
        options: default: `DecodeOptions()`.
        cache_dir: where decoded folders are kept; default: `SEEWHY_CACHE`, else the user's cache folder.
        progress: called with (images done, images in all) while they are decoded.

    Raises:
        InputError: the shape is not given and no image can be read.
        RunError: the cache cannot be written.
    """
    options = options or DecodeOptions()
    home = None if cache_dir is None else Path(cache_dir)
    if catalog.pixels is not None:
        shape = _shape(options, [(*catalog.pixels.shape[1:3], catalog.pixels.shape[3] == 1)])
        rule = _rule(options, _array_peaks(catalog))
        store, facts = _from_arrays(catalog, shape, rule, progress)
        fingerprint = digest(cache.layout_of(catalog, shape, rule, keep=options.cache), catalog.content)
        return Decoded(catalog, options, shape, store, facts, fingerprint, rule)
    rule = _rule(options, None if options.peaks else _file_peaks(catalog, options))
    if options.resolution is not None and options.channels is not None:
        shape = image_shape(options.resolution, options.channels)
    else:
        shape = _shape(options, _sample_headers(catalog, rule))
    opened = cache.cached(catalog, shape, keep=options.cache, cache_dir=home, progress=progress, rule=rule)
    return Decoded(catalog, options, shape, opened.store, opened.facts, opened.fingerprint, rule)


def _rule(options: DecodeOptions, peaks: tuple[float, float] | None) -> DecodeRule:
    """Return the rule for every image of the data set."""
    return DecodeRule(fit=options.fit, max_pixels=options.max_pixels, peaks=options.peaks or peaks)


def _shape(options: DecodeOptions, headers: Sequence[tuple[int, int, bool]]) -> Shape:
    """Decide the shape (H, W, C) in which the images are kept; the headers are height, width and whether grey."""
    resolution, channels = options.resolution, options.channels
    if channels is None:
        channels = 1 if all(header[2] for header in headers) else 3
    if resolution is None:
        side = max(max(header[:2]) for header in headers)
        resolution = side if side <= SMALL else options.large_side
    return image_shape(resolution, channels)


def _sample_headers(catalog: Catalog, rule: DecodeRule) -> list[tuple[int, int, bool]]:
    """Read up to 512 headers, spread evenly over the files: height, width and whether grey.

    Raises:
        InputError: none of them is an image.
    """
    headers, failures = [], []
    with strict_pillow(rule.max_pixels):
        for row in _spread(len(catalog.paths), HEADERS):
            try:
                headers.append(read_header(_place(catalog, row), rule))
            except BadImageError as error:
                failures.append(f"{catalog.names[row]} {error}")
    if not headers:
        reason = failures[0] if failures else "there is none"
        raise InputError(f"source: no image in {catalog.root} can be read: {reason}")
    return headers


def _file_peaks(catalog: Catalog, options: DecodeOptions) -> tuple[float, float] | None:
    """Return the peaks of integers and of floating point over a sample of the deep files; None where there are none."""
    rows = _spread(len(catalog.paths), HEADERS)
    able = [row for row in rows if not catalog.paths[row].lower().endswith(SHALLOW)]
    largest: dict[bool, float] = {}
    rule = DecodeRule(max_pixels=options.max_pixels)

    def look(row: int) -> tuple[str, float] | None:
        with contextlib.suppress(BadImageError):  # it is named when it is decoded
            return largest_value(_place(catalog, row), rule)
        return None

    with strict_pillow(options.max_pixels):
        for seen in in_threads(look, [able[position] for position in _spread(len(able), DEEP)]):
            if seen is not None:
                kind = seen[0] == "F"
                largest[kind] = max(largest.get(kind, 0.0), seen[1])
    if not largest:
        return None
    return peak_of(largest.get(False, 0.0), unit=False), peak_of(largest.get(True, 0.0), unit=True)


def _place(catalog: Catalog, row: int) -> str | bytes:
    """Return the path of an image or, where it lies within a larger file, its bytes."""
    return os.path.join(catalog.root, catalog.paths[row]) if catalog.stored is None else catalog.read(row)


def _spread(count: int, most: int) -> list[int]:
    """Return up to `most` of `range(count)`, evenly spread."""
    return list(range(count)) if count <= most else [count * i // most for i in range(most)]


def _array_peaks(catalog: Catalog) -> tuple[float, float] | None:
    """Return the peaks of arrays; None for uint8."""
    assert catalog.pixels is not None
    if catalog.pixels.dtype == np.uint8:
        return None
    return peak_of(float(catalog.pixels.max()), unit=False), 1.0


def _from_arrays(
    catalog: Catalog, shape: Shape, rule: DecodeRule, progress: Progress | None
) -> tuple[PixelStore, ImageFacts]:
    """Take the pixels of arrays as they are, or scaled to `shape`; nothing is written."""
    arrays = catalog.pixels
    assert arrays is not None
    count, peak = len(arrays), 65535.0 if rule.peaks is None else rule.peaks[0]
    facts = ImageFacts.empty(count, shape[2])
    facts.sizes[:] = arrays.shape[1:3]
    facts.grey[:] = arrays.shape[3] == 1
    fits = arrays.shape[1:] == shape
    is_ready = fits and arrays.dtype == np.uint8
    pixels = np.ascontiguousarray(arrays) if is_ready else np.empty((count, *shape), np.uint8)

    def fit_chunk(rows: slice) -> int:
        chunk = arrays[rows] if arrays.dtype == np.uint8 else scale_integers(arrays[rows], peak)
        if not fits:
            for array, row in zip(chunk, pixels[rows], strict=True):
                fit_into(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), row, rule)
        elif not is_ready:
            pixels[rows] = chunk
        facts.measure(rows, pixels[rows])
        return int(rows.stop)

    for done in in_threads(fit_chunk, row_chunks(count, shape)):
        if progress is not None:
            progress(done, count)
    return PixelStore(torch.from_numpy(pixels)), facts
