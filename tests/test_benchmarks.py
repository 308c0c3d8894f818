"""The tables of what was measured: pages have what benchmarks/results/ holds, and say on what it rests."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Imports a script of benchmarks/."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_the_pages_have_the_tables_of_what_was_measured(load):
    tables = load("tables")
    texts = {page: page.read_text(encoding="utf-8") for page in tables.pages()}
    for page, text in texts.items():
        assert tables.with_results(text) == text, f"{page}: run python benchmarks/tables.py"
    shown = {name for text in texts.values() for _, name in tables.MARK.findall(text)}
    assert shown == {path.stem for path in tables.RESULTS.iterdir()}


def test_every_result_says_on_what_it_rests(load):
    for path in load("tables").RESULTS.iterdir():
        held = json.loads(path.read_text(encoding="utf-8"))
        assert held["hardware"], path
        if "head" in held:  # noted by hand
            assert {"command", "date", "commit"} <= held.keys(), path
            assert {len(row) for row in held["rows"]} == {len(held["head"])}, path


def test_what_a_script_has_written_is_rendered_by_its_own_summary(load, tmp_path, monkeypatch):
    pytest.importorskip("timm", reason="pip install 'seewhy[dev]'")
    tables, pretrained, tail = load("tables"), load("pretrained"), load("long_tail")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    rows = {
        f"10/{seed}": {
            name: {"accuracy": 0.5 + 0.1 * seed, "trained": 2.0, "seconds": 3.0} for name in pretrained.METHODS
        }
        for seed in range(2)
    }
    held = {"hardware": "a machine", "side": 64, "times": 1, "test_images": 1000, "rows": rows}
    (tmp_path / "pretrained.json").write_text(json.dumps(held))
    text = tables.measured("pretrained")
    assert "n = 2 seeds, 1,000 test images, 64 px" in text
    assert "| 10 | seewhy linear | 55.0% [-8.5%, 118.5%] | 2.0 | 3.0 |" in text
    assert text.endswith("\n\nFrom `benchmarks/results/pretrained.json`: a machine.")
    one = {"balanced_accuracy": 0.5, "macro_f1": 0.4, "head": 0.9, "tail": 0.1}
    held = {"hardware": "a machine", "date": "today", "commit": "abc", "sizes": {"a": 100, "b": 1}, "epochs": 2.5}
    held["rows"] = {name: [one, one] for name in (tail.BASE, *tail.VARIANTS)}
    (tmp_path / "long_tail.json").write_text(json.dumps(held))
    text = tables.measured("long_tail")
    assert "n = 2 seeds; 101 training images (100, 1), 2.5 epochs" in text
    assert "| sampled equally | 50.0% [50.0%, 50.0%] | 0.0% [0.0%, 0.0%] | 40.0% | 90.0% | 10.0% |" in text
    assert text.endswith("a machine; today, commit abc.")
    times = {"mlp": {"unwatched": [1.0, 1.0], "watched": [1.1, 1.3]}}
    (tmp_path / "watch.json").write_text(json.dumps(load("machine").basis() | {"times": times}))
    text = tables.measured("watch")
    assert "| mlp | 6,000 | 2 | 1.200 [1.100, 1.300] |" in text
    assert "`python " in text
