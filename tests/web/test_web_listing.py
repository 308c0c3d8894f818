"""The table of runs is made from small files, whatever they hold."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from web_cases import client_of

from seewhy.web.listing import Listing
from seewhy.web.places import Places


def test_rows_say_what_a_run_is(home, places):
    rows = {row.name: row for row in Listing(places).read()[0]}
    assert set(rows) == {"mlp", "vae", "pixels"}
    results = json.loads((home / "runs/mlp/results.json").read_text())
    mlp = rows["mlp"]
    assert (mlp.model, mlp.source, mlp.state, mlp.metric) == ("mlp", "digits", "ended", "test accuracy")
    assert mlp.value == results["test"]["accuracy"]
    assert mlp.shown == f"{100 * mlp.value:.1f}%"
    assert rows["vae"].shown.endswith("nats per image")
    assert rows["mlp"].epochs == 1


def test_runs_of_one_name_in_two_folders_are_told_apart(home, tmp_path):
    for place in ("a", "b"):
        shutil.copytree(home / "runs/mlp", tmp_path / place / "runs" / "same")
    places = Places((tmp_path / "a/runs", tmp_path / "b/runs"))
    assert {row.name for row in Listing(places).read()[0]} == {"a/runs/same", "b/runs/same"}
    with client_of(places) as client:
        text = client.get("/compare", params={"run": ["0/same", "1/same"]}).text
    legend = re.search(r'class="plot".*?</ul>|<figure.*?</figure>', text, re.DOTALL)
    assert legend is not None
    assert {"a/runs/same", "b/runs/same"} <= set(re.findall(r"[ab]/runs/same", legend[0]))


@pytest.fixture
def one(home, tmp_path):
    """A copy of a run, to be changed."""
    shutil.copytree(home / "runs/mlp", tmp_path / "runs" / "one")
    return tmp_path / "runs" / "one"


def test_a_row_follows_its_files(one):
    listing = Listing(Places((one.parent,)))
    assert listing.read()[0][0].state == "ended"
    (one / "results.json").unlink()
    (one / "events.jsonl").touch()
    assert listing.read()[0][0].state == "training"
    with open(one / "events.jsonl", "a") as file:
        file.write('{"time": 1.0, "event": "run_ended", "step": 3, "reason": "interrupted"}\n')
    assert listing.read()[0][0].state == "stopped"


@pytest.mark.parametrize(
    "name", ["spec.toml", "results.json", "findings.json", "metrics.csv", "events.jsonl", "data.json"]
)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\xff",
        "[1, 2]",
        '{"findings": 3, "test": [], "val": {"accuracy": "x"}}',
        '{"test": {"accuracy": 1%s, "n": 1}}' % ("0" * 400),
        '{"test": {"accuracy": Infinity, "ece": NaN}, "findings": [{"severity": 1e999}]}',
        '{"event": "run_started", "step": Infinity, "total_steps": 1, "steps_per_epoch": 1}\n',
        "a = [",
        f"a = {'[' * 5000}{']' * 5000}",
        "a,b\n1",
    ],
)
def test_damaged_files_break_neither_table_nor_page(one, name, text):
    (one / name).write_bytes(text.encode("latin-1"))
    with client_of(Places((one.parent,))) as client:
        assert client.get("/").status_code == 200
        assert client.get("/run/0/one").status_code in (200, 422)
        assert client.get("/api/runs").json()["runs"][0]["name"] == "one"


def test_findings_are_counted_by_severity(one):
    severities = ["critical", "note", "note"]
    (one / "findings.json").write_text(json.dumps({"findings": [{"severity": each} for each in severities]}))
    with client_of(Places((one.parent,))) as client:
        assert client.get("/api/runs").json()["runs"][0]["findings"] == {"critical": 1, "note": 2}


@pytest.mark.parametrize("name", ["results.json", "findings.json", "metrics.csv", "events.jsonl", "data.json"])
def test_a_pipe_in_place_of_a_file_keeps_nobody_waiting(one, name):
    (one / name).unlink(missing_ok=True)
    os.mkfifo(one / name)
    with client_of(Places((one.parent,))) as client:
        assert client.get("/api/runs").json()["runs"][0]["name"] == "one"
        assert client.get("/run/0/one").status_code == 200


def test_names_are_texts(home, tmp_path):
    name = "<img src=x onerror=alert(1)>&\"'"
    shutil.copytree(home / "runs/mlp", tmp_path / "runs" / name)
    with client_of(Places((tmp_path / "runs",))) as client:
        table = client.get("/").text
        assert "<img" not in table
        assert "&lt;img src=x" in table
        key = client.get("/api/runs").json()["runs"][0]["key"]
        page = client.get(f"/run/{key.replace('%', '%25')}")
        assert page.status_code == 200
        assert "<img" not in page.text


def test_nothing_needs_torch():
    code = (
        "import sys, seewhy.web.serve, seewhy.cli.commands.web; print('torch' in sys.modules, 'altair' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
