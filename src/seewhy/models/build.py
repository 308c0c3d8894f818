"""Networks by name, from named choices."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.core.registry import Registry, Technique
from seewhy.models.convnet import ConvNet
from seewhy.models.mlp import MLP
from seewhy.models.resnet import ResNet
from seewhy.nn import ACTIVATIONS, INITS, NORMS, Parts, ResidualBlock, init_

Shape = tuple[int, int, int]
MODELS: Registry[Callable[..., nn.Module]] = Registry("networks", "model.name")
STEMS = {"mlp": (), "convnet": ("whitening", "small", "large"), "resnet": ("small", "large")}

SMALL = 64
"""Sides of up to this many pixels are small pictures."""


def build(
    name: str,
    *,
    in_shape: Shape,
    classes: int,
    activation: str = "relu",
    init: str = "he",
    norm: str = "batch",
    width: int = 64,
    depth: int = 3,
    stem: str | None = None,
    dropout: float = 0.0,
    generator: torch.Generator,
) -> nn.Module:
    """Return a network that maps normalised pictures (N, C, H, W) to logits (N, K)."""
    MODELS[name]
    parts = Parts(ACTIVATIONS[activation].name, NORMS[norm].name)
    INITS[init]
    if stem is None and name != "mlp":
        stem = "large" if max(in_shape[1:]) > SMALL else "whitening" if name == "convnet" else "small"
    if stem is not None and stem not in STEMS[name]:
        raise unknown_name("model.stem", stem, STEMS[name])
    if not 0 <= dropout < 1:
        raise bad_value("reg.dropout", dropout, "at least 0 and less than 1")
    options = {} if stem is None else {"stem": stem}
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that init_ replaces
        net = MODELS[name].factory(in_shape, classes, parts, width=width, depth=depth, dropout=dropout, **options)
    if init == "dirac" and name == "mlp":
        raise InputError("model.init: 'dirac' is for convolutions")
    head = net.head
    del net.head
    init_(net, init, activation=activation, generator=generator)
    net.head = head
    init_(head, "lecun" if init == "dirac" else init, activation=None, generator=generator)
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            module.start_as_shortcut()
    return net


MODELS.add(Technique(name="mlp", factory=MLP, summary="fully connected layers"))
MODELS.add(Technique(name="convnet", factory=ConvNet, summary="plain convolutions, fast on small pictures"))
MODELS.add(Technique(name="resnet", factory=ResNet, summary="residual network"))
