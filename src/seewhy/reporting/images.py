"""Images for reports: arrays of pixels as data URIs and as grids."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SMALL_SIDE = 96
"""Up to this side an image is kept as PNG and shown pixel by pixel; above it JPEG is several times smaller and looks the same."""


def pil_image(array: NDArray[np.uint8]) -> Image.Image:
    """Return a PIL image of uint8 [H, W], [H, W, 1] or [H, W, 3]."""
    assert array.dtype == np.uint8, f"image must be uint8, got {array.dtype}"
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    assert array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3), f"image must be [H, W, 1 or 3], {array.shape}"
    return Image.fromarray(np.ascontiguousarray(array))


def data_uri(image: Image.Image, form: str) -> str:
    """Return an image as a data URI; form is "png" or "jpeg"."""
    buffer = io.BytesIO()
    image.save(buffer, format=form.upper(), **({"quality": 85} if form == "jpeg" else {"optimize": True}))
    return f"data:image/{form};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def png_data_uri(array: NDArray[np.uint8]) -> str:
    """Return the image, uint8 [H, W, C] with C = 1 or 3 or [H, W], as a PNG data URI; no pixel is changed."""
    return data_uri(pil_image(array), "png")


def thumbnail_data_uri(array: NDArray[np.uint8], side: int = 224) -> str:
    """Return the image as a small data URI: PNG for small images, else JPEG of at most `side` pixels a side."""
    if max(array.shape[:2]) <= SMALL_SIDE:
        return png_data_uri(array)
    image = pil_image(array)
    image.thumbnail((side, side))
    return data_uri(image, "jpeg")


def image_grid(
    images: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    columns: int | None = None,
    gap: int = 1,
    fill: int = 255,
) -> NDArray[np.uint8]:
    """Lay images of one size out as a grid, row by row.

    Args:
        images: n images, uint8 [H, W, C] or [H, W].
        columns: images per row; by default as square as possible.
        gap: pixels between neighbours.
        fill: the grey value of gaps and of empty cells.

    Returns:
        uint8 [rows H + (rows - 1) gap, columns W + (columns - 1) gap, C].

    Raises:
        ValueError: no images, or images of different sizes.
    """
    if len(images) == 0:
        raise ValueError("images: must hold at least one image, got none")
    shapes = sorted({np.shape(image) for image in images})
    if len(shapes) > 1:
        raise ValueError(f"images: must share one size, got {shapes}; resize them first")
    tiles = np.stack([np.atleast_3d(image) for image in images])
    n, H, W, C = tiles.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    grid = np.full((rows * (H + gap) - gap, columns * (W + gap) - gap, C), fill, dtype=np.uint8)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (H + gap), (index % columns) * (W + gap)
        grid[top : top + H, left : left + W] = tile
    return grid
