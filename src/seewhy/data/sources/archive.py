"""Images and labels as arrays: what an `.npz` file may hold, and how it is checked and converted.

Keys. Either `images` and `labels` (or `x` and `y`) for an undivided set, or a pair for each split: `x_train` and `y_train`,
`images_train` and `labels_train`, or `train_images` and `train_labels`, and the same with `val` and `test`. `classes` (optional)
names the integer labels 0, 1, ....

Images are [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels (alpha is laid on white). uint8 is taken as it is, booleans become 0 and 255,
floating point must lie in [0, 1] and is scaled by 255, 16-bit integers keep their high byte, other integers must lie in
0..255. Labels are integers or texts.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import InputError
from seewhy.data.codec import Bytes
from seewhy.data.sources.catalog import Catalog, Numbered, natural_key
from seewhy.data.split_rules import SPLIT_NAMES, UNDECIDED, Ints

Array = npt.NDArray[Any]

_WHOLE = (("images", "labels"), ("x", "y"), ("X", "Y"), ("X", "y"))
_PAIRS = (("x_{}", "y_{}"), ("X_{}", "y_{}"), ("images_{}", "labels_{}"), ("{}_images", "{}_labels"))


def load_npz(path: str) -> Catalog:
    """Read and check an `.npz` file.

    Raises:
        InputError: the file is damaged, has other keys, or an array cannot be used; says which and what is allowed.
    """
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            pairs = _pairs(path, file.files)
            arrays = [
                (split, name, _get(path, file, image), _get(path, file, label)) for split, name, image, label in pairs
            ]
            classes = [str(name) for name in _get(path, file, "classes")] if "classes" in file.files else None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"source: {path} cannot be read as .npz: {error}; save it again with numpy.savez") from None
    images = [_images(f"{path}: {name}", array) for _, name, array, _ in arrays]
    labels = [
        _labels(f"{path}: labels of {name}", array, len(image))
        for (_, name, _, array), image in zip(arrays, images, strict=True)
    ]
    shapes = {image.shape[1:] for image in images}
    if len(shapes) > 1:
        raise InputError(
            f"{path}: the splits differ in shape: {sorted(shapes)}; save all of them with one height, width and channels"
        )
    joined, names = _classes(path, labels, classes)
    splits = np.concatenate([np.full(len(image), p, np.int64) for (p, *_), image in zip(arrays, images, strict=True)])
    stat = os.stat(path)
    origin = f"{os.path.realpath(path)}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "replace")
    return Catalog(
        name=Path(path).stem,
        kind="npz",
        classes=names,
        labels=joined,
        splits=splits,
        names=Numbered([(name, len(image)) for (_, name, _, _), image in zip(arrays, images, strict=True)]),
        content=hashlib.blake2b(origin, digest_size=16).hexdigest(),
        pixels=images[0] if len(images) == 1 else np.concatenate(images),
    )


def _pairs(path: str, keys: Sequence[str]) -> list[tuple[int, str, str, str]]:
    """Find which keys hold what: (split, name, key of images, key of labels)."""
    pairs = [
        (p, name, image.format(name), label.format(name))
        for p, name in enumerate(SPLIT_NAMES)
        for image, label in _PAIRS
        if image.format(name) in keys and label.format(name) in keys
    ]
    if pairs:
        if pairs[0][0] != 0:
            raise InputError(f"{path}: has no train split ({', '.join(keys)}); add x_train and y_train")
        return pairs
    for image, label in _WHOLE:
        if image in keys and label in keys:
            return [(UNDECIDED, "images", image, label)]
    raise InputError(
        f"{path}: must hold images and labels, or x_train, y_train and so on, got {', '.join(keys) or 'nothing'}; "
        "save it with numpy.savez(path, images=..., labels=...)"
    )


def _get(path: str, file: Any, key: str) -> Array:
    """Read one array; an array of Python objects is refused, since loading it would run code."""
    try:
        return np.asarray(file[key])
    except ValueError as error:
        if "pickle" in str(error).lower() or "object" in str(error).lower():
            raise InputError(
                f"{path}: {key} holds Python objects, which are not loaded; save numbers or texts of one dtype"
            ) from None
        raise


def _images(field: str, array: Array) -> Bytes:
    """Check and convert images to uint8 [N, H, W, C] with C of 1 or 3."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4):
        swap = "; transpose to channels last" if array.ndim == 4 and array.shape[1] in (1, 3, 4) else ""
        raise InputError(
            f"{field}: must be [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels, got shape {array.shape}{swap}"
        )
    if 0 in array.shape:
        raise InputError(f"{field}: must hold at least one image of at least one pixel, got shape {array.shape}")
    pixels = _to_uint8(field, array)
    if pixels.shape[3] == 4:
        alpha = pixels[..., 3:].astype(np.uint16)
        pixels = ((pixels[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(pixels, np.uint8)


def _to_uint8(field: str, array: Array) -> Bytes:
    """Convert by the module's rule."""
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return np.asarray(array, np.uint8) * np.uint8(255)
    if kind not in "fiu":
        raise InputError(f"{field}: must be uint8, or floating point between 0 and 1, got {array.dtype}")
    low, high = array.min(), array.max()
    if kind == "f":
        if not (low >= 0 and high <= 1):  # also where a value is not a number
            raise InputError(
                f"{field}: must be uint8, or floating point between 0 and 1, got {array.dtype} between {low:.4g} and {high:.4g}; "
                "undo the normalisation, or save uint8"
            )
        return np.asarray(array * array.dtype.type(255) + array.dtype.type(0.5), np.uint8)
    if array.dtype == np.uint16 and high > 255:
        return np.asarray(array >> 8, np.uint8)
    if low < 0 or high > 255:
        raise InputError(
            f"{field}: integers must lie in 0..255 (uint16 in 0..65535), got {array.dtype} between {low} and {high}"
        )
    return array.astype(np.uint8)


def _labels(field: str, array: Array, images: int) -> Array:
    """Check labels: [N] (or [N, 1]) integers or texts."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "iuSU":
        raise InputError(
            f"{field}: must be [N] integers or texts, one for each image, got {array.dtype} of shape {array.shape}"
        )
    if len(array) != images:
        raise InputError(f"{field}: must be one for each image, got {len(array):,} labels for {images:,} images")
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _classes(path: str, labels: Sequence[Array], given: Sequence[str] | None) -> tuple[Ints, tuple[str, ...]]:
    """Number the labels of all splits together."""
    if len({array.dtype.kind == "U" for array in labels}) > 1:
        raise InputError(f"{path}: labels are texts in one split and integers in another; use one kind")
    joined = np.concatenate(labels)
    values, index = np.unique(joined, return_inverse=True)
    if joined.dtype.kind != "U":
        names = [str(value) for value in values.tolist()]
        if given is not None:
            if values[0] < 0 or values[-1] >= len(given):
                raise InputError(
                    f"{path}: classes names {len(given)} labels, 0 to {len(given) - 1}, got labels {values[0]} to {values[-1]}"
                )
            names = [given[value] for value in values.tolist()]
        return index.astype(np.int64), tuple(names)
    rank = sorted(range(len(values)), key=lambda k: natural_key(str(values[k])))
    position = np.empty(len(values), np.int64)
    position[rank] = np.arange(len(values))
    return position[index], tuple(str(values[k]) for k in rank)
