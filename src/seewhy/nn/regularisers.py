"""What keeps a network from memorising its training images, inside it or in its loss: records of what is chosen by a number.

Dropout's kinds, poolings, penalties and augmentations have families of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn import functional as F

from seewhy.core.registry import Registry, Technique
from seewhy.nn.dropconnect import DropConnectLinear
from seewhy.nn.dropout import Dropout
from seewhy.nn.stochastic import monte_carlo
from seewhy.nn.stochastic_depth import StochasticDepth

REGULARISERS: Registry[Callable[..., Any]] = Registry("regularisers", "")
REGULARISERS.add(
    Technique(
        name="dropout",
        factory=Dropout,
        summary="units zeroed at random in training: in hidden layers, in front of the output, in the image",
        formula="y = m x, m_i ~ Bernoulli(1 - p)",
        source="Hinton et al. 2012, 1207.0580; Srivastava et al. 2014",
        good_for="large dense layers that overfit",
        bad_for="short runs; convolutional networks with batch normalisation",
        claims=("C21",),
        example="--reg.dropout 0.5 --reg.input_dropout 0.2",
        hyperparameters=("p", "kind"),
    )
)
REGULARISERS.add(
    Technique(
        name="monte_carlo_dropout",
        factory=monte_carlo,
        summary="predictions averaged over stochastic forward passes of dropout and related layers, and how much they differ",
        formula="p = mean of p_t over passes t; mutual information H(p) - mean H(p_t)",
        source="Gal & Ghahramani 2016, 1506.02142",
        good_for="telling what a network does not know, from one training",
        bad_for="time: as many predictions as passes; ensembles know better",
        example="seewhy predict RUN IMAGES --samples 20",
        hyperparameters=("samples",),
    )
)
REGULARISERS.add(
    Technique(
        name="dropconnect",
        factory=DropConnectLinear,
        summary="weights zeroed at random in training, with masks of its own for each image",
        formula="training y = (M * W) x, M_ij ~ Bernoulli(q); evaluation E a(u), u ~ N(q W x, q (1 - q) (W * W) (x * x))",
        source="Wan et al. 2013",
        good_for="large dense layers that overfit",
        bad_for="time: as many masks as images, unless some share one",
        claims=("C23",),
        example="--reg.dropconnect 0.5",
        hyperparameters=("drop",),
    )
)
REGULARISERS.add(
    Technique(
        name="stochastic_depth",
        factory=StochasticDepth,
        summary="residual blocks skipped at random in training, later ones more often",
        formula="y = s(x) + b F(x), b ~ Bernoulli(p_l), p_l = 1 - (l / L) (1 - p_L); evaluation y = s(x) + p_l F(x)",
        source="Huang et al. 2016, 1603.09382",
        good_for="deep residual networks; a skipped block costs no time",
        bad_for="shallow ones",
        claims=("C23",),
        example="--model resnet --model.stochastic_depth 0.5",
        hyperparameters=("survival",),
    )
)
REGULARISERS.add(
    Technique(
        name="label_smoothing",
        factory=F.cross_entropy,
        summary="a share of each target distributed over all classes",
        formula="q = (1 - s) onehot(y) + s / K; loss -sum q log p",
        source="Szegedy et al. 2016, 1512.00567",
        good_for="accuracy in short and long runs, large steps",
        bad_for="calibration by itself: the network learns to doubt",
        example="--reg.label_smoothing 0.1",
        hyperparameters=("label_smoothing",),
    )
)
