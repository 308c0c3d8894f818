"""Named choices that several networks share: activations, initialisations, normalisations, poolings.

Their names and fields are those of the parts of `seewhy.nn`, whose records say what each does (a test holds the two together).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from seewhy.spec.section import Choice


class ReLU(Choice):
    """max(0, x)."""

    name: Literal["relu"] = "relu"


class LeakyReLU(Choice):
    """max(slope x, x)."""

    name: Literal["leaky_relu"] = "leaky_relu"
    slope: float = Field(0.01, ge=0, lt=1, description="Slope for negative inputs.")


class PReLU(Choice):
    """A leaky ReLU whose slope is learned."""

    name: Literal["prelu"] = "prelu"
    init: float = Field(0.25, ge=0, lt=1, description="Slope at first.")
    shared: bool = Field(False, description="One slope for all features of a layer, instead of one for each.")


class ELU(Choice):
    """x for x > 0, else alpha (e^x - 1)."""

    name: Literal["elu"] = "elu"
    alpha: float = Field(1.0, gt=0, description="Minus the value that large negative inputs approach.")


class Tanh(Choice):
    """tanh x."""

    name: Literal["tanh"] = "tanh"


class Sigmoid(Choice):
    """1 / (1 + e^-x)."""

    name: Literal["sigmoid"] = "sigmoid"


class GELU(Choice):
    """x P(Z <= x)."""

    name: Literal["gelu"] = "gelu"


class SiLU(Choice):
    """x / (1 + e^-x)."""

    name: Literal["silu"] = "silu"


class Maxout(Choice):
    """The largest of several affine pieces."""

    name: Literal["maxout"] = "maxout"
    pieces: int = Field(2, ge=2, le=255, description="Affine pieces.")
    keep_parameters: bool = Field(
        False,
        description="Make the network narrower, by the root of the pieces, so that it has the weights of a plain one.",
    )


Activation = Annotated[
    ReLU | LeakyReLU | PReLU | ELU | Tanh | Sigmoid | GELU | SiLU | Maxout, Field(discriminator="name")
]


class Normal(Choice):
    """N(0, std^2), whatever the layer."""

    name: Literal["normal"] = "normal"
    std: float = Field(0.01, gt=0, description="Standard deviation of the weights.")


class LeCun(Choice):
    """Variance 1 / fan_in."""

    name: Literal["lecun"] = "lecun"


class Xavier(Choice):
    """Variance 2 / (fan_in + fan_out)."""

    name: Literal["xavier"] = "xavier"


class He(Choice):
    """Variance gain^2 / fan_in."""

    name: Literal["he"] = "he"


class Orthogonal(Choice):
    """Orthogonal rows or columns."""

    name: Literal["orthogonal"] = "orthogonal"
    gain: float | None = Field(None, gt=0, description="Factor of the weights (default: the activation's gain).")


class LSUV(Choice):
    """Orthogonal, then scaled on data until every layer has unit variance."""

    name: Literal["lsuv"] = "lsuv"
    tolerance: float = Field(0.02, gt=0, lt=1, description="Distance from unit variance that is good enough.")
    max_iter: int = Field(10, ge=1, le=1000, description="Rescalings of a layer, at most.")


class Dirac(Choice):
    """Convolutions that pass their input on."""

    name: Literal["dirac"] = "dirac"


Init = Annotated[Normal | LeCun | Xavier | He | Orthogonal | LSUV | Dirac, Field(discriminator="name")]

DenseInit = Annotated[Normal | LeCun | Xavier | He | Orthogonal | LSUV, Field(discriminator="name")]


class BatchNorm(Choice):
    """Over the batch and the map, feature by feature."""

    name: Literal["batch"] = "batch"
    momentum: float | None = Field(
        None, gt=0, le=1, description="Share of a batch in the running statistics (default: the network's usual one)."
    )
    eps: float = Field(1e-5, gt=0, description="Added to the variance.")
    init: Literal["standard", "identity"] = Field(
        "standard", description="How it starts: scale 1 and shift 0, or as the identity on training images."
    )


class LayerNorm(Choice):
    """Over the features of an example."""

    name: Literal["layer"] = "layer"
    eps: float = Field(1e-5, gt=0, description="Added to the variance.")


class GroupNorm(Choice):
    """Over groups of features of an example."""

    name: Literal["group"] = "group"
    groups: int | None = Field(None, ge=1, description="Groups (default: as many as leave 16 features in each).")
    eps: float = Field(1e-5, gt=0, description="Added to the variance.")


class InstanceNorm(Choice):
    """Over each map of an example."""

    name: Literal["instance"] = "instance"
    eps: float = Field(1e-5, gt=0, description="Added to the variance.")


class NoNorm(Choice):
    """No normalisation."""

    name: Literal["none"] = "none"


Norm = Annotated[BatchNorm | LayerNorm | GroupNorm | InstanceNorm | NoNorm, Field(discriminator="name")]

DenseNorm = Annotated[BatchNorm | LayerNorm | GroupNorm | NoNorm, Field(discriminator="name")]
"""Instance normalisation is over the positions of a map, of which a dense layer has none."""


class MaxPool(Choice):
    """The maximum of every square of 2 x 2."""

    name: Literal["max"] = "max"


class FractionalPool(Choice):
    """Maxima over random regions that are smaller by a factor of less than 2."""

    name: Literal["fractional"] = "fractional"
    ratio: float = Field(math.sqrt(2.0), gt=1, le=2, description="Factor by which each side is downsampled.")
    regions: Literal["pseudorandom", "random"] = Field("pseudorandom", description="How the regions are sampled.")
    overlapping: bool = Field(True, description="Whether neighbouring regions share a pixel.")


Pool = Annotated[MaxPool | FractionalPool, Field(discriminator="name")]
