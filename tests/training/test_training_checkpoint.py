"""Checkpoints: whole or not there, whatever happens while one is written; a stranger's runs no code."""

import json
import os

import pytest
import torch

import seewhy.training.checkpoint as module
from seewhy.core.errors import InputError, RunError
from seewhy.training.checkpoint import Checkpoint, Checkpoints, load_tensors, save_tensors, snapshot_file

TENSORS = {"w": torch.ones(3)}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "checkpoint")


def names(checkpoints):
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_what_is_saved_is_loaded(checkpoints):
    model, average = {"w": torch.randn(2, 3)}, {"w": torch.randn(2, 3)}
    optimizer = {"state": {0: {"momentum": torch.randn(3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    state = {"rows": [{"epoch": 1, "val_loss": 0.1 + 0.2}], "best": [0.5]}
    assert not checkpoints.has("last")
    checkpoints.save(Checkpoint(7, model, average, optimizer, state), best=True)
    loaded = checkpoints.load("last")
    assert loaded.step == 7
    assert torch.equal(loaded.model["w"], model["w"])
    assert torch.equal(loaded.average["w"], average["w"])
    assert torch.equal(loaded.optimizer["state"][0]["momentum"], optimizer["state"][0]["momentum"])
    assert loaded.state == state
    assert torch.equal(checkpoints.weights("best")["w"], average["w"])


def test_only_the_last_and_the_best_are_kept(checkpoints):
    for step, best in ((1, False), (2, True), (3, False), (4, False)):
        checkpoints.save(Checkpoint(step, TENSORS, {}, {}), best=best)
    assert names(checkpoints) == ["best.json", "last.json", "step-00000002", "step-00000004"]
    assert torch.equal(checkpoints.weights("best")["w"], TENSORS["w"])
    with pytest.raises(InputError, match="there is no other checkpoint; the run stopped before it saved one"):
        checkpoints.weights("other")


def test_a_full_disk_keeps_the_last_checkpoint(checkpoints, monkeypatch):
    checkpoints.save(Checkpoint(1, TENSORS, {}, {}), best=True)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*step-00000002: No space left on device"):
        checkpoints.save(Checkpoint(2, TENSORS, {}, {}), best=False)
    assert checkpoints.load("last").step == 1
    assert names(checkpoints) == ["best.json", "last.json", "step-00000001"]


def test_a_death_between_the_pointers_does_not_lose_the_best(checkpoints, monkeypatch):
    checkpoints.save(Checkpoint(1, TENSORS, {}, {}), best=True)
    write = module.write_json
    calls = []

    def die_at_the_second(path, value):
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(path, value)

    monkeypatch.setattr(module, "write_json", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(Checkpoint(2, TENSORS, {}, {}), best=True)
    # Whoever goes on from `last` must either pass this best again, or find it named already.
    assert checkpoints.load("last").step == 1
    assert checkpoints.load("best").step == 2


def test_a_malicious_checkpoint_runs_no_code(checkpoints, tmp_path):
    evil = tmp_path / "evil.txt"

    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {evil}",))

    place = checkpoints.save(Checkpoint(1, TENSORS, TENSORS, {}), best=False)
    torch.save({"state": Bomb()}, place / "optimizer.pt")
    with pytest.raises(InputError, match=r"optimizer\.pt: holds objects that could run code"):
        checkpoints.load("last")
    (place / "model.safetensors").write_bytes(b"cos\nsystem\n(S'touch x'\ntR.")
    (place / "average.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        checkpoints.weights("last")
    (place / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors: is missing from the checkpoint"):
        checkpoints.weights("last")
    assert not evil.exists()


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        ('{"folder": "../../etc"}', "must name a folder beside it, got '../../etc'"),
        ('{"folder": 3}', "must name a folder beside it, got 3"),
        ("{", "is not a checkpoint pointer"),
        ("[]", "is not a checkpoint pointer"),
    ],
)
def test_a_pointer_that_leads_elsewhere_is_refused(pointer, message, checkpoints):
    checkpoints.save(Checkpoint(1, TENSORS, {}, {}), best=False)
    (checkpoints.folder / "last.json").write_text(pointer)
    with pytest.raises(InputError, match=message):
        checkpoints.load("last")


def test_a_step_that_is_reached_again_is_not_written_again(checkpoints):
    place = checkpoints.save(Checkpoint(3, TENSORS, {}, {}), best=False)
    before = (place / "model.safetensors").stat().st_mtime_ns
    checkpoints.save(Checkpoint(3, TENSORS, {}, {}), best=True)
    assert (place / "model.safetensors").stat().st_mtime_ns == before
    assert json.loads((checkpoints.folder / "best.json").read_text()) == {"folder": place.name}


def test_snapshots_are_files_of_tensors(tmp_path):
    file = snapshot_file(tmp_path, 3)
    save_tensors({"w": torch.randn(4, 3).T}, file)
    assert file.name == "03.safetensors"
    assert load_tensors(file)["w"].shape == (3, 4)
    with pytest.raises(InputError, match="is missing"):
        load_tensors(snapshot_file(tmp_path, 4))
