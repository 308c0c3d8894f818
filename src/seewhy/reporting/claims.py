"""The page of claims: a table of verdicts, then each claim with its numbers, a figure, the source's words and the experiment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt

from seewhy.core.errors import bad_value
from seewhy.reporting.axes import log_ticks
from seewhy.reporting.claim_records import ClaimRecord, Dots, Images, Lines
from seewhy.reporting.figures import Row, inline_data, themed
from seewhy.reporting.formatting import format_number
from seewhy.reporting.palette import LIGHT, SERIES_DARK, SERIES_LIGHT, series_variables
from seewhy.reporting.svg import inline_svg
from seewhy.reporting.template import render_page

WIDTH, HEIGHT = 420, 240
LEAST = 400
"""Pixels below which a figure is not shrunk."""

ROW = 34
"""Pixels of a condition in a figure of dots."""

VERDICTS = ("supported", "depends", "not supported")


def render_claims(records: Sequence[ClaimRecord], *, title: str, lead: str) -> str:
    """Draw the page.

    Args:
        records: at least one.
        title: the heading.
        lead: what was measured where, in a sentence or two.

    Returns:
        A whole HTML document that loads nothing from anywhere.

    Raises:
        InputError: there are no records.
    """
    if not records:
        raise bad_value("records", 0, "at least one")
    counts = Counter(record.verdict for record in records)
    data = list(dict.fromkeys(record.data for record in records))
    drawn = [_context(record, data) for record in records]
    by_code: dict[str, dict[str, dict[str, Any]]] = {}
    for context in drawn:
        by_code.setdefault(context["record"].code, {})[context["record"].data] = context
    return render_page(
        "claims.html.j2",
        title=title,
        scripts=["report.js"],
        styles=["report.css", "claims.css"],
        light=series_variables(SERIES_LIGHT),
        dark=series_variables(SERIES_DARK),
        navigation=[
            ("verdicts", "Verdicts"),
            *((next(iter(found.values()))["id"], code) for code, found in by_code.items()),
        ],
        lead=lead,
        counts=[(name, counts[name]) for name in VERDICTS],
        data=data,
        rows=[[found.get(name) for name in data] for found in by_code.values()],
        claims=[context for found in by_code.values() for context in found.values()],
    )


def claim_chart(figure: Lines | Dots) -> Any:
    """Draw a claim's figure as an Altair chart."""
    return themed(_lines(figure) if isinstance(figure, Lines) else _dots(figure))


def _context(record: ClaimRecord, data: Sequence[str]) -> dict[str, Any]:
    """Return what the page shows of a claim on one of its data sets."""
    figure, number = record.figure, data.index(record.data)
    return {
        "id": record.code.lower() + (f"-{number + 1}" if number else ""),
        "record": record,
        "where": f" on {record.data}" if len(data) > 1 else "",
        "look": record.verdict.replace(" ", "-"),
        "images": figure.images if isinstance(figure, Images) else (),
        "svg": "" if isinstance(figure, Images) else inline_svg(claim_chart(figure), _description(record), least=LEAST),
    }


def _description(record: ClaimRecord) -> str:
    figure = record.figure
    names = figure.lines if isinstance(figure, Lines) else figure.groups if isinstance(figure, Dots) else ()
    what = f"{figure.y} over {figure.x}" if isinstance(figure, Lines) else getattr(figure, "y", "")
    return f"{record.code}: {what}; {', '.join(names)}"


def _scale(values: Sequence[float], log: bool) -> tuple[alt.Scale, alt.Axis]:
    """Return the scale and the axis of values."""
    if not log:
        return alt.Scale(zero=False, nice=True), alt.Axis(domain=False, ticks=False, tickCount=5, format="~r")
    low, high = min(values, default=0.1), max(values, default=1.0)  # where nothing is positive, an empty axis
    domain = [low / 1.3, high * 1.3]
    ticks = log_ticks(*domain)
    return alt.Scale(type="log", domain=domain, nice=False), alt.Axis(
        domain=False, ticks=False, format="~g", values=ticks
    )


def _colour(names: Sequence[str]) -> alt.Color:
    colours = [SERIES_LIGHT[k % len(SERIES_LIGHT)] for k in range(len(names))]
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=3, columns=2, labelLimit=220) if len(names) > 1 else None
    return alt.Color("name:N", scale=alt.Scale(domain=list(names), range=colours), legend=legend)


def _lines(figure: Lines) -> Any:
    rows: list[Row] = [
        {"name": name, "x": x, "mean": mean, "low": low, "high": high}
        for name, points in figure.lines.items()
        for x, mean, low, high in points
        if not (figure.log_x and x <= 0) and not (figure.log_y and low <= 0)
    ]
    for row in rows:
        row["tip"] = f"{row['name']}, {format_number(row['x'])}: {format_number(row['mean'], 3)}"
    x_scale, x_axis = _scale([row["x"] for row in rows], figure.log_x)
    y_scale, y_axis = _scale([row[part] for row in rows for part in ("low", "high")], figure.log_y)
    x_axis.grid = False
    y_axis.minExtent = 40
    base = alt.Chart(inline_data(rows)).encode(
        x=alt.X("x:Q", title=figure.x, scale=x_scale, axis=x_axis), color=_colour(list(figure.lines))
    )
    y: dict[str, Any] = {"scale": y_scale, "axis": y_axis, "title": figure.y}
    band = base.mark_area(fillOpacity=0.16, aria=False).encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = base.mark_line(strokeWidth=2, aria=False).encode(y=alt.Y("mean:Q", **y))
    layers = [band, line]
    if len(rows) <= 200:
        points = base.mark_point(filled=True, size=30, opacity=1)
        layers.append(
            points.encode(y=alt.Y("mean:Q", **y), tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N")
        )
    return alt.layer(*layers, width=WIDTH, height=HEIGHT)


def _dots(figure: Dots) -> Any:
    rows: list[Row] = [
        {"name": name, "value": value, "tip": f"{name}, seed {seed}: {format_number(value, 4)}"}
        for name, values in figure.groups.items()
        for seed, value in enumerate(values)
        if not (figure.log and value <= 0)
    ]
    means = [
        {
            "name": name,
            "value": sum(values) / len(values),
            "tip": f"{name}, mean: {format_number(sum(values) / len(values), 4)}",
        }
        for name, values in figure.groups.items()
        if values
    ]
    known = [row["value"] for row in rows] + ([] if figure.line is None else [figure.line])
    scale, axis = _scale(known, figure.log)
    x = alt.X("value:Q", title=figure.y, scale=scale, axis=axis)
    y = alt.Y("name:N", title=None, sort=list(figure.groups), axis=alt.Axis(domain=False, ticks=False, labelLimit=220))
    tip: dict[str, Any] = {"tooltip": alt.Tooltip("tip:N", title=" "), "description": "tip:N"}
    dots = alt.Chart(inline_data(rows)).mark_point(filled=True, size=46, opacity=0.75, color=LIGHT["accent"])
    tick = alt.Chart(inline_data(means)).mark_tick(thickness=3, size=20, color=LIGHT["ink"])
    layers = [dots.encode(x=x, y=y, **tip), tick.encode(x=x, y=y, **tip)]
    if figure.line is not None:
        rule = alt.Chart(inline_data([{"value": figure.line}])).mark_rule(strokeDash=[4, 4], color=LIGHT["quiet"])
        layers.insert(0, rule.encode(x=x))
    return alt.layer(*layers, width=WIDTH - 120, height=max(80, ROW * len(figure.groups)))
