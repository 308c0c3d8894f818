"""Pictures for reports: arrays of pixels as data URIs and as sheets."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_PHOTO_SIDE = 96
"""Above this side a picture is a photograph: JPEG is several times smaller than PNG and looks the same."""


def picture_of(array: NDArray[np.uint8]) -> Image.Image:
    """Return a PIL picture of uint8 [H, W], [H, W, 1] or [H, W, 3]."""
    assert array.dtype == np.uint8, f"image must be uint8, got {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    assert array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3), f"image must be [H, W, 1 or 3], {array.shape}"
    return Image.fromarray(np.ascontiguousarray(array))


def _data_uri(picture: Image.Image, form: str) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=form.upper(), **({"quality": 85} if form == "jpeg" else {"optimize": True}))
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def png_data_uri(array: NDArray[np.uint8]) -> str:
    """Return the picture, uint8 [H, W, C] with C = 1 or 3 or [H, W], as a PNG data URI; no pixel is changed."""
    return _data_uri(picture_of(array), "png")


def thumbnail_data_uri(array: NDArray[np.uint8], side: int = 224) -> str:
    """Return the picture as a small data URI: PNG for tiny pictures, else JPEG of at most `side` pixels a side."""
    if max(array.shape[:2]) <= _PHOTO_SIDE:
        return png_data_uri(array)
    picture = picture_of(array)
    picture.thumbnail((side, side))
    return _data_uri(picture, "jpeg")


def grid(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    columns: int | None = None,
    gap: int = 1,
    fill: int = 255,
) -> NDArray[np.uint8]:
    """Lay pictures of one size out as a sheet, row by row.

    Args:
        images: n pictures, uint8 [H, W, C] or [H, W].
        columns: pictures a row; by default as square as possible.
        gap: pixels between neighbours.
        fill: the grey value of gaps and of empty places.

    Returns:
        uint8 [rows H + (rows - 1) gap, columns W + (columns - 1) gap, C].

    Raises:
        ValueError: no pictures, or pictures of different sizes.
    """
    if len(images) == 0:
        raise ValueError("images: must hold at least one picture, got none")
    shapes = sorted({np.shape(image) for image in images})
    if len(shapes) > 1:
        raise ValueError(f"images: must share one size, got {shapes}; resize them first")
    tiles = np.stack([np.atleast_3d(image) for image in images])
    n, H, W, C = tiles.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (H + gap) - gap, columns * (W + gap) - gap, C), fill, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (H + gap), (index % columns) * (W + gap)
        sheet[top : top + H, left : left + W] = tile
    return sheet
