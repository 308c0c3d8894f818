"""Networks drawn layer by layer, each cell coloured by how far its value lies from what is usual.

A measure's values fall into nine degrees: 4 is usual, 3 to 0 ever smaller, 5 to 8 ever larger; "x" is not finite, "." not measured. The page
holds every degree and every number as text, so that its script only looks up what this module has decided.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from seewhy.core.findings import SEVERITIES, Finding, Severity
from seewhy.reporting.records import Health, NetworkHealth

Rows: TypeAlias = Sequence[Sequence[float | None]]

ROW_HEIGHT, MATRIX_HEIGHT = 22, 484
LABEL_HEIGHT, NAME_WIDTH = 16, 26
TICKS = 6

_TINY = (1e-3, 1e-5, 1e-7, 1e-10)
_GROWN = (1e2, 1e3, 1e5, 1e8)


@dataclass(frozen=True)
class Measure:
    """What can be shown of every layer.

    Attributes:
        title: in the list of measures and over the table's column.
        about: what it is.
        low, high: the ends of the scale in words, "" where it has no such end.
        degrees: [L][T] values to one text of T degrees for each row.
        percent: whether the values are shares.
    """

    title: str
    about: str
    low: str
    high: str
    degrees: Callable[[Rows], list[str]]
    percent: bool = False


def _degree(value: float | None, below: Sequence[float], above: Sequence[float]) -> str:
    """Return how many of the bounds the value passes, down or up, as a degree."""
    if value is None:
        return "."
    if not math.isfinite(value):
        return "x"
    return str(4 - sum(value < bound for bound in below) + sum(value >= bound for bound in above))


def _bounded(below: Sequence[float], above: Sequence[float]) -> Callable[[Rows], list[str]]:
    return lambda rows: ["".join(_degree(value, below, above) for value in row) for row in rows]


def _gradient_degrees(rows: Rows) -> list[str]:
    """Compare a gradient with the largest of its step, and, where it has grown, with what its layer began with."""
    columns = list(zip(*rows, strict=True))
    largest = [max((v for v in column if v is not None and math.isfinite(v)), default=0.0) for column in columns]
    result = []
    for row in rows:
        first = next((value for value in row if value and math.isfinite(value)), 0.0)
        degrees = []
        for value, most in zip(row, largest, strict=True):
            degree = _degree(value if value is None or not most else value / most, _TINY, ())
            grown = value is not None and degree == "4" and first and value >= _GROWN[0] * first
            degrees.append(_degree(value / first, (), _GROWN) if grown and value is not None else degree)
        result.append("".join(degrees))
    return result


MEASURES = {
    "gradient": Measure(
        "Gradient",
        "Root mean square of the gradient at the layer's outputs. Blue: at most a thousandth of the step's largest; orange: "
        "a hundred times what the layer began with.",
        "vanishes",
        "explodes",
        _gradient_degrees,
    ),
    "spread": Measure(
        "Spread",
        "Standard deviation of the layer's outputs; between 0.02 and 20 is usual.",
        "collapses",
        "blows up",
        _bounded((0.02, 5e-3, 1e-3, 1e-5), (20, 100, 1e3, 1e5)),
    ),
    "silent": Measure(
        "Silent",
        "Share of units that were not once active at the last 1,000 examples.",
        "",
        "all silent",
        _bounded((), (0.3, 0.5, 0.7, 0.9)),
        percent=True,
    ),
    "saturated": Measure(
        "Saturated",
        "Share of units whose slope is below 5% of the largest at 95% of the examples.",
        "",
        "all saturated",
        _bounded((), (0.3, 0.5, 0.7, 0.9)),
        percent=True,
    ),
    "update": Measure(
        "Update",
        "What a step changes of the weights, as a share of their norm; about a thousandth is usual.",
        "hardly moves",
        "leaps",
        _bounded((1e-6, 1e-7, 1e-8, 1e-10), (0.03, 0.1, 0.3, 1.0)),
    ),
}


def column_of(steps: Sequence[int], step: int) -> int:
    """Return the column of the last probe up to a step."""
    return max(0, bisect_right(steps, step) - 1)


def rows_of(network: NetworkHealth, finding: Finding) -> list[int]:
    """Return the rows that a finding names."""
    return sorted({network.rows[layer] for layer in finding.layers if layer in network.rows})


def slug(name: str, used: Collection[str]) -> str:
    """Return an anchor from a name, numbered where it is used already."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", name) or "x"
    anchor, number = stem, 1
    while anchor in used:
        number += 1
        anchor = f"{stem}-{number}"
    return anchor


def network_contexts(health: Health, anchors: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the template draws of each network that was probed; `anchors` are the findings'."""
    contexts: list[dict[str, Any]] = []
    for network in health.networks:
        if network.steps and network.layers:
            own = [(f, id_) for f, id_ in zip(health.findings, anchors, strict=True) if f.network == network.name]
            id_ = slug(f"network-{network.name}", [context["id"] for context in contexts])
            contexts.append({"id": id_, **_context(network, health, own)})
    return contexts


def _context(network: NetworkHealth, health: Health, own: Sequence[tuple[Finding, str]]) -> dict[str, Any]:
    L, T = len(network.layers), len(network.steps)
    shown = [name for name in MEASURES if any(v is not None for row in network.measures.get(name, ()) for v in row)]
    degrees = {name: MEASURES[name].degrees(network.measures[name]) for name in shown}
    texts = {name: [[_text(v, MEASURES[name]) for v in row] for row in network.measures[name]] for name in shown}
    start = column_of(network.steps, own[0][0].step) if own else T - 1
    wanted = [health.measures.get(finding.fingerprint, "") for finding, _ in own]
    chosen = next((name for name in [*wanted, *shown] if name in shown), "")
    marks: dict[int, Finding] = {}
    for finding, _ in own:
        for row in rows_of(network, finding):
            marks[row] = max(marks.get(row, finding), finding, key=lambda f: SEVERITIES.index(f.severity))
    height = min(MATRIX_HEIGHT, ROW_HEIGHT * L)
    return {
        "name": network.name,
        "L": L,
        "T": T,
        "height": height,
        "width": min(NAME_WIDTH, max(len(name) for name in network.layers)),
        "gap": height / L > 8,
        "start": start,
        "steps": network.steps,
        "chosen": chosen,
        "layers": [
            {"name": name, "function": function, "mark": marks.get(row)}
            for row, (name, function) in enumerate(zip(network.layers, network.functions, strict=True))
        ],
        "labels": [(100 * (row + 0.5) / L, network.layers[row], marks.get(row)) for row in _labelled(L, height, marks)],
        "marks": [(100 * row / L, 100 / L, finding) for row, finding in sorted(marks.items())],
        "flags": _flags(network, own),
        "ticks": [(100 * (column + 0.5) / T, network.steps[column]) for column in _ticked(T)],
        "measures": [{"key": name, "measure": MEASURES[name], "paths": _paths(degrees[name])} for name in shown],
        "cells": [[(texts[name][row][start], degrees[name][row][start]) for name in shown] for row in range(L)],
        "data": {
            "steps": list(network.steps),
            "degrees": {name: "".join(degrees[name]) for name in shown},
            "texts": {name: " ".join(text for row in texts[name] for text in row) for name in shown},
        },
    }


def _flags(network: NetworkHealth, own: Sequence[tuple[Finding, str]]) -> list[tuple[float, Severity, str, str]]:
    """Return one flag for each column in which something was found: (left in percent, severity, anchor, text)."""
    by_column: dict[int, list[tuple[Finding, str]]] = {}
    for finding, anchor in own:
        by_column.setdefault(column_of(network.steps, finding.step), []).append((finding, anchor))
    flags = []
    for column, several in by_column.items():
        worst = max((finding.severity for finding, _ in several), key=SEVERITIES.index)
        text = "; ".join(f"{f.severity} at step {f.step:,}: {f.code.replace('_', ' ')}" for f, _ in several)
        flags.append((100 * (column + 0.5) / len(network.steps), worst, several[0][1], text))
    return flags


def _text(value: float | None, measure: Measure) -> str:
    """Return a number in as few characters as tell it, without a space."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "-∞"
    if measure.percent:
        return f"{100 * value:.0f}%"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    head, _, power = f"{value:.1e}".partition("e")
    return f"{head.removesuffix('.0')}e{int(power)}"


def _paths(degrees: Sequence[str]) -> list[tuple[str, str]]:
    """Return a path for each degree: a rectangle for each run of equal cells, cells being of size 1 x 1."""
    drawn: dict[str, list[str]] = {}
    for row, text in enumerate(degrees):
        for match in re.finditer(r"(.)\1*", text):
            if match[1] != ".":
                column, length = match.start(), len(match[0])
                drawn.setdefault(match[1], []).append(f"M{column} {row}h{length}v1h-{length}z")
    return [(degree, "".join(parts)) for degree, parts in sorted(drawn.items())]


def _labelled(L: int, height: float, marked: Collection[int]) -> list[int]:
    """Return the rows that have room for a name: marked ones first, then the first and the last, then others."""
    least = LABEL_HEIGHT * L / height
    stride = max(1, math.ceil(least))
    taken: list[int] = []
    for row in [*sorted(marked), 0, L - 1, *range(0, L, stride)]:
        at = bisect_left(taken, row)
        near = taken[max(0, at - 1) : at + 1]
        if all(abs(row - other) >= least for other in near):
            taken.insert(at, row)
    return taken


def _ticked(T: int) -> list[int]:
    """Return a few columns, with the first and the last."""
    count = min(T, TICKS)
    return sorted({round(k * (T - 1) / max(1, count - 1)) for k in range(count)})
