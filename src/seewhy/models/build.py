"""Networks by name, from named choices."""

from __future__ import annotations

from collections.abc import Callable

import torch

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.models.convnet import ConvNet
from seewhy.models.mlp import MLP
from seewhy.models.resnet import MOST_STAGES, ResNet
from seewhy.nn import ACTIVATIONS, INITS, NORMS, Parts, ResidualBlock, init_

Shape = tuple[int, int, int]
Net = MLP | ConvNet | ResNet

MODELS: Registry[Callable[..., Net]] = Registry("networks", "model.name")
"""`f(in_shape, classes, parts, *, width, depth, dropout)`, and `stem` for those with one."""

STEMS: dict[str, tuple[str, ...]] = {
    "mlp": (),
    "convnet": ("whitening", "small", "large"),
    "resnet": ("small", "large"),
}
"""The first layers that each network may have; the first named is the usual one for small pictures."""

SMALL = 64
"""Sides of up to this many pixels are small pictures."""

LEAST_SIDE = 4


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
) -> Net:
    """Return a network that maps normalised pictures (N, C, H, W) to logits (N, K).

    Args:
        name: one of `MODELS`.
        in_shape: (C, H, W).
        classes: K, at least 2.
        activation: one of `seewhy.nn.ACTIVATIONS`.
        init: one of `seewhy.nn.INITS`.
        norm: one of `seewhy.nn.NORMS`.
        width: units of a hidden layer, or channels of the first group.
        depth: hidden layers, or groups (stages).
        stem: one of `STEMS[name]`; None for the usual one at this size.
        dropout: probability with which an input of the output layer is dropped in training.
        generator: source of every weight: equal states give equal bits. The global generator is left as it was.

    Raises:
        InputError: a name is not known, a number is out of range, or choices do not fit together.
    """
    factory = MODELS[name].factory
    parts = Parts(ACTIVATIONS[activation].name, NORMS[norm].name)
    _check_numbers(in_shape, classes, width, depth, dropout)
    _check_fit(name, INITS[init].name, depth)
    options = {}
    if STEMS[name]:
        options["stem"] = _stem(name, stem, max(in_shape[1:]))
    elif stem is not None:
        raise InputError(f"model.stem: an {name} has no stem, got {stem!r}; leave it out")
    with torch.random.fork_rng(devices=[]):  # constructors draw weights, which are replaced
        net = factory(in_shape, classes, parts, width=width, depth=depth, dropout=dropout, **options)
    _start(net, init, activation, generator)
    return net


@torch.no_grad()
def _start(net: Net, init: str, activation: str, generator: torch.Generator) -> None:
    """Draw all weights."""
    for part in net.children():
        if part is not net.head:
            init_(part, init, activation=activation, generator=generator)
    if isinstance(net, ConvNet):
        # Maxima over the map are large and positive: start with small logits, as wide networks need (Yang et al. 2022).
        net.head.weight.normal_(0.0, 1.0 / net.head.in_features, generator=generator)
    else:
        init_(net.head, "lecun" if init == "dirac" else init, activation=None, generator=generator)
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            module.start_as_shortcut()


def _check_numbers(in_shape: Shape, classes: int, width: int, depth: int, dropout: float) -> None:
    if min(in_shape[1:]) < LEAST_SIDE or in_shape[0] < 1:
        raise bad_value("in_shape", in_shape, f"(channels, height, width) with sides of at least {LEAST_SIDE} pixels")
    if classes < 2:
        raise bad_value("classes", classes, "at least 2")
    if width < 1:
        raise bad_value("model.width", width, "at least 1")
    if depth < 1:
        raise bad_value("model.depth", depth, "at least 1")
    if not 0 <= dropout < 1:
        raise bad_value("reg.dropout", dropout, "at least 0 and less than 1")


def _check_fit(name: str, init: str, depth: int) -> None:
    if name == "mlp" and init == "dirac":
        raise InputError(
            "model.init: 'dirac' is for convolutions, but model.name is 'mlp'; choose he, xavier, lecun, orthogonal or normal"
        )
    if name == "resnet" and depth > MOST_STAGES:
        raise bad_value("model.depth", depth, f"at most {MOST_STAGES} for resnet", "each stage doubles the width")


def _stem(name: str, stem: str | None, side: int) -> str:
    allowed = STEMS[name]
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
