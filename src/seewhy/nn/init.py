"""Weight initialisation by name.

Letters: w a weight, fan_in the inputs that one output unit sums over (channels in a group x kernel area for a convolution), fan_out
the outputs that one input unit feeds (channels out in a group x kernel area). Biases start at 0. All draws come from the generator
that is given, in the order of the modules, so equal seeds give equal bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError
from seewhy.core.registry import Registry, Technique
from seewhy.nn.activations import gain

Init = Callable[..., None]
"""`f(weight, *, groups, gain, generator)`: fills `weight` (out, in / groups, ...) in place."""

INITS: Registry[Init] = Registry("initialisations", "model.init")

NORMAL_STD = 0.01


def fans(weight: Tensor, groups: int = 1) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight of shape (out, in / groups, *kernel)."""
    area = math.prod(weight.shape[2:])
    return weight.shape[1] * area, weight.shape[0] // groups * area


@torch.no_grad()
def init_(module: nn.Module, name: str, *, activation: str | None, generator: torch.Generator) -> None:
    """Initialise every linear and convolution layer inside `module`, in place.

    Args:
        module: a layer or a network.
        name: one of `INITS`.
        activation: the activation that follows the layers, whose gain `he` and `orthogonal` apply; None for none.
        generator: source of all draws.

    Raises:
        InputError: the name is not known, or is `dirac` and `module` is a linear layer.
    """
    fill, factor = INITS[name].factory, gain(activation)
    for layer in module.modules():
        if not isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            continue
        groups = 1 if isinstance(layer, nn.Linear) else layer.groups
        fill(layer.weight, groups=groups, gain=factor, generator=generator)
        if layer.bias is not None:
            layer.bias.zero_()


def normal(weight: Tensor, *, groups: int, gain: float, generator: torch.Generator) -> None:  # noqa: ARG001
    """W ~ N(0, 0.01^2), whatever the fans."""
    weight.normal_(0.0, NORMAL_STD, generator=generator)


def lecun(weight: Tensor, *, groups: int, gain: float, generator: torch.Generator) -> None:  # noqa: ARG001
    """W ~ N(0, 1 / fan_in)."""
    weight.normal_(0.0, fans(weight, groups)[0] ** -0.5, generator=generator)


def xavier(weight: Tensor, *, groups: int, gain: float, generator: torch.Generator) -> None:  # noqa: ARG001
    """W ~ N(0, 2 / (fan_in + fan_out))."""
    weight.normal_(0.0, math.sqrt(2.0 / sum(fans(weight, groups))), generator=generator)


def he(weight: Tensor, *, groups: int, gain: float, generator: torch.Generator) -> None:
    """W ~ N(0, gain^2 / fan_in): 2 / ((1 + a^2) fan_in) for rectifiers with slope a below zero."""
    weight.normal_(0.0, gain / math.sqrt(fans(weight, groups)[0]), generator=generator)


def orthogonal(weight: Tensor, *, groups: int, gain: float, generator: torch.Generator) -> None:
    """Orthonormal rows (or columns, whichever are fewer) of the matrix (out / groups, fan_in) of each group, times the gain.

    The orthogonal factor of a normal matrix's QR decomposition, with the signs of R's diagonal put into it, is uniformly distributed.
    """
    for part in weight.chunk(groups):
        rows, columns = part.shape[0], part[0].numel()
        draw = torch.empty(max(rows, columns), min(rows, columns), dtype=torch.float64).normal_(generator=generator)
        q, r = torch.linalg.qr(draw)
        q = q * r.diagonal().sign()
        part.copy_((gain * (q if rows >= columns else q.T)).reshape(part.shape))


def dirac(weight: Tensor, *, groups: int, gain: float, generator: torch.Generator) -> None:  # noqa: ARG001
    """The first in-channels filters of each group pass their channel through; the others are w ~ U(-1, 1) / sqrt(fan_in)."""
    if weight.dim() < 3:
        raise InputError("model.init: 'dirac' is for convolutions, got a linear layer; choose he, xavier or lecun")
    bound = fans(weight, groups)[0] ** -0.5
    weight.uniform_(-bound, bound, generator=generator)
    centre = [side // 2 for side in weight.shape[2:]]
    for part in weight.chunk(groups):
        same = torch.arange(min(part.shape[:2]))
        part[same] = 0.0
        at: tuple[Tensor | int, ...] = (same, same, *centre)
        part[at] = 1.0


INITS.add(
    Technique(
        name="normal",
        factory=normal,
        summary=f"fixed small deviation {NORMAL_STD}: shows what goes wrong in deep networks",
        formula="w ~ N(0, 0.01^2)",
        source="classical",
        good_for="shallow networks, demonstrations",
        bad_for="deep networks without normalisation: the signal vanishes",
        claims=("C09",),
    )
)
INITS.add(
    Technique(
        name="lecun",
        factory=lecun,
        summary="keeps the variance of linear layers forward",
        formula="Var w = 1 / fan_in",
        source="LeCun et al. 1998, Efficient BackProp",
        good_for="tanh and self-normalising networks",
        bad_for="deep ReLU networks without normalisation",
        claims=("C10",),
    )
)
INITS.add(
    Technique(
        name="xavier",
        factory=xavier,
        summary="a compromise between keeping the variance forward and backward",
        formula="Var w = 2 / (fan_in + fan_out)",
        source="Glorot & Bengio 2010",
        good_for="tanh networks",
        bad_for="deep ReLU networks: the variance halves per layer",
        claims=("C10",),
    )
)
INITS.add(
    Technique(
        name="he",
        factory=he,
        summary="keeps the mean square of the signal under rectifiers",
        formula="Var w = 2 / ((1 + a^2) fan_in), a the slope below zero; elsewhere gain^2 / fan_in",
        source="He et al. 2015, 1502.01852",
        good_for="ReLU and its relatives",
        bad_for="nothing in particular",
        claims=("C10",),
    )
)
INITS.add(
    Technique(
        name="orthogonal",
        factory=orthogonal,
        summary="orthonormal rows times the activation's gain",
        formula="W W' = gain^2 I (or W' W, whichever is smaller)",
        source="Saxe et al. 2014, 1312.6120",
        good_for="very deep and recurrent networks",
        bad_for="start-up time of very wide layers",
    )
)
INITS.add(
    Technique(
        name="dirac",
        factory=dirac,
        summary="filters that pass their input through, the rest small and random",
        formula="w[i, i, centre] = 1 for i < C_in, 0 elsewhere in filter i; other filters w ~ U(-1, 1) / sqrt(fan_in)",
        source="Zagoruyko & Komodakis 2017, 1706.00388; Jordan 2024, 2404.00498",
        good_for="plain convolutional networks trained for few epochs",
        bad_for="linear layers, for which it is refused",
    )
)
