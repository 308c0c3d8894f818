"""How signals and gradients spread through a network at its start: a picture of the table that `seewhy.nn.spread` makes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seewhy.reporting.figures import HEIGHT, WIDTH, themed
from seewhy.reporting.palette import LIGHT
from seewhy.reporting.words import finite, number

FLOOR = 1e-12
"""Spreads below this are drawn here, since a logarithmic axis has no 0."""


def spread_panels(title: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the deviation of the outputs and of the gradients over the layers, side by side, logarithmic.

    Args:
        title: says what is drawn.
        rows: one mapping a layer, from first to last: layer (name), std (of its output), gradient_std.

    Returns:
        An Altair chart.
    """
    panels = [
        _panel(rows, "std", "Deviation of the outputs"),
        _panel(rows, "gradient_std", "Size of the gradients (root mean square)"),
    ]
    return themed(alt.hconcat(*panels, title=alt.TitleParams(title, anchor="start", fontSize=15)))


def _panel(rows: Sequence[Mapping[str, Any]], field: str, title: str) -> Any:
    drawn: list[dict[str, Any]] = []
    for place, row in enumerate(rows, start=1):
        value = finite(row[field])
        if value is not None:
            tip = f"layer {place} ({row['layer']}): {number(value, 3)}"
            drawn.append({"layer": place, "value": max(value, FLOOR), "tip": tip})
    values = [row["value"] for row in drawn] or [1.0]
    # At least from a tenth to ten times, so that what is steady looks steady.
    middle = math.exp(sum(map(math.log, values)) / len(values))
    domain = [min(*values, middle / 10), max(*values, middle * 10)]
    x = alt.X(
        "layer:Q",
        title="layer",
        axis=alt.Axis(grid=False, format="d", tickMinStep=1),
        scale=alt.Scale(zero=False, padding=8),
    )
    axis = alt.Axis(domain=False, ticks=False, format=".0e", minExtent=44, tickCount=6)
    y = alt.Y("value:Q", title=None, scale=alt.Scale(type="log", domain=domain), axis=axis)
    base = alt.Chart(alt.InlineData(values=drawn)).encode(x=x, y=y)
    line = base.mark_line(strokeWidth=2, color=LIGHT["accent"])
    points = base.mark_point(filled=True, size=40, opacity=1, color=LIGHT["accent"])
    return alt.layer(
        line, points.encode(tooltip=alt.Tooltip("tip:N", title=" ")), width=WIDTH, height=HEIGHT, title=title
    )
