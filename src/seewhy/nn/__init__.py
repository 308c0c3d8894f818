"""Parts of networks, each usable alone in any PyTorch program: activations, initialisations, normalisations, blocks."""

from seewhy.nn.activations import ACTIVATIONS, OUTPUTS, Activation, activation, gain, softmax, variant
from seewhy.nn.batch_statistics import (
    NORM_INITS,
    insert_batch_norm,
    recompute_statistics,
    start_as_identity,
    start_as_standard,
)
from seewhy.nn.blocks import ConvNormAct, Parts, ResidualBlock
from seewhy.nn.dropconnect import DropConnectConv2d, DropConnectLinear
from seewhy.nn.dropout import DROPOUTS, Dropout
from seewhy.nn.fold import Folded, fold
from seewhy.nn.fractional_pool import POOLINGS, FractionalMaxPool2d
from seewhy.nn.health import UnitHealth, derivative, unit_health
from seewhy.nn.init import INITS, fans, init_, layer_fans
from seewhy.nn.lsuv import Rescaled, lsuv_
from seewhy.nn.maxout import Maxout, MaxoutConv2d, MaxoutLinear, maxout_width
from seewhy.nn.monte_carlo import MonteCarlo, drawing, monte_carlo
from seewhy.nn.norm import NORMS, BatchNorm, InstanceNorm, norm
from seewhy.nn.regularisers import REGULARISERS
from seewhy.nn.spread import LayerSpread, spread
from seewhy.nn.stochastic_depth import StochasticDepth, survival_rates

__all__ = [
    "ACTIVATIONS",
    "DROPOUTS",
    "INITS",
    "NORMS",
    "NORM_INITS",
    "OUTPUTS",
    "POOLINGS",
    "REGULARISERS",
    "Activation",
    "BatchNorm",
    "ConvNormAct",
    "DropConnectConv2d",
    "DropConnectLinear",
    "Dropout",
    "Folded",
    "FractionalMaxPool2d",
    "InstanceNorm",
    "LayerSpread",
    "Maxout",
    "MaxoutConv2d",
    "MaxoutLinear",
    "MonteCarlo",
    "Parts",
    "Rescaled",
    "ResidualBlock",
    "StochasticDepth",
    "UnitHealth",
    "activation",
    "derivative",
    "drawing",
    "fans",
    "fold",
    "gain",
    "init_",
    "insert_batch_norm",
    "layer_fans",
    "lsuv_",
    "maxout_width",
    "monte_carlo",
    "norm",
    "recompute_statistics",
    "softmax",
    "spread",
    "start_as_identity",
    "start_as_standard",
    "survival_rates",
    "unit_health",
    "variant",
]
