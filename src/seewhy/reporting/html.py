"""A run's report as one HTML file that opens offline.

The page loads nothing: style, script, drawings and pictures stand inside it, and its content security policy forbids
the browser to fetch anything or to run any script but the page's own, whatever a file or a class is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from seewhy.reporting import figures, reading, samples
from seewhy.reporting.augmentations import augmentation_fragment
from seewhy.reporting.generated import generated_fragment
from seewhy.reporting.palette import DARK, LIGHT, figure_rules, variables
from seewhy.reporting.records import EvaluationRecord, ReportRecord
from seewhy.reporting.svg import inline_svg
from seewhy.reporting.template import environment, script_hash, source
from seewhy.reporting.words import count, finite, heading, number, percent

MISTAKES_UP_TO = 36
PATHS_UP_TO = 50
EPOCHS_UP_TO = 500

_SECTIONS = (("curves", "Learning"), ("data", "Data"), ("repeat", "Repeat"))
_CHANGED = (("augmentation", "Augmentation"),)
_EVALUATED = (
    ("confusion", "Confusion"),
    ("mistakes", "Mistakes"),
    ("classes", "Classes"),
    ("calibration", "Calibration"),
)
_GENERATED = (("generated", "Generated"),)
_MEMBERS = (("members", "Members"),)
_NOT_EVALUATED = (("evaluation", "Evaluation"),)


def render_report(record: ReportRecord) -> str:
    """Draw a run's report.

    Args:
        record: what was measured; parts that are missing are explained in the page.

    Returns:
        A whole HTML document that loads nothing from anywhere.
    """
    script = source("report.js")
    evaluation = record.evaluation
    context: dict[str, Any] = {
        "record": record,
        "created": _when(record.created),
        "tiles": [_tile(label, value) for label, value in record.summary],
        "script": script,
        "script_hash": script_hash(script),
        "style": source("report.css"),
        "light": variables(LIGHT),
        "dark": variables(DARK),
        "figure_rules": figure_rules(),
        "curves": _curves(record.metrics),
        "ensemble": _ensemble(record.ensemble) if record.ensemble else None,
        "sections": (_MEMBERS if record.ensemble else _SECTIONS[:1])
        + (_GENERATED if record.generated else _EVALUATED if evaluation else _NOT_EVALUATED)
        + (_CHANGED if record.augmentation else ())
        + _SECTIONS[1:],
        "augmentation": augmentation_fragment(record.augmentation) if record.augmentation else "",
        "generated": generated_fragment(record.generated) if record.generated else "",
        "evaluation": evaluation,
        "part": reading.part_name(evaluation) if evaluation else "",
        "confusion": _confusion(evaluation) if evaluation else None,
        "mistakes": _mistakes(evaluation) if evaluation else [],
        "classes": _classes(evaluation) if evaluation else [],
        "calibration": _calibration(evaluation) if evaluation else None,
        "issues": _issues(record.audit),
        "environment": _flat(record.environment),
    }
    return environment().get_template("report.html.j2").render(context)


def _when(created: str) -> str:
    try:
        return f"{datetime.fromisoformat(created):%d %B %Y, %H:%M}".removeprefix("0")
    except ValueError:
        return created


def _tile(label: str, value: str) -> dict[str, str]:
    head, bracket, rest = value.partition(" [")
    return {"label": label, "value": head, "detail": f"[{rest}" if bracket else ""}


def _loss(value: object) -> str:
    """Return a loss as text; one that is not finite is a finding, not a gap."""
    return str(value) if isinstance(value, float) and finite(value) is None else number(value)


def _curves(metrics: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    panels = figures.curve_panels(metrics)
    fields: list[tuple[str, str, Callable[[object], str]]] = [
        ("epoch", "Epoch", number),
        ("train_loss", "Training loss", _loss),
        ("val_loss", "Validation loss", _loss),
        ("train_accuracy", "Training accuracy", percent),
        ("val_accuracy", "Validation accuracy", percent),
        ("lr", "Learning rate", number),
        ("images_per_second", "Images/s", lambda value: number(value, 3)),
        ("seconds", "Seconds", lambda value: number(value, 3)),
    ]
    measured = [field for field in fields if any(metric.get(field[0]) is not None for metric in metrics)]
    step = max(1, -(-len(metrics) // EPOCHS_UP_TO))
    return {
        "svgs": [inline_svg(panel, f"{heading(name)} over epochs", grow=1.3) for name, panel in panels.items()],
        "reading": reading.of_curves(metrics),
        "broken": reading.not_finite(metrics),
        "heads": [head for _, head, _ in measured],
        "rows": [[show(metric.get(field)) for field, _, show in measured] for metric in metrics[::step]],
        "step": step,
    }


def _ensemble(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "svgs": [
            inline_svg(panel, "By the number of members", grow=1.3)
            for panel in figures.member_panels(found["by_number"])
        ],
        "reading": reading.of_ensemble(found),
        "rows": [
            [str(place), percent(row["accuracy"]), number(row["log_loss"]), number(row["ece"])]
            for place, row in enumerate(found["members"], start=1)
        ],
    }


def _confusion(evaluation: EvaluationRecord) -> dict[str, Any]:
    shown = figures.confusion_classes(evaluation)
    K = len(evaluation.classes)
    total = int(np.sum(evaluation.confusion))
    svg = ""
    if total:
        chart = figures.confusion(evaluation)
        svg = inline_svg(
            chart, f"Confusion matrix of {count(K, 'class', 'classes')}", grow=1.5, least=300 if K <= 12 else 520
        )
    return {
        "svg": svg,
        "reading": reading.of_confusion(evaluation),
        "pairs": reading.confused_pairs(evaluation),
        "partial": len(shown) if len(shown) < K else 0,
    }


def _mistakes(evaluation: EvaluationRecord) -> list[dict[str, Any]]:
    shown = []
    for mistake in evaluation.mistakes[:MISTAKES_UP_TO]:
        H, W = mistake.image.shape[:2]
        shown.append(
            {
                "uri": samples.thumbnail_data_uri(mistake.image),
                "tiny": max(H, W) <= 96,
                "true": mistake.true,
                "predicted": mistake.predicted,
                "confidence": finite(mistake.confidence) or 0.0,
                "name": mistake.name,
            }
        )
    return shown


def _classes(evaluation: EvaluationRecord) -> list[dict[str, Any]]:
    rows = [
        {field: finite(row.get(field)) for field in ("n", "precision", "recall", "f1")} for row in evaluation.per_class
    ]
    named = [{"class": str(row["class"]), **cells} for row, cells in zip(evaluation.per_class, rows, strict=True)]
    return sorted(named, key=lambda row: (row["f1"] is None, row["f1"] or 0.0))


def _calibration(evaluation: EvaluationRecord) -> dict[str, Any]:
    bins = [b for b in evaluation.calibration if b["n"]]
    svg = inline_svg(figures.calibration(evaluation), "Accuracy against confidence", grow=1.25) if bins else ""
    return {"svg": svg, "bins": bins, "reading": reading.of_calibration(evaluation)}


def _issues(audit: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    ranks = {"error": 0, "warning": 1, "note": 2}
    issues = []
    for issue in audit:
        given = issue.get("paths") or ()
        paths = [str(path) for path in given] if isinstance(given, (list, tuple)) else [str(given)]
        severity = str(issue.get("severity", "note"))
        issues.append(
            {
                "kind": str(issue.get("kind", "")).replace("_", " "),
                "severity": severity if severity in ranks else "note",
                "message": str(issue.get("message", "")),
                "paths": paths[:PATHS_UP_TO],
                "more": max(0, len(paths) - PATHS_UP_TO),
            }
        )
    return sorted(issues, key=lambda issue: ranks[issue["severity"]])


def _flat(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            rows += _flat(value, f"{label} · ")
        elif isinstance(value, (list, tuple)):
            rows.append((label, ", ".join(str(item) for item in value)))
        else:
            rows.append((label, "–" if value is None else str(value)))
    return rows
