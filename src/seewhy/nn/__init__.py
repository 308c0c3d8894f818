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
from seewhy.nn.fold import Folded, fold
from seewhy.nn.health import UnitHealth, derivative, unit_health
from seewhy.nn.init import INITS, fans, init_, layer_fans
from seewhy.nn.lsuv import Rescaled, lsuv_
from seewhy.nn.maxout import Maxout, MaxoutConv2d, MaxoutLinear, maxout_width
from seewhy.nn.norm import NORMS, BatchNorm, InstanceNorm, norm
from seewhy.nn.spread import LayerSpread, spread

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "NORMS",
    "NORM_INITS",
    "OUTPUTS",
    "Activation",
    "BatchNorm",
    "ConvNormAct",
    "DropConnectConv2d",
    "DropConnectLinear",
    "Folded",
    "InstanceNorm",
    "LayerSpread",
    "Maxout",
    "MaxoutConv2d",
    "MaxoutLinear",
    "Parts",
    "Rescaled",
    "ResidualBlock",
    "UnitHealth",
    "activation",
    "derivative",
    "fans",
    "fold",
    "gain",
    "init_",
    "insert_batch_norm",
    "layer_fans",
    "lsuv_",
    "maxout_width",
    "norm",
    "recompute_statistics",
    "softmax",
    "spread",
    "start_as_identity",
    "start_as_standard",
    "unit_health",
    "variant",
]
