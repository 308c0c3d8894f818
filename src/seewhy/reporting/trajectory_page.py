"""Trajectories as one HTML page on which they can be played and scrubbed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seewhy.core.errors import bad_value
from seewhy.reporting.axes import PlotAxis
from seewhy.reporting.contours import contour_levels, contour_lines
from seewhy.reporting.formatting import finite_or_none, format_number
from seewhy.reporting.palette import SERIES_DARK, SERIES_LIGHT, series_variables
from seewhy.reporting.template import render_page
from seewhy.reporting.trajectories import (
    FRAMES_UP_TO,
    Trajectory,
    TrajectoryRecord,
    descent_axis,
    step_axis,
    thinned,
    tint_data_uri,
)

_WIDTH, _HEIGHT = 480, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 34


def render_trajectories(records: Sequence[TrajectoryRecord], *, title: str = "Optimiser trajectories") -> str:
    """Draw records as one page on which the trajectories can be played and scrubbed.

    Args:
        records: at least one; each becomes a section with its own controls.
        title: the page's heading.

    Returns:
        A whole HTML document that loads nothing from anywhere.

    Raises:
        InputError: no record was given.
    """
    if not records:
        raise bad_value("records", 0, "at least one")
    return render_page(
        "trajectories.html.j2",
        title=title,
        scripts=["report.js", "trajectories.js"],
        styles=["report.css", "trajectories.css"],
        light=series_variables(SERIES_LIGHT),
        dark=series_variables(SERIES_DARK),
        sections=[_section(record) for record in records],
    )


def _section(record: TrajectoryRecord) -> dict[str, Any]:
    x = PlotAxis(float(record.x[0]), float(record.x[-1]), _LEFT, _WIDTH - _RIGHT)
    y = PlotAxis(float(record.y[0]), float(record.y[-1]), _HEIGHT - _BOTTOM, _TOP)
    step, value = step_axis(record, _LEFT + 6, _WIDTH - _RIGHT), descent_axis(record, _HEIGHT - _BOTTOM, _TOP)
    tracks = []
    for trajectory in record.trajectories:
        indexes = trajectory.drawn_indexes()
        tracks.append(
            {
                "at": indexes.tolist(),
                "x": _rounded(x(trajectory.points[indexes, 0])),
                "y": _rounded(y(trajectory.points[indexes, 1])),
                "dx": _rounded(step(indexes)),
                "dy": _rounded(value(record.descent(trajectory))),
                "v": [float(f"{v:.5g}") for v in trajectory.values[indexes]],
            }
        )
    return {
        "title": record.title,
        "text": record.text,
        "step_name": record.step_name,
        "axes": record.axes,
        "value_name": record.value_name,
        "tint": tint_data_uri(record),
        "contours": [_contour_path(record, x, y, float(level)) for level in contour_levels(record.values)],
        "marks": [(name, *_rounded([x(px), y(py)])) for name, px, py in record.marks if math.isfinite(px + py)],
        "ticks": {"x": x.ticks(), "y": y.ticks(), "step": step.ticks(), "value": value.ticks()},
        "trajectories": [
            {"path": _path(t["x"], t["y"]), "descent": _path(t["dx"], t["dy"]), **t, **_row(trajectory)}
            for t, trajectory in zip(tracks, record.trajectories, strict=True)
        ],
        "data": {
            "frames": thinned(record.last_step() + 1, FRAMES_UP_TO).tolist(),
            "trajectories": tracks,
            "step_name": record.step_name,
        },
        "last_step": record.last_step(),
        "box": {
            "left": _LEFT,
            "right": _WIDTH - _RIGHT,
            "top": _TOP,
            "bottom": _HEIGHT - _BOTTOM,
            "W": _WIDTH,
            "H": _HEIGHT,
        },
    }


def _row(trajectory: Trajectory) -> dict[str, Any]:
    indexes = trajectory.drawn_indexes()
    last = int(indexes[-1]) if len(indexes) else 0
    broken = last + 1 < len(trajectory.points) or not len(indexes)
    value = format_number(finite_or_none(trajectory.values[last]))
    return {"name": trajectory.name, "steps": last, "broken": broken, "value": value}


def _rounded(positions: Any) -> list[float]:
    return [round(float(position), 1) for position in positions]


def _path(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True)) if xs else ""


def _contour_path(record: TrajectoryRecord, x: PlotAxis, y: PlotAxis, level: float) -> str:
    lines = contour_lines(record.x, record.y, record.values, level)
    return "".join(_path(_rounded(x(line[:, 0])), _rounded(y(line[:, 1]))) for line in lines)
