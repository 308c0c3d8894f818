"""Classifiers and generative models, built from the parts of `seewhy.nn`: one package for each family.

classifiers      mlp, convnet, resnet
autoregressive   pixelcnn, gated_pixelcnn, row_lstm, diagonal_bilstm
latent           autoencoder, vae
adversarial      gan
"""

from seewhy.models.adversarial import GAN, AdversarialDesign, build_gan
from seewhy.models.autoregressive import (
    AUTOREGRESSIVE,
    AutoregressiveDesign,
    RasterGenerator,
    build_autoregressive,
)
from seewhy.models.choices import Choice
from seewhy.models.classifiers import (
    CLASSIFIERS,
    STEMS,
    Classifier,
    ClassifierDesign,
    Regularisers,
    build_classifier,
    prepare_classifier,
)
from seewhy.models.intensity import IntensityLevels
from seewhy.models.latent import VAE, Autoencoder, BoundOptions, LatentDesign, build_autoencoder, build_vae
from seewhy.models.predictor import Predictor
from seewhy.models.weights import count_parameters, seeded_weights

__all__ = [
    "AUTOREGRESSIVE",
    "CLASSIFIERS",
    "GAN",
    "STEMS",
    "VAE",
    "AdversarialDesign",
    "Autoencoder",
    "AutoregressiveDesign",
    "BoundOptions",
    "Choice",
    "Classifier",
    "ClassifierDesign",
    "IntensityLevels",
    "LatentDesign",
    "Predictor",
    "RasterGenerator",
    "Regularisers",
    "build_autoencoder",
    "build_autoregressive",
    "build_classifier",
    "build_gan",
    "build_vae",
    "count_parameters",
    "prepare_classifier",
    "seeded_weights",
]
