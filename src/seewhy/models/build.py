"""Networks by name, from named choices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.models.convnet import ConvNet
from seewhy.models.design import Design
from seewhy.models.mlp import MLP
from seewhy.models.resnet import MOST_STAGES, ResNet
from seewhy.nn import ResidualBlock, init_

Shape = tuple[int, int, int]
Net = MLP | ConvNet | ResNet

MODELS: Registry[Callable[..., Net]] = Registry("networks", "model.name")
"""`f(in_shape, classes, design)`."""

STEMS: dict[str, tuple[str, ...]] = {
    "mlp": (),
    "convnet": ("whitening", "small", "large"),
    "resnet": ("small", "large"),
}
"""The first layers that each network may have; the first named is the usual one for small pictures."""

SMALL = 64
"""Sides of up to this many pixels are small pictures."""

LEAST_SIDE = 4


def build(name: str, *, in_shape: Shape, classes: int, generator: torch.Generator, design: Design | None = None) -> Net:
    """Return a network that maps normalised pictures (N, C, H, W) to logits (N, K).

    Args:
        name: one of `MODELS`.
        in_shape: (C, H, W).
        classes: K, at least 2.
        generator: source of every weight: equal states give equal bits. The global generator is left as it was.
        design: the choices; None for the usual ones.

    Raises:
        InputError: a name is not known, a number is out of range, or choices do not fit together.
    """
    factory, design = MODELS[name].factory, design or Design()
    if min(in_shape[1:]) < LEAST_SIDE or in_shape[0] < 1:
        raise bad_value("in_shape", in_shape, f"(channels, height, width) with sides of at least {LEAST_SIDE} pixels")
    if classes < 2:
        raise bad_value("classes", classes, "at least 2")
    design.check()
    _check_fit(name, design)
    design = replace(design, stem=_stem(name, design.stem, max(in_shape[1:])), width=design.true_width)
    with torch.random.fork_rng(devices=[]):  # constructors draw weights, which are replaced
        net = factory(in_shape, classes, design)
    _start(net, design, generator)
    if design.norm == "instance":
        with torch.no_grad():
            net(torch.zeros(2, *in_shape))  # refuses maps of a single place
    return net


@torch.no_grad()
def _start(net: Net, design: Design, generator: torch.Generator) -> None:
    """Draw all weights."""
    for part in net.children():
        if part is not net.head:
            init_(part, design.init, activation=design.act, generator=generator, std=design.init_std)
    if isinstance(net, ConvNet):
        # Maxima over the map are large and positive: start with small logits, as wide networks need (Yang et al. 2022).
        net.head.weight.normal_(0.0, 1.0 / net.head.in_features, generator=generator)
    else:
        rule = "lecun" if design.init == "dirac" else design.init
        init_(net.head, rule, activation=None, generator=generator, std=design.init_std)
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            module.start_as_shortcut()


def _check_fit(name: str, design: Design) -> None:
    if name == "mlp" and design.init == "dirac":
        raise InputError(
            "model.init: 'dirac' is for convolutions, but model.name is 'mlp'; choose he, xavier, lecun, orthogonal or normal"
        )
    if name == "mlp" and design.norm == "instance":
        raise InputError(
            "model.norm: 'instance' normalises over the places of a map, but model.name is 'mlp'; choose batch, layer or group"
        )
    if design.stochastic_depth and name != "resnet":
        raise InputError(
            f"reg.stochastic_depth: skips residual blocks, which a {name} does not have; choose resnet or leave it out"
        )
    if design.pool != "max" and name != "convnet":
        raise InputError(
            f"model.pool: {design.pool!r} is for convnet, but model.name is {name!r}; choose convnet or max"
        )
    if name == "resnet" and design.depth > MOST_STAGES:
        raise bad_value(
            "model.depth", design.depth, f"at most {MOST_STAGES} for resnet", "each stage doubles the width"
        )


def _stem(name: str, stem: str | None, side: int) -> str | None:
    """Return the stem that is meant; raises InputError for one that does not fit."""
    allowed = STEMS[name]
    if not allowed:
        if stem is not None:
            raise InputError(f"model.stem: an {name} has no stem, got {stem!r}; leave it out")
        return None
    if stem is None:
        return allowed[0] if side <= SMALL else "large"
    if stem not in allowed:
        advice = "it belongs to convnet" if stem == "whitening" else ""
        raise bad_value("model.stem", stem, f"one of {', '.join(allowed)} for {name}", advice)
    if stem == "whitening" and side > SMALL:
        raise bad_value("model.stem", stem, f"small or large for pictures of more than {SMALL} pixels")
    return stem


MODELS.add(
    Technique(
        name="mlp",
        factory=MLP,
        summary="fully connected layers",
        formula="flatten -> depth x [linear, norm, activation] -> linear",
        source="Rumelhart et al. 1986",
        good_for="studying activations, initialisation and optimisers; tiny pictures",
        bad_for="accuracy on pictures: it has to learn every place anew",
        claims=("C02", "C09", "C10"),
    )
)
MODELS.add(
    Technique(
        name="convnet",
        factory=ConvNet,
        summary="plain convolutions behind a whitening layer, fast on small pictures",
        formula="stem -> depth x [conv3x3, max-pool, norm, activation, conv3x3, norm, activation] -> global max -> linear",
        source="LeCun et al. 1998; Jordan 2024, 2404.00498",
        good_for="pictures of up to 64 pixels and few epochs",
        bad_for="many layers: there are no shortcuts",
    )
)
MODELS.add(
    Technique(
        name="resnet",
        factory=ResNet,
        summary="residual network: layers beside shortcuts",
        formula="stem -> depth stages of 2 blocks y = f(F(x) + s(x)) -> global average -> linear",
        source="He et al. 2016, 1512.03385",
        good_for="larger pictures, depth",
        bad_for="the first minutes on tiny pictures, where convnet is ahead",
    )
)
