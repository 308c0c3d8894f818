"""A run's report as one HTML file that opens offline.

The page loads nothing: style, script, drawings and images stand inside it, and its content security policy forbids
the browser to fetch anything or to run any script but the page's own, whatever a file or a class is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from seewhy.reporting import classification, curves, findings, interpretation
from seewhy.reporting.augmentations import augmentation_fragment
from seewhy.reporting.formatting import (
    finite_or_none,
    format_count,
    format_metric_name,
    format_number,
    format_percent,
    format_term,
    format_time,
)
from seewhy.reporting.images import SMALL_SIDE, thumbnail_data_uri
from seewhy.reporting.records import ChoiceRow, EvaluationRecord, ImagePair, ReportRecord
from seewhy.reporting.sections import section_fragment, unique_ids
from seewhy.reporting.svg import inline_svg
from seewhy.reporting.template import render_page

MISTAKES_UP_TO = 36
PATHS_UP_TO = 50
EPOCHS_UP_TO = 500

CHOICES_UP_TO = 12
"""With more choices than this, those that were not asked for are collapsed."""

_TITLES = {
    "findings": "Findings",
    "members": "Members",
    "curves": "Learning",
    "network": "Network",
    "evaluation": "Evaluation",
    "confusion": "Confusion",
    "mistakes": "Mistakes",
    "explained": "Why",
    "classes": "Classes",
    "calibration": "Calibration",
    "augmentation": "Augmentation",
    "data": "Data",
    "choices": "Choices",
    "repeat": "Repeat",
}
"""Anchors and short titles, in the navigation, of the sections that are part of every report."""

_RESERVED = {*_TITLES, *(f"h-{name}" for name in _TITLES), "main", "tip"}


def render_report(record: ReportRecord) -> str:
    """Draw a run's report.

    Args:
        record: what was measured; parts that are missing are explained in the page.

    Returns:
        A whole HTML document that loads nothing from anywhere.
    """
    evaluation = record.evaluation
    ids = unique_ids(record.sections, _RESERVED)
    context: dict[str, Any] = {
        "record": record,
        "created": format_time(record.created),
        "tiles": [_tile(label, value) for label, value in record.summary],
        "findings": findings.findings_fragment(record.health, edits=True) if record.health else "",
        "network": findings.network_fragment(record.health) if record.health else "",
        "curves": _curves(record.metrics),
        "ensemble": _ensemble(record.ensemble) if record.ensemble else None,
        "sections": [
            {"id": id_, "title": section.title, "html": section_fragment(section)}
            for id_, section in zip(ids, record.sections, strict=True)
        ],
        "augmentation": augmentation_fragment(record.augmentation) if record.augmentation else "",
        "evaluation": evaluation,
        "split": interpretation.split_name(evaluation) if evaluation else "",
        "confusion": _confusion(evaluation) if evaluation else None,
        "mistakes": _mistakes(evaluation) if evaluation else [],
        "explained": section_fragment(record.explained) if record.explained else "",
        "classes": _classes(evaluation) if evaluation else [],
        "calibration": _calibration(evaluation) if evaluation else None,
        "choices": _choices(record.choices),
        "issues": _issues(record.audit),
        "near": _near(record.near),
        "environment": _flat(record.environment),
    }
    return render_page(
        "report.html.j2",
        title=record.title,
        scripts=findings.SCRIPTS if record.health else ["report.js"],
        styles=findings.STYLES if record.health else ["report.css"],
        light=findings.LIGHT_HEALTH,
        dark=findings.DARK_HEALTH,
        navigation=_navigation(record, ids),
        **context,
    )


def _navigation(record: ReportRecord, ids: Sequence[str]) -> list[tuple[str, str]]:
    """Return (anchor, title) of the page's sections in order."""
    names = ["findings"] if record.health else []
    names += ["members" if record.ensemble else "curves"]
    names += ["network"] if record.health and findings.is_drawn(record.health) else []
    later = ["confusion", "mistakes"] if record.evaluation else []
    later += ["explained"] if record.evaluation and record.explained else []
    later += ["classes", "calibration"] if record.evaluation else []
    later += [] if record.evaluation or record.sections else ["evaluation"]
    later += ["augmentation"] if record.augmentation else []
    later += ["data"]
    later += ["choices"] if record.choices else []
    later += ["repeat"]
    own = [(id_, section.title) for id_, section in zip(ids, record.sections, strict=True)]
    return [*((name, _TITLES[name]) for name in names), *own, *((name, _TITLES[name]) for name in later)]


def _tile(label: str, value: str) -> dict[str, str]:
    head, bracket, rest = value.partition(" [")
    return {"label": label, "value": head, "detail": f"[{rest}" if bracket else ""}


def _format_loss(value: object) -> str:
    """Return a loss as text; one that is not finite is a finding, not a gap."""
    return str(value) if isinstance(value, float) and finite_or_none(value) is None else format_number(value)


def _columns(metrics: Sequence[Mapping[str, float | None]]) -> list[tuple[str, str, Callable[[object], str]]]:
    """Return the columns of the table of epochs: name, heading, how its values are written."""
    columns: list[tuple[str, str, Callable[[object], str]]] = [("epoch", "Epoch", format_number)]
    for name in curves.metric_names(metrics):
        for split, label in curves.SPLITS.items():
            column = f"{split}_{name}"
            write = _format_loss if interpretation.is_loss(column) else curves.metric_format(name)
            columns.append((column, f"{label.capitalize()} {format_term(name)}", write))
    columns += [
        ("lr", "Learning rate", format_number),
        ("images_per_second", "Images/s", lambda value: format_number(value, 3)),
        ("seconds", "Seconds", lambda value: format_number(value, 3)),
    ]
    return [column for column in columns if any(metric.get(column[0]) is not None for metric in metrics)]


def _curves(metrics: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    columns = _columns(metrics)
    step = max(1, -(-len(metrics) // EPOCHS_UP_TO))
    return {
        "svgs": [
            inline_svg(panel, f"{format_metric_name(name)} over epochs", grow=1.3)
            for name, panel in curves.curve_panels(metrics).items()
        ],
        "text": interpretation.describe_curves(metrics),
        "not_finite": interpretation.first_not_finite(metrics),
        "head": [heading for _, heading, _ in columns],
        "rows": [[write(metric.get(name)) for name, _, write in columns] for metric in metrics[::step]],
        "step": step,
    }


def _ensemble(ensemble: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "svgs": [
            inline_svg(panel, "By the number of members", grow=1.3)
            for panel in curves.member_panels(ensemble["by_number"])
        ],
        "text": interpretation.describe_ensemble(ensemble),
        "rows": [
            [str(index), format_percent(row["accuracy"]), format_number(row["log_loss"]), format_percent(row["ece"])]
            for index, row in enumerate(ensemble["members"], start=1)
        ],
    }


def _confusion(evaluation: EvaluationRecord) -> dict[str, Any]:
    drawn = classification.confusion_classes(evaluation)
    K = len(evaluation.classes)
    svg = ""
    if int(np.sum(evaluation.confusion)):
        description = f"Confusion matrix of {format_count(K, 'class', 'classes')}"
        chart = classification.confusion_matrix_chart(evaluation)
        svg = inline_svg(chart, description, grow=1.5, least=300 if K <= 12 else 520)
    return {
        "svg": svg,
        "text": interpretation.describe_confusion(evaluation),
        "pairs": interpretation.confused_pairs(evaluation),
        "partial": len(drawn) if len(drawn) < K else 0,
    }


def _mistakes(evaluation: EvaluationRecord) -> list[dict[str, Any]]:
    return [
        {
            "uri": thumbnail_data_uri(mistake.image),
            "small": max(mistake.image.shape[:2]) <= SMALL_SIDE,
            "true": mistake.true,
            "predicted": mistake.predicted,
            "confidence": finite_or_none(mistake.confidence) or 0.0,
            "name": mistake.name,
        }
        for mistake in evaluation.mistakes[:MISTAKES_UP_TO]
    ]


def _classes(evaluation: EvaluationRecord) -> list[dict[str, Any]]:
    rows = [
        {"class": str(row["class"])}
        | {field: finite_or_none(row.get(field)) for field in ("n", "precision", "recall", "f1")}
        for row in evaluation.per_class
    ]
    return sorted(rows, key=lambda row: (row["f1"] is None, row["f1"] or 0.0))


def _calibration(evaluation: EvaluationRecord) -> dict[str, Any]:
    bins = [row for row in evaluation.calibration if row["n"]]
    before = evaluation.uncalibrated
    figures: list[tuple[str, str, str]] = []
    for label, field, write in (
        ("Expected calibration error", "ece", format_percent),
        ("Log-loss", "log_loss", lambda value: f"{format_number(value)} nats"),
    ):
        was = "" if before is None else write(before[field])
        figures.append((label, write(getattr(evaluation, field)), was))
    svg = ""
    if bins:
        description = "Reliability diagram: accuracy against confidence"
        description += "" if before is None else ", before and after temperature scaling"
        svg = inline_svg(classification.reliability_diagram(evaluation), description, grow=1.25)
    return {
        "svg": svg,
        "bins": bins,
        "figures": figures,
        "text": interpretation.describe_calibration(evaluation),
        "temperature": interpretation.describe_temperature(evaluation),
    }


def _choices(choices: Sequence[ChoiceRow]) -> dict[str, Any]:
    """Return the choices that were asked for, the others, and whether the others are collapsed."""
    rows = [
        {"name": row.name, "value": _format_value(row.value), "asked": row.asked, "reason": row.reason}
        for row in choices
    ]
    asked = [row for row in rows if row["asked"]]
    chosen = [row for row in rows if not row["asked"]]
    return {"asked": asked, "chosen": chosen, "collapsed": len(rows) > CHOICES_UP_TO}


def _format_value(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(_format_value(item) for item in value)
    return str(value)


def _issues(audit: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
    ranks = {"error": 0, "warning": 1, "note": 2}
    issues = []
    for issue in audit:
        value = issue.get("paths") or ()
        paths = [str(path) for path in value] if isinstance(value, (list, tuple)) else [str(value)]
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


def _near(pairs: Sequence[ImagePair]) -> list[dict[str, Any]]:
    return [
        {
            "sides": [
                {"uri": thumbnail_data_uri(image), "name": name}
                for image, name in zip(pair.images, pair.names, strict=True)
            ],
            "small": max(pair.images[0].shape[:2]) <= SMALL_SIDE // 2,
            "text": pair.text,
        }
        for pair in pairs
    ]


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
