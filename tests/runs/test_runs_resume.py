"""Killed at any moment and resumed, a run ends with the very bits of an uninterrupted one."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401  before the time of a leg is taken
import pytest
import torch

from run_cases import MLP, assert_same_bits, final_weights
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.runs.folder import only_writer
from seewhy.runs.run import Run
from seewhy.spec import build_request

OPTIONS = {
    "epochs": 3.0,
    "batch_size": 16,
    "width": 4,
    "dropout": 0.2,
    "ema": 0.9,
    "precision": "fp32",
    "train.threads": 1,
    "train.checkpoint_seconds": 0.0,
    "reg.crop_padding": 1,
    "reg.brightness": 0.2,
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, shapes):
    """An uninterrupted run, and how long a leg takes."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    start = time.perf_counter()
    api.train(shapes, out=folder, **OPTIONS)
    return folder, time.perf_counter() - start


def told(folder):
    """Return the events of a run but for its beginnings and checkpoints, of which there are more after a kill; without times."""
    beginnings = ("data_progress", "planned", "run_started", "saved")
    events = [event for event in Run(folder).events if event["event"] not in beginnings]
    for event in events:
        event.pop("time")
        for name in ("seconds", "images_per_second"):
            event.get("row", {}).pop(name, None)
    return events


def test_twenty_kills_change_no_bit(reference, tmp_path):
    run, seconds = reference
    moments = random.Random(0)
    killed = 0
    for chain in range(4):
        delays = [f"{moments.uniform(0.02, 0.35) * seconds:.3f}" for _ in range(5)]
        script = Path(__file__).with_name("kill_server.py")
        folder = tmp_path / f"chain-{chain}"
        done = subprocess.run(
            [sys.executable, script, folder, run, *delays], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        killed += int(done.stdout)
        assert_same_bits(folder, run)
        assert json.loads((folder / "results.json").read_text()) == json.loads((run / "results.json").read_text())
        leftovers = [path.name for path in (folder / "checkpoint").iterdir() if path.name.startswith(".")]
        assert not leftovers
        assert told(folder) == told(run)  # no step is missing or double in events.jsonl
        for file in ("records.jsonl", "findings.json"):
            assert (folder / file).read_text() == (run / file).read_text()
        with open(folder / "events.jsonl", encoding="utf-8") as lines:
            assert all(json.loads(line)["event"] for line in lines)
    assert killed >= 15, "the legs ended before they were killed"


def test_another_seed_gives_another_run(reference, tmp_path):
    run, _ = reference
    api.start(build_request(None, run, {"seed": 1, "epochs": 1.0}), out=tmp_path / "other")
    other, expected = final_weights(tmp_path / "other"), final_weights(run)
    assert any(not torch.equal(other[name], value) for name, value in expected.items())


def test_resume_of_a_finished_run_changes_nothing(reference):
    run, _ = reference
    before = final_weights(run)
    again = api.resume(run)
    assert again.results["test"]["n"] > 0
    assert all(torch.equal(value, before[name]) for name, value in final_weights(run).items())


def test_resume_refuses_changed_data(tmp_path, shapes):
    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    run = api.train(copy, out=tmp_path / "run", **{**MLP, "epochs": 0.1})
    next((copy / "cross").iterdir()).unlink()
    with pytest.raises(InputError, match=r"the images have changed since .* start a new run with --spec"):
        api.resume(run.folder)


def test_an_existing_folder_is_never_overwritten(tmp_path, shapes):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not overwritten"):
        api.train(shapes, out=tmp_path / "run", **OPTIONS)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_two_processes_cannot_train_one_run(reference):
    run, _ = reference
    with only_writer(run), pytest.raises(InputError, match="another process is training this run"):
        api.resume(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is not a run folder \(there is no spec\.toml\)"):
        api.resume(tmp_path)
