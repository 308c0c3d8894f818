"""The second step: every image of a catalog becomes uint8 pixels of one shape, and what is known of it is measured."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.data import cache
from seewhy.data.cache import Progress, row_chunks
from seewhy.data.codec import (
    CHANNELS,
    BadImageError,
    Shape,
    fit_into,
    image_shape,
    in_threads,
    read_header,
    strict_pillow,
)
from seewhy.data.dataset import PixelStore, Store
from seewhy.data.facts import ImageFacts
from seewhy.data.sources import Catalog

CACHES = ("pixels", "bytes")
SMALL, LARGE_SIDE, HEADERS = 64, 128, 512


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How images are decoded.

    Attributes:
        resolution: side of the square images in pixels. Default: the longest side where none is longer than 64, else 128.
        channels: 1 for grey, 3 for colour. Default: grey if all sampled images are.
        cache: "pixels" keeps decoded pixels, "bytes" encoded ones that are decoded for every batch.

    Raises:
        InputError: a value is not allowed.
    """

    resolution: int | None = None
    channels: int | None = None
    cache: Literal["pixels", "bytes"] = "pixels"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.resolution is not None and self.resolution < 1:
            raise bad_value("resolution", self.resolution, "at least 1 pixel")
        if self.channels is not None and self.channels not in CHANNELS:
            raise bad_value("channels", self.channels, "1 (grey) or 3 (colour)")
        if self.cache not in CACHES:
            raise unknown_name("cache", self.cache, CACHES)


@dataclass(frozen=True)
class Decoded:
    """The images of a catalog, decoded.

    Attributes:
        catalog: their names, labels and splits.
        options: as they were asked for.
        shape: (H, W, C) of every image.
        store: their pixels.
        facts: what was measured.
    """

    catalog: Catalog
    options: DecodeOptions
    shape: Shape
    store: Store
    facts: ImageFacts

    @property
    def unreadable(self) -> list[tuple[str, str]]:
        """The files that cannot be used, as (name, reason)."""
        return [(self.catalog.names[row], self.facts.unreadable[row]) for row in sorted(self.facts.unreadable)]

    @property
    def fingerprint(self) -> str:
        """Hash of the files or arrays, and the shape in which they are kept."""
        return cache.fingerprint(self.catalog.content, self.shape, encoded=self.options.cache == "bytes")


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
    shape = _shape(catalog, options)
    if catalog.pixels is not None:
        return Decoded(catalog, options, shape, *_from_arrays(catalog, shape, progress))
    home, encoded = None if cache_dir is None else Path(cache_dir), options.cache == "bytes"
    return Decoded(
        catalog, options, shape, *cache.cached(catalog, shape, encoded=encoded, cache_dir=home, progress=progress)
    )


def _shape(catalog: Catalog, options: DecodeOptions) -> Shape:
    """Decide the shape (H, W, C) in which the images are kept."""
    resolution, channels = options.resolution, options.channels
    if resolution is not None and channels is not None:
        return image_shape(resolution, channels)
    if catalog.pixels is not None:
        sizes, grey = [catalog.pixels.shape[1:3]], catalog.pixels.shape[3] == 1
    else:
        headers = _sample_headers(catalog)
        sizes, grey = [header[:2] for header in headers], all(header[2] for header in headers)
    if channels is None:
        channels = 1 if grey else 3
    if resolution is None:
        side = max(max(size) for size in sizes)
        resolution = side if side <= SMALL else LARGE_SIDE
    return image_shape(resolution, channels)


def _sample_headers(catalog: Catalog) -> list[tuple[int, int, bool]]:
    """Read up to 512 headers, spread evenly over the files.

    Raises:
        InputError: none of them is an image.
    """
    count = len(catalog.paths)
    rows = sorted({count * i // HEADERS for i in range(HEADERS)}) if count > HEADERS else range(count)
    headers, failures = [], []
    with strict_pillow():
        for row in rows:
            try:
                headers.append(read_header(os.path.join(catalog.root, catalog.paths[row])))
            except BadImageError as error:
                failures.append(f"{catalog.names[row]} {error}")
    if not headers:
        reason = failures[0] if failures else "there is none"
        raise InputError(f"source: no image in {catalog.root} can be read: {reason}")
    return headers


def _from_arrays(catalog: Catalog, shape: Shape, progress: Progress | None) -> tuple[PixelStore, ImageFacts]:
    """Take the pixels of arrays as they are, or scaled to `shape`; nothing is written."""
    arrays = catalog.pixels
    assert arrays is not None
    count = len(arrays)
    facts = ImageFacts.empty(count, shape[2])
    facts.sizes[:] = arrays.shape[1:3]
    facts.grey[:] = arrays.shape[3] == 1
    fits = arrays.shape[1:] == shape
    pixels = arrays if fits else np.empty((count, *shape), np.uint8)

    def fit_chunk(rows: slice) -> int:
        if not fits:
            for array, row in zip(arrays[rows], pixels[rows], strict=True):
                fit_into(Image.fromarray(array[..., 0] if array.shape[2] == 1 else array), row)
        facts.measure(rows, pixels[rows])
        return int(rows.stop)

    for done in in_threads(fit_chunk, row_chunks(count, shape)):
        if progress is not None:
            progress(done, count)
    return PixelStore(torch.from_numpy(pixels)), facts
