"""Predictions for pictures that are files, arrays or tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.errors import InputError
from seewhy.training.results.evaluation import disagreement
from seewhy.training.results.folder import RunFolder
from seewhy.training.spec.sections import GENERATORS

CHUNK = 512
"""Files decoded at a time: enough to keep every thread busy, little enough to stay small in memory."""

TOP = 5


@dataclass(frozen=True)
class Prediction:
    """What the network says of one picture.

    Attributes:
        name: the file, or the picture's place in the list.
        label: the likeliest class; None if the picture could not be read.
        confidence: its probability.
        top: up to five classes with their probabilities, likeliest first.
        error: why the picture could not be read; None if it could.
        disagreement: of an ensemble, or of several draws, the mutual information (nats) between the prediction and the member or draw; None for
            a single network.
    """

    name: str
    label: str | None
    confidence: float | None
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    disagreement: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; a single network has no disagreement."""
        fields = {name: value for name, value in asdict(self).items() if name != "disagreement" or value is not None}
        return {**fields, "top": [list(pair) for pair in self.top]}


def predict_files(
    run: RunFolder,
    paths: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
    *,
    draws: int | None = None,
) -> Iterator[Prediction]:
    """Yield a prediction for every file, in order; a bad file yields one with `error` set.

    Files are decoded in threads, a chunk at a time, so any number of them fits in memory. With `draws` predictions are averaged over so many
    draws of the network's own randomness (dropout and its kin).
    """
    facts = run.data["facts"]
    for start in range(0, len(paths), CHUNK):
        chunk = list(paths[start : start + CHUNK])
        images, failures = seewhy_data.decode_many(chunk, resolution=facts["width"], channels=facts["channels"])
        reasons = dict(failures)
        good = [place for place in range(len(chunk)) if place not in reasons]
        found = dict(zip(good, _predictions(run, images, [chunk[place] for place in good], draws), strict=True))
        for place, name in enumerate(chunk):
            yield found[place] if place in found else Prediction(name, None, None, error=reasons[place])
        if progress is not None:
            progress(min(start + CHUNK, len(paths)), len(paths))


def predict(run: RunFolder, images: Any, *, draws: int | None = None) -> Any:
    """Predict one picture, or a list of them.

    Args:
        run: the trained recogniser.
        images: a path, a PIL image, a uint8 array (H, W), (H, W, C) or tensor (C, H, W); or a list of such, or a batch
            (N, H, W, C) as an array or (N, C, H, W) as a tensor.
        draws: predictions to average, with dropout and its kin drawing as in training; None for one without.

    Returns:
        a `Prediction`, or a list of them; in a list a bad file gives a `Prediction` with `error` set.

    Raises:
        InputError: the one picture cannot be read, or is of a kind that is not known.
    """
    if isinstance(images, (list, tuple)) or (isinstance(images, (np.ndarray, Tensor)) and images.ndim == 4):
        return _predict_list(run, list(images), draws)
    only: Prediction = _predict_list(run, [images], draws)[0]
    if only.error is not None:
        raise InputError(f"{only.name}: {only.error}")
    return only


def _predict_list(run: RunFolder, images: list[Any], draws: int | None) -> list[Prediction]:
    if all(isinstance(image, (str, Path)) for image in images):
        return list(predict_files(run, [str(image) for image in images], draws=draws))
    if any(isinstance(image, (str, Path)) for image in images):
        raise InputError("images: must be all paths or all pictures, got a mixture; predict them in two calls")
    facts = run.data["facts"]
    pixels = [seewhy_data.from_pixels(image, resolution=facts["width"], channels=facts["channels"]) for image in images]
    return _predictions(run, torch.stack(pixels), [str(place) for place in range(len(pixels))], draws) if pixels else []


def _predictions(run: RunFolder, images: Tensor, names: Sequence[str], draws: int | None) -> list[Prediction]:
    """Run the network on decoded images."""
    if run.spec.model.name in GENERATORS:
        raise InputError(
            f"{run.folder}: is a {run.spec.model.name}, which makes pictures and recognises none; see `seewhy generate`"
        )
    if not len(images):
        return []
    apart: list[float | None] = [None] * len(names)
    if run.members or draws is not None:
        members = run.member_probabilities(images) if draws is None else run.drawn_probabilities(images, draws)
        probabilities, apart = members.mean(0), list(disagreement(members).tolist())
    else:
        probabilities = run.probabilities(images)
    values, places = probabilities.topk(min(TOP, len(run.classes)), dim=1)
    found = []
    for name, row, ranks, spread in zip(names, values.tolist(), places.tolist(), apart, strict=True):
        top = tuple((run.classes[place], value) for place, value in zip(ranks, row, strict=True))
        found.append(Prediction(name, top[0][0], top[0][1], top, disagreement=spread))
    return found
