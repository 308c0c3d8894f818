"""seewhy: train networks that see, and see why they learn, or don't.

Public names are loaded when they are first used, so that `import seewhy` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seewhy import data, metrics, models, nn, optim, spec
    from seewhy.api import check, claims, compare, diagnose, resume, resume_study, train
    from seewhy.comparison.study import Study
    from seewhy.core.errors import InputError, RunError
    from seewhy.core.findings import Finding
    from seewhy.diagnosis import sanity, watch
    from seewhy.runs.run import Run
    from seewhy.spec import Request, RunSpec

__version__ = "0.1.0"

__all__ = [
    "Finding",
    "InputError",
    "Request",
    "Run",
    "RunError",
    "RunSpec",
    "Study",
    "check",
    "claims",
    "compare",
    "data",
    "diagnose",
    "metrics",
    "models",
    "nn",
    "optim",
    "resume",
    "resume_study",
    "sanity",
    "spec",
    "train",
    "watch",
]

_HOMES = {
    "Finding": "seewhy.core.findings",
    "InputError": "seewhy.core.errors",
    "Request": "seewhy.spec",
    "Run": "seewhy.runs.run",
    "RunError": "seewhy.core.errors",
    "RunSpec": "seewhy.spec",
    "Study": "seewhy.comparison.study",
    "check": "seewhy.api",
    "claims": "seewhy.api",
    "compare": "seewhy.api",
    "diagnose": "seewhy.api",
    "resume": "seewhy.api",
    "resume_study": "seewhy.api",
    "sanity": "seewhy.diagnosis",
    "train": "seewhy.api",
    "watch": "seewhy.diagnosis",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"seewhy.{name}")
    raise AttributeError(f"module 'seewhy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
