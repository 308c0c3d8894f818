"""Activation functions by name.

An activation f stands between the layers of a network. Its gain is what a weight initialisation multiplies the deviation of the
weights by, so that the mean square of the signal stays the same from layer to layer: for x ~ N(0, 1),

    gain = 1 / sqrt(E f(x)^2)                (rectifiers: sqrt(2 / (1 + a^2)), a the slope for x < 0)

with the customary 5/3 for tanh and 1 for sigmoid, whose signal cannot be kept by a factor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from seewhy.core.registry import Registry, Technique


@dataclass(frozen=True)
class Activation:
    """The factory of an activation: `Activation(features=64)` makes the module.

    Attributes:
        make: from the number of features (channels) to the module. Parameter-free functions ignore it.
        gain: see the module's text.
    """

    make: Callable[[int], nn.Module]
    gain: float

    def __call__(self, *, features: int) -> nn.Module:
        """Make the module for inputs with `features` features (axis 1)."""
        return self.make(features)


ACTIVATIONS: Registry[Activation] = Registry("activations", "model.activation")


def activation(name: str, *, features: int) -> nn.Module:
    """Return a new module of the activation called `name`.

    Args:
        name: one of `ACTIVATIONS`.
        features: size of axis 1 of the input, for activations with parameters per feature.

    Raises:
        InputError: the name is not known.
    """
    return ACTIVATIONS[name].factory(features=features)


def gain(name: str | None) -> float:
    """Return the gain of the activation called `name`; None stands for no activation, whose gain is 1."""
    return 1.0 if name is None else ACTIVATIONS[name].factory.gain


LEAK = 0.01
PRELU_START = 0.25


def _rectifier_gain(slope: float) -> float:
    return math.sqrt(2.0 / (1.0 + slope**2))


ACTIVATIONS.add(
    Technique(
        name="relu",
        factory=Activation(lambda _: nn.ReLU(), _rectifier_gain(0.0)),
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
        factory=Activation(lambda _: nn.LeakyReLU(LEAK), _rectifier_gain(LEAK)),
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
        factory=Activation(lambda features: nn.PReLU(features, PRELU_START), _rectifier_gain(PRELU_START)),
        summary="leaky ReLU whose slope is learned for each channel",
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
        factory=Activation(lambda _: nn.ELU(), 1.2451983007),
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
        factory=Activation(lambda _: nn.Tanh(), 5.0 / 3.0),
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
        factory=Activation(lambda _: nn.Sigmoid(), 1.0),
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
        factory=Activation(lambda _: nn.GELU(), 1.5335304),
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
        factory=Activation(lambda _: nn.SiLU(), 1.6765324703),
        summary="x times its sigmoid, also called swish",
        formula="f(x) = x / (1 + e^-x)",
        source="Elfwing et al. 2017, 1702.03118; Ramachandran et al. 2017, 1710.05941",
        good_for="deep convolutional networks",
        bad_for="speed: an exponential",
    )
)
