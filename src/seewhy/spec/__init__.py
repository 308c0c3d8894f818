"""The specification of a run: what is asked for, what goes together, what is chosen where nothing is said.

A `Request` holds what was asked for; `resolve` fills in the rest from facts of the data and gives a `RunSpec`, in which every field has its
value. Models and optimisers bring their own fields (`families`, `optimizers`). Nothing here imports torch: help texts and errors come at once.
"""

from seewhy.spec.build import build_request
from seewhy.spec.edits import apply_edit, diff, format_edit, parse_edit
from seewhy.spec.facts import DataFacts
from seewhy.spec.family import (
    Default,
    Family,
    Metric,
    Model,
    answering,
    families,
    family_of,
    model_names,
    register_family,
)
from seewhy.spec.request import FORMAT, Request
from seewhy.spec.resolution import Resolution, estimate_seconds, resolve, resolve_budget
from seewhy.spec.run_spec import RunSpec, provenance, reasons_in
from seewhy.spec.sections import DataSection, EnsembleSection, ModelSection, RegSection, TrainSection
from seewhy.spec.view import View

__all__ = [
    "FORMAT",
    "DataFacts",
    "DataSection",
    "Default",
    "EnsembleSection",
    "Family",
    "Metric",
    "Model",
    "ModelSection",
    "RegSection",
    "Request",
    "Resolution",
    "RunSpec",
    "TrainSection",
    "View",
    "answering",
    "apply_edit",
    "build_request",
    "diff",
    "estimate_seconds",
    "families",
    "family_of",
    "format_edit",
    "model_names",
    "parse_edit",
    "provenance",
    "reasons_in",
    "register_family",
    "resolve",
    "resolve_budget",
]
