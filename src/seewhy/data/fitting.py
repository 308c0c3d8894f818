"""A decoded image at the wanted shape: upright, 8 bits, grey or colour, cropped, padded or stretched.

Modes. Transparency is laid on white, for alpha channels, transparent palette entries and colour keys alike. CMYK is converted. Deep pixels
(16 or 32 bits, floating point) are divided by the peak of the data set; see `DecodeRule`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from seewhy.core.errors import bad_value, unknown_name
from seewhy.data.pillow_limits import MAX_PIXELS
from seewhy.data.reading import BadImageError

Bytes = npt.NDArray[np.uint8]
Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")

_ORIENTATION = 0x0112
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class DecodeRule:
    """How one image becomes pixels of a shape; the same for all images of a data set, and for those that a model of it predicts.

    Attributes:
        fit: "crop" scales an image to cover the shape and cuts out the centre, "pad" scales it to fit in and adds black, "stretch" scales both
            sides on their own.
        max_pixels: pixels of an image that is decoded; a JPEG counts at the size to which it is scaled while it is decoded.
        peaks: the values that become white in deep images, of integers and of floating point; None to take integers for 16 bits, and floating
            point for 0 to 1 if nothing is larger, else for 0 to 255.

    Raises:
        InputError: a value is not allowed.
    """

    fit: Fit = "crop"
    max_pixels: int = MAX_PIXELS
    peaks: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        if self.fit not in FITS:
            raise unknown_name("fit", self.fit, FITS)
        if self.max_pixels < 1:
            raise bad_value("max_pixels", self.max_pixels, "at least 1 pixel")


PLAIN = DecodeRule()
SIDEWAYS = (5, 6, 7, 8)
"""Orientations that exchange height and width."""


def is_deep(mode: str) -> bool:
    """Whether a Pillow mode has more than 8 bits a channel."""
    return mode.startswith("I") or mode == "F"


def peak_of(largest: float, *, unit: bool) -> float:
    """Return the value that is white where the largest is `largest`: 1, or 2^b - 1 for b = 8, 10, 12, 14, 16, 18, ... bits.

    Args:
        largest: value of the data set.
        unit: whether 1 may be white (floating point).
    """
    if unit and largest <= 1:
        return 1.0
    if largest <= 0:
        return 65535.0
    bits = max(8, int(np.ceil(largest)).bit_length())
    return float((1 << bits + bits % 2) - 1)


def scale_integers(values: npt.NDArray[Any], peak: float) -> Bytes:
    """Return integers as uint8: the 8 highest of the bits that `peak` (2^b - 1) has; larger values are cut."""
    high = int(peak)
    return (values.clip(0, high) >> (high.bit_length() - 8)).astype(np.uint8)


def orientation_of(image: Image.Image) -> int:
    """Return the orientation of EXIF, else of XMP; 1 (upright) where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  damaged metadata must not cost the image
        return 1


def transposed(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a loaded image upright (Pillow has applied a TIFF's own orientation by then)."""
    transpose = _TRANSPOSES.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def fit_into(image: Image.Image, row: Bytes, rule: DecodeRule = PLAIN) -> None:
    """Convert and scale a loaded, upright image into `row` [H, W, C]."""
    height, width, channels = row.shape
    image = _flatten(image, rule)
    if image.mode != ("L" if channels == 1 else "RGB"):
        image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = _resize(image, (width, height), rule.fit)
    row[:] = np.asarray(image).reshape(height, width, channels)


def _resize(image: Image.Image, size: tuple[int, int], fit: Fit) -> Image.Image:
    """Scale to a (width, height) by a rule."""
    (width, height), filter_ = size, Image.Resampling.BILINEAR
    if fit == "stretch":
        return image.resize(size, filter_)
    if fit == "pad":
        scale = min(width / image.width, height / image.height)
        inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        padded = Image.new(image.mode, size)
        padded.paste(image.resize(inner, filter_), ((width - inner[0]) // 2, (height - inner[1]) // 2))
        return padded
    scale = min(image.width / width, image.height / height)
    left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
    box = (max(left, 0.0), max(top, 0.0), image.width - max(left, 0.0), image.height - max(top, 0.0))
    return image.resize(size, filter_, box=box)


def _flatten(image: Image.Image, rule: DecodeRule) -> Image.Image:
    """Return the image as L or RGB: transparency laid on white, deep pixels cut to 8 bits, CMYK converted."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        peak = 65535.0 if rule.peaks is None else rule.peaks[0]
        return Image.fromarray(scale_integers(np.asarray(image).astype(np.int64), peak))
    if image.mode == "F":
        deep = np.asarray(image)
        if not np.isfinite(deep).all():
            raise BadImageError("has pixels that are not finite numbers")
        peak = (1.0 if deep.max() <= 1 else 255.0) if rule.peaks is None else rule.peaks[1]
        return Image.fromarray((deep * (255.0 / peak)).round().clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("1", "L", "LA", "La")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("L" if grey else "RGB")
    return image.convert("L" if image.mode == "1" else "RGB")
