"""How a choice starts a deep network: activations and gradients layer by layer, before the first step."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch.nn import functional as F

from seewhy import data as seewhy_data
from seewhy import models, nn
from seewhy.core.errors import InputError
from seewhy.core.seeding import rng

IMAGES = 256
DEPTH, WIDTH = 12, 128
"""Of the multilayer perceptron that is measured: deep enough for a small factor a layer to show."""

FITTING = {"lecun": "tanh", "xavier": "tanh"}
"""Activations that initialisations are made for; the others are for relu."""


def initial_statistics(name: str, source: str = "digits") -> list[dict[str, Any]]:
    """Return statistics of activations and gradients of a deep multilayer perceptron that uses a technique, at its initialisation.

    Args:
        name: an initialisation (with the activation it is made for), an activation or a normalisation (with He's initialisation). Nothing
            is normalised but by the normalisation that is asked for.
        source: the data of which a batch is shown.

    Returns:
        One mapping a layer, the fields of `seewhy.nn.LayerStatistics`.

    Raises:
        InputError: the name is of none of these families, or does not suit a multilayer perceptron.
    """
    design = _design(name)
    dataset = seewhy_data.load_dataset(source)
    split = dataset.train
    rows = torch.randperm(len(split), generator=rng(0, "spread"))[:IMAGES].sort().values
    images, labels = split.images(rows), split.labels[rows]
    net = models.build_classifier(
        "mlp",
        in_shape=(dataset.channels, dataset.height, dataset.width),
        classes=len(dataset.classes),
        rng=rng(0, "weights"),
        design=design,
    )
    classifier = models.Classifier(net, dataset.mean, dataset.std)
    models.prepare_classifier(classifier, images, design)
    statistics = nn.layer_statistics(net, classifier.normalise(images), lambda logits: F.cross_entropy(logits, labels))
    return [asdict(layer) for layer in statistics]


def _design(name: str) -> models.ClassifierDesign:
    plain = models.ClassifierDesign(norm="none", depth=DEPTH, width=WIDTH)
    if name in nn.INITS.names():
        return replace(plain, init=name, activation=FITTING.get(name, "relu"))
    if name in nn.ACTIVATIONS.names():
        return replace(plain, activation=name)
    if name in nn.NORMS.names():
        return replace(plain, norm=name)
    raise InputError(
        f"--show: draws initialisations, activations and normalisations, got {name!r}; see `seewhy techniques`"
    )
