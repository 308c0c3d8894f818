"""The specification of a run: what is wanted, what goes together, what is chosen where nothing is said.

A `RunSpec` says *what* is wanted; None means "choose from the data". `defaults.resolve` fills every None, and the resolved
specification is written to the run folder, so that the same file repeats the run. Nothing here imports torch: help texts
and errors come at once.
"""

from seewhy.training.spec.options import ALIASES, build_spec, dotted_options, make_spec
from seewhy.training.spec.run_spec import RunSpec
from seewhy.training.spec.sections import (
    DataSpec,
    EnsembleSpec,
    GeneratorSpec,
    ModelSpec,
    OptimSpec,
    RegSpec,
    TrainSpec,
    names_of,
)

__all__ = [
    "ALIASES",
    "DataSpec",
    "EnsembleSpec",
    "GeneratorSpec",
    "ModelSpec",
    "OptimSpec",
    "RegSpec",
    "RunSpec",
    "TrainSpec",
    "build_spec",
    "dotted_options",
    "make_spec",
    "names_of",
]
