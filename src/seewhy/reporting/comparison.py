"""The page of a study: the verdict in a sentence, the tables, the figures, and every run one click away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from seewhy.reporting import comparison_figures as figures
from seewhy.reporting.comparison_records import ComparisonRecord, VariantRecord
from seewhy.reporting.formatting import format_time
from seewhy.reporting.palette import SERIES_DARK, SERIES_LIGHT, series_variables
from seewhy.reporting.svg import inline_svg
from seewhy.reporting.template import environment, render_page

LEAST = 330
"""Pixels below which a figure is not shrunk."""

_TITLES = {
    "variants": "Variants",
    "comparisons": "Comparisons",
    "curves": "Learning",
    "target": "Time to target",
    "interaction": "Interaction",
    "findings": "Findings",
    "runs": "Runs",
    "basis": "What it rests on",
    "repeat": "Repeat and cite",
}
"""Anchors and short titles, in the navigation, of the sections."""


def render_comparison(record: ComparisonRecord) -> str:
    """Draw a study's page.

    Args:
        record: what was measured; figures for which nothing was are left out.

    Returns:
        A whole HTML document that loads nothing from anywhere; it links to the runs' reports beside it.
    """
    context = _sections(record)
    drawn = context["drawn"]
    here = {
        "comparisons": bool(record.pair_table.rows),
        **{section: bool(drawn[section]) for section in ("curves", "target", "interaction")},
        "findings": bool(record.findings),
    }
    return render_page(
        "comparison.html.j2",
        title=record.title,
        scripts=["report.js"],
        styles=["report.css", "comparison.css"],
        light=series_variables(SERIES_LIGHT),
        dark=series_variables(SERIES_DARK),
        navigation=[(name, title) for name, title in _TITLES.items() if here.get(name, True)],
        created=format_time(record.created),
        tiles=_tiles(record),
        seeds=_seeds(record.variants, screening=False),
        screening=_seeds(record.variants, screening=True),
        failures=[(each, run) for each in record.variants for run in each.runs if run.status == "failed"],
        **context,
    )


def comparison_fragment(record: ComparisonRecord) -> str:
    """Draw what a study's page shows of variants, comparisons, curves and findings, as a part of another page.

    That page has the styles report.css and comparison.css, and the colours of series.
    """
    return environment().get_template("study_sections.html.j2").render(**_sections(record))


def _sections(record: ComparisonRecord) -> dict[str, Any]:
    """Return what study_sections.html.j2 fills in."""
    return {
        "record": record,
        "drawn": _figures(record),
        "pairs_left": sum(pair.difference is not None for pair in record.pairs) - len(figures.drawn_pairs(record)[0]),
        "coloured": len(SERIES_LIGHT),
        "titles": {finding.code: code_words(finding.code) for finding in record.findings},
    }


def code_words(code: str) -> str:
    """Return a finding's code in words."""
    words = code.replace("_", " ")
    return words[:1].upper() + words[1:]


def _figures(record: ComparisonRecord) -> dict[str, list[str]]:
    """Return the drawings of each section; [] for one without any."""
    metric = record.axis.partition(" (")[0].lower()
    drawn: dict[str, list[Any]] = {"means": [], "differences": [], "interaction": []}
    if figures.best_first(record):
        drawn["means"] = [
            (figures.means_chart(record), f"Mean {metric} of each variant with its interval"),
            (figures.seeds_chart(record), f"{record.axis} of each run, a line for each seed"),
        ]
    if figures.drawn_pairs(record)[0]:
        drawn["differences"] = [(figures.differences_chart(record), "Differences between variants with intervals")]
    for section, draw, what in (
        ("curves", figures.curves_chart, f"{record.curve_axis} of each variant over {{}}, mean and band"),
        ("target", figures.target_chart, "{} to the target of each run"),
    ):
        panels = [(draw(record, unit), what.format(unit)) for unit in ("epochs", "seconds")]
        drawn[section] = [(chart, text) for chart, text in panels if chart is not None]
    if record.interaction is not None and record.interaction.means:
        chart = figures.interaction_chart(record.interaction, record.axis)
        drawn["interaction"] = [(chart, f"Mean {metric} over {record.interaction.x}, by {record.interaction.line}")]
    return {
        section: [inline_svg(chart, text, least=LEAST) for chart, text in charts] for section, charts in drawn.items()
    }


def _tiles(record: ComparisonRecord) -> list[tuple[str, str]]:
    counts = Counter(run.status for each in record.variants for run in each.runs)
    tiles = [
        ("Variants", f"{len(record.variants):,}"),
        ("Seeds", f"{len(_seeds(record.variants, screening=False)):,}"),
        ("Runs ended", f"{counts['ended']:,}"),
        ("Runs failed", f"{counts['failed']:,}"),
    ]
    return [*tiles, ("Runs to come", f"{counts['waiting']:,}")] if counts["waiting"] else tiles


def _seeds(variants: Sequence[VariantRecord], *, screening: bool) -> list[int]:
    """Return the seeds at which any variant has a run."""
    return sorted({run.seed for each in variants for run in each.runs if run.screening == screening})
