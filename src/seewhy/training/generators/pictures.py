"""Pictures that a generator makes, as files of its run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from seewhy.training.results.pictures import pixels_of, save_picture

GAP, PAPER = 1, 255
"""Pixels between the pictures of a sheet, and their brightness."""


def sheet(images: Tensor, columns: int | None = None) -> NDArray[Any]:
    """Put pictures side by side, row by row: uint8 (N, C, H, W) -> [rows, columns, C] with thin lines between.

    Args:
        images: at least one.
        columns: pictures in a row; None for about as many as rows.
    """
    pixels = pixels_of(images)
    count, height, width, channels = pixels.shape
    columns = min(count, columns or math.ceil(math.sqrt(count)))
    rows = -(-count // columns)
    paper = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), PAPER, dtype=np.uint8)
    for place in range(count):
        top, left = (place // columns) * (height + GAP) + GAP, (place % columns) * (width + GAP) + GAP
        paper[top : top + height, left : left + width] = pixels[place]
    return paper


def save_sheet(images: Tensor, path: Path, columns: int | None = None) -> None:
    """Write a sheet of pictures as a PNG, whole or not at all."""
    save_picture(sheet(images, columns), path)
