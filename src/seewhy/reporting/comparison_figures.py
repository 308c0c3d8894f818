"""The figures of a study: intervals, curves with bands, times to the target, values by seed, the interaction of two factors.

Figures with a row for each variant grow with their number; of many variants those that matter have a colour, and the others are quiet lines.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt

from seewhy.reporting.comparison_records import ComparisonRecord, Interaction, PairRecord, VariantRecord
from seewhy.reporting.figures import HEIGHT, Row, inline_data, themed
from seewhy.reporting.formatting import format_number, shorten
from seewhy.reporting.palette import LIGHT, SERIES_LIGHT

WIDTH = 340
WIDE = 380
ROW = 26
"""Pixels of a variant in figures with a row for each."""

LABEL, PAIR_LABEL = 30, 20
"""Letters of a name beside a figure, alone and of two."""

LETTER = 6.4
"""Pixels of a letter, at most on average."""

PAIRS_UP_TO = 40
"""Comparisons that are drawn; the table has them all."""

BAND_ROOM = 0.4
"""Of the means' range, what bands may add on each side of it."""

_LOOKS = {"better": LIGHT["correct"], "worse": LIGHT["wrong"]}
_TIP: dict[str, Any] = {"tooltip": alt.Tooltip("tip:N", title=" "), "description": "tip:N"}


def _rows_axis(names: Sequence[str], letters: int = LABEL) -> alt.Y:
    """Return a vertical axis with a row for each name, by its number, for names that are long may look the same."""
    labels = [shorten(name, letters) for name in names]
    # The room is set by hand, for a page's font is wider than the one that the drawing is measured by.
    room = LETTER * max(map(len, labels)) + 10
    axis = alt.Axis(domain=False, ticks=False, labelLimit=0, labelPadding=8, minExtent=room)
    axis.labelExpr = f"{json.dumps(labels)}[datum.value]"
    return alt.Y("row:O", title=None, axis=axis, scale=alt.Scale(domain=list(range(len(names)))))


def _values(field: str, title: str, **scale: Any) -> alt.X:
    axis = alt.Axis(domain=False, ticks=False, tickCount=5, format="~r")
    return alt.X(field, title=title, axis=axis, scale=alt.Scale(zero=False, nice=True, **scale))


def _within(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" [{format_number(interval[0])}, {format_number(interval[1])}]"


def best_first(record: ComparisonRecord) -> list[VariantRecord]:
    """Return the variants that have a mean, the best first, those that were dropped last."""
    sign = -1 if record.higher else 1
    known = [variant for variant in record.variants if variant.mean is not None]
    return sorted(known, key=lambda variant: (variant.dropped, sign * (variant.mean or 0.0)))


def drawn_pairs(record: ComparisonRecord) -> tuple[list[PairRecord], str]:
    """Return the comparisons that are drawn: all; or of many the best variant with the others, as many as fit, and its name."""
    pairs = [pair for pair in record.pairs if pair.difference is not None]
    if len(pairs) <= PAIRS_UP_TO:
        return pairs, ""
    best = best_first(record)[0].name
    turned = [pair if pair.a == best else _turned(pair) for pair in pairs if best in (pair.a, pair.b)]
    return turned[:PAIRS_UP_TO], best


def _turned(pair: PairRecord) -> PairRecord:
    """Return the comparison of b with a."""
    word = {"better": "worse", "worse": "better"}.get(pair.word, pair.word)
    low, high = pair.interval or (0.0, 0.0)
    interval = None if pair.interval is None else (-high, -low)
    return PairRecord(a=pair.b, b=pair.a, word=word, difference=-(pair.difference or 0.0), interval=interval)


def means_chart(record: ComparisonRecord) -> Any:
    """Draw each variant's mean with its interval, the best first; wide intervals of dropped ones are cut where the others end."""
    variants = best_first(record)
    ends = [end for each in variants if not each.dropped for end in each.interval or ()]
    ends += [each.mean for each in variants if each.mean is not None]
    rows: list[Row] = [
        {
            "row": k,
            "value": each.mean,
            "interval": each.interval and tuple(min(max(end, min(ends)), max(ends)) for end in each.interval),
            "colour": LIGHT["quiet"] if each.dropped else LIGHT["accent"],
            "tip": f"{each.name}: {format_number(each.mean)}{_within(each.interval)}",
        }
        for k, each in enumerate(variants)
    ]
    return _intervals(rows, [each.name for each in variants], record.axis, heading="Means with intervals")


def differences_chart(record: ComparisonRecord) -> Any:
    """Draw the difference of each pair with its interval beside zero: right of it the first is better."""
    pairs, best = drawn_pairs(record)
    rows: list[Row] = [
        {
            "row": k,
            "value": pair.difference,
            "interval": pair.interval,
            "colour": _LOOKS.get(pair.word, LIGHT["quiet"]),
            "tip": f"{pair.a} against {pair.b}: {format_number(pair.difference)}{_within(pair.interval)}, {pair.word}",
        }
        for k, pair in enumerate(pairs)
    ]
    if best:
        title = f"{shorten(best, LABEL)} beside each other variant ({record.unit}), right of 0: it is better"
        return _intervals(rows, [pair.b for pair in pairs], title)
    names = [f"{shorten(pair.a, PAIR_LABEL)} − {shorten(pair.b, PAIR_LABEL)}" for pair in pairs]
    return _intervals(rows, names, f"Difference ({record.unit}), right of 0: the first is better")


def _intervals(rows: list[Row], names: Sequence[str], title: str, *, heading: str = "") -> Any:
    y, x = _rows_axis(names, LABEL if heading else 2 * PAIR_LABEL + 3), _values("value:Q", title)
    colour = alt.Color("colour:N", scale=None)
    spans = [{**row, "low": row["interval"][0], "high": row["interval"][1]} for row in rows if row["interval"]]
    layers = []
    if not heading:  # of differences
        rule = alt.Chart(inline_data([{"value": 0.0}])).mark_rule(strokeDash=[4, 4], color=LIGHT["quiet"], aria=False)
        layers.append(rule.encode(x=x))
    bars = alt.Chart(inline_data(spans)).mark_rule(strokeWidth=2.5, aria=False)
    layers.append(bars.encode(x=_values("low:Q", title), x2="high:Q", y=y, color=colour))
    dots = alt.Chart(inline_data(rows)).mark_point(filled=True, size=64, opacity=1)
    layers.append(dots.encode(x=x, y=y, color=colour, **_TIP))
    width = WIDTH if heading else WIDE
    return themed(alt.layer(*layers, width=width, height=max(60, ROW * len(rows)), title=heading))


def seeds_chart(record: ComparisonRecord) -> Any:
    """Draw the final metric of every run, a row for each variant and a line for each seed; lines break where a run is missing."""
    variants = best_first(record)
    rows: list[Row] = []
    for k, variant in enumerate(variants):
        rows += [
            {"row": k, "value": run.value, "seed": run.seed, "tip": f"{variant.name}, seed {run.seed}: {run.text}"}
            for run in variant.runs
            if run.value is not None and not run.screening
        ]
    part, last = dict[int, int](), dict[int, int]()
    for row in rows:
        seed = row["seed"]
        part[seed] = part.get(seed, 0) + (last.get(seed, row["row"]) < row["row"] - 1)
        last[seed] = row["row"]
        row["line"] = f"{seed}.{part[seed]}"
    base = alt.Chart(inline_data(rows)).encode(
        x=_values("value:Q", record.axis), y=_rows_axis([each.name for each in variants])
    )
    lines = base.mark_line(strokeWidth=1, color=LIGHT["quiet"], opacity=0.7, aria=False)
    dots = base.mark_point(filled=True, size=40, opacity=0.9, color=LIGHT["accent"]).encode(**_TIP)
    layers = [lines.encode(detail="line:N", order="row:Q"), dots]
    heading = "Run by run, a line for each seed"
    return themed(alt.layer(*layers, width=WIDTH, height=max(60, ROW * len(variants)), title=heading))


def target_chart(record: ComparisonRecord, unit: str) -> Any:
    """Draw when each run reaches the target, in "epochs" or "seconds", with a tick at the variant's mean; None where none does."""
    variants = [each for each in best_first(record) if not each.dropped]
    rows: list[Row] = []
    means: list[Row] = []
    for k, variant in enumerate(variants):
        times = {run.seed: run.to_target[unit] for run in variant.runs if unit in run.to_target and not run.screening}
        rows += [
            {"row": k, "value": value, "tip": f"{variant.name}, seed {seed}: {format_number(value, 3)} {unit}"}
            for seed, value in times.items()
        ]
        if times:
            mean = sum(times.values()) / len(times)
            tip = f"{variant.name}: {format_number(mean, 3)} {unit}, mean of {len(times)} runs that reach it"
            means.append({"row": k, "value": mean, "tip": tip})
    if not rows:
        return None
    y = _rows_axis([each.name for each in variants])
    x = _values("value:Q", f"{unit} to the target")
    dots = alt.Chart(inline_data(rows)).mark_point(filled=True, size=40, opacity=0.7, color=LIGHT["accent"])
    ticks = alt.Chart(inline_data(means)).mark_tick(thickness=3, size=16, color=LIGHT["ink"])
    layers = [dots.encode(x=x, y=y, **_TIP), ticks.encode(x=x, y=y, **_TIP)]
    return themed(alt.layer(*layers, width=WIDTH, height=max(60, ROW * len(variants))))


def curves_chart(record: ComparisonRecord, unit: str) -> Any:
    """Draw the validation metric over "epochs" or "seconds", mean and band; None without curves.

    Of more variants than there are colours the best ones are coloured, and the others quiet.
    """
    known = [each for each in best_first(record) if each.curves]
    variants = [each for each in known if unit in each.curves]
    if not variants:
        return None
    named = [each.name for each in known[: len(SERIES_LIGHT)]]
    order = [each.name for each in record.variants if each.name in named]
    rows: list[Row] = [
        {"name": each.name, "x": x, "mean": mean, "low": low, "high": high}
        for each in variants
        for x, mean, low, high in each.curves[unit]
    ]
    for row in rows:
        row["tip"] = f"{row['name']}, {format_number(row['x'], 3)} {unit}: {format_number(row['mean'])}"
    shown = [row for row in rows if row["name"] in named]
    others = [row for row in rows if row["name"] not in named]
    y: dict[str, Any] = {"title": None, "scale": _within_reach(rows), "axis": _value_axis()}
    ticks = alt.Axis(grid=False, tickCount=6, format="~g")
    x = alt.X("x:Q", title=unit, scale=alt.Scale(zero=False, nice=False), axis=ticks)
    layers = []
    if others:
        quiet = alt.Chart(inline_data(others)).mark_line(strokeWidth=1, color=LIGHT["quiet"], opacity=0.5, aria=False)
        layers.append(quiet.encode(x=x, y=alt.Y("mean:Q", **y), detail="name:N"))
    base = alt.Chart(inline_data(shown)).encode(x=x, color=_colours(order))
    band = base.mark_area(fillOpacity=0.13, aria=False)
    layers.append(band.encode(y=alt.Y("low:Q", **y), y2="high:Q"))
    layers.append(base.mark_line(strokeWidth=2, aria=False).encode(y=alt.Y("mean:Q", **y)))
    ends = [max(group, key=lambda row: row["x"]) for group in _by_name(shown).values()]
    dots = alt.Chart(inline_data(ends)).mark_point(filled=True, size=40, opacity=1)
    layers.append(dots.encode(x=x, y=alt.Y("mean:Q", **y), color=_colours(order), **_TIP))
    return themed(alt.layer(*layers, width=WIDTH, height=int(HEIGHT * 1.25), title=f"Over {unit}"))


def _within_reach(rows: list[Row]) -> alt.Scale:
    """Return the scale of means with bands, and cut the bands where they leave it: of two seeds they would make the means a flat line."""
    low, high = (pick(row["mean"] for row in rows) for pick in (min, max))
    room = BAND_ROOM * (high - low) or 0.05 * abs(high) or 1.0
    domain = [max(low - room, min(row["low"] for row in rows)), min(high + room, max(row["high"] for row in rows))]
    for row in rows:
        row["low"], row["high"] = max(row["low"], domain[0]), min(row["high"], domain[1])
    return alt.Scale(zero=False, nice=False, domain=domain)


def _value_axis() -> alt.Axis:
    return alt.Axis(domain=False, ticks=False, tickCount=5, format="~r", minExtent=36)


def _by_name(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row["name"], []).append(row)
    return groups


def _colours(names: Sequence[str]) -> alt.Color:
    """Return a colour for each name, in order, quiet beyond the last; a single one needs no legend."""
    colours = [SERIES_LIGHT[k] if k < len(SERIES_LIGHT) else LIGHT["quiet"] for k in range(len(names))]
    legend = None
    if len(names) > 1:
        legend = alt.Legend(
            symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columnPadding=32, columns=2, labelLimit=190
        )
    return alt.Color("name:N", scale=alt.Scale(domain=list(names), range=colours), legend=legend)


def interaction_chart(interaction: Interaction, axis: str) -> Any:
    """Draw the mean of each combination of two factors, a line for each level of the second: lines that are parallel do not interact."""
    lines = list(dict.fromkeys(line for line, _ in interaction.means))
    rows: list[Row] = [
        {
            "name": line,
            "x": x,
            "mean": interaction.means[line, x][0],
            "low": interaction.means[line, x][1],
            "high": interaction.means[line, x][2],
            "tip": f"{x}, {line}: {format_number(interaction.means[line, x][0])}{_within(interaction.means[line, x][1:])}",
        }
        for line in lines
        for x in interaction.x_levels
        if (line, x) in interaction.means
    ]
    turned = sum(map(len, interaction.x_levels)) > 44
    axis_x = alt.Axis(labelAngle=-35 if turned else 0, ticks=False, labelLimit=140)
    x = alt.X("x:N", title=interaction.x, sort=list(interaction.x_levels), axis=axis_x)
    y: dict[str, Any] = {
        "title": axis,
        "scale": _within_reach(rows),
        "axis": _value_axis(),
    }
    base = alt.Chart(inline_data(rows)).encode(x=x, color=_colours(lines))
    spans = base.mark_rule(strokeWidth=2, opacity=0.4, aria=False).encode(y=alt.Y("low:Q", **y), y2="high:Q")
    line = base.mark_line(strokeWidth=2, aria=False).encode(y=alt.Y("mean:Q", **y))
    dots = base.mark_point(filled=True, size=60, opacity=1).encode(y=alt.Y("mean:Q", **y), **_TIP)
    width = max(WIDE, 60 * len(interaction.x_levels))
    return themed(alt.layer(spans, line, dots, width=width, height=int(HEIGHT * 1.25)))
