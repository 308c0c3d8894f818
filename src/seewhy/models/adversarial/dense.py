"""Dense generator and discriminator, as Goodfellow et al. 2014 trained them on MNIST (1406.2661; their code's mnist.yaml).

The generator G and the discriminator D:

    G   z -> 1200 ReLU -> 1200 ReLU -> 784 sigmoid; z uniform, Z = 100; weights U(-0.05, 0.05), output biases from the mean image
    D   784 -> maxout 240 x 5 -> maxout 240 x 5 -> 1; weights U(-0.005, 0.005), dropout 0.2 of pixels and 0.5 of units
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from seewhy.core.errors import bad_value
from seewhy.models.adversarial.networks import Discriminator, Generator, Noise
from seewhy.models.labels import append_one_hot, validate_labels
from seewhy.nn import Dropout, MaxoutLinear
from seewhy.optim.penalties import max_norm_

HALF_LEVEL = 0.5 / 255.0
"""Mean pixels are kept this far from 0 and 1, where the logistic function's inverse is infinite."""


class DenseGenerator(Generator):
    """z -> [linear, ReLU] for each width -> linear -> output.

    Args:
        shape: of an image.
        noise: its input's distribution.
        widths: of the hidden layers.
        output: "sigmoid", "tanh" or "linear".
        classes: K, given by a one-hot vector beside z; None where it is not class-conditional.
        init_bound: weights start as U(-init_bound, init_bound); None for sqrt(6 / in), He et al.'s rule, which suits any width.

    Raises:
        InputError: a name is not known, or a number is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        noise: Noise | None = None,
        *,
        widths: Sequence[int] = (1200, 1200),
        output: str = "sigmoid",
        classes: int | None = None,
        init_bound: float | None = 0.05,
    ) -> None:
        super().__init__(shape, noise or Noise(kind="uniform"), output=output, classes=classes)
        if any(width < 1 for width in widths):
            raise bad_value("widths", tuple(widths), "at least 1 each")
        features, layers = self.noise.size + (classes or 0), []
        for width in widths:
            layers += [_linear(features, width, init_bound), nn.ReLU()]
            features = width
        self.hidden = nn.Sequential(*layers)
        self.last = _linear(features, math.prod(self.shape), init_bound)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z) -> (N, *shape), float32."""
        validate_labels(labels, self.classes, z.shape[0])
        x: Tensor = self.last(self.hidden(append_one_hot(z, labels, self.classes)))
        return self.output_function(x).view(-1, *self.shape)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Start the output's biases at the mean image."""
        mean = images.flatten(1).mean(0)
        if self.output == "sigmoid":
            self.last.bias.copy_(torch.logit(mean, eps=HALF_LEVEL))
        elif self.output == "tanh":
            self.last.bias.copy_(torch.logit((mean + 1.0) / 2.0, eps=HALF_LEVEL) / 2.0)
        else:
            self.last.bias.copy_(mean)


class DenseDiscriminator(Discriminator):
    """pixels -> [dropout, maxout] x depth -> dropout -> linear.

    Args:
        shape: of an image.
        width: units of a maxout layer.
        depth: maxout layers.
        pieces: of a unit.
        dropout: probability with which a unit is dropped; pixels are with 0.4 times this.
        max_norm: the largest norm of the incoming weights of a piece (Srebro & Shraibman 2005); None for none, as in the authors' file.
        classes: K, given by a one-hot vector beside the pixels; None where it is not class-conditional.
        init_bound: weights start as U(-init_bound, init_bound); None for the rule that keeps the signal's size.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int = 240,
        depth: int = 2,
        pieces: int = 5,
        dropout: float = 0.5,
        max_norm: float | None = None,
        classes: int | None = None,
        init_bound: float | None = 0.005,
    ) -> None:
        super().__init__(shape, classes=classes)
        if depth < 1:
            raise bad_value("depth", depth, "at least 1")
        if max_norm is not None and not max_norm > 0:
            raise bad_value("max_norm", max_norm, "more than 0, or None")
        self.max_norm = max_norm
        features, layers = math.prod(self.shape), []
        for index in range(depth):
            one_hot = (classes or 0) if index == 0 else 0
            layers.append(MaxoutLinear(features + one_hot, width, pieces))
            features = width
        self.layers = nn.ModuleList(layers)
        self.pixel_drop, self.drop = Dropout(0.4 * dropout), Dropout(dropout)
        self.head = nn.Linear(width, 1)
        nn.init.zeros_(self.head.bias)
        if init_bound is not None:
            for weight in (*(layer.weight for layer in layers), self.head.weight):
                nn.init.uniform_(weight, -init_bound, init_bound)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape) -> (N), float32."""
        validate_labels(labels, self.classes, len(x))
        x = append_one_hot(self.pixel_drop(x.flatten(1)), labels, self.classes)
        for layer in self.layers:
            x = self.drop(layer(x))
        logits: Tensor = self.head(x)
        return logits.float().squeeze(1)

    def constrain(self) -> None:
        """Limit the norms of the incoming weights of pieces."""
        if self.max_norm is not None:
            max_norm_(
                [weight for layer in self.layers for weight in layer.parameters() if weight.dim() == 2], self.max_norm
            )


def spectrally_normalised(discriminator: DenseDiscriminator) -> DenseDiscriminator:
    """Normalise the weights of every layer to a spectral norm of 1, in place (Miyato et al. 2018, 1802.05957), and return the discriminator.

    Of a maxout layer that is the norm of all pieces as one matrix W: |max(W x) - max(W y)| <= |W (x - y)|, so that the network is 1-Lipschitz
    but for dropout.
    """
    for layer in (*discriminator.layers, discriminator.head):
        spectral_norm(layer)
    return discriminator


def _linear(features: int, width: int, init_bound: float | None) -> nn.Linear:
    """Make a layer with biases at 0."""
    layer = nn.Linear(features, width)
    bound = math.sqrt(6.0 / features) if init_bound is None else init_bound
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.zeros_(layer.bias)
    return layer
