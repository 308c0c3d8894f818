"""Predictions for images that are files, arrays or tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.data import DecodeRule
from seewhy.metrics import mutual_information

CHUNK = 512
"""Files decoded at a time: enough to keep every thread busy, little enough to stay small in memory."""

TOP = 5

NOT_FINITE = "the network's output is not finite: its weights are damaged or have diverged; train it again"

ImageLike = str | Path | Image | NDArray[Any] | Tensor
"""One image: a path, a PIL image, a uint8 array (H, W) or (H, W, C), or a uint8 tensor (H, W) or (C, H, W)."""

Probabilities = Callable[[Tensor], tuple[Tensor, Tensor | None]]
"""uint8 images (N, C, H, W) -> probabilities (N, K) and, of several members or samples, theirs (M, N, K)."""


@dataclass(frozen=True)
class Prediction:
    """What the network predicts for one image.

    Attributes:
        name: the file, or the image's position in the list.
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
    """Whether several images are given: a list, a tuple, or an array or tensor of four dimensions."""
    return isinstance(images, (list, tuple)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4)


def read_images(images: Any, shape: tuple[int, int, int], rule: DecodeRule) -> Tensor:
    """Return images at a size, uint8 (N, C, H, W), from one `ImageLike` or a list or batch of them.

    Raises:
        InputError: an image cannot be read, or there is none.
    """
    channels, _, side = shape
    decoded = []
    for image in images if is_batch(images) else [images]:
        if isinstance(image, (str, Path)):
            pixels, bad = seewhy_data.decode_many([str(image)], resolution=side, channels=channels, rule=rule)
            if bad:
                raise InputError(f"{image}: {bad[0][1]}")
            decoded.append(pixels[0])
        else:
            decoded.append(seewhy_data.from_pixels(image, resolution=side, channels=channels, rule=rule))
    if not decoded:
        raise InputError("images: must hold at least one image")
    return torch.stack(decoded)


def predict_files(
    classes: Classes,
    probabilities: Probabilities,
    paths: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Prediction]:
    """Yield a prediction for every file, in order; a bad file yields one with `error` set.

    Files are decoded in threads, a chunk at a time, so any number of them fits in memory.
    """
    channels, _, side = classes.shape
    for start in range(0, len(paths), CHUNK):
        chunk = list(paths[start : start + CHUNK])
        images, failures = seewhy_data.decode_many(chunk, resolution=side, channels=channels, rule=classes.rule)
        reasons = dict(failures)
        good = [index for index in range(len(chunk)) if index not in reasons]
        predicted = predict_images(classes, probabilities, images, [chunk[index] for index in good])
        by_index = dict(zip(good, predicted, strict=True))
        for index, name in enumerate(chunk):
            yield by_index[index] if index in by_index else Prediction(name, None, None, error=reasons[index])
        if progress is not None:
            progress(min(start + CHUNK, len(paths)), len(paths))


def predict_list(classes: Classes, probabilities: Probabilities, images: Sequence[Any]) -> list[Prediction]:
    """Predict a list of images, all paths or all decoded."""
    if all(isinstance(image, (str, Path)) for image in images):
        return list(predict_files(classes, probabilities, [str(image) for image in images]))
    if any(isinstance(image, (str, Path)) for image in images):
        raise InputError("images: must be all paths or all decoded images, got a mixture; predict them in two calls")
    pixels = read_images(list(images), classes.shape, classes.rule)
    return predict_images(classes, probabilities, pixels, [str(index) for index in range(len(pixels))])


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
