"""One image: from its encoded bytes to uint8 pixels of a given shape.

One rule for every image: apply the EXIF orientation, convert to grey or colour, scale so that the image just covers the given
height and width (antialiased), and cut out the centre. An image that has that size already is not touched.

Modes. Transparency is laid on white, for alpha channels, transparent palette entries and colour keys alike. CMYK is
converted. 16-bit grey keeps its high byte; 32-bit integers count as 16-bit (larger values are cut); floating-point images
within [0, 1] are scaled by 255, others cut to 0..255. Of an animation the first frame counts.

Speed. A small JPEG that fits as it is goes straight through libjpeg-turbo (package simplejpeg), at a sixth of Pillow's cost, into
the row where it belongs; without that package Pillow gives the same pixels. Large JPEGs are scaled down while they are decoded. Both
codecs release the interpreter's lock, so threads decode in parallel.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from seewhy.core.errors import InputError, bad_value

try:
    import simplejpeg  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError:  # Pillow decodes the same pixels, more slowly
    simplejpeg = None

Bytes = npt.NDArray[np.uint8]
Shape = tuple[int, int, int]
"""(H, W, C) of an image."""
T = TypeVar("T")
R = TypeVar("R")
Source = str | os.PathLike[str] | bytes

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff")
CHANNELS = (1, 3)
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F")

_JPEG_CHANNELS = {"Gray": 1, "YCbCr": 3}  # as simplejpeg calls them; Pillow knows the rest
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


class BadImageError(InputError):
    """An image that cannot be used; the message is the reason, for people."""


_strict_lock = threading.Lock()
_strict_depth = 0
_strict_saved: list[Any] = []


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Make Pillow fail on truncated files and keep its warnings to itself, in all threads, while the block runs.

    Pillow's switch for truncated files and Python's warning filters belong to the whole process, so the outermost block
    sets them and restores them. Blocks may overlap between threads.
    """
    global _strict_depth
    with _strict_lock:
        _strict_depth += 1
        if _strict_depth == 1:
            filters = warnings.catch_warnings()
            _strict_saved.extend((filters, ImageFile.LOAD_TRUNCATED_IMAGES))
            filters.__enter__()
            warnings.simplefilter("ignore")
            ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        with _strict_lock:
            _strict_depth -= 1
            if _strict_depth == 0:
                ImageFile.LOAD_TRUNCATED_IMAGES = _strict_saved.pop()
                _strict_saved.pop().__exit__(None, None, None)


def read_bytes(path: str) -> bytes:
    """Read a whole file; faster than open() for many small ones.

    Raises:
        BadImageError: the file cannot be read, or is empty.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            data = os.read(handle, 1 << 13)
            if len(data) == 1 << 13:
                blocks = [data]
                while block := os.read(handle, 1 << 20):
                    blocks.append(block)
                data = b"".join(blocks)
        finally:
            os.close(handle)
    except OSError as error:
        raise BadImageError(f"cannot be read: {error.strerror or error}") from None
    if not data:
        raise BadImageError("is empty (0 bytes)")
    return data


def decode_into(data: bytes, row: Bytes) -> tuple[int, int, bool]:
    """Decode one image into `row`, a contiguous uint8 array [H, W, C] with C of 1 or 3.

    Returns:
        The image's own height and width (after the EXIF orientation), and whether it is grey by its mode.

    Raises:
        BadImageError: the image is damaged, truncated, too large or of an unknown kind; `row` may hold anything then.
    """
    if simplejpeg is not None and data.startswith(b"\xff\xd8") and data.find(b"Exif\0\0", 0, 65536) < 0:
        try:
            height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
            channels = _JPEG_CHANNELS.get(colour)
            if (height, width, channels) == row.shape:
                simplejpeg.decode_jpeg(data, "GRAY" if channels == 1 else "RGB", buffer=row)
                return height, width, channels == 1
        except ValueError:
            pass  # Pillow has the last word, and the better words, on what is wrong
    try:
        image = _open(io.BytesIO(data))
        natural, grey = _natural_size(image), image.mode in GREY_MODES
        image.draft(None, (2 * row.shape[1], 2 * row.shape[0]))  # JPEG only: smaller by 2, 4 or 8 while decoding
        image.load()
        fit_into(_upright(image), row)
    except BadImageError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged file may raise anything in a codec; it must not end the run
        raise BadImageError(_format_reason(error)) from None
    return (*natural, grey)


def read_header(path: str) -> tuple[int, int, bool]:
    """Return an image's height, width (after the EXIF orientation) and whether it is grey, from its header alone.

    Raises:
        BadImageError: the header cannot be read.
    """
    try:
        with open(path, "rb") as handle:
            image = _open(handle)
            return (*_natural_size(image), image.mode in GREY_MODES)
    except BadImageError:
        raise
    except Exception as error:  # noqa: BLE001  see decode_into
        raise BadImageError(_format_reason(error)) from None


def decode_file(source: Source, *, resolution: int | tuple[int, int], channels: int) -> Tensor:
    """Decode one image.

    Args:
        source: a path, or the encoded bytes.
        resolution: side of the square result in pixels, or (height, width).
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 [C, H, W].

    Raises:
        BadImageError: (an InputError) the image cannot be used; names the file and the reason.
    """
    row = np.empty(image_shape(resolution, channels), np.uint8)
    with strict_pillow():
        try:
            decode_into(source if isinstance(source, bytes) else read_bytes(os.fspath(source)), row)
        except BadImageError as error:
            raise BadImageError(f"{'image' if isinstance(source, bytes) else os.fspath(source)}: {error}") from None
    return torch.from_numpy(row).permute(2, 0, 1)


def decode_many(
    sources: Sequence[Source], *, resolution: int | tuple[int, int], channels: int, threads: int | None = None
) -> tuple[Tensor, list[tuple[int, str]]]:
    """Decode many images in threads; one that cannot be decoded is reported, not raised.

    Args:
        sources: paths, or encoded bytes.
        resolution: side of the square result in pixels, or (height, width).
        channels: 1 for grey, 3 for colour.
        threads: how many; default: one for each processor.

    Returns:
        uint8 [n - b, C, H, W] in channels_last memory, the decoded images in order, and (position, reason) of the b others.
    """
    rows = np.empty((len(sources), *image_shape(resolution, channels)), np.uint8)

    def decode_chunk(positions: range) -> list[tuple[int, str]]:
        failures = []
        for position in positions:
            source = sources[position]
            try:
                decode_into(source if isinstance(source, bytes) else read_bytes(os.fspath(source)), rows[position])
            except BadImageError as error:
                failures.append((position, str(error)))
        return failures

    count = len(sources)
    chunks = [range(start, min(start + 32, count)) for start in range(0, count, 32)]
    with strict_pillow():
        failures = [failure for several in in_threads(decode_chunk, chunks, threads) for failure in several]
    if failures:
        rows = np.delete(rows, [position for position, _ in failures], axis=0)
    return torch.from_numpy(rows).permute(0, 3, 1, 2), failures


def from_pixels(image: Image.Image | Tensor | npt.NDArray[Any], *, resolution: int, channels: int) -> Tensor:
    """Bring an image that is decoded already to the shape that a network expects, by the rule for files.

    Args:
        image: a PIL image, a uint8 array [H, W] or [H, W, C], or a uint8 tensor [H, W] or [C, H, W], with C of 1, 3 or 4.
        resolution: side of the square result in pixels.
        channels: 1 for grey, 3 for colour.

    Returns:
        uint8 [C, H, W].

    Raises:
        InputError: the image is of another kind, dtype or shape.
    """
    row = np.empty(image_shape(resolution, channels), np.uint8)
    if isinstance(image, Image.Image):
        with strict_pillow():
            try:
                image.load()
                fit_into(_upright(image), row)
            except BadImageError:
                raise
            except Exception as error:  # noqa: BLE001  see decode_into
                raise BadImageError(f"image: {_format_reason(error)}") from None
        return torch.from_numpy(row).permute(2, 0, 1)
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if isinstance(image, Tensor) and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.dtype != np.uint8:
        raise bad_value(
            "image", str(array.dtype), "a PIL image or uint8 pixels in 0..255", "multiply by 255 and convert"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        layout = "[C, H, W]" if isinstance(image, Tensor) else "[H, W, C]"
        raise bad_value("image", tuple(image.shape), f"[H, W] or {layout} with 1, 3 or 4 channels")
    fit_into(Image.fromarray(array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(array)), row)
    return torch.from_numpy(row).permute(2, 0, 1)


def is_image_name(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return name.lower().endswith(SUFFIXES)


def in_threads(work: Callable[[T], R], items: Sequence[T], threads: int | None = None) -> Iterator[R]:
    """Yield `work(item)` in order, computed by a pool of threads."""
    count = min(threads or available_processors(), len(items))
    if count < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count, thread_name_prefix="seewhy-decode") as pool:
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 4 * count:  # results that nobody has taken must not pile up
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def available_processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def image_shape(resolution: int | tuple[int, int], channels: int) -> Shape:
    """Return the shape (H, W, C) of a decoded image, checked."""
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    if height < 1 or width < 1:
        raise bad_value("resolution", resolution, "at least 1 pixel")
    if channels not in CHANNELS:
        raise bad_value("channels", channels, "1 (grey) or 3 (colour)")
    return height, width, channels


def fit_into(image: Image.Image, row: Bytes) -> None:
    """Convert, scale and cut a loaded image into `row` [H, W, C]; see the module's rule."""
    height, width, channels = row.shape
    image = _flatten(image)
    if image.mode != ("L" if channels == 1 else "RGB"):
        image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        scale = min(image.width / width, image.height / height)
        left, top = (image.width - width * scale) / 2, (image.height - height * scale) / 2
        box = (max(left, 0.0), max(top, 0.0), image.width - max(left, 0.0), image.height - max(top, 0.0))
        image = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
    row[:] = np.asarray(image).reshape(height, width, channels)


def _flatten(image: Image.Image) -> Image.Image:
    """Return the image as L or RGB: transparency laid on white, deep pixels cut to 8 bits, CMYK converted."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        return Image.fromarray((deep.clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "F":
        deep = np.asarray(image)
        if not np.isfinite(deep).all():
            raise BadImageError("has pixels that are not finite numbers")
        scale = 255.0 if deep.min() >= 0 and deep.max() <= 1 else 1.0
        return Image.fromarray((deep * scale).round().clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        grey = image.mode in ("1", "L", "LA", "La")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, image).convert("L" if grey else "RGB")
    return image.convert("L" if image.mode == "1" else "RGB")


def _open(handle: IO[bytes]) -> Image.Image:
    """Open an image, refusing what is no image, and what would not fit into memory."""
    try:
        image = Image.open(handle, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise BadImageError(f"has too many pixels: {error}".split(" could be")[0]) from None
    except UnidentifiedImageError:
        raise BadImageError("is not a JPEG, PNG, WebP, BMP, GIF or TIFF image, or its header is damaged") from None
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise BadImageError(f"has too many pixels: {image.width} x {image.height}; the limit is {limit:,} in all")
    return image


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none or it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  damaged metadata must not cost the image
        return 1


def _upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation."""
    transpose = _TRANSPOSES.get(_orientation(image))
    return image if transpose is None else image.transpose(transpose)


def _natural_size(image: Image.Image) -> tuple[int, int]:
    """Return the height and width of the upright image."""
    return (image.width, image.height) if _orientation(image) in (5, 6, 7, 8) else (image.height, image.width)


def _format_reason(error: Exception) -> str:
    """Return a codec's error for people."""
    text = " ".join(str(error).split()) or type(error).__name__
    if "truncated" in text.lower() or "not processed" in text:
        return "is truncated: the file ends before the image does"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    return f"is damaged: {text[:120]}"
