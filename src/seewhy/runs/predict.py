"""Predictions for images that are files, bytes, arrays or tensors."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.data import BadImageError, DecodeRule
from seewhy.metrics import mutual_information
from seewhy.runs.pipeline import pipelined

CHUNK, LARGE_CHUNK, LARGE_SIDE = 512, 128, 64
"""Images decoded and predicted at a time: enough to keep every thread busy, little enough to stay small in memory; of a larger side, fewer."""

TOP = 5

NOT_FINITE = "the network's output is not finite: its weights are damaged or have diverged; train it again"

Encoded = str | os.PathLike[str] | bytes | BinaryIO
"""One image as it is stored: a path, the bytes of a file, or a file opened for reading in binary mode."""

ImageLike = Encoded | Image | NDArray[Any] | Tensor
"""One image: `Encoded`, a PIL image, an array (H, W) or (H, W, C), or a tensor (H, W) or (C, H, W): uint8, or floating point in [0, 1]."""

Probabilities = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""uint8 images (N, C, H, W) -> probabilities (N, K) and, of several members or samples, theirs (M, N, K)."""


@dataclass(frozen=True)
class Prediction:
    """What the network predicts for one image.

    Attributes:
        name: the file, or the image's position among those given.
        label: the most probable class; None if the image could not be read.
        confidence: its calibrated probability.
        top: up to five classes with their probabilities, most probable first.
        error: why the image could not be read; None if it could.
        disagreement: of an ensemble, or of several stochastic forward passes, the mutual information (nats) between the prediction and the
            member or pass; None for a single network.
        probabilities: calibrated, of every class in the order of `run.classes`; None if the image could not be read.
    """

    name: str
    label: str | None
    confidence: float | None
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    disagreement: float | None = None
    probabilities: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; what is not there, such as a single network's disagreement, is left out."""
        optional = ("disagreement", "probabilities")
        fields = {name: value for name, value in asdict(self).items() if name not in optional or value is not None}
        return {**fields, "top": [list(pair) for pair in self.top]}


@dataclass(frozen=True)
class Classes:
    """What a network predicts: class names and the size of its images.

    Attributes:
        names: in the order of its outputs.
        shape: (C, H, W).
        rule: how they are decoded.
    """

    names: tuple[str, ...]
    shape: tuple[int, int, int]
    rule: DecodeRule


def is_batch(images: object) -> bool:
    """Whether several images are given: an array of four dimensions or of paths, or anything else to walk through that is no image itself."""
    if isinstance(images, np.ndarray):
        return images.ndim == 4 or (images.dtype.kind in "OU" and images.ndim == 1)
    if isinstance(images, Tensor):
        return images.ndim == 4
    one = isinstance(images, (str, bytes, bytearray, memoryview, os.PathLike, Image)) or hasattr(images, "read")
    return isinstance(images, Iterable) and not one and not isinstance(images, Mapping)


def _encoded(image: object) -> str | bytes | None:
    """Return the path or the bytes of an image that is still encoded; None of one that is decoded."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    if not hasattr(image, "read"):
        return None
    data = image.read()
    if not isinstance(data, bytes):
        raise InputError('images: a file was opened as text; open it in binary mode, open(path, "rb")')
    return data


def image_name(image: object, position: int) -> str:
    """Return what an image is called: its file, else its position."""
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image)
    name = getattr(image, "name", None) if hasattr(image, "read") else None
    return name if isinstance(name, str) and name else str(position)


def _decode(images: Sequence[object], shape: tuple[int, int, int], rule: DecodeRule) -> tuple[Tensor, dict[int, str]]:
    """Return images of any kinds at a size, uint8 (N - b, C, H, W), and by position why the b others cannot be read."""
    channels, _, side = shape
    sources = {position: source for position, image in enumerate(images) if (source := _encoded(image)) is not None}
    pixels, failures = seewhy_data.decode_many(list(sources.values()), resolution=side, channels=channels, rule=rule)
    positions = list(sources)
    reasons = {positions[index]: reason for index, reason in failures}
    if len(sources) == len(images):
        return pixels, reasons
    rows = dict(zip((position for position in positions if position not in reasons), pixels, strict=True))
    for position, image in enumerate(images):
        if position in sources:
            continue
        try:
            rows[position] = seewhy_data.from_pixels(image, resolution=side, channels=channels, rule=rule)  # type: ignore[arg-type]
        except BadImageError as error:
            reasons[position] = str(error)
    ordered = [rows[position] for position in sorted(rows)]
    return (torch.stack(ordered) if ordered else pixels), reasons


def read_each(
    images: Sequence[ImageLike], shape: tuple[int, int, int], rule: DecodeRule
) -> tuple[Tensor, list[str], list[tuple[str, str]]]:
    """Return those of several images that can be read, uint8 (N, C, H, W), with their names, and name and reason of the others.

    Raises:
        InputError: there is none, or none can be read.
    """
    if not images:
        raise InputError("images: must hold at least one image")
    names = [image_name(image, position) for position, image in enumerate(images)]
    pixels, reasons = _decode(images, shape, rule)
    if len(reasons) == len(images):
        raise InputError(f"{names[0]}: {reasons[0]}")
    good = [name for position, name in enumerate(names) if position not in reasons]
    return pixels, good, [(names[position], reason) for position, reason in sorted(reasons.items())]


def read_images(images: Any, shape: tuple[int, int, int], rule: DecodeRule) -> Tensor:
    """Return images at a size, uint8 (N, C, H, W), from one `ImageLike` or several.

    Raises:
        InputError: an image cannot be read, or there is none.
    """
    given = list(images) if is_batch(images) else [images]
    if not given:
        raise InputError("images: must hold at least one image")
    pixels, reasons = _decode(given, shape, rule)
    if reasons:
        first = min(reasons)
        raise InputError(f"{image_name(given[first], first)}: {reasons[first]}")
    return pixels


def predict_each(
    classes: Classes,
    probabilities: Probabilities,
    images: Iterable[ImageLike],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Prediction]:
    """Yield a prediction for every image, in order; one that cannot be read yields one with `error` set.

    A chunk of them is decoded in threads while the network computes the chunk before, so any number of them fits in memory; the images are
    taken a chunk ahead of the predictions.

    Args:
        classes: what is predicted.
        probabilities: of the network.
        images: of any kinds.
        progress: told (images done, images in all); of a generator, whose length is not known, in all those so far.
    """
    total, done = (len(images) if isinstance(images, Sized) else None), 0
    size = CHUNK if max(classes.shape[1:]) <= LARGE_SIDE else LARGE_CHUNK

    def decode(chunk: list[ImageLike]) -> tuple[Tensor, dict[int, str]]:
        return _decode(chunk, classes.shape, classes.rule)

    def predict(chunk: list[ImageLike], decoded: tuple[Tensor, dict[int, str]]) -> list[Prediction]:
        pixels, reasons = decoded
        names = [image_name(image, position) for position, image in enumerate(chunk, start=done)]
        good = [name for index, name in enumerate(names) if index not in reasons]
        predicted = iter(predict_images(classes, probabilities, pixels, good))
        return [
            Prediction(name, None, None, error=reasons[index]) if index in reasons else next(predicted)
            for index, name in enumerate(names)
        ]

    for predictions in pipelined(images, size, decode, predict):
        yield from predictions
        done += len(predictions)
        if progress is not None:
            progress(done, done if total is None else total)


def predict_images(
    classes: Classes, probabilities: Probabilities, images: Tensor, names: Sequence[str]
) -> list[Prediction]:
    """Predict decoded images, uint8 (N, C, H, W)."""
    if not len(images):
        return []
    mean, members = probabilities(images)
    apart: list[float | None] = [None] * len(names)
    if members is not None:
        apart = list(mutual_information(members).tolist())
    values, positions = mean.topk(min(TOP, len(classes.names)), dim=1)
    return [
        Prediction(name, classes.names[ranks[0]], row[0], _top(classes, ranks, row), None, spread, tuple(every))
        if all(map(math.isfinite, every))
        else Prediction(name, None, None, error=NOT_FINITE)
        for name, row, ranks, spread, every in zip(
            names, values.tolist(), positions.tolist(), apart, mean.tolist(), strict=True
        )
    ]


def _top(classes: Classes, ranks: Sequence[int], values: Sequence[float]) -> tuple[tuple[str, float], ...]:
    return tuple((classes.names[rank], value) for rank, value in zip(ranks, values, strict=True))
