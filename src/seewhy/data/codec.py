"""One image: from its encoded bytes to uint8 pixels of a given shape.

One rule for every image: apply the orientation of its EXIF or XMP, convert to grey or colour, and bring it to the given height and width
(`fitting.DecodeRule`: by default it is scaled, antialiased, to just cover them, and the centre is cut out). An image that has that size
already is not touched. Of an animation or a document of several pages the first counts.

Speed. A small JPEG that fits as it is goes straight through libjpeg-turbo, at a sixth of Pillow's cost, into the row where it belongs. Large
JPEGs are scaled down while they are decoded. All codecs release the interpreter's lock, so threads decode in parallel.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.data import checked, jpeg
from seewhy.data.fitting import GREY_MODES, PLAIN, SIDEWAYS, DecodeRule, fit_into, is_deep, orientation_of, transposed
from seewhy.data.formats import FORMATS
from seewhy.data.pillow_limits import strict_pillow
from seewhy.data.pixel_values import to_uint8
from seewhy.data.reading import BadImageError, open_regular, read_bytes
from seewhy.data.threads import in_threads

Bytes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]
"""(H, W, C) of an image."""
Source = str | os.PathLike[str] | bytes
Deferred = Source | Callable[[], bytes]
"""A path, encoded bytes, or what gives them when their turn has come."""
Header = tuple[int, int, bool, bool]
"""An upright image's own height and width, whether it is grey by its mode, and whether it has several pages or frames."""

CHANNELS = (1, 3)
_PAGED = ("TIFF", "WEBP", "PNG", "AVIF", "DCX", "GIF")  # formats in which to ask for the number of frames costs nothing


def decode_into(data: bytes, row: Bytes, rule: DecodeRule = PLAIN) -> Header:
    """Decode one image into `row`, a contiguous uint8 array [H, W, C] with C of 1 or 3.

    Raises:
        BadImageError: the image is damaged, truncated, too large or of an unknown kind; `row` may hold anything then.
    """
    is_jpeg = data.startswith(jpeg.START)
    if is_jpeg and jpeg.decode_exact(data, row):
        return row.shape[0], row.shape[1], row.shape[2] == 1, False
    try:
        if not is_jpeg:
            checked.validate(data)
        return _decode_with_pillow(data, row, rule)
    except BadImageError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged file may raise anything in a codec; it must not end the run
        if isinstance(error, ValueError) and "MAX_TEXT" in str(error) and data.startswith(checked.PNG):
            return decode_into(checked.without_texts(data), row, rule)
        raise _reason(error, rule) from None


def _decode_with_pillow(data: bytes, row: Bytes, rule: DecodeRule) -> Header:
    """Decode by Pillow; a JPEG's pixels by libjpeg-turbo where it can."""
    image = _open(io.BytesIO(data), data[:2])
    grey, several = image.mode in GREY_MODES, _has_several(image, data)
    if isinstance(image, JpegImageFile):
        direction, (width, height) = orientation_of(image), image.size
        fit_into(transposed(_load_jpeg(image, data, row, rule), direction), row, rule)
        return (width, height, grey, several) if direction in SIDEWAYS else (height, width, grey, several)
    _validate_pixels(image.size, rule)
    image.load()
    image = transposed(image, orientation_of(image))
    fit_into(image, row, rule)
    return image.height, image.width, grey, several


def _load_jpeg(image: JpegImageFile, data: bytes, row: Bytes, rule: DecodeRule) -> Image.Image:
    """Decode a JPEG, not yet upright, smaller by 2, 4 or 8 where that is twice the wanted size still."""
    whole = image.size
    image.draft(None, (2 * row.shape[1], 2 * row.shape[0]))
    _validate_pixels(whole if "progressive" in image.info else image.size, rule)  # a progressive one is in memory whole
    pixels = jpeg.decode_scaled(data, image.size)
    if pixels is None:
        image.load()
        return image
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def _has_several(image: Image.Image, data: bytes) -> bool:
    """Whether an image has more than one page or frame, where it costs little to know."""
    if image.format == "GIF" and b"!\xf9\x04" not in data:  # no frame has a duration, so there is one
        return False
    return image.format in _PAGED and bool(getattr(image, "is_animated", False))


def read_header(source: str | bytes, rule: DecodeRule = PLAIN) -> tuple[int, int, bool]:
    """Return the height and width of an upright image, a path or encoded bytes, and whether it is grey, from its header alone.

    Raises:
        BadImageError: the header cannot be read, or the image will be refused for its many pixels.
    """
    try:
        with _stream(source) as handle:
            image = _open(handle, handle.peek(2)[:2])
            if not isinstance(image, JpegImageFile):  # which is decoded at a fraction of its size
                _validate_pixels(image.size, rule)
            width, height = image.size
            turned = isinstance(image, TiffImageFile) and image.tag_v2.get(0x0112) in SIDEWAYS  # by Pillow, already
            if orientation_of(image) in SIDEWAYS and not turned:
                width, height = height, width
            return height, width, image.mode in GREY_MODES
    except BadImageError:
        raise
    except Exception as error:  # noqa: BLE001  see decode_into
        if "MAX_TEXT" not in str(error):
            raise _reason(error, rule) from None
    row = np.empty((1, 1, 3), np.uint8)  # a PNG with more text than Pillow unpacks
    return decode_into(_bytes_of(source), row, rule)[:3]


def largest_value(source: str | bytes, rule: DecodeRule = PLAIN) -> tuple[str, float] | None:
    """Return the mode and the largest value of an image of deep pixels, a path or encoded bytes; None for one of 8 bits.

    Raises:
        BadImageError: the image cannot be read.
    """
    try:
        with _stream(source) as handle:
            if not is_deep(_open(handle, handle.peek(2)[:2]).mode):
                return None
        data = _bytes_of(source)
        image = _open(io.BytesIO(data), data[:2])
        _validate_pixels(image.size, rule)
        return image.mode, float(np.nan_to_num(np.asarray(image), nan=0.0, posinf=0.0).max())
    except BadImageError:
        raise
    except Exception as error:  # noqa: BLE001  see decode_into
        raise _reason(error, rule) from None


def decode_file(
    source: Source, *, resolution: int | tuple[int, int], channels: int, rule: DecodeRule | None = None
) -> Tensor:
    """Decode one image.

    Args:
        source: a path, or the encoded bytes.
        resolution: side of the square result in pixels, or (height, width).
        channels: 1 for grey, 3 for colour.
        rule: of a data set (`Dataset.rule`); default: `DecodeRule()`.

    Returns:
        uint8 [C, H, W].

    Raises:
        BadImageError: (an InputError) the image cannot be used; names the file and the reason.
    """
    row = np.empty(image_shape(resolution, channels), np.uint8)
    rule = rule or PLAIN
    with strict_pillow(rule.max_pixels):
        try:
            decode_into(_bytes_of(source), row, rule)
        except BadImageError as error:
            raise BadImageError(f"{'image' if isinstance(source, bytes) else os.fspath(source)}: {error}") from None
    return torch.from_numpy(row).permute(2, 0, 1)


def decode_many(
    sources: Sequence[Deferred],
    *,
    resolution: int | tuple[int, int],
    channels: int,
    threads: int | None = None,
    rule: DecodeRule | None = None,
) -> tuple[Tensor, list[tuple[int, str]]]:
    """Decode many images in threads; one that cannot be decoded is reported, not raised.

    Args:
        sources: paths, encoded bytes, or what gives these.
        resolution: side of the square result in pixels, or (height, width).
        channels: 1 for grey, 3 for colour.
        threads: how many; default: one for each processor.
        rule: of a data set (`Dataset.rule`); default: `DecodeRule()`.

    Returns:
        uint8 [n - b, C, H, W] in channels_last memory, the decoded images in order, and (position, reason) of the b others.
    """
    rows = np.empty((len(sources), *image_shape(resolution, channels)), np.uint8)
    rule = rule or PLAIN

    def decode_chunk(positions: range) -> list[tuple[int, str]]:
        failures = []
        for position in positions:
            try:
                decode_into(_bytes_of(sources[position]), rows[position], rule)
            except BadImageError as error:
                failures.append((position, str(error)))
        return failures

    count = len(sources)
    chunks = [range(start, min(start + 32, count)) for start in range(0, count, 32)]
    with strict_pillow(rule.max_pixels):
        failures = [failure for several in in_threads(decode_chunk, chunks, threads) for failure in several]
    if failures:
        rows = np.delete(rows, [position for position, _ in failures], axis=0)
    return torch.from_numpy(rows).permute(0, 3, 1, 2), failures


def from_pixels(
    image: Image.Image | Tensor | npt.NDArray[Any], *, resolution: int, channels: int, rule: DecodeRule | None = None
) -> Tensor:
    """Bring an image that is decoded already to the shape that a network expects, by the rule for files.

    Args:
        image: a PIL image, an array [H, W] or [H, W, C], or a tensor [H, W] or [C, H, W], with C of 1, 3 or 4 and values as `pixel_values` says.
        resolution: side of the square result in pixels.
        channels: 1 for grey, 3 for colour.
        rule: of a data set (`Dataset.rule`); default: `DecodeRule()`.

    Returns:
        uint8 [C, H, W].

    Raises:
        InputError: the image is of another kind, dtype or shape.
    """
    row, rule = np.empty(image_shape(resolution, channels), np.uint8), rule or PLAIN
    if isinstance(image, Image.Image):
        with strict_pillow(rule.max_pixels):
            try:
                image.load()
                fit_into(transposed(image, orientation_of(image)), row, rule)
            except BadImageError:
                raise
            except Exception as error:  # noqa: BLE001  see decode_into
                raise BadImageError(f"image: {_reason(error, rule)}") from None
        return torch.from_numpy(row).permute(2, 0, 1)
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if isinstance(image, Tensor) and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.dtype.kind not in "buif":
        kinds = "a path, bytes, an open file, a PIL image, or pixels as an array or a tensor"
        raise bad_value("image", type(image).__name__, kinds)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        layout = "[C, H, W]" if isinstance(image, Tensor) else "[H, W, C]"
        raise bad_value("image", tuple(array.shape), f"[H, W] or {layout} with 1, 3 or 4 channels")
    array = to_uint8("image", array)
    if array.dtype != np.uint8:
        raise bad_value(
            "image", str(array.dtype), "of 8 bits", "an array does not say what is white; give a file, or scale it"
        )
    fit_into(Image.fromarray(array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(array)), row, rule)
    return torch.from_numpy(row).permute(2, 0, 1)


def image_shape(resolution: int | tuple[int, int], channels: int) -> Shape:
    """Return the shape (H, W, C) of a decoded image, checked."""
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    if height < 1 or width < 1:
        raise bad_value("resolution", resolution, "at least 1 pixel")
    if channels not in CHANNELS:
        raise bad_value("channels", channels, "1 (grey) or 3 (colour)")
    return height, width, channels


def _bytes_of(source: Deferred) -> bytes:
    if isinstance(source, bytes):
        return source
    return source() if callable(source) else read_bytes(os.fspath(source))


def _stream(source: str | bytes) -> io.BufferedReader:
    """Open a regular file, or encoded bytes."""
    if isinstance(source, str):
        return open(source, "rb", opener=open_regular)
    return io.BufferedReader(io.BytesIO(source))


def _open(handle: IO[bytes], start: bytes) -> Image.Image:
    """Open an image, refusing what is no image; the limit on pixels of a JPEG counts when it is scaled."""
    try:
        return JpegImageFile(handle) if start == jpeg.START else Image.open(handle, formats=FORMATS)
    except (UnidentifiedImageError, SyntaxError):
        raise BadImageError(
            "is not a JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or other image, or its header is damaged"
        ) from None


def _validate_pixels(size: tuple[int, int], rule: DecodeRule) -> None:
    """Refuse what would not fit into memory."""
    if size[0] * size[1] > rule.max_pixels:
        raise _too_large(f"{size[0]:,} x {size[1]:,}", rule)


def _too_large(size: str, rule: DecodeRule) -> BadImageError:
    return BadImageError(f"has too many pixels: {size}; the limit is {rule.max_pixels:,} in all (data.max_pixels)")


def _reason(error: Exception, rule: DecodeRule) -> BadImageError:
    """Return a codec's error for people."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError):  # more than twice the limit
        found = re.search(r"\d+", text)
        return _too_large(f"{int(found[0]):,}" if found else "more than twice the limit", rule)
    if isinstance(error, OSError) and error.errno is not None:
        return BadImageError(f"cannot be read: {error.strerror or error}", passing=True)
    if "truncated" in text.lower() or "not processed" in text:
        return BadImageError("is truncated: the file ends before the image does")
    if isinstance(error, MemoryError):
        return BadImageError("does not fit into memory", passing=True)
    return BadImageError(f"is damaged: {text[:120]}")
