"""Parts of networks, each usable alone in any PyTorch program: activations, initialisations, normalisations, blocks."""

from seewhy.nn.activations import ACTIVATIONS, activation, gain
from seewhy.nn.blocks import ConvNormAct, Parts, ResidualBlock
from seewhy.nn.init import INITS, fans, init_
from seewhy.nn.norm import NORMS, BatchNorm, norm

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "NORMS",
    "BatchNorm",
    "ConvNormAct",
    "Parts",
    "ResidualBlock",
    "activation",
    "fans",
    "gain",
    "init_",
    "norm",
]
