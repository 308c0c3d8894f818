"""Optimisers and learning-rate schedules: they see parameters and a closure, never a model."""

from seewhy.optim import second_order  # noqa: F401  registers its methods
from seewhy.optim.first_order import OPTIMISERS, build
from seewhy.optim.layerwise import scale_rates
from seewhy.optim.line_search import backtracking, strong_wolfe
from seewhy.optim.minimization import minimize
from seewhy.optim.muon import Muon
from seewhy.optim.newton import Newton
from seewhy.optim.penalties import PENALTIES, Penalties
from seewhy.optim.quasi_newton import BFGS, DFP, LBFGS
from seewhy.optim.schedules import SCHEDULES, in_cycles, schedule
from seewhy.optim.status import Result, Status

__all__ = [
    "BFGS",
    "DFP",
    "LBFGS",
    "OPTIMISERS",
    "PENALTIES",
    "SCHEDULES",
    "Muon",
    "Newton",
    "Penalties",
    "Result",
    "Status",
    "backtracking",
    "build",
    "in_cycles",
    "minimize",
    "scale_rates",
    "schedule",
    "strong_wolfe",
]
