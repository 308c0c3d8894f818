"""Recognisers and generators, built by name from the parts of `seewhy.nn`."""

from seewhy.models.build import MODELS, STEMS, build
from seewhy.models.design import Design
from seewhy.models.generators import GENERATORS, GeneratorDesign, build_generator
from seewhy.models.recogniser import Recogniser, count_parameters, prepare

__all__ = [
    "GENERATORS",
    "MODELS",
    "STEMS",
    "Design",
    "GeneratorDesign",
    "Recogniser",
    "build",
    "build_generator",
    "count_parameters",
    "prepare",
]
