"""JPEG by libjpeg-turbo (package simplejpeg): fast, scaled while decoding, and with its warnings taken for what they say.

A decoder fills what is missing with grey and goes on, with a warning that Pillow drops. Here a warning means that the image is damaged,
unless it is one of those that say nothing about the pixels: padding before the end, a byte or two too many, an unusual header.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from seewhy.data.reading import BadImageError

try:
    import simplejpeg  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError:  # Pillow decodes the same pixels, more slowly, and without the warnings
    simplejpeg = None

Bytes = npt.NDArray[np.uint8]

START, END = b"\xff\xd8", b"\xff\xd9"
CHANNELS = {"Gray": 1, "YCbCr": 3}  # as simplejpeg calls them; Pillow knows the rest

_HARMLESS = ("Unknown Adobe color transform", "Warning: unknown JFIF revision", "Invalid SOS parameters")
_DAMAGE = ("Premature end", "Corrupt JPEG data", "Inconsistent progression", "Bogus")
_EXTRA = re.compile(r"Corrupt JPEG data: (\d+) extraneous bytes before marker 0x([0-9a-f]+)")
_FEW = 8
"""Bytes too many that cameras are known to write between segments."""


def is_plain(data: bytes) -> bool:
    """Whether a JPEG brings no orientation, in EXIF or in XMP, so that it can be decoded as it is."""
    return data.find(b"Exif\0\0") < 0 and data.find(b"ns.adobe.com/xap/") < 0


def decode_exact(data: bytes, row: Bytes) -> bool:
    """Decode into `row` [H, W, C] if the JPEG has exactly that shape, and is upright; returns whether it has been.

    Raises:
        BadImageError: it is damaged.
    """
    if simplejpeg is None:
        return False
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return False  # Pillow has the last word, and the better words, on what is wrong
    if (height, width, CHANNELS.get(colour)) != row.shape or not is_plain(data):
        return False
    space = "GRAY" if row.shape[2] == 1 else "RGB"
    try:
        simplejpeg.decode_jpeg(data, space, buffer=row)
    except ValueError as error:
        if not _is_harmless(data, space, str(error)):
            return False
        simplejpeg.decode_jpeg(data, space, buffer=row, strict=False)
    return True


def decode_scaled(data: bytes, size: tuple[int, int]) -> Bytes | None:
    """Decode to a (width, height) to which the codec can scale; None where it cannot, or the colours are not grey or YCbCr.

    Raises:
        BadImageError: it is damaged.
    """
    if simplejpeg is None:
        return None
    try:
        colour = simplejpeg.decode_jpeg_header(data)[2]
    except ValueError:
        return None
    if colour not in CHANNELS:
        validate(data)
        return None
    space, (width, height) = "GRAY" if CHANNELS[colour] == 1 else "RGB", size
    try:
        pixels: Bytes = simplejpeg.decode_jpeg(data, space, min_height=height, min_width=width)
    except ValueError as error:
        if not _is_harmless(data, space, str(error)):
            return None
        pixels = simplejpeg.decode_jpeg(data, space, min_height=height, min_width=width, strict=False)
    return pixels if pixels.shape[:2] == (height, width) else None


def validate(data: bytes) -> None:
    """Raise BadImageError for a damaged CMYK or unusual JPEG, by decoding it at an eighth of its size."""
    try:
        simplejpeg.decode_jpeg(data, "CMYK", min_factor=8)
    except ValueError as error:
        _is_harmless(data, "CMYK", str(error))


def _is_harmless(data: bytes, space: str, message: str) -> bool:
    """Whether a warning says nothing about the pixels; False for an error, of which Pillow may know more.

    Raises:
        BadImageError: the pixels are damaged.
    """
    if message.startswith(_HARMLESS) or _is_padding(data, space, message):
        return True
    if not message.startswith(_DAMAGE):
        return False
    if message.startswith("Premature end"):
        raise BadImageError("is truncated: the file ends before the image does")
    raise BadImageError(f"is damaged: {message[:120]}")


def _is_padding(data: bytes, space: str, message: str) -> bool:
    """Whether a warning of extraneous bytes is about a few, or about padding: without it the image decodes silently."""
    extra = _EXTRA.match(message)
    if extra is None:
        return False
    if int(extra[1]) <= _FEW:
        return True
    end = data.rfind(END)
    if extra[2] != "d9" or end < 1:
        return False
    try:
        simplejpeg.decode_jpeg(data[:end].rstrip(data[end - 1 : end]) + END, space)
    except ValueError as error:
        extra = _EXTRA.match(str(error))
        return extra is not None and int(extra[1]) <= _FEW
    return True
