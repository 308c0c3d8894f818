"""Recognisers, built by name from the parts of `seewhy.nn`."""

from seewhy.models.build import MODELS, STEMS, build
from seewhy.models.design import Design
from seewhy.models.recogniser import Recogniser, count_parameters, prepare

__all__ = ["MODELS", "STEMS", "Design", "Recogniser", "build", "count_parameters", "prepare"]
