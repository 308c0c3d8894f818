"""What a pretrained classifier is trained for, by regime: cross-entropy, with part of the network fixed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.data import Split, batch_bounds
from seewhy.metrics import log_loss
from seewhy.models.classifiers.classifier import Classifier
from seewhy.models.classifiers.objective import BATCH, cross_entropy, sections
from seewhy.models.classifiers.objective import objective as plain_objective
from seewhy.models.family import Engine, Inputs, Objective, Precomputed, Update
from seewhy.models.pretrained.network import PretrainedNet
from seewhy.spec import DataFacts, RunSpec
from seewhy.spec.pretrained import FIXED, PretrainedSection


def net_of(classifier: nn.Module) -> PretrainedNet:
    """Return the network of a classifier, behind its normalisation."""
    assert isinstance(classifier, Classifier)
    assert isinstance(classifier.net, PretrainedNet)
    return classifier.net


def objective(spec: RunSpec, facts: DataFacts, mean: Sequence[float]) -> Objective:
    """Return what training needs to know."""
    model, (reg, _) = spec.model, sections(spec)
    assert isinstance(model, PretrainedSection)
    found = plain_objective(spec, facts, mean)
    criterion = partial(cross_entropy, label_smoothing=reg.label_smoothing)
    if model.regime in FIXED:
        once = (Update("model", _of_features, criterion, direct=True),)
        start = partial(_start, means=model.regime == "nearest_mean")
        precomputed = Precomputed(features=_features, start=start, body="net.body")
        return replace(found, updates=lambda _step: once, validate=_validate, precomputed=precomputed)
    everything = (Update("model", lambda network, inputs: network(inputs.images), criterion),)
    head = (replace(everything[0], training_only=lambda network: net_of(network).head_only(), direct=True),)
    per_epoch = len(batch_bounds(facts.train_images, spec.train.batch_size))
    head_steps = round(model.head_epochs * per_epoch)
    return replace(found, updates=lambda step: head if step < head_steps else everything)


def _of_features(network: Any, inputs: Inputs) -> Tensor:
    return net_of(network).classify(inputs.images).float()


@torch.no_grad()
def _features(network: nn.Module, images: Tensor) -> Tensor:
    """Return the features (N, D), float32, of uint8 images (N, C, H, W), in evaluation mode."""
    assert isinstance(network, Classifier)
    network.eval()
    return net_of(network).features(network.normalise(images)).float()


def _start(network: nn.Module, features: Tensor, labels: Tensor, *, means: bool) -> None:
    net = net_of(network)
    features, labels = features.to(net.scale.device), labels.to(net.scale.device)
    net.standardise.measure(features)
    if means:
        net.start_at_means(features, labels)


@torch.no_grad()
def _validate(engine: Engine, model: nn.Module, split: Split) -> dict[str, float]:
    """Return log-loss (nats) and accuracy of a split of features."""
    model.eval()
    parts = []
    for rows in torch.split(torch.arange(len(split)), BATCH):
        with engine.autocast():
            parts.append(net_of(model).classify(split.images(rows).to(engine.device)).float().softmax(1).cpu())
    probabilities = torch.cat(parts)
    accuracy = (probabilities.argmax(1) == split.labels).float().mean().item()
    return {"loss": log_loss(probabilities, split.labels), "accuracy": accuracy}


NUMBERED = (
    r"net\.body\.(?:[^.]+\.)*?\d+(?:\.[a-z]\w*\.\d+)?(?=\.)",
    r"net\.body\.(?:[^.]+\.)*?[^.]*\d[^.]*(?=\.)",
)
"""Modules that are layers: those called by a number; where these are hardly any, those whose names hold one, such as a RegNet's s1."""

FEWEST = 4
"""Layers by which rates are graded."""


def layers_of(network: nn.Module) -> list[list[str]]:
    """Return the names of the body's parameters, layer by layer from the first: what lies under one numbered module is one layer.

    "net.body.layer1.0.conv1.weight" is of the layer "net.body.layer1.0"; parameters under no number are of the layer before them.
    """
    names = [name for name, _ in network.named_parameters() if name.startswith("net.body.")]
    layers = _layers(names, NUMBERED[0])
    return layers if len(layers) >= FEWEST else _layers(names, NUMBERED[1])


def _layers(names: Sequence[str], pattern: str) -> list[list[str]]:
    layers: list[list[str]] = []
    last = None
    for name in names:
        found = re.match(pattern, name)
        layer = found[0] if found is not None else last
        if not layers or layer != last:
            layers.append([])
        last = layer
        layers[-1].append(name)
    return layers


def rates(network: nn.Module, spec: RunSpec) -> Mapping[str, float]:
    """Return the share of the learning rate of each parameter of the body: r^(1 - i / L) for layer i of L (Howard & Ruder 2018, 1801.06146).

    r is model.lowest_rate; the head, which is not named, has the whole rate.
    """
    assert isinstance(spec.model, PretrainedSection)
    if spec.model.lowest_rate == 1.0:
        return {}
    layers = layers_of(network)
    return {
        name: spec.model.lowest_rate ** (1 - index / len(layers))
        for index, names in enumerate(layers)
        for name in names
    }
