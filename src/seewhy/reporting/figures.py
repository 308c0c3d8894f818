"""Figures as Altair charts: learning curves, confusion matrix, calibration.

One description serves the report's page, PNG and SVG files and a page of its own. Each mark that can be pointed at
carries a sentence (`tip`), which is its tooltip and its description for people who do not see it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np

from seewhy.core.errors import bad_value
from seewhy.core.files import write_atomic
from seewhy.reporting.palette import LIGHT
from seewhy.reporting.records import EvaluationRecord
from seewhy.reporting.words import count, finite, heading, number, percent, shorten

Row = dict[str, Any]
Metrics = Sequence[Mapping[str, float | None]]

WIDTH, HEIGHT = 320, 190
COUNTS_UP_TO = 20
"""Above this many classes the cells of a confusion matrix are too small for counts."""
LABELS_UP_TO = 40
CLASSES_UP_TO = 120
"""Above this many classes only those with the most mistakes are drawn."""
_POINTS_UP_TO = 40
_TIPS_UP_TO = 120
_LOG_FROM = 30.0
"""A loss that spans more than this factor is drawn on a logarithmic axis."""


def _data(rows: list[Row]) -> alt.InlineData:
    return alt.InlineData(values=rows)


def themed(chart: Any) -> Any:
    """Return the chart in the house's look."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    axis = {
        "domainColor": LIGHT["quiet"],
        "gridColor": LIGHT["grid"],
        "tickColor": LIGHT["quiet"],
        "labelColor": LIGHT["muted"],
        "titleColor": LIGHT["muted"],
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titlePadding": 8,
        "tickSize": 4,
    }
    legend = {"labelColor": LIGHT["ink"], "labelFontSize": 12, "title": None, "orient": "top", "symbolSize": 160}
    title = {"color": LIGHT["ink"], "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 10}
    return chart.configure(
        font=font, axis=axis, legend=legend, title=title, view={"stroke": None}, background=LIGHT["card"]
    )


def _series(metrics: Metrics, fields: Mapping[str, str]) -> list[Row]:
    """Return one row an epoch and series, without the values that are absent or not finite."""
    rows = []
    for label, field in fields.items():
        for metric in metrics:
            value, epoch = finite(metric.get(field)), finite(metric.get("epoch"))
            if value is not None and epoch is not None:
                rows.append({"epoch": epoch, "value": value, "series": label})
    return rows


def _tips(rows: list[Row], show: Any) -> list[Row]:
    """Return one row an epoch that tells all its series' values; every k-th epoch where there are many."""
    told: dict[float, list[str]] = {}
    for row in rows:
        told.setdefault(row["epoch"], []).append(f"{row['series']} {show(row['value'])}")
    epochs = sorted(told)
    step = max(1, math.ceil(len(epochs) / _TIPS_UP_TO))
    return [{"epoch": epoch, "tip": f"epoch {number(epoch)}: {', '.join(told[epoch])}"} for epoch in epochs[::step]]


def _whole_ticks(low: float, high: float) -> list[int]:
    """Return at most eight round whole numbers from low to high."""
    step = next(s * 10**k for k in range(18) for s in (1, 2, 5) if (high - low) / (s * 10**k) <= 7)
    return list(range(math.ceil(low / step) * step, math.floor(high) + 1, step))


def _log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from low to high; the powers alone where they are many."""
    factors = (1, 2, 5) if high / low < 300 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    step = max(1, math.ceil(len(powers) / 8))
    return [tick for k in powers[::step] for f in factors if low <= (tick := float(f"{f}e{k}")) <= high]


def _curve(
    rows: list[Row], *, title: str, scale: alt.Scale, form: str, show: Any, dashes: Mapping[str, list[int]]
) -> Any:
    """Draw one panel: a line a series over epochs, with a column an epoch to point at."""
    epochs = {row["epoch"] for row in rows}
    series = [name for name in dashes if any(row["series"] == name for row in rows)]
    colours = [LIGHT["accent"] if dashes[name] == [1, 0] else LIGHT["quiet"] for name in series]
    whole = alt.Axis(grid=False, values=_whole_ticks(min(epochs), max(epochs)), format="d")
    x = alt.X("epoch:Q", title="epoch", axis=whole, scale=alt.Scale(zero=False, nice=False, padding=6))
    values = [row["value"] for row in rows]
    ticks: Row = {"values": _log_ticks(min(values), max(values))} if scale.type == "log" else {"tickCount": 5}
    y = alt.Y(
        "value:Q",
        title=None,
        scale=scale,
        axis=alt.Axis(format=form, domain=False, ticks=False, minExtent=36, **ticks),
    )
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5) if len(series) > 1 else None
    colour = alt.Color("series:N", scale=alt.Scale(domain=series, range=colours), legend=legend)
    dash = alt.StrokeDash("series:N", scale=alt.Scale(domain=series, range=[dashes[s] for s in series]), legend=legend)
    base = alt.Chart(_data(rows)).encode(x=x, y=y, color=colour)
    layers = [base.mark_line(strokeWidth=2, aria=False, strokeJoin="round").encode(strokeDash=dash)]
    if len(epochs) <= _POINTS_UP_TO:
        layers.append(base.mark_point(filled=True, size=26, opacity=1, aria=False))
    tips = _tips(rows, show)
    reach = max(2.0, min(40.0, WIDTH / max(1, len(tips))))
    pointed = alt.Chart(_data(tips)).mark_rule(opacity=0, strokeWidth=reach, color=LIGHT["quiet"])
    layers.append(pointed.encode(x=x, tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N"))
    # A panel without a legend keeps its place free, so that panels side by side stand on one line.
    heading = alt.TitleParams(title, offset=10 if legend else 36)
    return alt.layer(*layers, width=WIDTH, height=HEIGHT, title=heading)


_BOTH = {"training": [5, 3], "validation": [1, 0]}


def _panels(metrics: Metrics) -> dict[str, Any]:
    panels = {}
    loss = _series(metrics, {"training": "train_loss", "validation": "val_loss"})
    if loss:
        values = [row["value"] for row in loss]
        log = min(values) > 0 and max(values) / min(values) > _LOG_FROM
        # Zero is shown where the loss comes near it: nats of pictures never do, and from zero their curve would be a flat line.
        near = 0 <= min(values) < max(values) / 2
        scale = alt.Scale(type="log", nice=False, padding=6) if log else alt.Scale(zero=near)
        title = "Loss (logarithmic)" if log else "Loss"
        panels["loss"] = _curve(loss, title=title, scale=scale, form="~r", show=number, dashes=_BOTH)
    accuracy = _series(metrics, {"training": "train_accuracy", "validation": "val_accuracy"})
    if accuracy:
        scale = alt.Scale(zero=False)
        panels["accuracy"] = _curve(accuracy, title="Accuracy", scale=scale, form="~%", show=percent, dashes=_BOTH)
    for name in _others(metrics):
        rows = _series(metrics, {"training": f"train_{name}", "validation": f"val_{name}"})
        if rows:
            panels[name] = _curve(
                rows, title=heading(name), scale=alt.Scale(zero=False), form="~r", show=number, dashes=_BOTH
            )
    rate = _series(metrics, {"learning rate": "lr"})
    if rate:
        scale = alt.Scale(zero=True)
        only = {"learning rate": [1, 0]}
        panels["lr"] = _curve(rate, title="Learning rate", scale=scale, form="~r", show=number, dashes=only)
    return panels


def _others(metrics: Metrics) -> list[str]:
    """Return the figures beside loss and accuracy that are measured in training or validation."""
    fields = dict.fromkeys(field for metric in metrics for field in metric)
    names = [field.split("_", 1)[1] for field in fields if field.startswith(("train_", "val_"))]
    return [name for name in dict.fromkeys(names) if name not in ("loss", "accuracy")]


def code_bars(kl: Sequence[float]) -> Any:
    """Draw the KL of each code dimension as bars, largest first.

    Args:
        kl: nats, one a dimension, in the order in which they are to stand.
    """
    rows = [
        {"place": place, "value": value, "tip": f"dimension {place}: {number(value)} nats"}
        for place, value in enumerate(kl, start=1)
    ]
    x = alt.X("place:O", title="dimension, by its KL", axis=alt.Axis(labels=len(kl) <= 20, ticks=False, labelAngle=0))
    y = alt.Y("value:Q", title=None, axis=alt.Axis(domain=False, ticks=False, tickCount=5))
    bars = alt.Chart(_data(rows)).mark_bar(color=LIGHT["accent"], aria=False)
    tips = alt.Tooltip("tip:N", title=" ")
    return themed(
        bars.encode(x=x, y=y, tooltip=tips, description="tip:N").properties(
            width=WIDTH, height=HEIGHT, title="KL (nats)"
        )
    )


def curve_panels(metrics: Metrics) -> dict[str, Any]:
    """Return the panels of the learning curves that have data, by name: loss, accuracy, what else was measured, lr."""
    return {name: themed(panel) for name, panel in _panels(metrics).items()}


def member_panels(by_number: Sequence[Mapping[str, float]]) -> list[Any]:
    """Draw accuracy and log-loss of an ensemble over the number of its members.

    Args:
        by_number: one mapping a number: members, accuracy, log_loss (nats).
    """
    panels = []
    for field, title, form, show in (
        ("accuracy", "Accuracy", "~%", percent),
        ("log_loss", "Log-loss (nats)", "~r", number),
    ):
        rows = [{"members": row["members"], "value": row[field]} for row in by_number]
        tips = [{**row, "tip": f"{count(int(row['members']), 'member')}: {show(row['value'])}"} for row in rows]
        ticks = alt.Axis(grid=False, values=_whole_ticks(1, max(row["members"] for row in rows)), format="d")
        x = alt.X("members:Q", title="members", axis=ticks, scale=alt.Scale(zero=False, nice=False, padding=6))
        axis = alt.Axis(format=form, domain=False, ticks=False, minExtent=36, tickCount=5)
        y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=axis)
        base = alt.Chart(_data(tips)).encode(x=x, y=y)
        line = base.mark_line(strokeWidth=2, aria=False, color=LIGHT["accent"])
        points = base.mark_point(filled=True, size=40, opacity=1, color=LIGHT["accent"])
        points = points.encode(tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N")
        panels.append(themed(alt.layer(line, points, width=WIDTH, height=HEIGHT, title=title)))
    return panels


def learning_curves(metrics: Metrics) -> Any:
    """Draw loss, accuracy and learning rate over epochs, side by side.

    Args:
        metrics: one mapping an epoch, as in `ReportRecord.metrics`; values that are absent or not finite are left out.

    Returns:
        An Altair chart.

    Raises:
        InputError: no epoch holds a finite value.
    """
    panels = _panels(metrics)
    if not panels:
        raise bad_value("metrics", len(metrics), "epochs with finite values", "train for at least one epoch")
    return themed(alt.hconcat(*panels.values(), spacing=36))


def confusion_classes(evaluation: EvaluationRecord) -> list[int]:
    """Return the classes that the confusion matrix shows: all, or those with the most mistakes where K is large."""
    matrix = np.asarray(evaluation.confusion)
    if len(matrix) <= CLASSES_UP_TO:
        return list(range(len(matrix)))
    wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    return sorted(int(k) for k in np.argsort(-wrong, kind="stable")[: CLASSES_UP_TO // 2])


def _cells(evaluation: EvaluationRecord, shown: list[int]) -> list[Row]:
    """Return the cells that are not zero, with their share of the row and how strongly they are painted."""
    matrix = np.asarray(evaluation.confusion)
    totals = matrix.sum(axis=1)
    rows = []
    for true in shown:
        for predicted in shown:
            n = int(matrix[true, predicted])
            if n == 0:
                continue
            share = n / int(totals[true])
            # Mistakes are rare: the square root lets one in a hundred be seen.
            strength = 0.08 + 0.92 * (share if true == predicted else math.sqrt(share))
            names = (shorten(evaluation.classes[true], 28), shorten(evaluation.classes[predicted], 28))
            tip = f"true {names[0]}, predicted {names[1]}: {n:,} of {int(totals[true]):,} ({percent(share)})"
            told = {"true": true, "predicted": predicted, "count": n, "share": round(share, 4), "tip": tip}
            text = f"{n}" if n < 10_000 else f"{n / 1000:.0f}k"
            rows.append({**told, "text": text, "right": true == predicted, "strength": round(strength, 3)})
    return rows


def confusion(evaluation: EvaluationRecord) -> Any:
    """Draw the confusion matrix: rows are true classes, columns predictions, colour is the share of the row.

    Blue is right, orange wrong. Counts stand in the cells up to 20 classes; beyond 40 classes only some are labelled;
    beyond 120 the 60 classes with the most mistakes are shown.
    """
    shown = confusion_classes(evaluation)
    K = len(shown)
    cell = 30 if K <= 12 else 20 if K <= COUNTS_UP_TO else 13 if K <= LABELS_UP_TO else max(4, 480 // K)
    names = {str(k): shorten(evaluation.classes[k], 12 if K <= 12 else 16) for k in shown}
    every = 1 if K <= LABELS_UP_TO else math.ceil(K / 24)
    axis: Row = {
        "labelExpr": f"{json.dumps(names)}[datum.value]",
        "values": shown[::every],
        "labelFontSize": 11 if cell >= 20 else 9,
        "labelLimit": 110,
        "labelOverlap": False,
        "domain": False,
        "ticks": False,
        "labelPadding": 5,
    }
    upright = max((len(name) for name in names.values()), default=0) * 6 <= cell
    turn: Row = {"labelAngle": 0} if upright else {"labelAngle": -90, "labelAlign": "right", "labelBaseline": "middle"}
    order = alt.Scale(domain=shown, padding=0.04 if cell >= 13 else 0)
    x = alt.X("predicted:O", title="predicted class", scale=order, axis=alt.Axis(**axis, **turn))
    y = alt.Y("true:O", title="true class", scale=order, axis=alt.Axis(**axis))
    paint = alt.Color(
        "right:N", scale=alt.Scale(domain=[True, False], range=[LIGHT["right"], LIGHT["wrong"]]), legend=None
    )
    strength = alt.Opacity("strength:Q", scale=None)
    base = alt.Chart(_data(_cells(evaluation, shown))).encode(x=x, y=y)
    tip = alt.Tooltip("tip:N", title=" ")
    cells = base.mark_rect(cornerRadius=3 if cell >= 20 else 0)
    layers = [cells.encode(color=paint, opacity=strength, tooltip=tip, description="tip:N")]
    if K <= COUNTS_UP_TO:
        over = alt.condition("datum.strength > 0.7", alt.value(LIGHT["over"]), alt.value(LIGHT["ink"]))
        text = base.mark_text(fontSize=11 if cell == 30 else 9, aria=False)
        layers.append(text.encode(text="text:N", color=over))
    chart = alt.layer(*layers, width=cell * K, height=cell * K)
    return themed(chart)


def calibration(evaluation: EvaluationRecord) -> Any:
    """Draw accuracy against confidence with 95% intervals, the diagonal of perfect calibration, and the bins' counts."""
    rows = []
    for bin_ in evaluation.calibration:
        n, lo, hi = int(bin_["n"]), finite(bin_.get("lo")), finite(bin_.get("hi"))
        confidence, accuracy = finite(bin_["confidence"]), finite(bin_["accuracy"])
        if n and confidence is not None and accuracy is not None:
            said = f"confidence {percent(confidence)}, accuracy {percent(accuracy)}, {count(n, 'image')}"
            told = {"confidence": confidence, "accuracy": accuracy, "n": n, "tip": said}
            rows.append({**told, "lo": accuracy if lo is None else lo, "hi": accuracy if hi is None else hi})
    unit = alt.Scale(domain=[0, 1], nice=False, clamp=True, padding=0)
    plain = alt.Axis(format="~%", tickCount=5, labels=False, title=None, ticks=False)
    x = alt.X("confidence:Q", scale=unit, axis=plain)
    y = alt.Y("accuracy:Q", scale=unit, title="accuracy", axis=alt.Axis(format="~%", tickCount=5, domain=False))
    ends = [{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}]
    diagonal = alt.Chart(_data(ends)).mark_line(color=LIGHT["quiet"], strokeDash=[5, 3], strokeWidth=1.5, aria=False)
    base = alt.Chart(_data(rows)).encode(x=x)
    tip = alt.Tooltip("tip:N", title=" ")
    bars = base.mark_rule(color=LIGHT["accent"], strokeWidth=1.5, aria=False)
    points = base.mark_point(filled=True, size=60, opacity=1, color=LIGHT["accent"])
    upper = alt.layer(
        diagonal.encode(x=x, y=y),
        bars.encode(y=alt.Y("lo:Q", scale=unit), y2="hi:Q"),
        points.encode(y=y, tooltip=tip, description="tip:N"),
        width=WIDTH,
        height=WIDTH * 3 // 4,
    )
    shown = alt.Axis(format="~%", tickCount=5, title="confidence", grid=False)
    counts = base.mark_bar(color=LIGHT["quiet"], size=12).encode(
        x=alt.X("confidence:Q", scale=unit, axis=shown),
        y=alt.Y("n:Q", title="images", axis=alt.Axis(tickCount=2, format=",d", domain=False, ticks=False)),
        tooltip=tip,
        description="tip:N",
    )
    return themed(alt.vconcat(upper, counts.properties(width=WIDTH, height=48), spacing=8))


def save(chart: Any, path: str | Path) -> None:
    """Write a chart to a file; the name's ending chooses the form.

    Args:
        chart: an Altair chart.
        path: ends in .png (twice the drawn size), .svg, .html (a page of its own that opens offline) or .json (Vega-Lite).

    Raises:
        InputError: another ending.
        RunError: the file cannot be written.
    """
    path = Path(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "svg", "html", "json"):
        raise bad_value("path", str(path), "a name that ends in .png, .svg, .html or .json")
    options = {"scale_factor": 2} if form == "png" else {"inline": True} if form == "html" else {}
    write_atomic(path, lambda temporary: chart.save(str(temporary), format=form, **options))
