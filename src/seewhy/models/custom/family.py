"""The family of networks that users bring: what training, runs and reports ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.core.seeding import rng
from seewhy.core.trust import imported
from seewhy.models.classifiers import family as classifiers
from seewhy.models.classifiers.classifier import Classifier
from seewhy.models.weights import seeded_weights
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.custom import Custom
from seewhy.spec.view import View

FIELD = "model.factory"


def examine(view: View) -> None:
    """Import the factory before any data are read."""
    imported(FIELD, view[FIELD])


def build(spec: RunSpec, facts: DataFacts, mean: Sequence[float], std: Sequence[float]) -> Classifier:
    """Build the network, whose first weights follow from the run's seed."""
    model = spec.model
    assert isinstance(model, Custom)
    factory: Any = imported(FIELD, model.factory)
    try:
        with seeded_weights(rng(spec.train.seed, "weights")):
            net = factory(facts.shape, facts.classes)
    except Exception as error:
        raise InputError(
            f"{FIELD}: {model.factory}({facts.shape}, {facts.classes}) fails: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(net, nn.Module):
        raise InputError(f"{FIELD}: {model.factory} must return a torch.nn.Module, got {type(net).__name__}")
    _validate(model.factory, net, facts)
    if model.inputs == "unit":
        mean, std = (0.0,) * facts.channels, (1.0,) * facts.channels
    return Classifier(net, mean, std)


@torch.no_grad()
def _validate(name: str, net: nn.Module, facts: DataFacts) -> None:
    """Refuse a network that does not map images (N, C, H, W) to logits (N, K)."""
    training = net.training
    net.eval()
    try:
        logits = net(torch.zeros(2, *facts.shape))
    except Exception as error:
        raise InputError(
            f"{FIELD}: the network of {name} fails on images (2, {', '.join(map(str, facts.shape))}): {type(error).__name__}: {error}"
        ) from error
    finally:
        net.train(training)
    if not isinstance(logits, Tensor) or tuple(logits.shape) != (2, facts.classes):
        came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"{FIELD}: the network of {name} must return logits (2, {facts.classes}) of 2 images, got {came}"
        )


def prepare(network: nn.Module, images: Tensor, spec: RunSpec) -> None:
    """Leave the network as its factory made it."""


def announce(spec: RunSpec) -> list[tuple[str, str]]:
    """Describe the network in the plan."""
    assert isinstance(spec.model, Custom)
    inputs = ", pixels from 0 to 1" if spec.model.inputs == "unit" else ""
    return [("network", f"{spec.model.factory}{inputs}")]


IMPLEMENTATION = replace(classifiers.IMPLEMENTATION, build=build, prepare=prepare, announce=announce, examine=examine)
