"""Killed at any moment and resumed, a run ends with the very bits of an uninterrupted one."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from seewhy import api
from seewhy.core.errors import InputError, RunError
from seewhy.training.loop.checkpoint import Checkpoint, Checkpoints
from seewhy.training.loop.events import EpochEnded, StepEnded

OPTIONS = {
    "epochs": 5.0,
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


def final_weights(run: Path) -> dict[str, torch.Tensor]:
    folder = run / "checkpoint" / json.loads((run / "checkpoint" / "last.json").read_text())["folder"]
    return {
        f"{name}/{key}": value
        for name in ("model", "average")
        for key, value in load_file(folder / f"{name}.safetensors").items()
    }


def assert_same_bits(run: Path, reference: Path) -> None:
    got, want = final_weights(run), final_weights(reference)
    assert got.keys() == want.keys()
    different = [name for name, value in want.items() if not torch.equal(got[name], value)]
    assert not different
    rows = [
        [row.split(",")[:-2] for row in (folder / "metrics.csv").read_text().split("\n")] for folder in (run, reference)
    ]
    assert rows[0] == rows[1]  # all but the speed and the seconds


@pytest.fixture(scope="module")
def reference(tmp_path_factory, shapes):
    """An uninterrupted run, its specification, and how long a leg takes."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    start = time.perf_counter()
    api.train(shapes, out=folder, **OPTIONS)
    return folder, time.perf_counter() - start


def test_twenty_kills_change_no_bit(reference, tmp_path):
    run, seconds = reference
    moments = random.Random(0)
    killed = 0
    for chain in range(4):
        delays = [f"{moments.uniform(0.02, 0.35) * seconds:.3f}" for _ in range(5)]
        script = Path(__file__).with_name("kill_server.py")
        folder = tmp_path / f"chain-{chain}"
        done = subprocess.run(
            [sys.executable, script, folder, run / "spec.toml", *delays], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        killed += int(done.stdout)
        assert_same_bits(folder, run)
        assert json.loads((folder / "results.json").read_text()) == json.loads((run / "results.json").read_text())
        leftovers = [path.name for path in (folder / "checkpoint").iterdir() if path.name.startswith(".")]
        assert not leftovers
    assert killed >= 15, "the legs ended before they were killed"


def test_the_written_spec_repeats_the_run(reference, tmp_path):
    run, _ = reference
    api.run_spec(api.build_spec(None, run / "spec.toml", {}), out=tmp_path / "again")
    assert_same_bits(tmp_path / "again", run)
    assert (tmp_path / "again" / "spec.toml").read_text() == (run / "spec.toml").read_text()


def test_another_seed_gives_another_run(reference, tmp_path):
    run, _ = reference
    api.run_spec(api.build_spec(None, run / "spec.toml", {"seed": 1}), out=tmp_path / "other")
    other, want = final_weights(tmp_path / "other"), final_weights(run)
    assert any(not torch.equal(other[name], value) for name, value in want.items())


def test_interrupt_saves_and_says_how_to_go_on(reference, shapes, tmp_path):
    run, _ = reference
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "seewhy", "train"]
    process = subprocess.Popen(
        [*command, "--spec", run / "spec.toml", "--epochs", "400", "--out", folder], stderr=subprocess.PIPE, text=True
    )
    while not (folder / "checkpoint" / "last.json").exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"go on with: seewhy train --resume {folder}" in said
    assert "Traceback" not in said
    assert Checkpoints(folder / "checkpoint").load("last").step > 0


def test_resume_of_a_finished_run_changes_nothing(reference, tmp_path):
    run, _ = reference
    before = final_weights(run)
    again = api.resume(run)
    assert again.results["test"]["n"] > 0
    assert all(torch.equal(value, before[name]) for name, value in final_weights(run).items())


def test_resume_refuses_changed_data(tmp_path, shapes):
    import shutil

    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    run = api.train(copy, out=tmp_path / "run", **{**OPTIONS, "epochs": 1.0})
    next((copy / "cross").iterdir()).unlink()
    with pytest.raises(InputError, match="the pictures have changed since"):
        api.resume(run.folder)


def test_an_existing_folder_is_never_overwritten(tmp_path, shapes):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already and is not overwritten"):
        api.train(shapes, out=tmp_path / "run", **OPTIONS)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_two_processes_cannot_train_one_run(reference):
    from seewhy.training.results.folder import only_writer

    run, _ = reference
    with only_writer(run), pytest.raises(InputError, match="another process is training this run"):
        api.resume(run)


def test_a_malicious_checkpoint_runs_no_code(reference, tmp_path):
    import shutil

    run, _ = reference
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    evil = tmp_path / "evil.txt"

    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {evil}",))

    place = folder / "checkpoint" / json.loads((folder / "checkpoint" / "last.json").read_text())["folder"]
    torch.save({"state": Bomb()}, place / "optimizer.pt")
    with pytest.raises(InputError, match=r"optimizer\.pt: holds objects that could run code"):
        api.resume(folder)
    (place / "model.safetensors").write_bytes(b"cos\nsystem\n(S'touch x'\ntR.")
    (place / "average.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        Checkpoints(folder / "checkpoint").weights("last")
    (folder / "checkpoint" / "last.json").write_text('{"folder": "../../etc"}')
    with pytest.raises(InputError, match="must name a folder beside it"):
        api.resume(folder)
    assert not evil.exists()


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path / "checkpoint")
    tensors = {"w": torch.ones(3)}
    checkpoints.save(Checkpoint(1, tensors, {}, {}), best=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*step-00000002: No space left on device"):
        checkpoints.save(Checkpoint(2, tensors, {}, {}), best=False)
    assert checkpoints.load("last").step == 1
    assert sorted(path.name for path in (tmp_path / "checkpoint").iterdir()) == [
        "best.json",
        "last.json",
        "step-00000001",
    ]


def test_a_loss_that_is_not_finite_names_step_layer_and_checkpoint(tmp_path, shapes):
    with pytest.raises(RunError) as caught:
        api.train(
            shapes,
            out=tmp_path / "run",
            **{**OPTIONS, "optimizer": "sgd", "lr": 1e30, "norm": "none", "model": "mlp", "ema": 0.0},
        )
    said = str(caught.value)
    assert "the loss is not finite at step" in said
    assert "net." in said
    assert "checkpoint" in said
    assert "Traceback" not in said


def test_events_come_in_order(tmp_path, shapes):
    events = []
    run = api.train(shapes, out=tmp_path / "run", observers=[events.append], **{**OPTIONS, "epochs": 2.0})
    kinds = [type(event).__name__ for event in events if type(event).__name__ not in ("DataProgress", "Saved")]
    steps = [event.step for event in events if isinstance(event, StepEnded)]
    assert kinds[0] == "Planned"
    assert kinds[1] == "RunStarted"
    assert kinds[-1] == "RunEnded"
    assert steps == list(range(1, len(steps) + 1))
    rows = [dict(event.row) for event in events if isinstance(event, EpochEnded)]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["step"] for row in run.metrics] == [len(steps) / 2, len(steps)]


def test_early_stopping(tmp_path, shapes):
    events = []
    options = {**OPTIONS, "epochs": 50.0, "patience": 1, "lr": 1e-12, "ema": 0.0}
    api.train(shapes, out=tmp_path / "run", observers=[events.append], **options)
    assert events[-1].reason == "early stop"
    assert events[-1].step < 50 * 6


def test_of_two_equal_accuracies_the_lower_loss_is_best(tmp_path):
    events = []
    api.train(
        "digits",
        out=tmp_path / "run",
        observers=[events.append],
        **{**OPTIONS, "epochs": 6.0, "width": 8, "batch_size": 100},
    )
    rows = [
        (event.row["val_accuracy"], -event.row["val_loss"], event.best)
        for event in events
        if isinstance(event, EpochEnded)
    ]
    so_far = []
    for accuracy, loss, best in rows:
        assert best == all((accuracy, loss) > earlier for earlier in so_far)
        so_far.append((accuracy, loss))


def test_a_death_between_the_pointers_does_not_lose_the_best(tmp_path, monkeypatch):
    import seewhy.training.loop.checkpoint as module

    checkpoints, tensors = Checkpoints(tmp_path / "checkpoint"), {"w": torch.ones(3)}
    checkpoints.save(Checkpoint(1, tensors, {}, {}), best=True)
    write = module.write_json
    calls = []

    def die_at_the_second(path, value):
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(path, value)

    monkeypatch.setattr(module, "write_json", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(Checkpoint(2, tensors, {}, {}), best=True)
    # Whoever goes on from `last` must either pass this best again, or find it named already.
    assert checkpoints.load("last").step == 1
    assert checkpoints.load("best").step == 2
