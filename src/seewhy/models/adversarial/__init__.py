"""Adversarial training: a generator turns noise into images, a discriminator classifies images as real or generated."""

from seewhy.models.adversarial.build import build_gan
from seewhy.models.adversarial.dcgan import ConvDiscriminator, ConvGenerator
from seewhy.models.adversarial.dense import DenseDiscriminator, DenseGenerator
from seewhy.models.adversarial.design import AdversarialDesign
from seewhy.models.adversarial.gan import GAN, AdversarialTerms
from seewhy.models.adversarial.losses import LOSSES, AdversarialLoss
from seewhy.models.adversarial.networks import Discriminator, Generator, Noise
from seewhy.models.adversarial.penalty import gradient_penalty

__all__ = [
    "GAN",
    "LOSSES",
    "AdversarialDesign",
    "AdversarialLoss",
    "AdversarialTerms",
    "ConvDiscriminator",
    "ConvGenerator",
    "DenseDiscriminator",
    "DenseGenerator",
    "Discriminator",
    "Generator",
    "Noise",
    "build_gan",
    "gradient_penalty",
]
