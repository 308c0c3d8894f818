"""The requests of examples/papers: each is valid and is named with its paper; the tables are of what was measured."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import pytest

from seewhy.spec import DataFacts, Request, resolve

HOME = Path(__file__).parent.parent / "examples" / "papers"
PAPERS = tomllib.loads((HOME / "papers.toml").read_text(encoding="utf-8"))


MNIST = DataFacts(28, 28, 1, 10, 60_000, 0, 10_000, False)


@pytest.mark.parametrize("name", PAPERS)
def test_each_paper_has_a_request_that_is_valid_and_resolves(name):
    request = Request.from_toml(HOME / f"{name}.toml")
    assert request.source == "mnist"
    spec = resolve(request, MNIST).spec
    assert request.values["model"]["name"] == spec.model.name
    assert all(spec.flat()[path] == request.get(path) for path in request.asked())


def test_what_the_defaults_would_choose_otherwise_is_as_the_paper_has_it():
    maxout = resolve(Request.from_toml(HOME / "maxout.toml"), MNIST).spec
    assert maxout.model.activation.options() == {"pieces": 5, "keep_parameters": False}
    assert (maxout.model.norm.name, maxout.model.init.name, maxout.reg.crop_padding) == ("none", "lecun", 0)
    gan, dcgan = (resolve(Request.from_toml(HOME / f"{name}.toml"), MNIST).spec for name in ("gan", "dcgan"))
    assert gan.optim.settings() == {"lr": 0.1, "weight_decay": 0.0, "momentum": 0.5}
    assert (gan.model.latent_dim, gan.model.architecture) == (100, "dense")
    assert dcgan.optim.settings()["betas"] == (0.5, 0.999)


def test_each_request_names_its_paper():
    assert {path.stem for path in HOME.glob("*.toml")} == {*PAPERS, "papers"}


def test_the_readme_has_the_tables_of_what_was_measured(monkeypatch):
    benchmarks = HOME.parent.parent / "benchmarks"
    monkeypatch.setattr(sys, "path", [str(benchmarks), *sys.path])
    module = importlib.util.spec_from_file_location("papers", benchmarks / "papers.py")
    papers = importlib.util.module_from_spec(module)
    module.loader.exec_module(papers)
    text = (HOME / "README.md").read_text(encoding="utf-8")
    assert papers.with_tables(text, papers.tables(PAPERS)) == text
    assert "%" in papers.tables(PAPERS)["classifiers"]
