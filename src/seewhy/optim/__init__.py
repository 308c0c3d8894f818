"""Optimisers and learning-rate schedules: they see parameters and a closure, never a model."""

from seewhy.optim import second_order  # noqa: F401  registers its methods
from seewhy.optim.first_order import OPTIMISERS, build
from seewhy.optim.muon import Muon
from seewhy.optim.newton import Newton
from seewhy.optim.schedules import SCHEDULES, schedule

__all__ = ["OPTIMISERS", "SCHEDULES", "Muon", "Newton", "build", "schedule"]
