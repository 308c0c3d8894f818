"""The specifications of examples/papers: each trains and is named with its paper; the tables are of what was measured."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

from seewhy.training.spec import RunSpec

HOME = Path(__file__).parent.parent / "examples" / "papers"
PAPERS = tomllib.loads((HOME / "papers.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAPERS)
def test_each_paper_has_a_specification_that_is_valid(name):
    assert RunSpec.from_toml(HOME / f"{name}.toml").source == "mnist"


def test_each_specification_names_its_paper():
    assert {path.stem for path in HOME.glob("*.toml")} == {*PAPERS, "papers"}


def test_the_readme_has_the_tables_of_what_was_measured(monkeypatch):
    benchmarks = HOME.parent.parent / "benchmarks"
    monkeypatch.setattr(sys, "path", [str(benchmarks), *sys.path])
    found = importlib.util.spec_from_file_location("papers", benchmarks / "papers.py")
    papers = importlib.util.module_from_spec(found)
    found.loader.exec_module(papers)
    text = (HOME / "README.md").read_text(encoding="utf-8")
    assert papers.with_tables(text, papers.tables(PAPERS)) == text
    assert "%" in papers.tables(PAPERS)["recognisers"]
