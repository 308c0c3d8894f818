"""Activation and gradient statistics by layer: a figure of the table that `seewhy.nn.layer_statistics` measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from seewhy.reporting.axes import log_ticks, whole_ticks
from seewhy.reporting.figures import HEIGHT, WIDTH, inline_data, themed
from seewhy.reporting.formatting import finite_or_none, format_number
from seewhy.reporting.palette import LIGHT

FLOOR = 1e-12
"""Values below this are drawn here, since a logarithmic axis has no 0."""


def layer_statistics_panels(title: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the standard deviation of the outputs and the size of the gradients over the layers, side by side, logarithmic.

    Args:
        title: says what is drawn.
        rows: one mapping per layer, from first to last: layer (name), std (of its output), gradient_std.

    Returns:
        An Altair chart.
    """
    panels = [
        _panel(rows, "std", "Standard deviation of the outputs"),
        _panel(rows, "gradient_std", "Gradients (root mean square)"),
    ]
    return themed(alt.hconcat(*panels, title=alt.TitleParams(title, anchor="start", fontSize=15)))


def _panel(rows: Sequence[Mapping[str, Any]], field: str, title: str) -> Any:
    points: list[dict[str, Any]] = []
    for index, row in enumerate(rows, start=1):
        value = finite_or_none(row[field])
        if value is not None:
            tip = f"layer {index} ({row['layer']}): {format_number(value, 3)}"
            points.append({"layer": index, "value": max(value, FLOOR), "tip": tip})
    values = [point["value"] for point in points] or [1.0]
    # At least from a tenth to ten times, so that what is steady looks steady.
    middle = math.exp(sum(map(math.log, values)) / len(values))
    domain = [min(*values, middle / 10), max(*values, middle * 10)]
    x_axis = alt.Axis(grid=False, format="d", values=whole_ticks(1, max(1, len(rows))))
    x = alt.X("layer:Q", title="layer", axis=x_axis, scale=alt.Scale(zero=False, nice=False, padding=8))
    y_axis = alt.Axis(domain=False, ticks=False, format="~g", minExtent=44, values=log_ticks(*domain))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(type="log", domain=domain, nice=False), axis=y_axis)
    base = alt.Chart(inline_data(points)).encode(x=x, y=y)
    line = base.mark_line(strokeWidth=2, color=LIGHT["accent"])
    marks = base.mark_point(filled=True, size=40, opacity=1, color=LIGHT["accent"])
    tooltip = alt.Tooltip("tip:N", title=" ")
    return alt.layer(line, marks.encode(tooltip=tooltip), width=WIDTH, height=HEIGHT, title=title)
