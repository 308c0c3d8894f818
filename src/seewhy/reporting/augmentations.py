"""Augmentation of the user's own images: the originals, and below them one row of variants for each augmentation.

The same record is drawn as a fragment of a page and as one image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from seewhy.reporting.images import SMALL_SIDE, pil_image, thumbnail_data_uri
from seewhy.reporting.palette import LIGHT
from seewhy.reporting.records import AugmentationRecord
from seewhy.reporting.template import environment

_SIDES = (56, 112)
"""Least and largest side of an image on a page, in its pixels."""


def augmentation_fragment(record: AugmentationRecord) -> str:
    """Draw the record as a `<figure>` for a page.

    It carries its own style and images, follows the page's colours where there are such, and loads nothing.
    """
    H, W = np.shape(record.images[0])[:2]
    rows = [
        {"name": row.name, "text": row.text, "uris": [thumbnail_data_uri(image) for image in row.images]}
        for row in record.all_rows()
    ]
    return (
        environment()
        .get_template("augmentations.html.j2")
        .render(
            rows=rows,
            count=len(record.images),
            side=min(max(W, _SIDES[0]), _SIDES[1]),
            small=max(H, W) <= SMALL_SIDE,
            muted=LIGHT["muted"],
            line=LIGHT["line"],
        )
    )


def augmentation_sheet(record: AugmentationRecord, *, side: int = 96, gap: int = 6) -> NDArray[np.uint8]:
    """Draw the record as one image with the augmentations' names on the left.

    Args:
        record: what to draw.
        side: the longer side of an image in the sheet, in pixels; images are enlarged to a whole multiple at most this.
        gap: pixels between images.

    Returns:
        uint8 [rows, columns, 3]; `png_data_uri` or PIL writes it.
    """
    rows = [[_resized(image, side) for image in row.images] for row in record.all_rows()]
    width = max(tile.width for row in rows for tile in row)
    heights = [row[0].height for row in rows]
    name_font, text_font = ImageFont.load_default(size=15), ImageFont.load_default(size=12)
    labels = [(row.name, row.text) for row in record.all_rows()]
    lengths = [(name_font.getlength(name), text_font.getlength(text)) for name, text in labels]
    indent = round(max(max(pair) for pair in lengths)) + 3 * gap
    columns = indent + len(record.images) * (width + gap) + gap
    sheet = Image.new("RGB", (columns, sum(heights) + (len(rows) + 1) * gap), LIGHT["card"])
    pen = ImageDraw.Draw(sheet)
    top = gap
    for tiles, (name, text), height in zip(rows, labels, heights, strict=True):
        middle = top + height // 2
        pen.text((2 * gap, middle - (8 if text else 0)), name, LIGHT["ink"], name_font, anchor="lm")
        pen.text((2 * gap, middle + 10), text, LIGHT["muted"], text_font, anchor="lm")
        for index, tile in enumerate(tiles):
            sheet.paste(tile, (indent + index * (width + gap), top))
        top += height + gap
    return np.asarray(sheet)


def _resized(array: NDArray[np.uint8], side: int) -> Image.Image:
    """Return the image at a side of at most `side`: enlarged by whole pixels, or downsampled smoothly."""
    image = pil_image(array).convert("RGB")
    longest = max(image.size)
    if longest > side:
        image.thumbnail((side, side))
        return image
    factor = side // longest
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
