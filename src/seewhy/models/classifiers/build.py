"""Classifiers' networks by name."""

from __future__ import annotations

from dataclasses import replace

import torch

from seewhy.core.errors import InputError, bad_value, unknown_name
from seewhy.models.classifiers.convnet import ConvNet
from seewhy.models.classifiers.design import ClassifierDesign
from seewhy.models.classifiers.mlp import MLP
from seewhy.models.classifiers.resnet import MOST_STAGES, ResNet
from seewhy.nn import ResidualBlock, init_

Shape = tuple[int, int, int]
Net = MLP | ConvNet | ResNet

CLASSIFIERS: dict[str, type[MLP] | type[ConvNet] | type[ResNet]] = {"mlp": MLP, "convnet": ConvNet, "resnet": ResNet}

STEMS: dict[str, tuple[str, ...]] = {
    "mlp": (),
    "convnet": ("whitening", "small", "large"),
    "resnet": ("small", "large"),
}
"""The first layers that each network may have; the first named is the usual one for small images."""

SMALL = 64
"""Images with sides of up to this many pixels are small."""

LEAST_SIDE = 4


def build_classifier(
    name: str, *, in_shape: Shape, classes: int, rng: torch.Generator, design: ClassifierDesign | None = None
) -> Net:
    """Return a network that maps normalised images (N, C, H, W) to logits (N, K).

    Args:
        name: one of `CLASSIFIERS`.
        in_shape: (C, H, W).
        classes: K, at least 2.
        rng: source of every weight: equal states give equal bits. torch's global source is left as it was.
        design: the choices; None for the usual ones.

    Raises:
        InputError: a name is not known, a number is out of range, or choices do not fit together.
    """
    if name not in CLASSIFIERS:
        raise unknown_name("name", name, CLASSIFIERS)
    if min(in_shape[1:]) < LEAST_SIDE or in_shape[0] < 1:
        raise bad_value("in_shape", in_shape, f"(channels, height, width) with sides of at least {LEAST_SIDE} pixels")
    if classes < 2:
        raise bad_value("classes", classes, "at least 2")
    design = design or ClassifierDesign()
    design.validate()
    _validate_fit(name, design)
    design = replace(design, stem=_stem(name, design.stem, max(in_shape[1:])))
    with torch.random.fork_rng(devices=[]):  # constructors sample weights, which are replaced
        net = CLASSIFIERS[name](in_shape, classes, design)
    _initialise(net, design, rng)
    if design.norm_choice.name == "instance":
        with torch.no_grad():
            net(torch.zeros(2, *in_shape))  # refuses maps of a single position
    return net


@torch.no_grad()
def _initialise(net: Net, design: ClassifierDesign, rng: torch.Generator) -> None:
    """Set all weights."""
    init = design.init_choice
    for part in net.children():
        if part is not net.head:
            init_(part, init.name, activation=design.act, rng=rng, **init.options)
    if isinstance(net, ConvNet):
        # Maxima over the map are large and positive: start with small logits, as wide networks need (Yang et al. 2022).
        net.head.weight.normal_(0.0, 1.0 / net.head.in_features, generator=rng)
    else:
        init_(net.head, "lecun" if init.name == "dirac" else init.name, activation=None, rng=rng, **init.options)
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            module.start_as_shortcut()


def _validate_fit(name: str, design: ClassifierDesign) -> None:
    if name == "mlp" and design.init_choice.name == "dirac":
        raise InputError(
            "init: 'dirac' is for convolutions, which an mlp does not have; choose he, xavier, lecun, orthogonal or normal"
        )
    if name == "mlp" and design.norm_choice.name == "instance":
        raise InputError(
            "norm: 'instance' normalises over the positions of a map, which an mlp does not have; choose batch, layer or group"
        )
    if design.regularisers.stochastic_depth and name != "resnet":
        raise InputError(
            f"stochastic_depth: skips residual blocks, which {_article(name)} does not have; choose resnet or leave it out"
        )
    if design.pool_choice.name != "max" and name != "convnet":
        raise InputError(
            f"pool: {design.pool_choice.name!r} is for convnet, but the network is {_article(name)}; choose convnet or max"
        )
    if name == "resnet" and design.depth > MOST_STAGES:
        raise bad_value("depth", design.depth, f"at most {MOST_STAGES} for resnet", "each stage doubles the width")


def _article(name: str) -> str:
    return f"an {name}" if name == "mlp" else f"a {name}"


def _stem(name: str, stem: str | None, side: int) -> str | None:
    """Return the stem that is meant; raises InputError for one that does not fit."""
    allowed = STEMS[name]
    if not allowed:
        if stem is not None:
            raise InputError(f"stem: {_article(name)} has no stem, got {stem!r}; leave it out")
        return None
    if stem is None:
        return allowed[0] if side <= SMALL else "large"
    if stem not in allowed:
        advice = "it belongs to convnet" if stem == "whitening" else ""
        raise bad_value("stem", stem, f"one of {', '.join(allowed)} for {name}", advice)
    if stem == "whitening" and side > SMALL:
        raise bad_value("stem", stem, f"small or large for images of more than {SMALL} pixels")
    return stem
