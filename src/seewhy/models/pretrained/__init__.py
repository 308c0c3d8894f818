"""Classifiers on pretrained backbones of timm and torchvision."""

from seewhy.models.pretrained.backbones import Library, Record, backbone_names, has_timm, make_body, record_of
from seewhy.models.pretrained.network import PretrainedNet
from seewhy.models.pretrained.weights import find_weights, load_weights, read_weights

__all__ = [
    "Library",
    "PretrainedNet",
    "Record",
    "backbone_names",
    "find_weights",
    "has_timm",
    "load_weights",
    "make_body",
    "read_weights",
    "record_of",
]
