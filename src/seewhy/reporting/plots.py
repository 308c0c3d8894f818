"""Series over steps as small drawings of the page's own, which need no figures' library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seewhy.reporting.axes import PlotAxis
from seewhy.reporting.formatting import format_number, format_percent
from seewhy.reporting.records import LinePlot
from seewhy.reporting.template import environment

WIDTH, HEIGHT = 380, 176
POINTS_UP_TO = 160
DOTS_UP_TO = 24
LARGEST = 1e300
"""Beyond which differences of values may not be finite."""

COLOURS = 4
"""How many lines of one drawing have a look of their own."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 26


def line_plot(plot: LinePlot) -> str:
    """Draw series over steps as an SVG element with its key; "" where no value is finite."""
    known = {name: _finite(points) for name, points in plot.lines.items()}
    lines = {name: points for name, points in known.items() if points}
    if not lines:
        return ""
    steps = [step for points in lines.values() for step, _ in points]
    values = [value for points in lines.values() for _, value in points]
    x = PlotAxis(min(steps), max(max(steps), min(steps) + 1), _LEFT, WIDTH - _RIGHT)
    y = _vertical(plot, values)
    write = format_percent if plot.percent else format_number
    first, last = min(steps), max(steps)
    said = [f"{name} from {write(points[0][1])} to {write(points[-1][1])}" for name, points in lines.items()]
    limit = "" if plot.threshold is None else f"; {plot.limit} {write(plot.threshold)}"
    return (
        environment()
        .get_template("plot.html.j2")
        .render(
            title=plot.title,
            label=f"{plot.title}: {'; '.join(said)}, steps {first:,} to {last:,}{limit}",
            keyed=len(known) > 1,
            lines=[
                {"name": name, "look": k % COLOURS, "path": _path(drawn, x, y), "dots": _dots(drawn, x, y)}
                for k, name in enumerate(known)  # so that a line looks alike in drawings where another has no points
                if name in lines
                for drawn in [_thinned(lines[name])]
            ],
            x_ticks=_steps(x),
            y_ticks=[(at, format_percent(value, 0) if plot.percent else label) for at, value, label in y.ticks()],
            threshold=None if plot.threshold is None else _at(y, plot.threshold),
            limit=f"{plot.limit} {format_percent(plot.threshold, 0) if plot.percent else format_number(plot.threshold)}",
            marked=None if plot.step is None or not first <= plot.step <= last else _at(x, plot.step),
            box={"left": _LEFT, "right": WIDTH - _RIGHT, "top": _TOP, "bottom": HEIGHT - _BOTTOM},
            width=WIDTH,
            height=HEIGHT,
        )
    )


def _finite(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    return [(step, value) for step, value in points if abs(value) < LARGEST]


def _vertical(plot: LinePlot, values: Sequence[float]) -> PlotAxis:
    """Return the axis of the values, which the threshold lies on too."""
    known = [*values, *([] if plot.threshold is None else [plot.threshold])]
    positive = [value for value in known if value > 0]
    if plot.log and positive and min(known) >= 0:  # a zero is drawn at the foot
        middle = math.sqrt(min(positive) * max(positive))
        low, high = min(min(positive) / 1.5, middle / 10), max(max(positive) * 1.5, middle * 10)
        return PlotAxis(low, high, HEIGHT - _BOTTOM, _TOP, log=True)
    if plot.percent:
        return PlotAxis(0.0, 1.0, HEIGHT - _BOTTOM, _TOP)
    pad = 0.06 * (max(known) - min(known)) or 0.1 * abs(known[0]) or 1.0
    return PlotAxis(0.0 if 0 <= min(known) <= pad * 8 else min(known) - pad, max(known) + pad, HEIGHT - _BOTTOM, _TOP)


def _steps(axis: PlotAxis) -> list[tuple[float, str]]:
    return [(at, label) for at, value, label in axis.ticks() if value == int(value)]


def _thinned(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    stride = math.ceil(len(points) / POINTS_UP_TO)
    return [*points[:-1:stride], points[-1]]


def _at(axis: PlotAxis, value: float) -> float:
    return round(float(axis(value)), 1)


def _path(points: Sequence[tuple[int, float]], x: PlotAxis, y: PlotAxis) -> str:
    return "M" + "L".join(f"{_at(x, step):g} {_at(y, value):g}" for step, value in points)


def _dots(points: Sequence[tuple[int, float]], x: PlotAxis, y: PlotAxis) -> list[dict[str, Any]]:
    if len(points) > DOTS_UP_TO:
        return []
    return [
        {"x": _at(x, step), "y": _at(y, value), "tip": f"step {step:,}: {format_number(value, 3)}"}
        for step, value in points
    ]
