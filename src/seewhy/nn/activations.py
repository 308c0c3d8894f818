"""Activation functions by name.

An activation f stands between the layers of a network. Its gain is what a weight initialisation multiplies the deviation of the
weights by, so that the mean square of the signal stays the same from layer to layer: for x ~ N(0, 1),

    gain = 1 / sqrt(E f(x)^2)                (rectifiers: sqrt(2 / (1 + a^2)), a the slope for x < 0)

with the customary 5/3 for tanh and 1 for sigmoid, whose signal cannot be kept by a factor.

An activation with k pieces (maxout) takes k C features and gives C: the layer before it makes k times as many features, in k blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seewhy.core.errors import InputError, bad_value
from seewhy.core.registry import Registry, Technique
from seewhy.nn.maxout import Maxout, maxout_gain


@dataclass(frozen=True)
class Activation:
    """The factory of an activation: `Activation(features=64)` makes the module.

    Attributes:
        make: from the number of features (channels) that come out to the module. Parameter-free functions ignore it.
        gain: see the module's text.
        steepest: the largest |f'(x)|, which saturation is measured against.
        pieces: features that go in for each that comes out.
        lives_in: the dotted name of the module's class.
    """

    make: Callable[[int], nn.Module]
    gain: float
    steepest: float = 1.0
    pieces: int = 1
    lives_in: str = ""

    def __call__(self, *, features: int) -> nn.Module:
        """Make the module that gives `features` features (axis 1), and takes `pieces` times as many."""
        return self.make(features)


ACTIVATIONS: Registry[Activation] = Registry("activations", "model.activation")

OUTPUTS: Registry[Callable[..., Tensor]] = Registry("outputs", "")
"""Functions `f(logits, *, dim=1)` that follow the last layer."""


def variant(name: str | Activation, *, pieces: int | None = None, shared: bool | None = None) -> Activation:
    """Return an activation's factory with its options set.

    Args:
        name: one of `ACTIVATIONS`, or its factory.
        pieces: of maxout; None for its usual 2.
        shared: whether all features share the slope of prelu; None for a slope each.

    Raises:
        InputError: the name is not known or is an output's, or the activation lacks the option.
    """
    if isinstance(name, str) and name in OUTPUTS.names():
        raise InputError(
            f"model.activation: {name!r} is for the output alone; choose one of {', '.join(ACTIVATIONS.names())}"
        )
    made = ACTIVATIONS[name].factory if isinstance(name, str) else name
    if pieces is not None:
        if made.pieces == 1:
            raise InputError(f"model.pieces: only maxout has pieces, got {pieces} with {name!r}; leave it out")
        if pieces < 2:
            raise bad_value("model.pieces", pieces, "at least 2")
        made = _maxout(pieces)
    if shared is not None:
        if not isinstance(made(features=1), nn.PReLU):
            raise InputError(f"model.shared: only prelu has a slope to share, got {shared} with {name!r}; leave it out")
        made = replace(made, make=_shared_prelu if shared else _prelu)
    return made


def activation(
    name: str | Activation, *, features: int, pieces: int | None = None, shared: bool | None = None
) -> nn.Module:
    """Return a new module of the activation called `name`.

    Args:
        name: one of `ACTIVATIONS`, or its factory.
        features: size of axis 1 of the output, which is that of the input but for maxout.
        pieces: as in `variant`.
        shared: as in `variant`.

    Raises:
        InputError: as `variant`.
    """
    return variant(name, pieces=pieces, shared=shared)(features=features)


def gain(name: str | Activation | None, *, pieces: int | None = None) -> float:
    """Return the gain of the activation called `name`; None stands for no activation, whose gain is 1."""
    return 1.0 if name is None else variant(name, pieces=pieces).gain


def softmax(logits: Tensor, *, dim: int = 1) -> Tensor:
    """Return probabilities e^(z_i) / sum_j e^(z_j) along `dim`, in float32 at least.

    The largest logit is subtracted first, so that no exponential overflows. For a loss take log-softmax (`torch.nn.functional.cross_entropy`
    does), which stays finite where a probability underflows.
    """
    return torch.softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim)


LEAK = 0.01
PRELU_START = 0.25


def _rectifier_gain(slope: float) -> float:
    return math.sqrt(2.0 / (1.0 + slope**2))


def _prelu(features: int) -> nn.Module:
    return nn.PReLU(features, PRELU_START)


def _shared_prelu(features: int) -> nn.Module:  # noqa: ARG001
    return nn.PReLU(1, PRELU_START)


def _maxout(pieces: int) -> Activation:
    return Activation(
        lambda features: Maxout(features, pieces), maxout_gain(pieces), pieces=pieces, lives_in="seewhy.nn.Maxout"
    )


ACTIVATIONS.add(
    Technique(
        name="relu",
        factory=Activation(lambda _: nn.ReLU(), _rectifier_gain(0.0), lives_in="torch.nn.ReLU"),
        summary="max(0, x): cheap, does not saturate for x > 0",
        formula="f(x) = max(0, x)",
        source="Nair & Hinton 2010; Krizhevsky et al. 2012",
        good_for="a first choice in deep networks",
        bad_for="large steps or bad biases: units can die; outputs are never negative",
        claims=("C01", "C05", "C06"),
    )
)
ACTIVATIONS.add(
    Technique(
        name="leaky_relu",
        factory=Activation(lambda _: nn.LeakyReLU(LEAK), _rectifier_gain(LEAK), lives_in="torch.nn.LeakyReLU"),
        summary="max(0.01 x, x): a ReLU whose units cannot die",
        formula="f(x) = max(0.01 x, x)",
        source="Maas et al. 2013",
        good_for="networks whose ReLU units die",
        bad_for="nothing in particular; gains over ReLU are small",
        claims=("C06",),
    )
)
ACTIVATIONS.add(
    Technique(
        name="prelu",
        factory=Activation(_prelu, _rectifier_gain(PRELU_START), lives_in="torch.nn.PReLU"),
        summary="leaky ReLU whose slope is learned for each channel, or one for all",
        formula="f(x) = x if x > 0 else a x, a learned per channel, 0.25 at first",
        source="He et al. 2015, 1502.01852",
        good_for="large data sets",
        bad_for="small ones: more parameters to fit",
        claims=("C06",),
    )
)
ACTIVATIONS.add(
    Technique(
        name="elu",
        factory=Activation(lambda _: nn.ELU(), 1.2451983007, lives_in="torch.nn.ELU"),
        summary="smooth below zero, mean output close to zero",
        formula="f(x) = x if x > 0 else e^x - 1",
        source="Clevert et al. 2016, 1511.07289",
        good_for="networks without normalisation, noisy inputs",
        bad_for="speed: an exponential for each negative input",
        claims=("C01", "C06", "C07"),
    )
)
ACTIVATIONS.add(
    Technique(
        name="tanh",
        factory=Activation(lambda _: nn.Tanh(), 5.0 / 3.0, lives_in="torch.nn.Tanh"),
        summary="zero-centred, saturates on both sides",
        formula="f(x) = tanh x",
        source="LeCun et al. 1998, Efficient BackProp",
        good_for="shallow or recurrent networks",
        bad_for="depth: gradients vanish where it saturates",
        claims=("C01", "C04"),
    )
)
ACTIVATIONS.add(
    Technique(
        name="sigmoid",
        factory=Activation(lambda _: nn.Sigmoid(), 1.0, steepest=0.25, lives_in="torch.nn.Sigmoid"),
        summary="squashes to (0, 1), saturates on both sides",
        formula="f(x) = 1 / (1 + e^-x)",
        source="classical",
        good_for="gates and probabilities",
        bad_for="hidden layers: vanishing gradients, outputs of one sign",
        claims=("C01", "C02", "C03"),
    )
)
ACTIVATIONS.add(
    Technique(
        name="gelu",
        factory=Activation(lambda _: nn.GELU(), 1.5335304, steepest=1.1289041, lives_in="torch.nn.GELU"),
        summary="x weighted by the normal distribution function",
        formula="f(x) = x P(Z <= x), Z ~ N(0, 1)",
        source="Hendrycks & Gimpel 2016, 1606.08415",
        good_for="modern convolutional networks and transformers",
        bad_for="speed, where the error function is slow",
    )
)
ACTIVATIONS.add(
    Technique(
        name="silu",
        factory=Activation(lambda _: nn.SiLU(), 1.6765324703, steepest=1.0998393, lives_in="torch.nn.SiLU"),
        summary="x times its sigmoid, also called swish",
        formula="f(x) = x / (1 + e^-x)",
        source="Elfwing et al. 2017, 1702.03118; Ramachandran et al. 2017, 1710.05941",
        good_for="deep convolutional networks",
        bad_for="speed: an exponential",
    )
)

MAXOUT = Technique(
    name="maxout",
    factory=_maxout(2),
    summary="the largest of k linear pieces: learns its own convex function",
    formula="f(x) = max over j of w_j x + b_j, k pieces, 2 at first",
    source="Goodfellow et al. 2013, 1302.4389",
    good_for="networks with dropout",
    bad_for="size and speed: k times the weights",
    claims=("C08",),
)
ACTIVATIONS.add(MAXOUT)

OUTPUTS.add(
    Technique(
        name="softmax",
        factory=softmax,
        summary="probabilities of the classes; the output alone",
        formula="p_i = e^(z_i) / sum_j e^(z_j)",
        source="Bridle 1990",
        good_for="one class an image; the loss takes its logarithm straight from the logits",
        bad_for="hidden layers, where it is refused",
    )
)
