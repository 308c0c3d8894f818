"""A page for each finding: its program shows it (tests/test_readme.py runs it), its correction mends it, its index says what the checks say."""

import math
import re
from pathlib import Path

import pytest

from seewhy.diagnosis import network
from seewhy.diagnosis.checks import CHECKS

FOLDER = Path(__file__).parents[2] / "docs" / "findings"
DEPTHS = ("loop", "configuration", "signal", "learning")


def page(check):
    return (FOLDER / f"{check.code}.md").read_text(encoding="utf-8")


def blocks(check, language):
    return re.findall(rf"```{language}\n(.*?)```", page(check), flags=re.S)


def corrected(program, changes):
    """Apply the blocks of changed lines to a program, each of which stands in it once."""
    for change in changes:
        lines = change.splitlines()
        before = "\n".join(line[1:] for line in lines if line[0] in " -")
        after = "\n".join(line[1:] for line in lines if line[0] in " +")
        assert program.count(before) == 1, before
        program = program.replace(before, after)
    return program


def row(check):
    confirmed = "at any step" if check.counted else f"{check.confirm} probe{'s' if check.confirm > 1 else ''}"
    title = page(check).splitlines()[0].removeprefix("# ")
    return (
        f"| [`{check.code}`]({check.code}.md) | {title} | {check.severity} | {DEPTHS[check.depth]} | {confirmed} "
        f"| {check.confidence:g} |"
    )


def test_the_index_says_what_the_checks_say():
    rows = re.findall(r"^\| \[.*", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.M)
    assert rows == [row(check) for check in CHECKS]


def test_each_finding_is_named_once_where_watching_is_described():
    text = (FOLDER.parent / "diagnosis.md").read_text(encoding="utf-8")
    named = re.findall(r"\[`(\w+)`\]\(findings/(\w+)\.md\)", text)
    assert sorted(named) == sorted((check.code, check.code) for check in CHECKS)


def test_there_is_a_page_for_each_check_and_no_other():
    assert {path.stem for path in FOLDER.glob("*.md")} - {"README"} == {check.code for check in CHECKS}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_a_page_shows_its_finding_and_lists_the_remedies(check):
    (program,) = blocks(check, "python")
    first = f'assert why.findings[0].code == "{check.code}"'
    note = f'assert any(finding.code == "{check.code}" for finding in why.findings)'
    assert program.splitlines()[-1] in ((note, first) if check.severity == "note" else (first,))
    listed = re.findall(r"^(\d)\. (.*)", page(check), flags=re.M)
    assert [int(number) for number, _ in listed] == list(range(1, len(check.remedies) + 1))
    for (_, text), remedy in zip(listed, check.remedies, strict=True):
        assert text.startswith(f"{remedy.text}: `{remedy.code}`" if remedy.code else remedy.text)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_nothing_is_said_of_the_corrected_program(check, monkeypatch):
    monkeypatch.setattr(network, "SHARE", math.inf)  # as in tests/test_readme.py
    (program,) = blocks(check, "python")
    changes = blocks(check, "diff")
    assert changes
    names: dict[str, object] = {}
    exec(compile(corrected(program, changes).rpartition("\nassert ")[0], check.code, "exec"), names)
    why = names["why"]
    assert [str(finding) for finding in why.findings] == []
    assert not why.error
