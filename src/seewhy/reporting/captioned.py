"""Images with captions, in rows, as one figure for people to look through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from seewhy.reporting.images import pil_image

SIDE, GAP, LINE = 128, 8, 15
"""Pixels of an image, between images, and of a line of text."""

INK, PAPER = (25, 25, 25), (255, 255, 255)


def captioned_sheet(
    tiles: Sequence[tuple[Sequence[NDArray[np.uint8]], Sequence[str]]], *, columns: int = 4
) -> NDArray[np.uint8]:
    """Draw tiles, each some images side by side over some lines of text, row by row.

    Args:
        tiles: images uint8 [H, W, C] or [H, W], as many in each tile, and lines, which are cut to the tile's width.
        columns: tiles in a row.

    Returns:
        uint8 [height, width, 3].

    Raises:
        ValueError: there are no tiles.
    """
    if not tiles:
        raise ValueError("tiles: must hold at least one, got none")
    each, lines = max(len(images) for images, _ in tiles), max(len(text) for _, text in tiles)
    width, height = each * SIDE + (each - 1) * 2, SIDE + 2 + lines * LINE
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for index, (images, text) in enumerate(tiles):
        left, top = GAP + index % columns * (width + GAP), GAP + index // columns * (height + GAP)
        for place, array in enumerate(images):
            image = pil_image(array).convert("RGB")
            scale = SIDE / max(image.size)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            way = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BICUBIC
            sheet.paste(image.resize(size, way), (left + place * (SIDE + 2), top))
        for number, line in enumerate(text):
            while draw.textlength(line, font) > width:
                line = "…" + line[2:]
            draw.text((left, top + SIDE + 2 + number * LINE), line, INK, font)
    return np.asarray(sheet)
