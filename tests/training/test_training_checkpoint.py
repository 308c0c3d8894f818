"""Checkpoints: whole or not there, whatever happens while one is written; a stranger's runs no code."""

import json
import os

import pytest
import torch

import seewhy.training.checkpoint as module
from seewhy.core import checksums
from seewhy.core.errors import InputError, RunError
from seewhy.core.tensors import load_tensors, save_tensors
from seewhy.training.checkpoint import Checkpoint, Checkpoints, snapshot_file

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
    assert loaded.watch == {}


def test_what_watching_needs_is_kept_and_verified(checkpoints):
    watch = {"model": {"loop": {"step": 7}, "told": {"val_loss": [(3, 0.5)]}, "path": (torch.randn(3), torch.randn(3))}}
    place = checkpoints.save(Checkpoint(7, TENSORS, {}, {}, watch=watch), best=True)
    loaded = checkpoints.load("last").watch
    assert torch.equal(loaded["model"].pop("path")[0], watch["model"].pop("path")[0])
    assert loaded == watch
    (place / "watch.pt").write_bytes(b"other")
    with pytest.raises(InputError, match=r"watch\.pt"):
        checkpoints.load("last")


def save_four(checkpoints):
    for step, best in ((1, False), (2, True), (3, False), (4, False)):
        checkpoints.save(Checkpoint(step, {"w": torch.full((3,), float(step))}, TENSORS, {}), best=best)


def test_two_generations_and_the_best_are_kept(checkpoints):
    save_four(checkpoints)
    steps = [f"step-0000000{step}" for step in (2, 3, 4)]
    assert names(checkpoints) == ["best.json", "last.json", "previous.json", *steps]
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
    checksums.record(place, ["optimizer.pt"])  # a stranger who can write weights can write checksums
    with pytest.raises(InputError, match=r"optimizer\.pt: holds objects that could run code"):
        checkpoints.load("last")
    (place / "model.safetensors").write_bytes(b"cos\nsystem\n(S'touch x'\ntR.")
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        load_tensors(place / "model.safetensors")
    checksums.record(place, ["model.safetensors"])
    with pytest.raises(InputError, match=r"model\.safetensors: is damaged"):
        load_tensors(place / "model.safetensors")
    assert not evil.exists()


FROZEN = {"body": torch.arange(3.0), "head": torch.zeros(2)}


def save_frozen(checkpoints, step):
    model = {**FROZEN, "head": torch.full((2,), float(step))}
    kept = Checkpoint(step, model, {**model, "head": torch.ones(2)}, {}, frozen=frozenset({"body"}))
    return checkpoints.save(kept, best=step == 1)


def test_weights_that_never_change_are_written_once_and_every_checkpoint_is_whole(checkpoints, monkeypatch):
    places = [save_frozen(checkpoints, step) for step in (1, 2)]
    assert len({(place / "frozen.safetensors").stat().st_ino for place in places}) == 1
    assert list(load_tensors(places[1] / "model.safetensors")) == ["head"]
    for step in (3, 4):
        save_frozen(checkpoints, step)
    assert not places[1].exists()
    for name, step in (("last", 4), ("previous", 3), ("best", 1)):
        loaded = checkpoints.load(name)
        assert torch.equal(loaded.model["body"], FROZEN["body"])
        assert torch.equal(loaded.model["head"], torch.full((2,), float(step)))
        assert torch.equal(loaded.average["body"], FROZEN["body"])
        assert torch.equal(checkpoints.weights(name)["body"], FROZEN["body"])

    def no_links(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    save_frozen(checkpoints, 5)
    assert torch.equal(checkpoints.load("last").model["body"], FROZEN["body"])


def test_damage_of_weights_that_never_change_is_refused_by_name(checkpoints):
    place = save_frozen(checkpoints, 1)
    (place / "frozen.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"frozen\.safetensors: is damaged"):
        checkpoints.weights("last")


FILES = ("model.safetensors", "average.safetensors", "optimizer.pt", "state.json", "checksums.json")


def zero_half(data):
    return data[: len(data) // 2] + bytes(len(data) - len(data) // 2)


def flip_a_bit(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    "damage", [zero_half, flip_a_bit, lambda data: data[:-10], None], ids=["zeros", "bit", "cut", "gone"]
)
def test_damage_is_refused_by_name_and_the_checkpoint_before_is_offered(checkpoints, file, damage):
    save_four(checkpoints)
    path = checkpoints.folder / "step-00000004" / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError) as told:
        checkpoints.load("last")
    assert "step-00000004" in str(told.value)
    assert "the checkpoint before it, of step 3, is whole: --resume" in str(told.value)
    rewound = checkpoints.rewind()
    assert rewound.step == 3
    assert torch.equal(rewound.model["w"], torch.full((3,), 3.0))
    assert checkpoints.load("last").step == 3
    assert names(checkpoints) == ["best.json", "last.json", "step-00000002", "step-00000003"]


def test_the_average_is_missed_where_it_was_written(checkpoints):
    save_four(checkpoints)
    (checkpoints.folder / "step-00000002" / "average.safetensors").unlink()
    with pytest.raises(InputError, match=r"average\.safetensors: is missing, though it was written"):
        checkpoints.weights("best")


def test_two_damaged_generations_are_both_told(checkpoints):
    save_four(checkpoints)
    for step in (3, 4):
        (checkpoints.folder / f"step-0000000{step}" / "state.json").write_text("{}")
    with pytest.raises(InputError, match="the checkpoint before it is damaged too"):
        checkpoints.load("last")


def test_a_best_that_is_rewound_is_forgotten(checkpoints):
    checkpoints.save(Checkpoint(1, TENSORS, {}, {}), best=True)
    checkpoints.save(Checkpoint(2, TENSORS, {}, {}), best=True)
    checkpoints.rewind()
    assert not checkpoints.has("best")
    with pytest.raises(InputError, match="there is no previous checkpoint"):
        checkpoints.rewind()


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
    with pytest.raises(InputError, match=r"04\.safetensors: is not listed"):
        load_tensors(snapshot_file(tmp_path, 4))
