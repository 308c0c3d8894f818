"""The specifications of examples/papers: each is one that trains, and each is named with its paper."""

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
