"""Encoders, from pictures to features of a code, and decoders, from codes to maps of a picture.

    dense   pictures in a row, `depth` hidden layers of `width` units, and the same back (Burda et al. 2016: 784-200-200-50, tanh)
    conv    `depth` 3 x 3 convolutions of stride 2 with width, 2 width, 4 width ... features, and back by repeating pixels and convolving,
            which leaves none of the checks that transposed convolutions do (Odena et al. 2016). Sides of at least 4, even or odd.

A class is told as a one-hot vector beside what comes in: beside the pixels (dense) or the last features (conv) to an encoder, beside the
code to a decoder. A decoder ends in a bias for each value of its maps, which `start` sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.nn import init_
from seewhy.nn.activations import Activation, variant

Shape = tuple[int, int, int]

LEAST_SIDE = 4
SMALLEST_MAP = 2


@dataclass(frozen=True, kw_only=True)
class CoderDesign:
    """What encoder and decoder are built from.

    Attributes:
        kind: one of `CODERS`.
        width: units of a hidden layer, or features of the largest maps.
        depth: hidden layers, or halvings of the picture; a picture is not halved below 2 pixels a side.
        activation: one of `seewhy.nn.ACTIVATIONS`.
        classes: K, where the class is told; None where not.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    kind: str = "dense"
    width: int = 200
    depth: int = 2
    activation: str = "tanh"
    classes: int | None = None

    def __post_init__(self) -> None:
        CODERS[self.kind]
        variant(self.activation)
        if self.width < 1:
            raise bad_value("model.width", self.width, "at least 1")
        if self.depth < 1:
            raise bad_value("model.depth", self.depth, "at least 1")
        if self.classes is not None and self.classes < 1:
            raise bad_value("classes", self.classes, "at least 1, or None")

    @property
    def told(self) -> int:
        """How many numbers tell the class: K, or none."""
        return self.classes or 0

    @property
    def act(self) -> Activation:
        """The factory of the activation."""
        return variant(self.activation)

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a network from pictures (N, C, H, W), float32 around 0, and labels to features, float32 (N, outputs)."""
        return CODERS[self.kind].factory(shape, self).encoder(outputs)

    def decoder(self, shape: Shape, code: int, maps: int) -> Decoder:
        """Return a network from codes (*, code) and labels to maps, float32 (*, maps, H, W)."""
        return CODERS[self.kind].factory(shape, self).decoder(code, maps)


def widened(x: Tensor) -> Tensor:
    """Return x in float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def with_class(x: Tensor, labels: Tensor | None, classes: int | None) -> Tensor:
    """Return x (*, N, F) with the one-hot vectors of labels (N) behind its features: (*, N, F + K); x itself where there are no classes."""
    if classes is None or labels is None:
        return x
    return torch.cat([x, F.one_hot(labels, classes).to(x.dtype).expand(*x.shape[:-1], classes)], dim=-1)


class Decoder(nn.Module):
    """What decoders share: maps (*, P, H, W) of codes (*, N, D), with a bias of their own for each value.

    Args:
        maps: P, H and W.
        classes: K, or None.
        body: from rows (M, D + K) to maps (M, P, H, W), without bias.
    """

    def __init__(self, maps: Shape, classes: int | None, body: nn.Module) -> None:
        super().__init__()
        self.maps, self.classes, self.body = maps, classes, body
        self.bias = nn.Parameter(torch.zeros(maps))

    @torch.no_grad()
    def start(self, maps: Tensor) -> None:
        """Set the bias to maps (P, H, W)."""
        self.bias.copy_(maps)

    def forward(self, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """Codes (*, N, D), labels int64 (N) -> maps, float32 (*, N, P, H, W)."""
        rows = with_class(codes, labels, self.classes)
        found: Tensor = widened(self.body(rows.flatten(0, -2)))
        return (found.view(-1, *self.maps) + self.bias).view(*codes.shape[:-1], *self.maps)


def _hidden(layers: list[nn.Module], act: Activation) -> nn.Sequential:
    """Initialise layers in front of activations by Xavier's rule (tanh and sigmoid) or He's, and chain them."""
    chain = nn.Sequential(*layers)
    rule = "xavier" if act.gain in (1.0, 5.0 / 3.0) else "he"
    init_(chain, rule, activation=act, generator=torch.default_generator)
    return chain


def _head(layer: nn.Linear | nn.Conv2d) -> nn.Module:
    """Initialise a layer that no activation follows."""
    init_(layer, "xavier", activation=None, generator=torch.default_generator)
    return layer


def _dense(features: int, design: CoderDesign) -> nn.Sequential:
    sizes, act = [features, *[design.width] * design.depth], design.act
    layers: list[nn.Module] = []
    for inner, outer in pairwise(sizes):
        layers += [nn.Linear(inner, act.pieces * outer), act(features=outer)]
    return _hidden(layers, act)


class DenseEncoder(nn.Module):
    """flatten -> depth x [linear, activation] -> linear: (N, C, H, W) -> (N, outputs)."""

    def __init__(self, shape: Shape, outputs: int, design: CoderDesign) -> None:
        super().__init__()
        self.classes = design.classes
        self.layers = _dense(math.prod(shape) + design.told, design)
        self.head = _head(nn.Linear(design.width, outputs))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return features, float32 (N, outputs)."""
        return widened(self.head(self.layers(with_class(x.flatten(1), labels, self.classes))))


@dataclass(frozen=True)
class Dense:
    """Dense encoders and decoders of pictures of one shape."""

    shape: Shape
    design: CoderDesign

    def encoder(self, outputs: int) -> nn.Module:
        """Return a `DenseEncoder`."""
        return DenseEncoder(self.shape, outputs, self.design)

    def decoder(self, code: int, maps: int) -> Decoder:
        """Return depth x [linear, activation] -> linear."""
        height, width = self.shape[1:]
        layers = _dense(code + self.design.told, self.design)
        head = _head(nn.Linear(self.design.width, maps * height * width, bias=False))
        return Decoder((maps, height, width), self.design.classes, nn.Sequential(*layers, head))


def sides(shape: Shape, depth: int) -> list[tuple[int, int]]:
    """Return (H, W) of a picture's maps, halved (rounded up) at most `depth` times and not below 2 pixels a side.

    Raises:
        InputError: a side is shorter than 4.
    """
    height, width = shape[1:]
    if min(height, width) < LEAST_SIDE:
        raise InputError(
            f"generator.coder: 'conv' is for pictures with sides of at least {LEAST_SIDE}, got {height} x {width}; choose dense"
        )
    found = [(height, width)]
    while len(found) <= depth and (min(found[-1]) + 1) // 2 >= SMALLEST_MAP:
        height, width = found[-1]
        found.append(((height + 1) // 2, (width + 1) // 2))
    return found


class ConvEncoder(nn.Module):
    """Depth x [3 x 3 convolution of stride 2, activation] -> linear: (N, C, H, W) -> (N, outputs)."""

    def __init__(self, shape: Shape, outputs: int, design: CoderDesign) -> None:
        super().__init__()
        self.classes, act = design.classes, design.act
        maps = sides(shape, design.depth)
        layers: list[nn.Module] = []
        features = shape[0]
        for level in range(len(maps) - 1):
            wide = design.width << level
            layers += [nn.Conv2d(features, act.pieces * wide, 3, stride=2, padding=1), act(features=wide)]
            features = wide
        self.layers = _hidden(layers, act).to(memory_format=torch.channels_last)
        self.head = _head(nn.Linear(features * math.prod(maps[-1]) + design.told, outputs))

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return features, float32 (N, outputs)."""
        seen = self.layers(x.contiguous(memory_format=torch.channels_last)).flatten(1)
        return widened(self.head(with_class(seen, labels, self.classes)))


class Unfold(nn.Module):
    """Turn rows (N, F H W) into maps (N, F, H, W), channels last."""

    def __init__(self, size: Shape) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps."""
        return x.view(-1, *self.size).contiguous(memory_format=torch.channels_last)


class Enlarge(nn.Module):
    """Repeat pixels up to a size: (N, F, h, w) -> (N, F, H, W)."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the larger maps."""
        return F.interpolate(x, size=self.size, mode="nearest")


@dataclass(frozen=True)
class Conv:
    """Convolutional encoders and decoders of pictures of one shape."""

    shape: Shape
    design: CoderDesign

    def encoder(self, outputs: int) -> nn.Module:
        """Return a `ConvEncoder`."""
        return ConvEncoder(self.shape, outputs, self.design)

    def decoder(self, code: int, maps: int) -> Decoder:
        """Return linear, activation -> depth x [repeat pixels, 3 x 3 convolution, activation] -> 3 x 3 convolution."""
        act, grids = self.design.act, sides(self.shape, self.design.depth)
        features = self.design.width << (len(grids) - 2)
        first = features * math.prod(grids[-1])
        rows = nn.Linear(code + self.design.told, act.pieces * first)
        layers: list[nn.Module] = [rows, act(features=first), Unfold((features, *grids[-1]))]
        for level in reversed(range(len(grids) - 1)):
            wide = self.design.width << max(0, level - 1)
            conv = nn.Conv2d(features, act.pieces * wide, 3, padding=1)
            layers += [Enlarge(grids[level]), conv, act(features=wide)]
            features = wide
        head = _head(nn.Conv2d(features, maps, 3, padding=1, bias=False))
        body = nn.Sequential(*_hidden(layers, act), head).to(memory_format=torch.channels_last)
        return Decoder((maps, *self.shape[1:]), self.design.classes, body)


CODERS: Registry[Callable[..., Dense | Conv]] = Registry("coders", "generator.coder")
"""`f(shape, design)`."""

CODERS.add(
    Technique(
        name="dense",
        factory=Dense,
        summary="pixels in a row through hidden layers, and back",
        formula="h_0 = x, h_l = f(W_l h_(l-1) + b_l), z = V h_L + c; back likewise from z to the pixels",
        source="Burda et al. 2016, 1509.00519",
        good_for="small pictures, where it is many times faster",
        bad_for="large pictures: weights grow with the square of the side",
    )
)
CODERS.add(
    Technique(
        name="conv",
        factory=Conv,
        summary="strided convolutions, and back by repeating pixels and convolving",
        formula="z = V [f(3 x 3 convolution, stride 2)]^L x + c; back: f(W z + b), then L times [pixels repeated, f(3 x 3 convolution)]",
        source="Radford et al. 2016, 1511.06434; Odena et al. 2016",
        good_for="pictures of any size and colour",
        bad_for="the time of a step on small pictures",
    )
)
