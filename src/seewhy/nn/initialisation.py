"""Weight initialisation by name.

Letters: w a weight, fan_in the inputs that one output unit sums over (channels in a group x kernel area for a convolution), fan_out
the outputs that one input unit feeds (channels out in a group x kernel area). In a transposed convolution of stride s an output meets one
in s of the kernel's positions along each axis, so its fan_in is smaller by the product of the strides. The pieces of a maxout are filled one by
one: fan_out counts those of one piece, the only one of k that passes a gradient on. Biases start at 0. All random numbers come from the source
that is given, in the order of the modules, so equal seeds give equal bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.nn.activations import Activation, gain, variant
from seewhy.nn.maxout import MaxoutConv2d, MaxoutLinear, maxout_gain

Init = Callable[..., None]
"""`f(block, start, **options)`: fills `block` (out, in, *kernel), the weights of one group and piece, in place."""

INITS: Registry[Init] = Registry("initialisations", "init")

LSUV_TOLERANCE = 0.02
LSUV_MAX_ITER = 10

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
GROUPED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)
LAYERS = (nn.Linear, *GROUPED, MaxoutLinear, MaxoutConv2d)
"""Layers with a weight that initialisations fill."""

Layer = (
    nn.Linear
    | nn.Conv1d
    | nn.Conv2d
    | nn.Conv3d
    | nn.ConvTranspose1d
    | nn.ConvTranspose2d
    | nn.ConvTranspose3d
    | MaxoutLinear
    | MaxoutConv2d
)


@dataclass(frozen=True)
class Start:
    """What a rule may depend on beside the shape of the block it fills.

    Attributes:
        fan_in: see the module's text.
        fan_out: see the module's text.
        gain: of the activation that follows.
        rng: source of all random numbers.
    """

    fan_in: float
    fan_out: float
    gain: float
    rng: torch.Generator


def fans(weight: Tensor, groups: int = 1) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight of shape (out, in / groups, *kernel)."""
    area = math.prod(weight.shape[2:])
    return weight.shape[1] * area, weight.shape[0] // groups * area


def layer_fans(layer: Layer, *, pieces: int = 1) -> tuple[float, float]:
    """Return (fan_in, fan_out) of a layer, of any kind in `LAYERS`.

    Args:
        layer: as it is.
        pieces: blocks of outputs between which a maxout chooses; a maxout layer knows its own.
    """
    block = next(_blocks(layer, pieces))
    fan_in, fan_out = fans(block)
    if isinstance(layer, TRANSPOSED):
        return fan_in / math.prod(layer.stride), fan_out
    return fan_in, fan_out


def _blocks(layer: Layer, pieces: int) -> Iterator[Tensor]:
    """Yield the weights of each group and piece as (out, in, *kernel)."""
    weight = layer.weight
    if isinstance(layer, TRANSPOSED):
        for group in weight.chunk(layer.groups):
            yield from group.transpose(0, 1).chunk(pieces)
        return
    groups = layer.groups if isinstance(layer, GROUPED) else 1
    yield from weight.chunk(groups * _pieces(layer, pieces))


def _pieces(layer: Layer, pieces: int) -> int:
    return layer.pieces if isinstance(layer, MaxoutLinear | MaxoutConv2d) else pieces


@torch.no_grad()
def init_(
    module: nn.Module,
    name: str,
    *,
    activation: str | Activation | None,
    rng: torch.Generator,
    **options: Any,
) -> None:
    """Initialise every linear and convolution layer inside `module`, in place.

    Args:
        module: a layer or a network.
        name: one of `INITS`.
        activation: the activation that follows the layers (its name, or what `variant` returns), whose gain `he` and `orthogonal` apply;
            None for none. Maxout layers apply their own.
        rng: source of all random numbers.
        options: the hyper-parameters of the named one; those that are left out have their usual values.

            normal       std = 0.01: standard deviation of the weights
            orthogonal   gain: in place of the activation's
            lsuv         tolerance, max_iter: of `lsuv_`, which scales the weights afterwards; here they are only validated

    Raises:
        InputError: the name is not known, or lacks the option; it is `dirac` and `module` has a linear layer; a number is out of range; a
            layer's weight is computed from other tensors.
    """
    INITS.validate_options(name, options)
    fill = INITS[name].factory
    factor, pieces = gain(activation), 1 if activation is None else variant(activation).pieces
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, LAYERS)}
    for path, layer in layers.items():
        if not isinstance(layer._parameters.get("weight"), nn.Parameter):
            raise InputError(
                f"init: the weight of {path or 'the layer'} ({type(layer).__name__}) is computed from other tensors, so filling it "
                "would have no effect; initialise before weight_norm, spectral_norm and the like"
            )
    for layer in layers.values():
        fan_in, fan_out = layer_fans(layer, pieces=pieces)
        own = maxout_gain(layer.pieces) if isinstance(layer, MaxoutLinear | MaxoutConv2d) else factor
        start = Start(fan_in, fan_out, own, rng)
        for block in _blocks(layer, pieces):
            fill(block, start, **options)
        if layer.bias is not None:
            layer.bias.zero_()


def normal(block: Tensor, start: Start, *, std: float = 0.01) -> None:
    """W ~ N(0, std^2), whatever the fans."""
    if not 0 < std < math.inf:
        raise bad_value("std", std, "more than 0 and finite")
    block.normal_(0.0, std, generator=start.rng)


def lecun(block: Tensor, start: Start) -> None:
    """W ~ N(0, 1 / fan_in)."""
    block.normal_(0.0, start.fan_in**-0.5, generator=start.rng)


def xavier(block: Tensor, start: Start) -> None:
    """W ~ N(0, 2 / (fan_in + fan_out))."""
    block.normal_(0.0, math.sqrt(2.0 / (start.fan_in + start.fan_out)), generator=start.rng)


def he(block: Tensor, start: Start) -> None:
    """W ~ N(0, gain^2 / fan_in): 2 / ((1 + a^2) fan_in) for rectifiers with slope a below zero."""
    block.normal_(0.0, start.gain / math.sqrt(start.fan_in), generator=start.rng)


def orthogonal(block: Tensor, start: Start, *, gain: float | None = None) -> None:
    """Orthonormal rows (or columns, whichever are fewer) of the matrix (out, in x area) of each group and piece, times the gain.

    The orthogonal factor of a normal matrix's QR decomposition, with the signs of R's diagonal put into it, is uniformly distributed. In a
    transposed convolution the rows are longer by the root of the strides' product, since one output meets only a part of them.
    """
    rows, columns = block.shape[0], block[0].numel()
    if gain is not None and not 0 < gain < math.inf:
        raise bad_value("gain", gain, "more than 0 and finite")
    random = torch.empty(max(rows, columns), min(rows, columns), dtype=torch.float64).normal_(generator=start.rng)
    q, r = torch.linalg.qr(random)
    q = q * r.diagonal().sign()
    factor = (start.gain if gain is None else gain) * math.sqrt(columns / start.fan_in)
    block.copy_((factor * (q if rows >= columns else q.T)).reshape(block.shape))


def lsuv(block: Tensor, start: Start, *, tolerance: float = LSUV_TOLERANCE, max_iter: int = LSUV_MAX_ITER) -> None:
    """Orthogonal; `seewhy.nn.lsuv_`, whose options these are, then brings each layer's output to variance 1 on a batch of data."""
    validate_lsuv(tolerance, max_iter)
    orthogonal(block, start)


def validate_lsuv(tolerance: float, max_iter: int) -> None:
    """Raise InputError for options of LSUV that are out of range."""
    if not 0 < tolerance < 1:
        raise bad_value("tolerance", tolerance, "more than 0 and less than 1")
    if max_iter < 1:
        raise bad_value("max_iter", max_iter, "at least 1")


def dirac(block: Tensor, start: Start) -> None:
    """The first in-channels filters of each group pass their channel through; the others are w ~ U(-1, 1) / sqrt(fan_in)."""
    if block.dim() < 3:
        raise InputError("init: 'dirac' is for convolutions, got a linear layer; choose he, xavier or lecun")
    bound = start.fan_in**-0.5
    block.uniform_(-bound, bound, generator=start.rng)
    centre = [side // 2 for side in block.shape[2:]]
    same = torch.arange(min(block.shape[:2]))
    block[same] = 0.0
    index: tuple[Tensor | int, ...] = (same, same, *centre)
    block[index] = 1.0


INITS.add(
    Technique(
        name="normal",
        factory=normal,
        summary="fixed small standard deviation: shows what goes wrong in deep networks",
        formula="w ~ N(0, std^2), std = 0.01 by default",
        source="classical",
        good_for="shallow networks, demonstrations",
        bad_for="deep networks without normalisation: the signal vanishes",
        claims=("C09",),
        hyperparameters=("std",),
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
        claims=("C09", "C10"),
    )
)
INITS.add(
    Technique(
        name="he",
        factory=he,
        summary="keeps the mean square of the signal under rectifiers",
        formula="Var w = 2 / ((1 + a^2) fan_in), a the slope below zero; elsewhere gain^2 / fan_in",
        source="He et al. 2015, 1502.01852",
        good_for="ReLU and related activations",
        bad_for="nothing in particular",
        claims=("C10",),
    )
)
INITS.add(
    Technique(
        name="orthogonal",
        factory=orthogonal,
        summary="orthonormal rows times a gain, the activation's by default",
        formula="W W' = gain^2 I (or W' W, whichever is smaller)",
        source="Saxe et al. 2014, 1312.6120",
        good_for="very deep and recurrent networks",
        bad_for="start-up time of very wide layers",
        hyperparameters=("gain",),
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

INITS.add(
    Technique(
        name="lsuv",
        factory=lsuv,
        summary="orthogonal, then each layer scaled to variance 1 on a batch of the data",
        formula="W orthogonal; layer by layer W <- W / sqrt(Var(output on the batch)) until the variance is 1",
        source="Mishkin & Matas 2016, 1511.06422",
        good_for="deep networks without normalisation, any activation",
        bad_for="networks whose normalisation makes up for scales anyway",
        qualified_name="seewhy.nn.lsuv_",
        hyperparameters=("tolerance", "max_iter"),
    )
)
