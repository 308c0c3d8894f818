"""`seewhy claims`, `seewhy.claims` and the page, on claims that were quickly measured."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import seewhy
from seewhy.cli.commands import techniques
from seewhy.cli.main import run
from seewhy.comparison.claims import results as results_module
from seewhy.comparison.claims.catalogue import MODULES, claim, claims
from seewhy.comparison.claims.page import claims_markdown, claims_page
from seewhy.comparison.claims.results import Result, read_result
from seewhy.comparison.claims.run import measure_claim, measure_claims
from seewhy.core.errors import InputError
from seewhy.reporting.claim_records import Dots, Images, Lines, figure_from_json, figure_to_json

sys.path.append(str(Path(__file__).parents[2] / "reporting"))
from reporting_page import HOSTILE, Page

CODES = ["C10", "C08"]
"""Quick ones."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the results of two claims."""
    folder = tmp_path_factory.mktemp("claims") / "results"
    assert run(["claims", *CODES, "--quick", "--jobs", "1", "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def measured(folder):
    return [read_result(folder / f"{code}.json") for code in sorted(CODES)]


def refused(arguments, capsys):
    assert run(arguments) == 2
    return capsys.readouterr().err


def test_finished_claims_are_kept_unless_asked_for_again(folder, capsys, monkeypatch):
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    arguments = ["claims", *CODES, "--quick", "--jobs", "1", "--out", str(folder)]
    assert run(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err.count("kept") == 2
    assert "C08" in printed.out
    assert printed.out.index("C08") < printed.out.index("C10")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert run([*arguments[:1], "C10", *arguments[3:], "--again"]) == 0
    assert "kept" not in capsys.readouterr().err
    assert (folder / "C10.json").stat().st_mtime_ns != before["C10.json"]


def test_measuring_goes_on_after_a_claim_that_failed(tmp_path, monkeypatch):
    """What was finished before a crash is there, and is not measured again."""
    import seewhy.comparison.claims.run as running

    asked, seen = claims(CODES), []

    def measure(code, *rest):
        seen.append(code)
        if code == "C10" and len(seen) < 3:
            raise RuntimeError("a crash")
        return measure_claim(code, *rest)

    monkeypatch.setattr(running, "measure_claim", measure)
    with pytest.raises(RuntimeError, match="crash"):
        measure_claims(asked, tmp_path, quick=True, jobs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["C08.json"]
    results = measure_claims(asked, tmp_path, quick=True, jobs=1)
    assert [result.code for result in results] == ["C08", "C10"]
    assert seen == ["C08", "C10", "C10"]


def test_several_processes_measure_the_same(folder, tmp_path, measured):
    results = seewhy.claims(CODES, quick=True, out=tmp_path, jobs=2)
    assert [result.measured for result in results] == [result.measured for result in measured]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["C99"], "'C99' is not known"),
        (["C1O"], "did you mean"),
        (["--data", "digitz"], "digits"),
        (["--seeds", "1", "--quick"], "at least 2"),
        (["--jobs", "0", "--quick"], "at least 1"),
        (["--list", "--seeds", "3"], "--seeds: --list measures nothing"),
        (["--report", "nowhere/page.html"], "there is no folder nowhere"),
    ],
)
def test_wrong_input_is_told_before_any_work(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refused(["claims", *arguments], capsys)
    assert not list(tmp_path.iterdir())


def test_results_of_another_form_are_not_mixed(folder, capsys):
    said = refused(["claims", "C10", "--quick", "--seeds", "3", "--out", str(folder)], capsys)
    assert "2 seeds in the quick form" in said
    assert "--again" in said


def test_a_damaged_result_is_named(tmp_path, capsys):
    (tmp_path / "C10.json").write_text('{"format": 1, "code": "C10"}')
    assert "C10.json" in refused(["claims", "C10", "--quick", "--out", str(tmp_path)], capsys)
    (tmp_path / "C10.json").write_text("{")
    assert "C10.json" in refused(["claims", "C10", "--quick", "--out", str(tmp_path)], capsys)


def test_json_holds_every_number_and_makes_the_results_again(folder, capsys, measured):
    assert run(["claims", *CODES, "--quick", "--json", "--out", str(folder)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [Result.from_json(value) for value in found] == [
        read_result(folder / f"{each.code}.json") for each in measured
    ]
    assert found[1]["criteria"][0]["state"] in ("holds", "fails", "open")


def test_the_list_and_the_techniques_have_the_verdicts_that_come_with_the_package(measured, capsys, monkeypatch):
    one = replace(next(each for each in measured if each.code == "C10"), quick=False)
    monkeypatch.setattr(results_module, "committed_results", lambda: {("C10", "digits"): one})
    assert run(["claims", "--list", "C10", "c8"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[1] == f"C10  {claim('C10').title}: {one.verdict.name} on digits"
    assert listed[0] == f"C08  {claim('C08').title}"
    assert run(["techniques", "he"]) == 0
    card = capsys.readouterr().out
    assert listed[1] in card
    assert all(each.line() in card for each in one.measured.criteria)
    assert run(["techniques", "he", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)[0]
    assert [each["code"] for each in record["claims"]] == ["C10"]
    assert record["claims"][0]["results"][0]["verdict"] == one.verdict.name


@pytest.mark.parametrize("count", [1, 2])
def test_the_page_has_every_claim_with_its_numbers(count, measured):
    text = claims_page(measured[:count])
    page = Page(text)
    ids = {attributes.get("id") for _, attributes in page.elements}
    for result in measured[:count]:
        known = claim(result.code)
        assert result.code.lower() in ids
        for words in (known.title, known.sentence, known.source, result.verdict.text, result.measured.experiment):
            assert " ".join(words.split()) in page.words
        for each in result.measured.criteria:
            assert each.written(each.estimate) in page.words
    assert len([svg for svg in page.all("svg") if svg.get("role") == "img"]) == count
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_report_option_writes_the_page(folder, tmp_path, capsys):
    path = tmp_path / "page.html"
    assert run(["claims", "C10", "--quick", "--out", str(folder), "--report", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert "Quick form" in Page(path.read_text(encoding="utf-8")).words


def test_a_page_of_no_claims_is_refused():
    with pytest.raises(InputError, match="at least one"):
        claims_page([])


def test_strange_names_of_data_stay_text(measured):
    strange = "".join(HOSTILE)
    page = Page(claims_page([replace(measured[0], data=strange, images=strange, command=strange)]))
    assert not any("onerror" in attributes or "onmouseover" in attributes for _, attributes in page.elements)
    assert "alert(1)" in page.words


@pytest.mark.parametrize(
    "figure",
    [
        Lines(x="x", y="y", lines={"a": ((1.0, 2.0, 1.0, 3.0), (2.0, 0.5, 0.1, 1.0))}, log_y=True),
        Lines(x="x", y="y", lines={"a": ((0.0, 0.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0))}, log_x=True, log_y=True),
        Lines(x="x", y="y", lines={"a": ((0.0, 0.0, 0.0, 0.0),)}, log_y=True),
        Dots(y="y", groups={"a": (1.0, 2.0), "b": ()}, line=1.0),
        Dots(y="y", groups={"a": (0.0, 2.0)}, log=True),
        Images(images=(("a caption", "data:image/png;base64,iVBORw0KGgo="),)),
    ],
)
def test_figures_are_kept_and_drawn(figure, measured):
    assert figure_from_json(json.loads(json.dumps(figure_to_json(figure)))) == figure
    result = replace(measured[0], measured=replace(measured[0].measured, figure=figure))
    page = Page(claims_page([result]))
    drawn = [image["alt"] for image in page.all("img")] if isinstance(figure, Images) else page.all("svg")
    assert drawn


def test_every_claim_that_a_technique_names_is_measured():
    named = {code for entry in techniques._entries() for code in entry.record.claims}
    assert named <= set(MODULES)
    assert len(MODULES) == 29


def test_the_documented_page_is_that_of_the_committed_results(tmp_path, capsys):
    committed = results_module.committed_results()
    page = tmp_path / "claims.md"
    assert run(["claims", "--list", "--report", str(page)]) == 0
    assert f"report  {page}" in capsys.readouterr().out
    assert (Path(__file__).parents[3] / "docs" / "claims.md").read_text(encoding="utf-8") == page.read_text(
        encoding="utf-8"
    )
    assert len([result for result in committed.values() if result.data == "digits"]) == len(MODULES)


def test_a_page_of_several_data_sets_has_them_side_by_side(measured):
    other = replace(
        measured[0], data="a|b", measured=replace(measured[0].measured, criteria=measured[1].measured.criteria)
    )
    text = claims_markdown([*measured, other])
    assert "| | claim | digits | a\\|b |" in text
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {other.code} |")]
    assert row.count(" hold)") == 2
    assert text.index(f"### {other.code} on digits") < text.index(f"### {other.code} on a|b")
    assert text.count(f"## {other.code}. ") == 1
    page = Page(claims_page([*measured, other]))
    assert f"{other.code} on a|b: {claim(other.code).title}" in page.words
    assert page.words.startswith("The canon, measured")
    assert "2 claims about deep visual recognition, each an experiment on real images: digits and a|b." in page.words
    ids = [attributes["id"] for _, attributes in page.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    targets = [link["href"] for link in page.all("a") if (link.get("href") or "").startswith("#")]
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    same = other.verdict.name == measured[0].verdict.name
    assert ("1 of 1 claim." in text) if same else (f"0 of 1 claim; it differs for {other.code}." in text)
