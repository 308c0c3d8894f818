"""Curves: metrics over epochs, and an ensemble's metrics over the number of its members."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt

from seewhy.core.errors import bad_value
from seewhy.reporting.axes import LOG_FROM, log_ticks, whole_ticks
from seewhy.reporting.figures import HEIGHT, WIDTH, Row, inline_data, themed
from seewhy.reporting.formatting import (
    finite_or_none,
    format_count,
    format_metric_name,
    format_number,
    format_percent,
    is_share,
)
from seewhy.reporting.palette import LIGHT

Metrics = Sequence[Mapping[str, float | None]]

SPLITS = {"train": "training", "val": "validation"}
"""Prefixes of the columns that are measured on a split, and the splits' names."""

_DASHES = {"training": [5, 3], "validation": [1, 0], "learning rate": [1, 0]}
_POINTS_UP_TO = 40
_TIPS_UP_TO = 120


def metric_names(metrics: Metrics) -> list[str]:
    """Return the names of what is measured in training or validation, without the prefix: loss and accuracy, then the others."""
    columns = dict.fromkeys(column for metric in metrics for column in metric)
    names = [column.split("_", 1)[1] for column in columns if column.startswith(tuple(f"{split}_" for split in SPLITS))]
    first = [name for name in ("loss", "accuracy") if name in names]
    return list(dict.fromkeys([*first, *names]))


def metric_format(name: str) -> Callable[[object], str]:
    """Return how values of a metric are written: shares as percentages."""
    return format_percent if is_share(name) else format_number


def curve_panels(metrics: Metrics) -> dict[str, Any]:
    """Return the panels of the learning curves that have data, by name: loss, accuracy, the other metrics, lr."""
    return {name: themed(panel) for name, panel in _panels(metrics).items()}


def learning_curves(metrics: Metrics) -> Any:
    """Draw every metric of training and validation, and the learning rate, over epochs, three panels in a row.

    Args:
        metrics: one mapping per epoch, as in `ReportRecord.metrics`; values that are absent or not finite are left out.

    Returns:
        An Altair chart.

    Raises:
        InputError: no epoch holds a finite value.
    """
    panels = _panels(metrics)
    if not panels:
        raise bad_value("metrics", len(metrics), "epochs with finite values", "train for at least one epoch")
    figure: Any = alt.concat(*panels.values(), columns=3, spacing=36)
    return themed(figure.resolve_scale(color="independent", strokeDash="independent"))


def _panels(metrics: Metrics) -> dict[str, Any]:
    panels = {}
    for name in metric_names(metrics):
        rows = _series(metrics, {label: f"{split}_{name}" for split, label in SPLITS.items()})
        if rows:
            panels[name] = _metric_panel(name, rows)
    rows = _series(metrics, {"learning rate": "lr"})
    if rows:
        panels["lr"] = _panel(rows, title="Learning rate", scale=alt.Scale(zero=True))
    return panels


def _metric_panel(name: str, rows: list[Row]) -> Any:
    title = format_metric_name(name)
    if is_share(name):
        return _panel(rows, title=title, scale=alt.Scale(zero=False), form="~%", write=format_percent)
    if name != "loss":
        return _panel(rows, title=title, scale=alt.Scale(zero=False))
    values = [row["value"] for row in rows]
    if min(values) > 0 and max(values) / min(values) > LOG_FROM:
        return _panel(rows, title=f"{title} (logarithmic)", scale=alt.Scale(type="log", nice=False, padding=6))
    # Zero is shown where the loss comes near it: nats per image never do, and from zero their curve would be a flat line.
    return _panel(rows, title=title, scale=alt.Scale(zero=0 <= min(values) < max(values) / 2))


def _series(metrics: Metrics, columns: Mapping[str, str]) -> list[Row]:
    """Return one row per epoch and series, without the values that are absent or not finite."""
    rows = []
    for label, column in columns.items():
        for metric in metrics:
            value, epoch = finite_or_none(metric.get(column)), finite_or_none(metric.get("epoch"))
            if value is not None and epoch is not None:
                rows.append({"epoch": epoch, "value": value, "series": label})
    return rows


def _tips(rows: list[Row], write: Callable[[object], str]) -> list[Row]:
    """Return one row per epoch with the values of all its series; every k-th epoch where there are many."""
    values: dict[float, list[str]] = {}
    for row in rows:
        values.setdefault(row["epoch"], []).append(f"{row['series']} {write(row['value'])}")
    epochs = sorted(values)
    step = max(1, math.ceil(len(epochs) / _TIPS_UP_TO))
    return [
        {"epoch": epoch, "tip": f"epoch {format_number(epoch)}: {', '.join(values[epoch])}"} for epoch in epochs[::step]
    ]


def _panel(
    rows: list[Row],
    *,
    title: str,
    scale: alt.Scale,
    form: str = "~r",
    write: Callable[[object], str] = format_number,
) -> Any:
    """Draw one panel: one line per series over epochs, with an invisible column per epoch to point at."""
    epochs = {row["epoch"] for row in rows}
    series = [name for name in _DASHES if any(row["series"] == name for row in rows)]
    colours = [LIGHT["accent"] if _DASHES[name] == [1, 0] else LIGHT["quiet"] for name in series]
    x_axis = alt.Axis(grid=False, values=whole_ticks(min(epochs), max(epochs)), format="d")
    x = alt.X("epoch:Q", title="epoch", axis=x_axis, scale=alt.Scale(zero=False, nice=False, padding=6))
    values = [row["value"] for row in rows]
    ticks: Row = {"values": log_ticks(min(values), max(values))} if scale.type == "log" else {"tickCount": 5}
    y_axis = alt.Axis(format=form, domain=False, ticks=False, minExtent=36, **ticks)
    y = alt.Y("value:Q", title=None, scale=scale, axis=y_axis)
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5) if len(series) > 1 else None
    colour = alt.Color("series:N", scale=alt.Scale(domain=series, range=colours), legend=legend)
    dashes = alt.Scale(domain=series, range=[_DASHES[name] for name in series])
    base = alt.Chart(inline_data(rows)).encode(x=x, y=y, color=colour)
    line = base.mark_line(strokeWidth=2, aria=False, strokeJoin="round")
    layers = [line.encode(strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend))]
    if len(epochs) <= _POINTS_UP_TO:
        layers.append(base.mark_point(filled=True, size=26, opacity=1, aria=False))
    tips = _tips(rows, write)
    reach = max(2.0, min(40.0, WIDTH / max(1, len(tips))))
    columns = alt.Chart(inline_data(tips)).mark_rule(opacity=0, strokeWidth=reach, color=LIGHT["quiet"])
    layers.append(columns.encode(x=x, tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N"))
    # A panel without a legend keeps the room for one, so that panels side by side stand on one line.
    heading = alt.TitleParams(title, offset=10 if legend else 36)
    return alt.layer(*layers, width=WIDTH, height=HEIGHT, title=heading)


def member_panels(by_number: Sequence[Mapping[str, float]]) -> list[Any]:
    """Draw accuracy and log-loss of an ensemble over the number of its members.

    Args:
        by_number: one mapping per number: members, accuracy, log_loss (nats).
    """
    panels = []
    for field, title, form, write in (
        ("accuracy", "Accuracy", "~%", format_percent),
        ("log_loss", "Log-loss (nats)", "~r", format_number),
    ):
        rows: list[Row] = [
            {
                "members": row["members"],
                "value": row[field],
                "tip": f"{format_count(int(row['members']), 'member')}: {write(row[field])}",
            }
            for row in by_number
        ]
        ticks = alt.Axis(grid=False, values=whole_ticks(1, max(row["members"] for row in rows)), format="d")
        x = alt.X("members:Q", title="members", axis=ticks, scale=alt.Scale(zero=False, nice=False, padding=6))
        axis = alt.Axis(format=form, domain=False, ticks=False, minExtent=36, tickCount=5)
        y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=axis)
        base = alt.Chart(inline_data(rows)).encode(x=x, y=y)
        line = base.mark_line(strokeWidth=2, aria=False, color=LIGHT["accent"])
        points = base.mark_point(filled=True, size=40, opacity=1, color=LIGHT["accent"])
        points = points.encode(tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N")
        panels.append(themed(alt.layer(line, points, width=WIDTH, height=HEIGHT, title=title)))
    return panels
