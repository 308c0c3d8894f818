"""Architectures of latent-variable models: an encoder and a decoder that belong together, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from seewhy.core.registry import Registry, Technique
from seewhy.models.latent.decoders import Decoder, conv_decoder, dense_decoder
from seewhy.models.latent.encoders import ConvEncoder, DenseEncoder
from seewhy.models.latent.layers import Shape
from seewhy.nn import Activation


class Architecture(Protocol):
    """Makes encoders and decoders."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a network from images (N, C, H, W), float32 around 0, and labels to features, float32 (N, outputs)."""

    def decoder(self, shape: Shape, latent_dim: int, maps: int) -> Decoder:
        """Return a network from latents (*, latent_dim) and labels to maps, float32 (*, maps, H, W)."""


@dataclass(frozen=True, kw_only=True)
class Dense:
    """Fully connected encoders and decoders.

    Attributes:
        width: units of a hidden layer.
        depth: hidden layers.
        activation: its factory.
        classes: K of a class-conditional model; None where it is not.
    """

    width: int
    depth: int
    activation: Activation
    classes: int | None = None

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a `DenseEncoder`."""
        return DenseEncoder(shape, outputs, **vars(self))

    def decoder(self, shape: Shape, latent_dim: int, maps: int) -> Decoder:
        """Return a `dense_decoder`."""
        return dense_decoder(shape, latent_dim, maps, **vars(self))


@dataclass(frozen=True, kw_only=True)
class Conv:
    """Convolutional encoders and decoders.

    Attributes:
        width: features of the largest maps.
        depth: halvings of the image, which is not halved below 2 pixels a side.
        activation: its factory.
        classes: K of a class-conditional model; None where it is not.
    """

    width: int
    depth: int
    activation: Activation
    classes: int | None = None

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """Return a `ConvEncoder`."""
        return ConvEncoder(shape, outputs, **vars(self))

    def decoder(self, shape: Shape, latent_dim: int, maps: int) -> Decoder:
        """Return a `conv_decoder`."""
        return conv_decoder(shape, latent_dim, maps, **vars(self))


ARCHITECTURES: Registry[Callable[..., Architecture]] = Registry("architectures", "architecture")
"""`f(width=, depth=, activation=, classes=)`."""

ARCHITECTURES.add(
    Technique(
        name="dense",
        factory=Dense,
        summary="fully connected encoder and decoder",
        formula="h_0 = x, h_l = f(W_l h_(l-1) + b_l), z = V h_L + c; back likewise from z to the pixels",
        source="Burda et al. 2016, 1509.00519",
        good_for="small images, where it is many times faster",
        bad_for="large images: weights grow with the square of the side",
        hyperparameters=("width", "depth"),
    )
)
ARCHITECTURES.add(
    Technique(
        name="conv",
        factory=Conv,
        summary="strided convolutions, and back by repeating pixels and convolving",
        formula="z = V [f(3 x 3 convolution, stride 2)]^L x + c; back: f(W z + b), then L times [pixels repeated, f(3 x 3 convolution)]",
        source="Radford et al. 2016, 1511.06434; Odena et al. 2016",
        good_for="images of any size and colour",
        bad_for="the time of a step on small images",
        hyperparameters=("width", "depth"),
    )
)
