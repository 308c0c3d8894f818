"""Generators and discriminators from their choices."""

from __future__ import annotations

import math

import torch

from seewhy.core.errors import bad_value
from seewhy.models.adversarial.dcgan import ConvDiscriminator, ConvGenerator
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator, spectrally_normalised
from seewhy.models.adversarial.design import AdversarialDesign
from seewhy.models.adversarial.gan import GAN
from seewhy.models.adversarial.networks import Noise
from seewhy.models.weights import seeded_weights

Shape = tuple[int, int, int]
Pair = tuple[DenseGenerator, DenseDiscriminator] | tuple[ConvGenerator, ConvDiscriminator]


def build_gan(
    *, in_shape: Shape, rng: torch.Generator, classes: int | None = None, design: AdversarialDesign | None = None
) -> GAN:
    """Return a generator and a discriminator of uint8 images (N, C, H, W): Goodfellow et al.'s dense ones, or DCGAN's.

    Under the hinge loss both discriminators have spectral normalisation. Under the Wasserstein loss the convolutional one has layer
    normalisation, for the gradient penalty, which needs each image's own gradient; else batch normalisation, as the paper's.

    Args:
        in_shape: (C, H, W).
        rng: source of every weight: equal states give equal bits. torch's global source is left as it was.
        classes: K, for class-conditional networks; None where they are not.
        design: the choices; None for the usual ones.

    Raises:
        InputError: a name is not known, a number is out of range, or choices do not fit together.
    """
    design = design or AdversarialDesign()
    if min(in_shape) < 1:
        raise bad_value("in_shape", in_shape, "(channels, height, width), each at least 1")
    with seeded_weights(rng):
        pair = _dense(in_shape, classes, design) if design.architecture == "dense" else _conv(in_shape, classes, design)
        return GAN(*pair, loss=design.loss, gradient_penalty=design.gradient_penalty, critic_steps=design.critic_steps)


def _dense(in_shape: Shape, classes: int | None, design: AdversarialDesign) -> Pair:
    width = max(1, design.width // 5)  # 240 maxout units beside the authors' 1200 units of the generator
    discriminator = DenseDiscriminator(in_shape, width=width, depth=design.depth, classes=classes)
    generator = DenseGenerator(
        in_shape,
        Noise(design.latent_dim, "uniform"),
        widths=(design.width,) * design.depth,
        classes=classes,
        init_bound=math.sqrt(3.0 / design.width),  # 0.05 at the authors' 1200 units
    )
    return generator, spectrally_normalised(discriminator) if design.loss == "hinge" else discriminator


def _conv(in_shape: Shape, classes: int | None, design: AdversarialDesign) -> Pair:
    norm = {"wasserstein": "layer", "hinge": "spectral"}.get(design.loss, "batch")
    width, depth = design.width, design.depth
    return (
        ConvGenerator(in_shape, Noise(design.latent_dim), width=width, depth=depth, classes=classes),
        ConvDiscriminator(in_shape, width=width, depth=depth, norm=norm, classes=classes),
    )
