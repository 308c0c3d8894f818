"""Trajectories of optimisers over a function of two variables, as a figure.

The same record serves test functions, such as a ravine, a saddle, Rosenbrock's or Beale's, and the loss of a network on a plane through
its trajectory. Heights are drawn as contour lines and a tint that is deepest in the valley; both follow `contours.relative_height`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seewhy.core.errors import InputError, bad_value
from seewhy.reporting.axes import LOG_FROM, PlotAxis
from seewhy.reporting.contours import Floats, contour_levels, contour_lines, relative_height
from seewhy.reporting.figures import inline_data, themed
from seewhy.reporting.palette import LIGHT, SERIES_LIGHT

FRAMES_UP_TO = 240
_POINTS_UP_TO = 600

_TINT = 0.34
"""Opacity of the tint at the lowest point."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One method's trajectory.

    Attributes:
        name: of the method.
        points: [T + 1, 2], from the start on; what follows a point that is not finite is not drawn.
        values: [T + 1], the function's values there.
    """

    name: str
    points: NDArray[np.float64]
    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        points, values = np.shape(self.points), np.shape(self.values)
        if len(points) != 2 or points[1] != 2 or points[0] < 1 or values != points[:1]:
            raise InputError(
                f"trajectory {self.name!r}: must be points [T, 2] and values [T], got {list(points)} and {list(values)}"
            )

    def drawn_indexes(self) -> NDArray[np.int64]:
        """Return the indexes that are drawn: the finite beginning, all of its first points, then ever fewer."""
        finite = np.isfinite(self.points).all(axis=1) & np.isfinite(self.values)
        length = int(np.argmin(finite)) if not finite.all() else len(finite)
        return thinned(length, _POINTS_UP_TO)


@dataclass(frozen=True, eq=False)
class TrajectoryRecord:
    """A function on a grid, and trajectories over it.

    Attributes:
        title: the function's name.
        x: the grid's positions, ascending, [W].
        y: likewise, [H].
        values: the function there, [H, W].
        trajectories: at most eight.
        text: a sentence about the function, such as its formula.
        marks: (name, x, y) of remarkable points, such as the minimum.
        minimum: the function's least value where known; the descent is drawn as the distance to it.
        axes: names of the two variables.
        step_name: what the points of a trajectory are, such as "iteration" or "epoch".
    """

    title: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    trajectories: Sequence[Trajectory]
    text: str = ""
    marks: Sequence[tuple[str, float, float]] = ()
    minimum: float | None = None
    axes: tuple[str, str] = ("x", "y")
    step_name: str = "iteration"

    def __post_init__(self) -> None:
        shape = (len(self.y), len(self.x))
        if np.shape(self.values) != shape or min(shape) < 2:
            raise bad_value(
                f"values of {self.title!r}", np.shape(self.values), f"[H, W] = {list(shape)}, at least 2 x 2"
            )
        for name, positions in (("x", self.x), ("y", self.y)):
            if not np.all(np.diff(positions) > 0):
                raise bad_value(f"{name} of {self.title!r}", list(positions)[:3], "finite and ascending")
        if not np.isfinite(self.values).any():
            raise bad_value(f"values of {self.title!r}", "none", "finite somewhere")
        names = [trajectory.name for trajectory in self.trajectories]
        if len(set(names)) < len(names):
            raise bad_value(f"trajectories of {self.title!r}", names, "named differently")
        if not 1 <= len(names) <= len(SERIES_LIGHT):
            raise bad_value(
                f"trajectories of {self.title!r}", len(names), f"1 to {len(SERIES_LIGHT)}", "draw several figures"
            )

    @property
    def value_name(self) -> str:
        """Return what the descent shows."""
        return "value" if self.minimum is None else "value above the minimum"

    def descent(self, trajectory: Trajectory) -> Floats:
        """Return the values of the drawn points, above the minimum where it is known."""
        return trajectory.values[trajectory.drawn_indexes()] - (self.minimum or 0.0)

    def last_step(self) -> int:
        """Return the number of the longest trajectory's last drawn step."""
        return max((int(t.drawn_indexes()[-1]) for t in self.trajectories if len(t.drawn_indexes())), default=0)


def thinned(length: int, limit: int) -> NDArray[np.int64]:
    """Return at most `limit` of the indexes 0 to length - 1: half of them in a row, then in growing steps, and the last."""
    if length <= limit:
        return np.arange(length)
    sparse = np.geomspace(limit // 2, length - 1, limit - limit // 2)
    return np.unique(np.concatenate([np.arange(limit // 2), sparse.round().astype(np.int64)]))


def step_axis(record: TrajectoryRecord, start: float, end: float) -> PlotAxis:
    """Return the axis of steps, logarithmic where they are many."""
    many = record.last_step() > FRAMES_UP_TO
    return PlotAxis(0.0, float(max(1, record.last_step())), start, end, log=many, shifted=many)


def descent_axis(record: TrajectoryRecord, start: float, end: float) -> PlotAxis:
    """Return the axis of the descent, logarithmic where no value lies below zero and many are small."""
    values = np.concatenate([record.descent(trajectory) for trajectory in record.trajectories])
    values = values if values.size else np.zeros(1)
    positive = values[values > 0]
    if values.min() >= 0 and positive.size and positive.max() / positive.min() > LOG_FROM:
        low, high = max(float(positive.min()), float(positive.max()) * 1e-16) / 1.5, float(positive.max()) * 1.5
        return PlotAxis(low, high, start, end, log=True)
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 1.0
    return PlotAxis(low - margin, high + margin, start, end)


def tint_data_uri(record: TrajectoryRecord) -> str:
    """Return the depth as an image, a PNG data URI in the accent colour, the first row of the grid at the bottom."""
    shade = np.nan_to_num(1.0 - relative_height(record.values), nan=0.0, posinf=0.0, neginf=1.0)
    rgba = np.empty((*shade.shape, 4), dtype=np.uint8)
    rgba[..., :3] = [int(LIGHT["accent"][k : k + 2], 16) for k in (1, 3, 5)]
    rgba[..., 3] = np.round(255 * _TINT * shade**1.5)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba[::-1])).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def trajectory_chart(record: TrajectoryRecord) -> Any:
    """Draw the trajectories on the function's contours, and the descent of each beside it.

    Returns:
        An Altair chart; `seewhy.reporting.save_figure` writes it as PNG or SVG.
    """
    names = [trajectory.name for trajectory in record.trajectories]
    colours = alt.Scale(domain=names, range=list(SERIES_LIGHT[: len(names)]))
    colour = alt.Color("method:N", scale=colours, legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5))
    plane, descent = _plane_chart(record, colour), _descent_chart(record, colour)
    return themed(alt.hconcat(plane, descent, spacing=32, title=record.title))


def _plane_chart(record: TrajectoryRecord, colour: alt.Color) -> Any:
    width, height = 420, 330
    (x0, x1), (y0, y1) = ((float(positions[0]), float(positions[-1])) for positions in (record.x, record.y))
    x = alt.X("x:Q", title=record.axes[0], scale=alt.Scale(domain=[x0, x1], nice=False), axis=alt.Axis(grid=False))
    y = alt.Y("y:Q", title=record.axes[1], scale=alt.Scale(domain=[y0, y1], nice=False), axis=alt.Axis(grid=False))
    ground = alt.Chart(inline_data([{"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "url": tint_data_uri(record)}]))
    lines = [
        {"x": float(px), "y": float(py), "line": f"{number}.{k}", "order": i}
        for number, level in enumerate(contour_levels(record.values))
        for k, line in enumerate(contour_lines(record.x, record.y, record.values, float(level)))
        for i, (px, py) in enumerate(line)
    ]
    points = [
        {"x": float(t.points[i, 0]), "y": float(t.points[i, 1]), "method": t.name, "order": int(i)}
        for t in record.trajectories
        for i in t.drawn_indexes()
    ]
    ends = [row for row, after in zip(points, [*points[1:], {}], strict=True) if row["method"] != after.get("method")]
    marks = [{"x": float(px), "y": float(py), "name": name} for name, px, py in record.marks]
    base = alt.Chart(inline_data(points)).encode(x=x, y=y, color=colour)
    layers = [
        ground.mark_image(width=width, height=height, aspect=False).encode(x=x, y=y, url="url:N"),
        alt.Chart(inline_data(lines))
        .mark_line(color=LIGHT["quiet"], strokeWidth=0.7, opacity=0.55, clip=True)
        .encode(x=x, y=y, detail="line:N", order="order:Q"),
        base.mark_line(strokeWidth=2, clip=True, strokeJoin="round").encode(order="order:Q"),
        alt.Chart(inline_data(ends))
        .mark_point(filled=True, size=60, opacity=1, clip=True)
        .encode(x=x, y=y, color=colour),
    ]
    if marks:
        named = alt.Chart(inline_data(marks)).encode(x=x, y=y)
        layers.append(named.mark_point(shape="cross", filled=True, size=70, color=LIGHT["ink"], opacity=1))
        layers.append(named.mark_text(align="left", dx=8, dy=-8, color=LIGHT["ink"]).encode(text="name:N"))
    return alt.layer(*layers, width=width, height=height)


def _descent_chart(record: TrajectoryRecord, colour: alt.Color) -> Any:
    width, height = 280, 330
    step, value = step_axis(record, 0, width), descent_axis(record, height, 0)
    rows = [
        {"step": int(i), "value": max(float(above), value.low), "method": trajectory.name}
        for trajectory in record.trajectories
        for i, above in zip(trajectory.drawn_indexes(), record.descent(trajectory), strict=True)
    ]
    steps = alt.Scale(type="symlog" if step.log else "linear", domain=[step.low, step.high], nice=False)
    step_ticks = alt.Axis(grid=False, values=[tick for _, tick, _ in step.ticks()], format=",d")
    values = alt.Scale(type="log" if value.log else "linear", domain=[value.low, value.high], nice=False)
    value_ticks = [tick for _, tick, _ in value.ticks()]
    axis = alt.Axis(format="~e" if value.log else "~r", domain=False, ticks=False, values=value_ticks)
    x = alt.X("step:Q", title=record.step_name, scale=steps, axis=step_ticks)
    y = alt.Y("value:Q", title=record.value_name, scale=values, axis=axis)
    base = alt.Chart(inline_data(rows)).encode(x=x, y=y, color=colour)
    return base.mark_line(strokeWidth=2, strokeJoin="round").properties(width=width, height=height)
