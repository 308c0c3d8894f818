"""Who makes features of pictures, by name: a trained recogniser's last layer, the pixels themselves, or the Inception of published FIDs.

A figure of fidelity is of an extractor as much as of the pictures, so the name goes with every number.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.errors import InputError
from seewhy.models import Recogniser
from seewhy.training.results.folder import RunFolder

CHUNK = 500
"""Pictures that are read at once."""

INCEPTION = "inception"
"""The name by which `inception` is asked for."""

INCEPTION_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""The file of the Inception network's weights, as torch-fidelity names it."""

INCEPTION_CHUNK = 50
"""Pictures that Inception reads at once: each becomes one of 299 x 299."""


@dataclass(frozen=True)
class Reading:
    """What an extractor makes of pictures.

    Attributes:
        features: float32 (N, F), on the CPU.
        probabilities: of the classes, float32 (N, K), on the CPU; None from an extractor that knows none.
    """

    features: Tensor
    probabilities: Tensor | None


@dataclass(frozen=True)
class Extractor:
    """A named way from pictures to features.

    Attributes:
        name: in words, with the number of features; equal names make comparable figures.
        read: uint8 (N, C, H, W), N at least 1, to their reading; the same for every call.
    """

    name: str
    read: Callable[[Tensor], Reading]


def pixels(shape: tuple[int, int, int]) -> Extractor:
    """Make the extractor whose features are the pixels, from 0 to 1, of pictures (C, H, W)."""
    count = shape[0] * shape[1] * shape[2]
    return Extractor(f"pixels, {count} features", lambda images: Reading(images.flatten(1).float() / 255.0, None))


def last_features(recogniser: Recogniser, name: str) -> Extractor:
    """Make the extractor whose features are what comes into the recogniser's last layer, in eval mode and float32.

    Args:
        recogniser: trained; its network ends in a linear `head`.
        name: of the recogniser, such as "convnet of run mnist-1".
    """
    net: Any = recogniser.net
    head: torch.nn.Linear = net.head
    return Extractor(f"{name}, {head.in_features} features", lambda images: _read(recogniser, head, images))


def of_run(run: RunFolder) -> Extractor:
    """Make the extractor of a recogniser's run: "convnet of run mnist-1, 256 features".

    Raises:
        InputError: the run trained a generator, or an ensemble.
    """
    model = run.model
    if not isinstance(model, Recogniser):
        raise InputError(
            f"{run.folder}: is a run of {run.spec.model.name}, which is no recogniser; name a run of mlp, convnet or resnet on the same pictures"
        )
    found = last_features(model, f"{run.spec.model.name} of run {run.folder.name}")
    shape = tuple(run.data["facts"][name] for name in ("channels", "height", "width"))

    def read(images: Tensor) -> Reading:
        if tuple(images.shape[1:]) != shape:
            raise InputError(f"images: must have the size of {run.folder} {shape}, got {tuple(images.shape[1:])}")
        return found.read(images)

    return Extractor(found.name, read)


def inception() -> Extractor:
    """Make the extractor of published FIDs: the 2,048 pooled features of TensorFlow's Inception of 2015, by torchmetrics (Heusel et al. 2017).

    Its weights are torch-fidelity's file in torch's hub folder; nothing is downloaded. Grey pictures are read as three equal channels.

    Raises:
        InputError: the file or a package is not there, or the file holds more than weights.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_WEIGHTS
    if not file.is_file():
        raise InputError(
            f"extractor: '{INCEPTION}' needs the weights of torch-fidelity, but there is no {file}; put them there, "
            "or name the run of a recogniser of such pictures"
        )
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3

        torch.load(file, map_location="cpu", weights_only=True)  # the network's own loading would run a stranger's code
        network = NoTrainInceptionV3(INCEPTION, ["2048"], str(file))
    except ModuleNotFoundError as error:
        raise InputError(
            f"extractor: '{INCEPTION}' needs torchmetrics and torch-fidelity ({error}); pip install 'seewhy[inception]'"
        ) from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(f"{file}: does not hold the weights of Inception: {error}") from error

    @torch.no_grad()
    def read(images: Tensor) -> Reading:
        pieces = (piece.expand(-1, 3, -1, -1) for piece in images.split(INCEPTION_CHUNK))  # type: ignore[no-untyped-call]
        return Reading(torch.cat([network(piece).float() for piece in pieces]), None)

    return Extractor("Inception of 2015, 2048 features", read)


@torch.no_grad()
def _read(recogniser: Recogniser, head: torch.nn.Linear, images: Tensor) -> Reading:
    caught: list[Tensor] = []
    features, probabilities = [], []
    device = head.weight.device
    handle = head.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    training = recogniser.training
    recogniser.eval()
    try:
        for chunk in images.split(CHUNK):  # type: ignore[no-untyped-call]
            logits = recogniser(chunk.to(device))
            features.append(caught.pop().float().cpu())
            probabilities.append(logits.softmax(1).cpu())
    finally:
        handle.remove()
        recogniser.train(training)
    return Reading(torch.cat(features), torch.cat(probabilities))
