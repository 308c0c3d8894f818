"""Images and labels as arrays, in memory or in an `.npz` file: which keys there may be, and how they are checked and converted.

Keys. Either `images` and `labels` (or `x` and `y`) for an undivided set, or a pair for each split: `x_train` and `y_train`,
`images_train` and `labels_train`, or `train_images` and `train_labels`, and the same with `val` and `test`. `classes` (optional)
names the integer labels 0, 1, ....; each name once. Where labels are optional, images stand alone too (also as `arr_0`), and are one class.

Images are [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels (alpha is laid on white); a tensor in memory is [N, C, H, W]. uint8 is taken as
it is, booleans become 0 and 255, floating point must lie in [0, 1] and is scaled by 255, uint16 becomes 8 bits by one scale for all splits
when it is decoded, other integers must lie in 0..255. Labels are integers or texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from seewhy.core.errors import InputError, nearest
from seewhy.data.audit import Issue, count, some
from seewhy.data.identity import digest
from seewhy.data.pixel_values import to_uint8
from seewhy.data.sources.catalog import Catalog, Numbered, SourceKind
from seewhy.data.sources.names import natural_key, printable
from seewhy.data.split_rules import SPLIT_NAMES, UNDECIDED, Ints

Array = npt.NDArray[Any]

_WHOLE = (("images", "labels"), ("x", "y"), ("X", "Y"), ("X", "y"))
_PAIRS = (("x_{}", "y_{}"), ("X_{}", "y_{}"), ("images_{}", "labels_{}"), ("{}_images", "{}_labels"))


@dataclass(frozen=True)
class Pair:
    """The arrays of one split.

    Attributes:
        split: TRAIN, VAL, TEST or UNDECIDED.
        name: of the split, for the images' names.
        images: key.
        labels: key; None where there are none.
    """

    split: int
    name: str
    images: str
    labels: str | None


def pair_keys(where: str, keys: Sequence[str], *, labels_required: bool) -> list[Pair]:
    """Find which keys hold what.

    Raises:
        InputError: images or labels are missing.
    """

    def usable(image: str, label: str) -> bool:
        return image in keys and (label in keys or not labels_required)

    pairs: dict[int, Pair] = {}
    for p, name in enumerate(SPLIT_NAMES):
        for image, label in ((image.format(name), label.format(name)) for image, label in _PAIRS):
            if usable(image, label) and p not in pairs:
                pairs[p] = Pair(p, name, image, label if label in keys else None)
    if pairs:
        if 0 not in pairs:
            raise InputError(f"{where}: has no train split ({', '.join(keys)}); add x_train and y_train")
        return list(pairs.values())
    for image, label in (*_WHOLE, ("arr_0", "labels")):
        if usable(image, label) and (image != "arr_0" or not labels_required):
            return [Pair(UNDECIDED, "images", image, label if label in keys else None)]
    raise InputError(
        f"{where}: must hold images and labels, or x_train, y_train and so on, got {', '.join(keys) or 'nothing'}; "
        "save it with numpy.savez(path, images=..., labels=...)"
    )


def left_alone(keys: Sequence[str], pairs: Sequence[Pair]) -> tuple[Issue, ...]:
    """Report keys that are not read; as a warning where one is nearly the key of a split that is not there."""
    left = [key for key in keys if key != "classes" and all(key not in (pair.images, pair.labels) for pair in pairs)]
    if not left:
        return ()
    known = [form.format(split) for forms in _PAIRS for form in forms for split in SPLIT_NAMES]
    meant = {key: nearest(key, [name for name in known if name[:1] == key[:1]]) for key in left}
    near = {key: name for key, name in meant.items() if name is not None and name not in keys}
    asked = "".join(f"; did you mean {name!r} by {key!r}? Rename it" for key, name in near.items())
    message = f"{count(len(left), 'array')} left alone: {some(left)}{asked}"
    return (Issue("stray_files", "warning" if near else "note", message, tuple(left)),)


def from_memory(source: Any, *, labels_required: bool) -> Catalog:
    """Make a catalog of arrays or tensors: `(images, labels)`, images alone, or a mapping with the keys above.

    Raises:
        InputError: they cannot be used; says which and what is allowed.
    """
    pairs, arrays = pairs_in_memory(source, labels_required=labels_required)
    catalog = catalog_of("arrays", "arrays", "source", pairs, arrays)
    return replace(catalog, issues=left_alone(list(arrays), pairs))


def pairs_in_memory(source: Any, *, labels_required: bool) -> tuple[list[Pair], dict[str, Array]]:
    """Return what `from_memory` makes a catalog of: which arrays are what, and the arrays by key."""
    if isinstance(source, Mapping):
        given = dict(source)
    elif isinstance(source, tuple):
        if len(source) != 2:
            raise InputError(f"source: must be (images, labels), got a tuple of {len(source)}")
        given = {"images": source[0], **({} if source[1] is None else {"labels": source[1]})}
    else:
        given = {"images": source}
    arrays = {str(key): _in_memory(str(key), value) for key, value in given.items()}
    return pair_keys("source", list(arrays), labels_required=labels_required), arrays


def _in_memory(key: str, value: Any) -> Array:
    """Return an array of what is given; a tensor of images has its channels first."""
    if isinstance(value, Tensor):
        array = value.detach().cpu().numpy()
        return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"source: {key} is no array: {error}") from None
    if array.dtype.hasobject:
        raise InputError(
            f"source: {key} holds Python objects; give an array of numbers or texts of one dtype and shape"
        )
    return array


def catalog_of(name: str, kind: SourceKind, where: str, pairs: Sequence[Pair], arrays: Mapping[str, Array]) -> Catalog:
    """Check and convert the arrays of all splits, and make a catalog of them.

    Args:
        name: short name for people.
        kind: of the source.
        where: the source, for errors.
        pairs: of `pair_keys`.
        arrays: by key.

    Raises:
        InputError: an array cannot be used; says which and what is allowed.
    """
    images = [_images(f"{where}: {pair.name}", arrays[pair.images]) for pair in pairs]
    shapes = {image.shape[1:] for image in images}
    if len(shapes) > 1:
        raise InputError(
            f"{where}: the splits differ in shape: {sorted(shapes)}; save all of them with one height, width and channels"
        )
    if len({image.dtype for image in images}) > 1:
        raise InputError(f"{where}: the splits differ in dtype; save all of them with one")
    pixels = images[0] if len(images) == 1 else np.concatenate(images)
    if any(pair.labels is None for pair in pairs):
        labels: Ints = np.zeros(len(pixels), np.int64)
        classes: tuple[str, ...] = (name,)
    else:
        columns = [
            _labels(f"{where}: labels of {pair.name}", arrays[pair.labels or ""], len(image))
            for pair, image in zip(pairs, images, strict=True)
        ]
        labels, classes = _classes(where, columns, _class_names(where, arrays.get("classes")))
    splits = np.concatenate(
        [np.full(len(image), pair.split, np.int64) for pair, image in zip(pairs, images, strict=True)]
    )
    return Catalog(
        name=name,
        kind=kind,
        classes=classes,
        labels=labels,
        splits=splits,
        names=Numbered([(pair.name, len(image)) for pair, image in zip(pairs, images, strict=True)]),
        content=digest(pixels, labels, splits, "\0".join(classes)),
        pixels=pixels,
    )


def _class_names(where: str, array: Array | None) -> list[str] | None:
    """Return the names of the integer labels, each of which must be there once."""
    if array is None:
        return None
    if array.ndim != 1:
        raise InputError(f"{where}: classes must be [K] names, got shape {array.shape}")
    names = [printable(str(name)) for name in (_texts(array) if array.dtype.kind == "S" else array)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        places = ", ".join(str(k) for k, name in enumerate(names) if name == twice[0])
        raise InputError(
            f"{where}: classes names several labels alike: {twice[0]!r} ({places}); give each a name of its own"
        )
    return names


def _texts(array: Array) -> Array:
    """Return bytes as texts; what is no UTF-8 stays distinct."""
    return np.char.decode(array, "utf-8", "backslashreplace")


def _images(field: str, array: Array) -> Array:
    """Check and convert images to uint8 (or uint16) [N, H, W, C] with C of 1 or 3."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[3] not in (1, 3, 4):
        swap = "; transpose to channels last" if array.ndim == 4 and array.shape[1] in (1, 3, 4) else ""
        raise InputError(
            f"{field}: must be [N, H, W] or [N, H, W, C] with 1, 3 or 4 channels, got shape {array.shape}{swap}"
        )
    if 0 in array.shape:
        raise InputError(f"{field}: must hold at least one image of at least one pixel, got shape {array.shape}")
    pixels = to_uint8(field, array)
    if pixels.shape[3] == 4:
        white = np.uint32(np.iinfo(pixels.dtype).max)
        alpha = pixels[..., 3:].astype(np.uint32)
        mixed = pixels[..., :3].astype(np.uint64) * alpha + np.uint64(white) * (white - alpha) + np.uint64(white // 2)
        pixels = (mixed // np.uint64(white)).astype(pixels.dtype)
    return np.ascontiguousarray(pixels)


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
    return _texts(array) if array.dtype.kind == "S" else array


def _classes(path: str, labels: Sequence[Array], given: Sequence[str] | None) -> tuple[Ints, tuple[str, ...]]:
    """Number the labels of all splits together."""
    if len({array.dtype.kind == "U" for array in labels}) > 1:
        raise InputError(f"{path}: labels are texts in one split and integers in another; use one kind")
    joined = np.concatenate(labels)
    if joined.dtype.kind == "U":
        joined = np.array([printable(str(value)) for value in joined.tolist()])
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
