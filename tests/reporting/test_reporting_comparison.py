"""The page of a study: its figures' data, any name, any number of variants, nothing loaded."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from reporting_page import HOSTILE, Page

from seewhy.reporting import (
    ComparisonRecord,
    FindingRecord,
    Interaction,
    PairRecord,
    RunRecord,
    StudyTable,
    TableCell,
    VariantRecord,
    render_comparison,
)
from seewhy.reporting import comparison_figures as figures
from seewhy.reporting.palette import LIGHT, SERIES_LIGHT
from seewhy.reporting.svg import inline_svg


def variant(name: str, mean: float | None, *, missing: tuple[int, ...] = (), **fields: Any) -> VariantRecord:
    """A variant with three seeds around its mean, some of which may have failed."""
    runs = [
        RunRecord(seed=seed, status="failed", reason=f"broken: {name}", link="runs/a/1.log")
        if seed in missing or mean is None
        else RunRecord(
            seed=seed,
            status="ended",
            value=mean + seed - 1,
            text=f"{mean + seed - 1:.2f}%",
            link="runs/a/0/report.html",
            findings=1,
            to_target={"epochs": 1.0 + seed, "seconds": 10.0 + seed},
        )
        for seed in range(3)
    ]
    curve = () if mean is None else ((1.0, mean - 20, mean - 90, mean + 70), (2.0, mean, mean - 2, mean + 2))
    values: dict[str, Any] = {
        "interval": None if mean is None else (mean - 2, mean + 2),
        "findings": (("dead_units", 2),),
        "runs": tuple(runs),
        "curves": {"epochs": curve, "seconds": curve} if curve else {},
        **fields,
    }
    return VariantRecord(name=name, edit=f"name = {name}", mean=mean, **values)


def study(*variants: VariantRecord, **fields: Any) -> ComparisonRecord:
    """A study of these variants, each compared with each that comes after it."""
    pairs = [
        PairRecord(a=a.name, b=b.name, word="better", difference=1.0, interval=(0.5, 1.5))
        for k, a in enumerate(variants)
        for b in variants[k + 1 :]
    ]
    values: dict[str, Any] = {
        "title": "Activation on digits",
        "name": "study",
        "created": "2026-01-14T10:15:00+01:00",
        "sentence": "a is better than b.",
        "axis": "Test accuracy (%)",
        "curve_axis": "Validation accuracy (%)",
        "higher": True,
        "unit": "points",
        "target": "a validation accuracy of 90%",
        "table": StudyTable(
            ("Variant", "Mean"), tuple((TableCell(each.name), TableCell("1", "x", 1.0)) for each in variants)
        ),
        "pair_table": StudyTable(("Variant", "Against"), tuple((TableCell(p.a), TableCell(p.b)) for p in pairs)),
        "variants": variants,
        "pairs": tuple(pairs),
        "findings": (
            FindingRecord(code="dead_units", title="two are silent", explanation="Silent.", remedy="wait", runs=2),
        ),
        **fields,
    }
    return ComparisonRecord(**values)


def data(chart: Any) -> list[list[dict[str, Any]]]:
    """The rows of each layer."""
    found = chart.to_dict()
    sources = [layer.get("data", found.get("data")) for layer in found["layer"]]
    return [found["datasets"][source["name"]] if "name" in source else source["values"] for source in sources]


def page_of(record: ComparisonRecord) -> Page:
    return Page(render_comparison(record))


def test_the_page_is_one_document_whose_links_lead_somewhere() -> None:
    interaction = Interaction(
        x="activation", x_levels=("a", "b"), line="optimizer", means={("sgd", "a"): (1.0, 0.5, 1.5)}
    )
    record = study(
        variant("a", 90.0),
        variant("b", 80.0),
        interaction=interaction,
        command="seewhy compare",
        copies=(("LaTeX", "x"),),
    )
    page = page_of(record)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    linked = {a["href"] for a in page.all("a")}
    assert {link for link in linked if link and link.startswith("#")} <= {f"#{i}" for i in ids}
    assert "#finding-dead_units" in linked
    for section in (
        "variants",
        "comparisons",
        "curves",
        "target",
        "interaction",
        "findings",
        "runs",
        "basis",
        "repeat",
    ):
        assert section in ids
        assert f"#{section}" in linked
    assert page.words.index("a is better than b.") < page.words.index("Runs ended")
    assert "14 January 2026, 10:15" in page.words
    drawings = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert len(drawings) == 8
    assert all(svg["aria-label"] for svg in drawings)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(name: str) -> None:
    interaction = Interaction(x=name, x_levels=(name, "b"), line=name, means={(name, name): (1.0, 0.5, 1.5)})
    record = study(
        variant(name, 90.0, missing=(1,)),
        variant("b", None),
        title=name,
        name=name,
        sentence=name,
        notes=(name,),
        command=name,
        copies=((name, name),),
        facts=((name, name),),
        interaction=interaction,
        findings=(FindingRecord(code="dead_units", title=name, explanation=name, remedy=name, runs=1),),
    )
    page = page_of(record)
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert all(not any(key.startswith("on") for key in attributes) for _, attributes in page.elements)


def test_the_page_loads_nothing() -> None:
    text = render_comparison(study(variant("a", 90.0), variant("b", 80.0)))
    assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(", text)
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text


def test_the_best_is_first_and_the_dropped_are_last_whichever_way_the_metric_goes() -> None:
    variants = (
        variant("a", 1.0),
        variant("b", 3.0),
        variant("c", None),
        variant("d", 9.0, dropped=True),
        variant("e", 2.0),
    )
    assert [each.name for each in figures.best_first(study(*variants))] == ["b", "e", "a", "d"]
    assert [each.name for each in figures.best_first(study(*variants, higher=False))] == ["a", "e", "b", "d"]


def test_the_means_data_are_the_means_and_a_dropped_ones_interval_is_cut() -> None:
    record = study(variant("a", 90.0), variant("b", 80.0, dropped=True, interval=(-100.0, 300.0)))
    bars, dots = data(figures.means_chart(record))
    assert [row["value"] for row in dots] == [90.0, 80.0]
    assert [(row["low"], row["high"]) for row in bars] == [(88.0, 92.0), (80.0, 92.0)]
    assert dots[1]["tip"] == "b: 80 [-100, 300]"


def test_lines_of_seeds_break_where_a_run_is_missing() -> None:
    record = study(variant("a", 90.0), variant("b", 80.0, missing=(1,)), variant("c", 70.0))
    rows = data(figures.seeds_chart(record))[0]
    lines: dict[str, list[int]] = {}
    for row in rows:
        lines.setdefault(row["line"], []).append(row["row"])
    assert lines == {"0.0": [0, 1, 2], "1.0": [0], "1.1": [2], "2.0": [0, 1, 2]}


def test_of_many_comparisons_those_with_the_best_are_drawn_its_way() -> None:
    few = study(variant("a", 1.0), variant("b", 2.0))
    assert figures.drawn_pairs(few) == (list(few.pairs), "")
    many = study(*(variant(f"v{k}", float(k)) for k in range(12)))
    pairs, best = figures.drawn_pairs(many)
    assert best == "v11"
    assert [pair.b for pair in pairs] == [f"v{k}" for k in range(11)]
    assert pairs[0] == PairRecord(a="v11", b="v0", word="worse", difference=-1.0, interval=(-1.5, -0.5))
    assert "55 further comparisons" in page_of(many).words


def test_curves_of_many_variants_colour_the_best_and_the_same_in_both_panels() -> None:
    record = study(*(variant(f"v{k}", 50.0 + k) for k in range(12)))
    quiet, *_ = data(figures.curves_chart(record, "epochs"))
    assert {row["name"] for row in quiet} == {f"v{k}" for k in range(4)}
    first = record.variants[11]
    without = replace(
        record, variants=(*record.variants[:11], replace(first, curves={"epochs": first.curves["epochs"]}))
    )
    scales = [
        figures.curves_chart(without, unit).to_dict()["layer"][-1]["encoding"]["color"]["scale"]
        for unit in ("epochs", "seconds")
    ]
    assert scales[0] == scales[1]
    assert scales[0]["range"] == list(SERIES_LIGHT)


def test_wide_bands_do_not_flatten_the_means() -> None:
    chart = figures.curves_chart(study(variant("a", 90.0)), "epochs")
    band = data(chart)[0]
    assert [(row["low"], row["high"]) for row in band] == [(62.0, 98.0), (88.0, 92.0)]
    assert chart.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"] == [62.0, 98.0]


def test_times_to_the_target_are_those_of_the_runs_that_reach_it() -> None:
    dots, ticks = data(figures.target_chart(study(variant("a", 90.0, missing=(0,)), variant("b", None)), "seconds"))
    assert [row["value"] for row in dots] == [11.0, 12.0]
    assert [row["value"] for row in ticks] == [11.5]
    assert figures.target_chart(study(variant("a", None)), "epochs") is None


def test_every_drawn_colour_follows_the_theme() -> None:
    interaction = Interaction(
        x="x", x_levels=("a",), line="line", means={(f"l{k}", "a"): (1.0, 0.0, 2.0) for k in range(10)}
    )
    record = study(*(variant(f"v{k}", 50.0 + k, dropped=k == 0) for k in range(12)))
    charts = [
        figures.means_chart(record),
        figures.differences_chart(record),
        figures.seeds_chart(record),
        figures.target_chart(record, "epochs"),
        figures.curves_chart(record, "seconds"),
        figures.interaction_chart(interaction, "Test accuracy (%)"),
    ]
    rules = render_comparison(record)
    for chart in charts:
        svg = inline_svg(chart, "")
        drawn = {part.split('"')[0] for mark in ('fill="', 'stroke="') for part in svg.split(mark)[1:]}
        for colour in drawn - {"none", "transparent"}:
            assert f'.figure [fill="{colour}"]' in rules, colour
    assert LIGHT["quiet"] not in SERIES_LIGHT


def test_a_study_without_any_run_says_so() -> None:
    empty = [variant(name, None, runs=(), findings=()) for name in "ab"]
    assert "No run has ended, so there is nothing to draw." in page_of(study(*empty, pairs=(), findings=())).words
