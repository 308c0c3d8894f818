"""Parts of networks, each usable alone in any PyTorch program: activations, initialisations, normalisations, blocks."""

from seewhy.nn.activation_statistics import LayerStatistics, layer_statistics
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
from seewhy.nn.folding import Folded, fold
from seewhy.nn.fractional_pool import POOLINGS, FractionalMaxPool2d, pooling
from seewhy.nn.initialisation import INITS, fans, init_, layer_fans
from seewhy.nn.lsuv import Rescaled, lsuv_
from seewhy.nn.maxout import Maxout, MaxoutConv2d, MaxoutLinear, maxout_width
from seewhy.nn.normalisation import NORMS, BatchNorm, InstanceNorm, norm
from seewhy.nn.regularisers import REGULARISERS
from seewhy.nn.saturation import SaturationStatistics, derivative, saturation_statistics
from seewhy.nn.stochastic import MonteCarlo, monte_carlo, stochastic_inference
from seewhy.nn.stochastic_depth import StochasticDepth, survival_rates
from seewhy.nn.strided_pointwise import skip_unread_pixels_
from seewhy.nn.weights import incoming_views, penalised_weights

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
    "LayerStatistics",
    "Maxout",
    "MaxoutConv2d",
    "MaxoutLinear",
    "MonteCarlo",
    "Parts",
    "Rescaled",
    "ResidualBlock",
    "SaturationStatistics",
    "StochasticDepth",
    "activation",
    "derivative",
    "fans",
    "fold",
    "gain",
    "incoming_views",
    "init_",
    "insert_batch_norm",
    "layer_fans",
    "layer_statistics",
    "lsuv_",
    "maxout_width",
    "monte_carlo",
    "norm",
    "penalised_weights",
    "pooling",
    "recompute_statistics",
    "saturation_statistics",
    "skip_unread_pixels_",
    "softmax",
    "start_as_identity",
    "start_as_standard",
    "stochastic_inference",
    "survival_rates",
    "variant",
]
