"""Image classifiers: networks that map an image to a logit for each class."""

from seewhy.models.classifiers.build import CLASSIFIERS, STEMS, build_classifier
from seewhy.models.classifiers.classifier import Classifier, prepare_classifier
from seewhy.models.classifiers.convnet import ConvNet
from seewhy.models.classifiers.design import ClassifierDesign, Regularisers
from seewhy.models.classifiers.mlp import MLP
from seewhy.models.classifiers.resnet import ResNet

__all__ = [
    "CLASSIFIERS",
    "MLP",
    "STEMS",
    "Classifier",
    "ClassifierDesign",
    "ConvNet",
    "Regularisers",
    "ResNet",
    "build_classifier",
    "prepare_classifier",
]
