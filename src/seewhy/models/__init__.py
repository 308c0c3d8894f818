"""Recognisers, built by name from the parts of `seewhy.nn`."""

from seewhy.models.build import MODELS, STEMS, build
from seewhy.models.recogniser import Recogniser, count_parameters, prepare

__all__ = ["MODELS", "STEMS", "Recogniser", "build", "count_parameters", "prepare"]
