"""Feature extractors that need a network: what enters a trained classifier's last layer, and the Inception of published FIDs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.metrics import FeatureExtractor, Features
from seewhy.models import Classifier
from seewhy.models.explanation import penultimate
from seewhy.spec import DataFacts, RunSpec

CHUNK = 500
"""Images that are on the device at a time."""

INCEPTION = "inception"
"""The name by which `inception_features` is asked for."""

INCEPTION_WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""The file of the Inception network's weights, as torch-fidelity names it."""

INCEPTION_CHUNK = 50
"""Images in a forward pass of Inception, which resizes each to 299 x 299."""


def classifier_features(classifier: nn.Module, name: str, shape: tuple[int, int, int]) -> FeatureExtractor:
    """Return the extractor whose features are the inputs of the last layer with weights (`penultimate`), in eval mode and float32.

    Args:
        classifier: trained, from images to logits.
        name: of the classifier, such as "convnet of run mnist-1".
        shape: (C, H, W) of its images.

    Raises:
        InputError: the network has no layer with weights.
    """
    blank = torch.zeros(1, *shape, dtype=torch.uint8)

    def features(images: Tensor) -> Features:
        device = next(classifier.parameters()).device
        parts = [penultimate(classifier, chunk.to(device)) for chunk in torch.split(images, CHUNK)]
        values, logits = (torch.cat([part[index].cpu() for part in parts]) for index in (0, 1))
        return Features(values, logits.softmax(1))

    if next(classifier.parameters(), None) is None:
        raise InputError(f"features: {name} has no layer with weights, whose inputs they would be")
    return FeatureExtractor(f"{name}, {features(blank).values.shape[1]} features", features)


def run_features(classifier: nn.Module, name: str, shape: tuple[int, int, int]) -> FeatureExtractor:
    """Return the extractor of a classifier's run: "convnet of run mnist-1, 256 features".

    Args:
        classifier: the run's network.
        name: of the run.
        shape: (C, H, W) of its images.

    Raises:
        InputError: the network is no classifier.
    """
    if not isinstance(classifier, Classifier):
        raise InputError(f"extractor: {name} is no classifier; name the run of a classifier of the same images")
    extractor = classifier_features(classifier, name, shape)

    def features(images: Tensor) -> Features:
        if tuple(images.shape[1:]) != shape:
            raise InputError(f"images: must have the size of {name} {shape}, got {tuple(images.shape[1:])}")
        return extractor.features(images)

    return FeatureExtractor(extractor.name, features)


class Opened(Protocol):
    """A run that has been opened."""

    @property
    def folder(self) -> Path:
        """Where it lives."""

    @property
    def spec(self) -> RunSpec:
        """What it is."""

    @property
    def facts(self) -> DataFacts:
        """What its images are."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Its class names."""

    @property
    def model(self) -> nn.Module:
        """Its network."""


def features_of(extractor: Opened | str | None, examined: Opened) -> tuple[FeatureExtractor | None, tuple[str, ...]]:
    """Return the extractor that is asked for, and the classes that it knows.

    Args:
        extractor: a classifier's run, "inception", or None for the pixels (which needs no extractor: None is returned).
        examined: the run whose images are compared.

    Raises:
        InputError: the extractor is no classifier, of images of another size, or its weights are not there.
    """
    if extractor is None:
        return None, examined.classes
    if isinstance(extractor, str):
        return inception_features(), examined.classes
    if extractor.facts.shape != examined.facts.shape:
        raise InputError(
            f"{extractor.folder}: takes images of {extractor.facts.shape}, but {examined.folder} makes {examined.facts.shape}; "
            "train it at the same resolution"
        )
    name = f"{extractor.spec.model.name} of run {extractor.folder.name}"
    return run_features(extractor.model, name, extractor.facts.shape), extractor.classes


def inception_features() -> FeatureExtractor:
    """Return the extractor of published FIDs: the 2,048 pooled features of TensorFlow's Inception of 2015, by torchmetrics (Heusel et al. 2017).

    Its weights are torch-fidelity's file in torch's hub folder; nothing is downloaded. Grey images are repeated over three channels.

    Raises:
        InputError: the file or a package is not there, or the file holds more than weights.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION_WEIGHTS
    if not file.is_file():
        raise InputError(
            f"extractor: '{INCEPTION}' needs the weights of torch-fidelity, but there is no {file}; put them there, "
            "or name the run of a classifier of such images"
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
    def features(images: Tensor) -> Features:
        chunks = (chunk.expand(-1, 3, -1, -1) for chunk in images.split(INCEPTION_CHUNK))  # type: ignore[no-untyped-call]
        return Features(torch.cat([network(chunk).float() for chunk in chunks]))

    return FeatureExtractor("Inception of 2015, 2048 features", features)
