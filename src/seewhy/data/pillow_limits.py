"""Pillow's switches, which belong to the whole process, set for a while: strict about truncated files, silent, with our own limit on pixels."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image, ImageFile

MAX_PIXELS = 1 << 28
"""Pixels of an image that is decoded whole: 268 million, more than any camera's."""

_lock = threading.Lock()
_depth = 0
_saved: list[Any] = []


@contextmanager
def strict_pillow(max_pixels: int = MAX_PIXELS) -> Iterator[None]:
    """Make Pillow fail on truncated files and keep its warnings to itself, in all threads, while the block runs.

    The outermost block sets the switches and restores them. Blocks may overlap between threads; the largest limit on pixels among them holds
    for Pillow, and each image is checked against its own.

    Args:
        max_pixels: pixels of an image, also of one inside another (icons).
    """
    global _depth
    with _lock:
        _depth += 1
        if _depth == 1:
            filters = warnings.catch_warnings()
            _saved.extend((filters, ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS))
            filters.__enter__()
            warnings.simplefilter("ignore")
            ImageFile.LOAD_TRUNCATED_IMAGES = False
            Image.MAX_IMAGE_PIXELS = max_pixels
        elif Image.MAX_IMAGE_PIXELS is not None:
            Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                Image.MAX_IMAGE_PIXELS = _saved.pop()
                ImageFile.LOAD_TRUNCATED_IMAGES = _saved.pop()
                _saved.pop().__exit__(None, None, None)
