"""Reports and figures drawn from plain records, whoever measured them.

The records import nothing heavy; the figures' library is loaded when the first figure is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from seewhy.reporting.records import EvaluationRecord, GeneratedRecord, Mistake, ReportRecord, Sheet

if TYPE_CHECKING:
    from seewhy.reporting.figures import calibration, confusion, learning_curves, save
    from seewhy.reporting.html import render_report
    from seewhy.reporting.samples import grid, png_data_uri

_HOMES = {
    "calibration": "figures",
    "confusion": "figures",
    "learning_curves": "figures",
    "save": "figures",
    "render_report": "html",
    "grid": "samples",
    "png_data_uri": "samples",
}

__all__ = [
    "EvaluationRecord",
    "GeneratedRecord",
    "Mistake",
    "ReportRecord",
    "Sheet",
    "calibration",
    "confusion",
    "grid",
    "learning_curves",
    "png_data_uri",
    "render_report",
    "save",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
