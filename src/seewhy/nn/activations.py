"""Activation functions by name.

An activation f stands between the layers of a network. Its gain is what a weight initialisation multiplies the standard deviation of
the weights by, so that the mean square of the signal stays the same from layer to layer: for x ~ N(0, 1),

    gain = 1 / sqrt(E f(x)^2)                (rectifiers: sqrt(2 / (1 + a^2)), a the slope for x < 0)

with the customary 5/3 for tanh and 1 for sigmoid, whose signal cannot be kept by a factor.

An activation with k pieces (maxout) takes k C features and gives C: the layer before it makes k times as many features, in k blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.nn.maxout import Maxout, maxout_gain, validate_pieces


@dataclass(frozen=True)
class Activation:
    """An activation with its options: `Activation(...)(features=64)` makes the module.

    Attributes:
        name: one of `ACTIVATIONS`.
        make: from the number of features (channels) that come out to the module. Parameter-free functions ignore it.
        gain: see the module's text.
        maximum_slope: the largest |f'(x)|, which saturation is measured against.
        pieces: features that go in for each that comes out.
    """

    name: str
    make: Callable[[int], nn.Module]
    gain: float
    maximum_slope: float = 1.0
    pieces: int = 1

    def __call__(self, *, features: int) -> nn.Module:
        """Make the module that gives `features` features (axis 1), and takes `pieces` times as many."""
        return self.make(features)


ACTIVATIONS: Registry[Callable[..., Activation]] = Registry("activations", "activation")

OUTPUTS: Registry[Callable[..., Tensor]] = Registry("outputs", "")
"""Functions `f(logits, *, dim=1)` that follow the last layer."""


def variant(name: str | Activation, **options: Any) -> Activation:
    """Return an activation with its options set.

    Args:
        name: one of `ACTIVATIONS`; or an activation, which is returned as it is.
        options: the hyper-parameters of the named one; those that are left out have their usual values.

            leaky_relu   slope = 0.01: a, at least 0
            prelu        init = 0.25: a at first; shared = False: whether all features share one
            elu          alpha = 1: more than 0
            maxout       pieces = 2: k, 2 to 255

    Raises:
        InputError: the name is not known or is an output's, the activation lacks the option, or a number is out of range.
    """
    if isinstance(name, Activation):
        if options:
            raise InputError(f"{next(iter(options))}: {name.name} has its options already; name it by its string")
        return name
    if name in OUTPUTS.names():
        raise InputError(
            f"activation: {name!r} is for the output alone; choose one of {', '.join(ACTIVATIONS.names())}"
        )
    ACTIVATIONS.validate_options(name, options)
    return ACTIVATIONS[name].factory(**options)


def activation(name: str | Activation, *, features: int, **options: Any) -> nn.Module:
    """Return a new module of the activation called `name`.

    Args:
        name: as in `variant`.
        features: size of axis 1 of the output, which is that of the input but for maxout.
        options: as in `variant`.

    Raises:
        InputError: as `variant`.
    """
    return variant(name, **options)(features=features)


def gain(name: str | Activation | None, **options: Any) -> float:
    """Return the gain of an activation with its options, as in `variant`; None stands for no activation, whose gain is 1."""
    return 1.0 if name is None else variant(name, **options).gain


def softmax(logits: Tensor, *, dim: int = 1) -> Tensor:
    """Return probabilities e^(z_i) / sum_j e^(z_j) along `dim`, in float32 at least.

    The largest logit is subtracted first, so that no exponential overflows. For a loss take log-softmax (`torch.nn.functional.cross_entropy`
    does), which stays finite where a probability underflows.
    """
    return torch.softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim)


def rectifier_gain(slope: float) -> float:
    """Return sqrt(2 / (1 + a^2)), a the slope for x < 0."""
    return math.sqrt(2.0 / (1.0 + slope**2))


def elu_gain(alpha: float) -> float:
    """Return 1 / sqrt(E f(x)^2) of an ELU: E f(x)^2 = 1/2 + alpha^2 (e^2 P(-2) - 2 sqrt(e) P(-1) + 1/2), P the normal distribution's.

    To ten decimal places, so that equal seeds give equal weights whatever the last digit of a library's exponential is.
    """
    square = 0.5 + alpha**2 * (math.exp(2.0) * _normal_cdf(-2.0) - 2.0 * math.exp(0.5) * _normal_cdf(-1.0) + 0.5)
    return round(1.0 / math.sqrt(square), 10)


def _normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2.0)) / 2.0


def relu() -> Activation:
    """Return max(0, x)."""
    return Activation("relu", lambda _: nn.ReLU(), rectifier_gain(0.0))


def leaky_relu(*, slope: float = 0.01) -> Activation:
    """Return x for x > 0 and slope x elsewhere."""
    if not 0 <= slope < math.inf:
        raise bad_value("slope", slope, "at least 0 and finite")
    return Activation("leaky_relu", lambda _: nn.LeakyReLU(slope), rectifier_gain(slope), max(1.0, slope))


def prelu(*, init: float = 0.25, shared: bool = False) -> Activation:
    """Return x for x > 0 and a x elsewhere, a learned for each feature, or one for all; its gain is that at the start."""
    if not math.isfinite(init):
        raise bad_value("init", init, "finite", "it is the slope for x < 0 at first")
    return Activation(
        "prelu",
        lambda features: nn.PReLU(1 if shared else features, init),
        rectifier_gain(init),
        max(1.0, abs(init)),
    )


def elu(*, alpha: float = 1.0) -> Activation:
    """Return x for x > 0 and alpha (e^x - 1) elsewhere."""
    if not 0 < alpha < math.inf:
        raise bad_value("alpha", alpha, "more than 0 and finite")
    return Activation("elu", lambda _: nn.ELU(alpha), elu_gain(alpha), max(1.0, alpha))


def tanh() -> Activation:
    """Return tanh x."""
    return Activation("tanh", lambda _: nn.Tanh(), 5.0 / 3.0)


def sigmoid() -> Activation:
    """Return 1 / (1 + e^-x)."""
    return Activation("sigmoid", lambda _: nn.Sigmoid(), 1.0, maximum_slope=0.25)


def gelu() -> Activation:
    """Return x P(Z <= x)."""
    return Activation("gelu", lambda _: nn.GELU(), 1.5335304, maximum_slope=1.1289041)


def silu() -> Activation:
    """Return x / (1 + e^-x)."""
    return Activation("silu", lambda _: nn.SiLU(), 1.6765324703, maximum_slope=1.0998393)


def maxout(*, pieces: int = 2) -> Activation:
    """Return the largest of k features."""
    validate_pieces(pieces)
    return Activation("maxout", lambda features: Maxout(features, pieces), maxout_gain(pieces), pieces=pieces)


ACTIVATIONS.add(
    Technique(
        name="relu",
        factory=relu,
        summary="max(0, x): cheap, does not saturate for x > 0",
        formula="f(x) = max(0, x)",
        source="Nair & Hinton 2010; Krizhevsky et al. 2012",
        good_for="a first choice in deep networks",
        bad_for="large steps or bad biases: units can die; outputs are never negative",
        claims=("C01", "C05", "C06", "C07", "C10"),
        qualified_name="torch.nn.ReLU",
    )
)
ACTIVATIONS.add(
    Technique(
        name="leaky_relu",
        factory=leaky_relu,
        summary="max(a x, x), a small: a ReLU whose units cannot die",
        formula="f(x) = max(a x, x), a = 0.01 by default",
        source="Maas et al. 2013",
        good_for="networks whose ReLU units die",
        bad_for="nothing in particular; gains over ReLU are small",
        claims=("C06", "C07"),
        qualified_name="torch.nn.LeakyReLU",
        hyperparameters=("slope",),
    )
)
ACTIVATIONS.add(
    Technique(
        name="prelu",
        factory=prelu,
        summary="leaky ReLU whose slope is learned for each channel, or one for all",
        formula="f(x) = x if x > 0 else a x, a learned per channel, 0.25 at first by default",
        source="He et al. 2015, 1502.01852",
        good_for="large data sets",
        bad_for="small ones: more parameters to fit",
        claims=("C06",),
        qualified_name="torch.nn.PReLU",
        hyperparameters=("init", "shared"),
    )
)
ACTIVATIONS.add(
    Technique(
        name="elu",
        factory=elu,
        summary="smooth below zero, mean output close to zero",
        formula="f(x) = x if x > 0 else alpha (e^x - 1), alpha = 1 by default",
        source="Clevert et al. 2016, 1511.07289",
        good_for="networks without normalisation, noisy inputs",
        bad_for="speed: an exponential for each negative input",
        claims=("C01", "C06", "C07"),
        qualified_name="torch.nn.ELU",
        hyperparameters=("alpha",),
    )
)
ACTIVATIONS.add(
    Technique(
        name="tanh",
        factory=tanh,
        summary="zero-centred, saturates on both sides",
        formula="f(x) = tanh x",
        source="LeCun et al. 1998, Efficient BackProp",
        good_for="shallow or recurrent networks",
        bad_for="depth: gradients vanish where it saturates",
        claims=("C01", "C04", "C05", "C09", "C10"),
        qualified_name="torch.nn.Tanh",
    )
)
ACTIVATIONS.add(
    Technique(
        name="sigmoid",
        factory=sigmoid,
        summary="squashes to (0, 1), saturates on both sides",
        formula="f(x) = 1 / (1 + e^-x)",
        source="classical",
        good_for="gates and probabilities",
        bad_for="hidden layers: vanishing gradients, outputs of one sign",
        claims=("C01", "C02", "C03", "C04"),
        qualified_name="torch.nn.Sigmoid",
    )
)
ACTIVATIONS.add(
    Technique(
        name="gelu",
        factory=gelu,
        summary="x weighted by the normal distribution function",
        formula="f(x) = x P(Z <= x), Z ~ N(0, 1)",
        source="Hendrycks & Gimpel 2016, 1606.08415",
        good_for="modern convolutional networks and transformers",
        bad_for="speed, where the error function is slow",
        qualified_name="torch.nn.GELU",
    )
)
ACTIVATIONS.add(
    Technique(
        name="silu",
        factory=silu,
        summary="x times its sigmoid, also called swish",
        formula="f(x) = x / (1 + e^-x)",
        source="Elfwing et al. 2017, 1702.03118; Ramachandran et al. 2017, 1710.05941",
        good_for="deep convolutional networks",
        bad_for="speed: an exponential",
        qualified_name="torch.nn.SiLU",
    )
)

ACTIVATIONS.add(
    Technique(
        name="maxout",
        factory=maxout,
        summary="the largest of k linear pieces: learns its own convex function",
        formula="f(x) = max over j of w_j x + b_j, k pieces, k = 2 by default",
        source="Goodfellow et al. 2013, 1302.4389",
        good_for="networks with dropout",
        bad_for="size and speed: k times the weights",
        claims=("C08",),
        example="--model.activation maxout --model.activation.pieces 4",
        qualified_name="seewhy.nn.Maxout",
        hyperparameters=("pieces",),
    )
)

OUTPUTS.add(
    Technique(
        name="softmax",
        factory=softmax,
        summary="probabilities of the classes; the output alone",
        formula="p_i = e^(z_i) / sum_j e^(z_j)",
        source="Bridle 1990",
        good_for="one class per image; the loss takes its logarithm straight from the logits",
        bad_for="hidden layers, for which it is refused",
    )
)
