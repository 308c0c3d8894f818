"""Figures of a classifier's evaluation: the confusion matrix and the reliability diagram."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from seewhy.reporting.figures import WIDTH, Row, inline_data, themed
from seewhy.reporting.formatting import finite_or_none, format_count, format_percent, shorten
from seewhy.reporting.palette import LIGHT
from seewhy.reporting.records import EvaluationRecord

COUNTS_UP_TO = 20
"""Above this many classes the cells of a confusion matrix are too small for counts."""

LABELS_UP_TO = 40
CLASSES_UP_TO = 120
"""Above this many classes only those with the most mistakes are drawn."""

BEFORE, AFTER = "before scaling", "after scaling"


def confusion_classes(evaluation: EvaluationRecord) -> list[int]:
    """Return the classes that the confusion matrix shows: all, or those with the most mistakes where K is large."""
    matrix = np.asarray(evaluation.confusion)
    if len(matrix) <= CLASSES_UP_TO:
        return list(range(len(matrix)))
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    return sorted(int(k) for k in np.argsort(-wrong, kind="stable")[: CLASSES_UP_TO // 2])


def confusion_matrix_chart(evaluation: EvaluationRecord) -> Any:
    """Draw the confusion matrix: rows are true classes, columns predictions, colour is the fraction of the row.

    Blue is correct, orange wrong. Counts stand in the cells up to 20 classes; beyond 40 classes only some are labelled;
    beyond 120 the 60 classes with the most mistakes are shown.
    """
    classes = confusion_classes(evaluation)
    K = len(classes)
    cell = 30 if K <= 12 else 20 if K <= COUNTS_UP_TO else 13 if K <= LABELS_UP_TO else max(4, 480 // K)
    names = {str(k): shorten(evaluation.classes[k], 12 if K <= 12 else 16) for k in classes}
    every = 1 if K <= LABELS_UP_TO else math.ceil(K / 24)
    axis: Row = {
        "labelExpr": f"{json.dumps(names)}[datum.value]",
        "values": classes[::every],
        "labelFontSize": 11 if cell >= 20 else 9,
        "labelLimit": 110,
        "labelOverlap": False,
        "domain": False,
        "ticks": False,
        "labelPadding": 5,
    }
    upright = max((len(name) for name in names.values()), default=0) * 6 <= cell
    turn: Row = {"labelAngle": 0} if upright else {"labelAngle": -90, "labelAlign": "right", "labelBaseline": "middle"}
    order = alt.Scale(domain=classes, padding=0.04 if cell >= 13 else 0)
    x = alt.X("predicted:O", title="predicted class", scale=order, axis=alt.Axis(**axis, **turn))
    y = alt.Y("true:O", title="true class", scale=order, axis=alt.Axis(**axis))
    paint = alt.Scale(domain=[True, False], range=[LIGHT["correct"], LIGHT["wrong"]])
    base = alt.Chart(inline_data(_cells(evaluation, classes))).encode(x=x, y=y)
    cells = base.mark_rect(cornerRadius=3 if cell >= 20 else 0).encode(
        color=alt.Color("correct:N", scale=paint, legend=None),
        opacity=alt.Opacity("strength:Q", scale=None),
        tooltip=alt.Tooltip("tip:N", title=" "),
        description="tip:N",
    )
    layers = [cells]
    if K <= COUNTS_UP_TO:
        ink = alt.condition("datum.strength > 0.7", alt.value(LIGHT["over"]), alt.value(LIGHT["ink"]))
        text = base.mark_text(fontSize=11 if cell == 30 else 9, aria=False)
        layers.append(text.encode(text="text:N", color=ink))
    return themed(alt.layer(*layers, width=cell * K, height=cell * K))


def _cells(evaluation: EvaluationRecord, classes: list[int]) -> list[Row]:
    """Return the cells that are not zero, with their fraction of the row and how strongly they are painted."""
    matrix = np.asarray(evaluation.confusion)
    totals = matrix.sum(axis=1)
    rows = []
    for true in classes:
        for predicted in classes:
            n = int(matrix[true, predicted])
            if n == 0:
                continue
            fraction = n / int(totals[true])
            # Mistakes are rare: the square root lets one in a hundred be seen.
            strength = 0.08 + 0.92 * (fraction if true == predicted else math.sqrt(fraction))
            names = (shorten(evaluation.classes[true], 28), shorten(evaluation.classes[predicted], 28))
            images = f"{n:,} of {int(totals[true]):,} ({format_percent(fraction)})"
            rows.append(
                {
                    "true": true,
                    "predicted": predicted,
                    "count": n,
                    "fraction": round(fraction, 4),
                    "tip": f"true {names[0]}, predicted {names[1]}: {images}",
                    "text": f"{n}" if n < 10_000 else f"{n / 1000:.0f}k",
                    "correct": true == predicted,
                    "strength": round(strength, 3),
                }
            )
    return rows


def reliability_diagram(evaluation: EvaluationRecord) -> Any:
    """Draw accuracy against confidence with 95% intervals, the diagonal of perfect calibration, and the bins' counts.

    Where a temperature was fitted, the curve before scaling is drawn beside the one after it; the counts are those after it.
    """
    scaled = evaluation.uncalibrated is not None
    after = _bins(evaluation.calibration, AFTER, named=scaled)
    before = _bins((evaluation.uncalibrated or {}).get("calibration", ()), BEFORE, named=True)
    unit = alt.Scale(domain=[0, 1], nice=False, clamp=True, padding=0)
    plain = alt.Axis(format="~%", tickCount=5, labels=False, title=None, ticks=False)
    x = alt.X("confidence:Q", scale=unit, axis=plain)
    y = alt.Y("accuracy:Q", scale=unit, title="accuracy", axis=alt.Axis(format="~%", tickCount=5, domain=False))
    ends = [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]
    diagonal = alt.Chart(inline_data(ends)).mark_line(
        color=LIGHT["quiet"], strokeDash=[5, 3], strokeWidth=1.5, aria=False
    )
    colours = alt.Scale(domain=[BEFORE, AFTER], range=[LIGHT["wrong"], LIGHT["accent"]])
    colour = alt.Color(
        "series:N", scale=colours, legend=alt.Legend(symbolType="circle", columnPadding=24) if scaled else None
    )
    base = alt.Chart(inline_data([*before, *after])).encode(x=x, color=colour)
    tip = alt.Tooltip("tip:N", title=" ")
    layers = [diagonal.encode(x=x, y=y)]
    if scaled:
        layers.append(base.mark_line(strokeWidth=1.5, aria=False, strokeJoin="round").encode(y=y))
    layers += [
        base.mark_rule(strokeWidth=1.5, aria=False).encode(y=alt.Y("lo:Q", scale=unit), y2="hi:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=y, tooltip=tip, description="tip:N"),
    ]
    upper = alt.layer(*layers, width=WIDTH, height=WIDTH * 3 // 4)
    x_axis = alt.Axis(format="~%", tickCount=5, title="confidence", grid=False)
    counts = (
        alt.Chart(inline_data(after))
        .mark_bar(color=LIGHT["quiet"], size=12)
        .encode(
            x=alt.X("confidence:Q", scale=unit, axis=x_axis),
            y=alt.Y("n:Q", title="images", axis=alt.Axis(tickCount=2, format=",d", domain=False, ticks=False)),
            tooltip=tip,
            description="tip:N",
        )
    )
    return themed(alt.vconcat(upper, counts.properties(width=WIDTH, height=48), spacing=8))


def _bins(calibration: Sequence[Mapping[str, float]], series: str, *, named: bool) -> list[Row]:
    """Return the bins that hold images as rows of the diagram; where there are two series, their tips are `named`."""
    prefix = f"{series}: " if named else ""
    rows = []
    for row in calibration:
        n, lo, hi = int(row["n"]), finite_or_none(row.get("lo")), finite_or_none(row.get("hi"))
        confidence, accuracy = finite_or_none(row["confidence"]), finite_or_none(row["accuracy"])
        if n and confidence is not None and accuracy is not None:
            rows.append(
                {
                    "confidence": confidence,
                    "accuracy": accuracy,
                    "n": n,
                    "lo": accuracy if lo is None else lo,
                    "hi": accuracy if hi is None else hi,
                    "series": series,
                    "tip": f"{prefix}confidence {format_percent(confidence)}, accuracy {format_percent(accuracy)}, "
                    f"{format_count(n, 'image')}",
                }
            )
    return rows
