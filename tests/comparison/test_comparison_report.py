"""The page of a study: what is gathered from an outcome, for any number of variants and any way that runs can end."""

from __future__ import annotations

import html
import re
from itertools import product
from pathlib import Path

import pytest
from comparison_outcomes import NATS, folder, named, outcome

from seewhy.cli.main import run as cli
from seewhy.comparison import report
from seewhy.comparison.design import Variant
from seewhy.comparison.notebook import study_html
from seewhy.comparison.report import record_of, write_report

GOOD, BAD = [0.95, 0.96, 0.94, 0.95, 0.97, 0.96], [0.90, 0.91, 0.89, 0.91, 0.92, 0.90]


def words(path: Path) -> str:
    """A page's text."""
    text = re.sub(r"<(script|style|svg).*?</\1>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", text).split()))


def test_the_page_says_what_was_found_and_on_what_it_rests(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "slow"), 6)
    found = outcome(study, {"base": GOOD, "slow": BAD}, findings=["slow"])
    path = write_report(found)
    assert path == study.folder / "report.html"
    text = words(path)
    assert found.verdict is not None
    for part in (
        found.verdict.sentence(),
        "2 variants on digits",
        "seewhy compare digits --vary activation=relu,elu",
        "a validation accuracy of 90.5%, which every variant reaches",
        "Dead units 6 runs",
        "A unit that is silent for every image learns nothing.",
        "What helps: lower the learning rate.",
        "6: 0 to 5; of each the same split",
        r"\begin{tabular}",
        "optim.lr = 0.001",
    ):
        assert part in text, part
    assert text.index(found.verdict.sentence()) < text.index("What each variant changes")


def test_every_run_is_one_click_away(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "a b/c"), 6)
    path = write_report(outcome(study, {"base": GOOD, "a b/c": [*BAD[:4], "its loss is not finite", "killed <twice>"]}))
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r'href="([^"]*)"', text) if not link.startswith("#")]
    assert len(links) == 12
    assert all((study.folder / link).is_file() for link in links)
    assert {link for link in links if link.endswith(".log")} == {"runs/a-b-c/4.log", "runs/a-b-c/5.log"}
    assert "a b/c, seed 5: killed <twice>" in words(path)
    assert "2 of 6 [10%, 70%], 1 diverged" in words(path)


def test_an_incomplete_study_says_what_is_missing(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "one", "two"), 3)
    found = outcome(study, {"base": [0.9, 0.8, 0.85], "one": [0.7, "broken", None], "two": [None, None, None]})
    text = words(write_report(found))
    assert "This study is not complete: 4 of 9 runs are still to come; no seed has ended in every variant" in text
    assert "Nothing has ended yet of two." in text
    assert "There is nothing to compare yet." in text
    record = record_of(found)
    assert [variant.mean for variant in record.variants] == [pytest.approx(85.0), pytest.approx(70.0), None]
    assert record.table.rows[0][1].text == "85.0"
    assert [row[record.table.head.index("Failed")].text for row in record.table.rows] == ["0 of 3", "1 of 2", "–"]
    assert record.pair_table.rows == ()


def test_what_is_compared_of_an_incomplete_study_is_counted(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "one"), 6)
    text = words(write_report(outcome(study, {"base": GOOD, "one": [0.7, 0.8, None, None, None, None]})))
    assert "4 of 12 runs are still to come; what is compared are the 2 seeds that have ended in every variant" in text
    assert "No verdict is given under 5 paired seeds" in text


def test_nothing_has_ended(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "one"), 2)
    text = words(write_report(outcome(study, {"base": [None, None], "one": [None, None]})))
    assert "No run has ended, so there is nothing to draw." in text
    assert "Nothing has ended yet of base, one." in text


def test_a_variant_that_always_crashes_is_there(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "broken", "other"), 6)
    found = outcome(study, {"base": GOOD, "broken": ["out of memory"] * 6, "other": BAD})
    text = words(write_report(found))
    assert "broken, seed 3: out of memory" in text
    assert "broken – – – 0 – – – 6 of 6 [61%, 100%] –" in text
    record = record_of(found)
    assert record.table.rows[0][1].best  # it beats every variant that has a value


def test_nats_are_better_when_lower(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "deep"), 6, NATS)
    found = outcome(
        study, {"base": [100.0, 101.0, 99.0, 100.5, 100.2, 99.8], "deep": [90.0, 91.5, 89.0, 90.1, 90.9, 89.7]}
    )
    record = record_of(found)
    assert (record.axis, record.unit, record.higher) == ("Test nats per image", "nats per image", False)
    assert [row[1].best for row in record.table.rows] == [False, True]
    assert record.variants[1].mean == pytest.approx(90.2)
    assert "less is better" in words(write_report(found))


def test_halving_shows_the_dropped_apart(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "good", "bad"), 6, halving=True)
    found = outcome(study, {"base": GOOD, "good": BAD}, dropped={"bad": [0.5, 0.6]})
    record = record_of(found)
    assert [variant.dropped for variant in record.variants] == [False, False, True]
    assert [run.screening for run in record.variants[2].runs] == [True, True]
    assert [pair.difference for pair in record.pairs] == [pytest.approx(5.0), pytest.approx(40.5), pytest.approx(35.5)]
    assert [row[0].text for row in record.table.rows if row[1].best] == ["base"]
    text = words(write_report(found))
    assert "bad dropped early" in text
    assert "the worse half of the variants was dropped after two screening seeds" in text
    assert "Runs by which variants were dropped early" in text


def test_forty_variants_are_all_there_and_figures_stay_readable(tmp_path: Path) -> None:
    names = [f"variant number {k}" for k in range(40)]
    study = folder(tmp_path / "study", named(*names), 6)
    values = {
        name: [0.9 + 0.001 * k + 0.0001 * ((7 * k + 3 * s) % 5) for s in range(6)] for k, name in enumerate(names)
    }
    path = write_report(outcome(study, values))
    text = words(path)
    assert all(f"{name} " in text for name in names)
    assert "741 further comparisons in the table only" in text
    assert "The 8 best variants have a colour" in text
    page = path.read_text(encoding="utf-8")
    assert page.count("<tr>") >= 40 + 780 + 40
    assert len(page) < 3_000_000


def test_of_very_many_comparisons_the_page_has_those_with_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "COMPARISONS_UP_TO", 5)
    study = folder(tmp_path / "study", named("a", "b", "c", "d"), 6)
    record = record_of(outcome(study, {"a": BAD, "b": GOOD, "c": BAD, "d": BAD}))
    assert [(pair.a, pair.b) for pair in record.pairs] == [("a", "b"), ("b", "c"), ("b", "d")]
    assert [(row[0].text, row[1].text) for row in record.pair_table.rows] == [("a", "b"), ("b", "c"), ("b", "d")]
    assert record.pair_table.note.endswith("Of 6 comparisons those with b are shown; results.json has all.")


def test_two_crossed_factors_have_their_interaction(tmp_path: Path) -> None:
    crossed = [
        Variant(f"{a}, {b}", f"model.activation = '{a}', optim.name = '{b}'", {"activation": a, "optimizer": b})
        for a, b in product(("relu", "elu", "tanh"), ("sgd", "adam"))
    ]
    study = folder(tmp_path / "study", crossed, 6)
    values = {each.name: [value - k / 100 for value in GOOD] for k, each in enumerate(crossed)}
    found = outcome(study, values)
    record = record_of(found)
    assert "Activation along the axis, a line for each optimizer" in words(write_report(found))
    assert record.title == "Activation and optimizer on digits"
    assert record.interaction is not None
    assert (record.interaction.x, record.interaction.x_levels, record.interaction.line) == (
        "activation",
        ("relu", "elu", "tanh"),
        "optimizer",
    )
    mean, low, high = record.interaction.means["adam", "elu"]
    assert mean == pytest.approx(100 * (sum(GOOD) / 6 - 0.03))
    assert low < mean < high
    single = folder(tmp_path / "single", crossed[:-1], 6)
    assert record_of(outcome(single, {each.name: GOOD for each in crossed[:-1]})).interaction is None


def test_curves_and_times_are_those_of_the_runs(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "slow"), 2)
    record = record_of(outcome(study, {"base": [0.8, 0.6], "slow": [0.4, 0.4]}))
    base = record.variants[0].curves
    assert base["epochs"][0][:2] == (1.0, pytest.approx(35.0))
    assert base["epochs"][-1][:2] == (3.0, pytest.approx(70.0))
    assert base["seconds"][-1][:2] == (6.0, pytest.approx(70.0))
    assert record.variants[0].runs[0].to_target == {"epochs": 1.0, "seconds": 2.0}  # 0.4 is met at once
    assert record.variants[0].runs[1].to_target == {"epochs": pytest.approx(5 / 3), "seconds": pytest.approx(10 / 3)}


def test_a_rate_at_the_edge_is_marked_and_told(tmp_path: Path) -> None:
    study = folder(tmp_path / "study", named("base", "one"), 6, tune="lr")
    text = words(
        write_report(outcome(study, {"base": GOOD, "one": BAD}, rates={"base": (0.1, False), "one": (0.9, True)}))
    )
    assert "0.9 edge of the grid" in text
    assert "a better one may lie beyond: one." in text
    assert "chosen for each variant by validation from 5 short runs" in text


def test_names_are_text_and_nothing_is_loaded(tmp_path: Path) -> None:
    hostile = '<img src=x onerror="alert(1)">'
    study = folder(
        tmp_path / "study",
        [*named("base"), Variant(hostile, "optim.lr = 0.1"), Variant("{{ 7 * 7 }}", "optim.lr = 0.2")],
        6,
    )
    path = write_report(outcome(study, {"base": GOOD, hostile: BAD, "{{ 7 * 7 }}": ["<b>boom</b>"] * 6}))
    text = path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<b>boom" not in text
    assert "{{ 7 * 7 }}" in words(path)
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(|@import""", text)
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_command_rebuilds_a_studys_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = folder(tmp_path / "study", named("base", "one"), 1)
    assert cli(["report", str(study.folder)]) == 0
    assert capsys.readouterr().out.strip() == str(study.folder / "report.html")
    assert "2 of 2 runs are still to come" in words(study.folder / "report.html")


def test_a_notebook_shows_the_sentence_and_the_table(tmp_path: Path) -> None:
    hostile = "<b>slow</b>"
    study = folder(tmp_path / "study", named("base", hostile), 6)
    found = outcome(study, {"base": GOOD, hostile: BAD})
    shown = study_html(found)
    assert found.verdict is not None
    assert html.escape(found.verdict.sentence()) in shown
    assert shown.count("<tr>") == 3
    assert hostile not in shown
    assert shown.count("<b>") == 1  # the best mean, which is told from the other
    assert "report.html" not in shown
    write_report(found)
    assert "report.html" in study_html(found)
    assert "nothing to compare yet" in study_html(outcome(study, {"base": [None] * 6, hostile: [None] * 6}))
