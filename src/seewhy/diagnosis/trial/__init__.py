"""Sanity before training: a program tried on copies of itself, with one batch."""

from seewhy.diagnosis.trial.result import Sanity, sanity

__all__ = ["Sanity", "sanity"]
