"""Recognisers, built by name from the parts of `seewhy.nn`."""

from seewhy.models.build import MODELS, build
from seewhy.models.recogniser import Recogniser, count_parameters, prepare

__all__ = ["MODELS", "Recogniser", "build", "count_parameters", "prepare"]
