"""Ways of optimisers over a function of two variables: a picture, and a page that plays them.

The same record serves test functions, such as a ravine, a saddle, Rosenbrock's or Beale's, and the loss of a network on a plane through
its trajectory. Heights are drawn as contour lines and a tint that is deepest in the valley; both follow `contours.depth`.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seewhy.core.errors import InputError, bad_value
from seewhy.reporting import figures
from seewhy.reporting.contours import Floats, contour, depth, heights
from seewhy.reporting.palette import DARK, LIGHT, figure_rules, variables
from seewhy.reporting.template import environment, script_hash, source
from seewhy.reporting.words import finite, number

SERIES_LIGHT = ("#2456d6", "#d2600a", "#0a8a60", "#b8309a", "#7a5200", "#0d87a8", "#c02626", "#6a42c2")
SERIES_DARK = ("#83a6fe", "#ff9f50", "#4dcf9d", "#ff8bd5", "#dab56c", "#62cfee", "#ff8b81", "#ba9ffe")
"""One colour a method, told apart by colour-blind readers as far as eight can be."""

_TINT = 0.34
"""Opacity of the tint in the deepest place."""

_POINTS_UP_TO = 600
_FRAMES_UP_TO = 240


@dataclass(frozen=True, eq=False)
class Trail:
    """One method's way.

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
                f"trail {self.name!r}: must be points [T, 2] and values [T], got {list(points)} and {list(values)}"
            )


@dataclass(frozen=True, eq=False)
class TrajectoryRecord:
    """A function on a grid, and the ways over it.

    Attributes:
        title: the function's name.
        x: the grid's places, ascending, [W].
        y: likewise, [H].
        values: the function there, [H, W].
        trails: at most eight.
        text: a sentence about the function, such as its formula.
        marks: (name, x, y) of remarkable points, such as the minimum.
        floor: the function's least value where known; the descent is drawn as the distance to it.
        axes: names of the two variables.
        clock: what a trail counts, such as "iteration" or "epoch".
    """

    title: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    values: NDArray[np.float64]
    trails: Sequence[Trail]
    text: str = ""
    marks: Sequence[tuple[str, float, float]] = ()
    floor: float | None = None
    axes: tuple[str, str] = ("x", "y")
    clock: str = "iteration"

    def __post_init__(self) -> None:
        shape = (len(self.y), len(self.x))
        if np.shape(self.values) != shape or min(shape) < 2:
            raise bad_value(
                f"values of {self.title!r}", np.shape(self.values), f"[H, W] = {list(shape)}, at least 2 x 2"
            )
        for name, places in (("x", self.x), ("y", self.y)):
            if not np.all(np.diff(places) > 0):
                raise bad_value(f"{name} of {self.title!r}", list(places)[:3], "finite and ascending")
        if not np.isfinite(self.values).any():
            raise bad_value(f"values of {self.title!r}", "none", "finite somewhere")
        names = [trail.name for trail in self.trails]
        if len(set(names)) < len(names):
            raise bad_value(f"trails of {self.title!r}", names, "named differently")
        if not 1 <= len(self.trails) <= len(SERIES_LIGHT):
            raise bad_value(
                f"trails of {self.title!r}", len(self.trails), f"1 to {len(SERIES_LIGHT)}", "draw several pictures"
            )


def _kept(trail: Trail) -> NDArray[np.int64]:
    """Return the indexes that are drawn: the finite beginning, all of its first points, then ever fewer."""
    good = np.isfinite(trail.points).all(axis=1) & np.isfinite(trail.values)
    last = int(np.argmin(good)) if not good.all() else len(good)
    return _thinned(last, _POINTS_UP_TO)


def _thinned(length: int, limit: int) -> NDArray[np.int64]:
    """Return at most `limit` of the indexes 0 to length - 1: half of them in a row, then in growing steps, and the last."""
    if length <= limit:
        return np.arange(length)
    spread = np.geomspace(limit // 2, length - 1, limit - limit // 2)
    return np.unique(np.concatenate([np.arange(limit // 2), spread.round().astype(np.int64)]))


def _heights_above(record: TrajectoryRecord, values: Floats) -> Floats:
    return values - (record.floor or 0.0)


def _logarithmic(record: TrajectoryRecord) -> bool:
    """Return whether the descent is drawn logarithmically: nothing lies below zero, and much is small."""
    drawn = np.concatenate([_heights_above(record, trail.values[_kept(trail)]) for trail in record.trails])
    if drawn.size == 0 or drawn.min() < 0:
        return False
    positive = drawn[drawn > 0]
    return bool(positive.size) and bool(positive.max() / positive.min() > figures._LOG_FROM)


def tint(record: TrajectoryRecord) -> str:
    """Return the depth as a picture, a PNG data URI in the accent colour, the first row of the grid at the bottom."""
    shade = np.nan_to_num(1.0 - depth(record.values), nan=0.0, posinf=0.0, neginf=1.0)
    rgba = np.empty((*shade.shape, 4), dtype=np.uint8)
    rgba[..., :3] = [int(LIGHT["accent"][k : k + 2], 16) for k in (1, 3, 5)]
    rgba[..., 3] = np.round(255 * _TINT * shade**1.5)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba[::-1])).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def trajectories(record: TrajectoryRecord) -> Any:
    """Draw the ways on the function's contours, and the descent of each beside it.

    Returns:
        An Altair chart; `seewhy.reporting.save` writes it as PNG or SVG.
    """
    colours = alt.Scale(domain=[trail.name for trail in record.trails], range=list(SERIES_LIGHT[: len(record.trails)]))
    colour = alt.Color("method:N", scale=colours, legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=2.5))
    plane = _plane_chart(record, colour)
    descent = _descent_chart(record, colour)
    return figures.themed(alt.hconcat(plane, descent, spacing=32, title=record.title))


def _plane_chart(record: TrajectoryRecord, colour: alt.Color) -> Any:
    width, height = 420, 330
    (x0, x1), (y0, y1) = ((float(places[0]), float(places[-1])) for places in (record.x, record.y))
    x = alt.X("x:Q", title=record.axes[0], scale=alt.Scale(domain=[x0, x1], nice=False), axis=alt.Axis(grid=False))
    y = alt.Y("y:Q", title=record.axes[1], scale=alt.Scale(domain=[y0, y1], nice=False), axis=alt.Axis(grid=False))
    ground = alt.Chart(figures._data([{"x": (x0 + x1) / 2, "y": (y0 + y1) / 2, "url": tint(record)}]))
    lines = [
        {"x": float(px), "y": float(py), "line": f"{level}.{k}", "order": i}
        for level, height_ in enumerate(heights(record.values))
        for k, line in enumerate(contour(record.x, record.y, record.values, float(height_)))
        for i, (px, py) in enumerate(line)
    ]
    ways = [
        {"x": float(trail.points[i, 0]), "y": float(trail.points[i, 1]), "method": trail.name, "order": int(i)}
        for trail in record.trails
        for i in _kept(trail)
    ]
    ends = [row for row, after in zip(ways, [*ways[1:], {}], strict=True) if row["method"] != after.get("method")]
    marks = [{"x": float(px), "y": float(py), "name": name} for name, px, py in record.marks]
    base = alt.Chart(figures._data(ways)).encode(x=x, y=y, color=colour)
    layers = [
        ground.mark_image(width=width, height=height, aspect=False).encode(x=x, y=y, url="url:N"),
        alt.Chart(figures._data(lines))
        .mark_line(color=LIGHT["quiet"], strokeWidth=0.7, opacity=0.55, clip=True)
        .encode(x=x, y=y, detail="line:N", order="order:Q"),
        base.mark_line(strokeWidth=2, clip=True, strokeJoin="round").encode(order="order:Q"),
        alt.Chart(figures._data(ends))
        .mark_point(filled=True, size=60, opacity=1, clip=True)
        .encode(x=x, y=y, color=colour),
    ]
    if marks:
        named = alt.Chart(figures._data(marks)).encode(x=x, y=y)
        layers.append(named.mark_point(shape="cross", filled=True, size=70, color=LIGHT["ink"], opacity=1))
        layers.append(named.mark_text(align="left", dx=8, dy=-8, color=LIGHT["ink"]).encode(text="name:N"))
    return alt.layer(*layers, width=width, height=height)


def _descent_chart(record: TrajectoryRecord, colour: alt.Color) -> Any:
    kept = [_kept(trail) for trail in record.trails]
    clock, ordinate = _descent_axes(record, kept)
    rows = [
        {"step": int(i), "value": max(float(above), ordinate.low), "method": trail.name}
        for trail, indexes in zip(record.trails, kept, strict=True)
        for i, above in zip(indexes, _heights_above(record, trail.values[indexes]), strict=True)
    ]
    steps = alt.Scale(type="symlog" if clock.log else "linear", domain=[clock.low, clock.high], nice=False)
    ticks = alt.Axis(grid=False, values=[value for _, value, _ in clock.ticks()], format=",d")
    values = alt.Scale(type="log" if ordinate.log else "linear", domain=[ordinate.low, ordinate.high], nice=False)
    labels = [value for _, value, _ in ordinate.ticks()]
    marks = alt.Axis(format="~e" if ordinate.log else "~r", domain=False, ticks=False, values=labels)
    x = alt.X("step:Q", title=record.clock, scale=steps, axis=ticks)
    y = alt.Y("value:Q", title=_ordinate(record), scale=values, axis=marks)
    base = alt.Chart(figures._data(rows)).encode(x=x, y=y, color=colour)
    return base.mark_line(strokeWidth=2, strokeJoin="round").properties(width=280, height=330)


def _ordinate(record: TrajectoryRecord) -> str:
    return "value" if record.floor is None else "value above the minimum"


def render_trajectories(records: Sequence[TrajectoryRecord], *, title: str = "Ways downhill") -> str:
    """Draw records as one page on which the ways can be played and scrubbed.

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
    scripts = [source("report.js"), source("trajectories.js")]
    colours = [{f"s{k}": value for k, value in enumerate(series)} for series in (SERIES_LIGHT, SERIES_DARK)]
    context: dict[str, Any] = {
        "title": title,
        "sections": [_section(record) for record in records],
        "scripts": scripts,
        "hashes": " ".join(f"'sha256-{script_hash(script)}'" for script in scripts),
        "style": source("report.css") + source("trajectories.css"),
        "light": variables(LIGHT | colours[0]),
        "dark": variables(DARK | colours[1]),
        "figure_rules": figure_rules(),
    }
    return environment().get_template("trajectories.html.j2").render(context)


@dataclass(frozen=True)
class _Axis:
    """Values to places in a drawing, linear or logarithmic (of 1 + value where `shifted`)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    shifted: bool = False

    def _flat(self, values: Any) -> Any:
        if self.shifted:
            return np.log1p(values)
        return np.log(np.maximum(values, self.low)) if self.log else np.asarray(values)

    def __call__(self, values: Any) -> Any:
        low, high = self._flat(self.low), self._flat(self.high)
        share = (self._flat(values) - low) / max(high - low, 1e-300)
        # Ways that leave the picture are cut there by the drawing; numbers beyond its precision would not be drawn at all.
        return self.start + (self.end - self.start) * np.clip(share, -20.0, 20.0)

    def ticks(self) -> list[tuple[float, float, str]]:
        """Return the places of a few round values, the values and their labels."""
        if self.log and not self.shifted:
            chosen = figures._log_ticks(self.low, self.high)
        elif self.shifted:
            chosen = [0.0, *(float(f"1e{k}") for k in range(8) if 10**k <= self.high)]
        else:
            step = next(
                s * 10.0**k for k in range(-9, 18) for s in (1, 2, 5) if (self.high - self.low) / (s * 10.0**k) <= 6
            )
            chosen = [
                step * k for k in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)
            ]
        return [(round(float(self(value)), 1), value, _label(value)) for value in chosen]


def _label(value: float) -> str:
    if value and not 1e-3 <= abs(value) < 1e5:
        head, _, power = f"{value:.0e}".partition("e")
        return f"{head}e{int(power)}"
    return number(round(value, 9))


WIDTH, HEIGHT = 480, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 8, 10, 34


def _section(record: TrajectoryRecord) -> dict[str, Any]:
    x = _Axis(float(record.x[0]), float(record.x[-1]), _LEFT, WIDTH - _RIGHT)
    y = _Axis(float(record.y[0]), float(record.y[-1]), HEIGHT - _BOTTOM, _TOP)
    kept = [_kept(trail) for trail in record.trails]
    clock, ordinate = _descent_axes(record, kept)
    longest = _longest(kept)
    trails = []
    for trail, indexes in zip(record.trails, kept, strict=True):
        above = _heights_above(record, trail.values[indexes])
        trails.append(
            {
                "at": indexes.tolist(),
                "x": _short(x(trail.points[indexes, 0])),
                "y": _short(y(trail.points[indexes, 1])),
                "dx": _short(clock(indexes)),
                "dy": _short(ordinate(above)),
                "v": [float(f"{value:.5g}") for value in trail.values[indexes]],
            }
        )
    return {
        "title": record.title,
        "text": record.text,
        "clock": record.clock,
        "axes": record.axes,
        "ordinate": _ordinate(record),
        "tint": tint(record),
        "contours": [_path(record, x, y, float(height)) for height in heights(record.values)],
        "marks": [(name, *_short([x(px), y(py)])) for name, px, py in record.marks if math.isfinite(px + py)],
        "ticks": {"x": x.ticks(), "y": y.ticks(), "clock": clock.ticks(), "ordinate": ordinate.ticks()},
        "trails": [
            {"way": _joined(t["x"], t["y"]), "fall": _joined(t["dx"], t["dy"]), **t, **_row(trail)}
            for t, trail in zip(trails, record.trails, strict=True)
        ],
        "data": {"frames": _thinned(longest + 1, _FRAMES_UP_TO).tolist(), "trails": trails, "clock": record.clock},
        "longest": longest,
        "box": {
            "left": _LEFT,
            "right": WIDTH - _RIGHT,
            "top": _TOP,
            "bottom": HEIGHT - _BOTTOM,
            "W": WIDTH,
            "H": HEIGHT,
        },
    }


def _row(trail: Trail) -> dict[str, Any]:
    indexes = _kept(trail)
    last = int(indexes[-1]) if len(indexes) else 0
    broken = last + 1 < len(trail.points) or not len(indexes)
    return {"name": trail.name, "steps": last, "broken": broken, "value": number(finite(trail.values[last]))}


def _longest(kept: Sequence[NDArray[np.int64]]) -> int:
    return max((int(indexes[-1]) for indexes in kept if len(indexes)), default=0)


def _descent_axes(record: TrajectoryRecord, kept: Sequence[NDArray[np.int64]]) -> tuple[_Axis, _Axis]:
    parts = [_heights_above(record, trail.values[indexes]) for trail, indexes in zip(record.trails, kept, strict=True)]
    drawn = np.concatenate(parts)
    drawn = drawn if drawn.size else np.zeros(1)
    log = _logarithmic(record)
    if log:
        positive = drawn[drawn > 0]
        low, high = max(float(positive.min()), float(positive.max()) * 1e-16) / 1.5, float(positive.max()) * 1.5
    else:
        low, high = float(drawn.min()), float(drawn.max())
        margin = 0.05 * (high - low) or 1.0
        low, high = low - margin, high + margin
    longest = _longest(kept)
    many = longest > _FRAMES_UP_TO
    clock = _Axis(0.0, float(max(1, longest)), _LEFT + 6, WIDTH - _RIGHT, log=many, shifted=many)
    return clock, _Axis(low, high, HEIGHT - _BOTTOM, _TOP, log=log)


def _short(places: Any) -> list[float]:
    return [round(float(place), 1) for place in places]


def _joined(xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in zip(xs, ys, strict=True)) if xs else ""


def _path(record: TrajectoryRecord, x: _Axis, y: _Axis, height: float) -> str:
    lines = contour(record.x, record.y, record.values, height)
    return "".join(_joined(_short(x(line[:, 0])), _short(y(line[:, 1]))) for line in lines)
