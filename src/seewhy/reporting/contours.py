"""Contour lines of a function that is known on a grid (marching squares, Lorensen & Cline 1987 in the plane)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Edge = tuple[int, int, int]
"""An edge of the grid: 0 along a row or 1 along a column, from the corner (row, column)."""

_CROSSED = {
    1: ((3, 0),), 2: ((0, 1),), 3: ((3, 1),), 4: ((1, 2),), 6: ((0, 2),), 7: ((3, 2),),
    8: ((2, 3),), 9: ((2, 0),), 11: ((2, 1),), 12: ((1, 3),), 13: ((1, 0),), 14: ((0, 3),),
}  # fmt: skip
"""Pairs of sides (0 first row, 1 last column, 2 last row, 3 first column) that a line joins, by which corners lie above it."""

_SEPARATE = ((3, 0), (1, 2))
_JOINED = ((0, 1), (2, 3))


def contour_levels(values: Floats, count: int = 14) -> Floats:
    """Return `count` levels for contour lines, dense where the function is low.

    They are equally spaced in `relative_height`, so that a narrow valley below steep walls shows its shape.
    """
    low = float(np.nanmin(values))
    steps = (np.arange(count) + 0.5) / count
    top = float(np.nanmax(values)) - low
    scale = _scale(values)
    levels: Floats = low + scale * np.expm1(steps * math.log1p(top / scale))
    return levels


def relative_height(values: Floats) -> Floats:
    """Return log(1 + (v - min v) / s), scaled to [0, 1], with s the height above the minimum of the lowest twentieth of the grid."""
    low = float(np.nanmin(values))
    scale = _scale(values)
    heights: Floats = np.log1p((values - low) / scale)
    return heights / max(float(np.nanmax(heights)), 1e-300)


def _scale(values: Floats) -> float:
    above = values[np.isfinite(values)] - float(np.nanmin(values))
    return float(np.quantile(above, 0.05)) or float(above.max()) or 1.0


def contour_lines(x: Floats, y: Floats, values: Floats, level: float) -> list[Floats]:
    """Return the lines on which the function has this value.

    Args:
        x: the grid's positions, ascending, [W].
        y: likewise, [H].
        values: the function there, [H, W]; cells with a corner that is not finite have no lines.
        level: the value on the lines.

    Returns:
        Polylines [points, 2], closed ones with equal ends, by linear interpolation along the grid's edges.
    """
    links: dict[Edge, list[Edge]] = {}
    for one, other in _segments(values, level):
        links.setdefault(one, []).append(other)
        links.setdefault(other, []).append(one)
    lines = []
    ends = [edge for edge, others in links.items() if len(others) == 1]
    for first in [*ends, *links]:
        line = _walk(links, first)
        if len(line) > 1:
            lines.append(np.array([_position(edge, x, y, values, level) for edge in line]))
    return lines


def _segments(values: Floats, level: float) -> list[tuple[Edge, Edge]]:
    above = values > level
    corners = (above[:-1, :-1], above[:-1, 1:], above[1:, 1:], above[1:, :-1])
    kinds = sum((corner.astype(int) << bit for bit, corner in enumerate(corners)), np.zeros(corners[0].shape, int))
    finite = np.isfinite(values)
    kinds[~(finite[:-1, :-1] & finite[:-1, 1:] & finite[1:, 1:] & finite[1:, :-1])] = 0
    segments = []
    for row, column in zip(*np.nonzero((kinds > 0) & (kinds < 15)), strict=True):
        i, j = int(row), int(column)
        kind = int(kinds[i, j])
        pairs: tuple[tuple[int, int], ...]
        if kind in (5, 10):
            middle = values[i : i + 2, j : j + 2].mean() > level
            pairs = _JOINED if middle == (kind == 5) else _SEPARATE
        else:
            pairs = _CROSSED[kind]
        sides: tuple[Edge, ...] = ((0, i, j), (1, i, j + 1), (0, i + 1, j), (1, i, j))
        segments += [(sides[a], sides[b]) for a, b in pairs]
    return segments


def _walk(links: dict[Edge, list[Edge]], first: Edge) -> list[Edge]:
    """Follow the links from an edge to the line's other end, or round a closed line, and remove them."""
    line = [first]
    while links[line[-1]]:
        following = links[line[-1]].pop()
        links[following].remove(line[-1])
        line.append(following)
    return line


def _position(edge: Edge, x: Floats, y: Floats, values: Floats, level: float) -> tuple[float, float]:
    along_column, i, j = edge
    one = values[i, j]
    other = values[i + 1, j] if along_column else values[i, j + 1]
    fraction = (level - one) / (other - one)
    if along_column:
        return float(x[j]), float(y[i] + fraction * (y[i + 1] - y[i]))
    return float(x[j] + fraction * (x[j + 1] - x[j])), float(y[i])
