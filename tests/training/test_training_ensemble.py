"""Ensembles: members' specifications, figures against their formulas, training in processes, going on, predicting."""

import json
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import seewhy
from seewhy.cli.main import run as main
from seewhy.cli.progress import Reporter
from seewhy.core.errors import InputError
from seewhy.training.ensemble.members import member_specs
from seewhy.training.ensemble.techniques import ENSEMBLES
from seewhy.training.ensemble.train import _say_end, resume, start
from seewhy.training.loop.events import MemberEnded, Planned
from seewhy.training.spec import make_spec


def specs(**options):
    return member_specs(make_spec("digits", options))


def test_members_have_seeds_of_their_own_and_are_single_runs():
    found = specs(members=3, seed=5, width=8)
    assert [spec.train.seed for spec in found] == [5, 6, 7]
    assert all(spec.ensemble.members == 1 and spec.model.width == 8 for spec in found)


def test_edits_are_taken_in_turn():
    edits = ('activation = "elu", optim.lr = 0.1', 'model = "resnet"')
    found = specs(members=3, **{"ensemble.edits": edits})
    assert [(spec.model.activation, spec.optim.lr, spec.model.name) for spec in found] == [
        ("elu", 0.1, None),
        (None, None, "resnet"),
        ("elu", 0.1, None),
    ]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("activation = elu", "ensemble.edits: edit 1 must be TOML such as"),
        ('activation = "elo"', "ensemble.edits: edit 1: model.activation: 'elo' is not known"),
        ("resolution = 16", "ensemble.edits: edit 1 cannot change data.resolution, which the members share"),
        ("members = 3", "ensemble.edits: edit 1 cannot change ensemble.members, which the members share"),
        (
            "train.snapshots = 2",
            "ensemble.edits: edit 1 cannot change train.snapshots: an ensemble of ensembles is one too many",
        ),
        ('model = "vae"', "ensemble.edits: edit 1: vae gives no probabilities to average; choose a recogniser"),
        ("widht = 3", "widht: there is no such option; did you mean 'width'?"),
    ],
)
def test_bad_edits_are_refused(edit, message):
    with pytest.raises(InputError) as caught:
        specs(members=2, **{"ensemble.edits": (edit,)})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("reg.hue = 0.1", "ensemble.edits: edit 2: reg.saturation, reg.hue: the pictures are grey"),
        (
            "batch_size = 100000",
            "ensemble.edits: edit 2: train.batch_size: must be at most the number of training images",
        ),
        ('model.init = "dirac"', "ensemble.edits: edit 2: model.init: 'dirac' is for convolutions"),
    ],
)
def test_edits_that_do_not_fit_the_data_are_refused_before_anything_is_written(edit, message, tmp_path):
    spec = make_spec(
        "digits", {"members": 2, "model": "mlp", "width": 4, "epochs": 1, "ensemble.edits": ("width = 5", edit)}
    )
    with pytest.raises(InputError) as caught:
        start(spec, tmp_path / "run")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "run").exists()


def test_the_first_edit_stays_with_its_members(tmp_path):
    edits = ("epochs = 1, precision = 'bf16'", "optim.lr = 0.01")
    spec = make_spec(
        "digits", {"members": 2, "model": "mlp", "width": 4, "epochs": 5, "precision": "fp32", "ensemble.edits": edits}
    )
    told = []
    start(spec, tmp_path / "run", [told.append], dry_run=True)
    (planned,) = [event.spec for event in told if isinstance(event, Planned)]
    assert [(member.train.epochs, member.train.precision) for member in member_specs(planned)] == [
        (1, "bf16"),
        (5, "fp32"),
    ]


def test_a_bootstrap_sample_repeats_images_and_belongs_to_the_seed(tmp_path):
    from seewhy.training.assemble import load_data

    def names(seed, **options):
        spec = make_spec("digits", {"seed": seed, **options})
        return sorted(load_data(spec, lambda event: None).train.names)

    plain, one, same, other = names(0), *(names(seed, **{"train.bootstrap": True}) for seed in (1, 1, 2))
    assert len(one) == len(plain)
    assert one == same != other
    assert set(one) < set(plain)
    assert 0.6 < len(set(one)) / len(plain) < 0.67  # 1 - 1/e


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    images[::2] //= 3
    np.savez(folder / "data.npz", images=images, labels=np.arange(60) % 2)
    options = {"model": "mlp", "width": 4, "epochs": 1, "precision": "fp32", "members": 2}
    return seewhy.train(
        folder / "data.npz", out=folder / "run", **options, **{"ensemble.edits": ("width = 4", "width = 6")}
    )


def test_an_ensemble_is_the_mean_of_its_members(ensemble):
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    members = [seewhy.Run(ensemble.folder / "members" / name) for name in ("01", "02")]
    assert [member.spec.model.width for member in members] == [4, 6]
    expected = torch.stack([member.probabilities(images) for member in members]).mean(0)
    torch.testing.assert_close(ensemble.probabilities(images), expected)
    said = ensemble.predict(images[0])
    assert said.confidence == pytest.approx(expected[0].max().item())
    assert said.disagreement >= 0
    with pytest.raises(InputError, match="is an ensemble; each of its members has a network"):
        ensemble.model  # noqa: B018


@pytest.mark.parametrize(
    ("results", "part"),
    [({"val": {"accuracy": 0.5}, "test": {"accuracy": 0.4}}, "val"), ({"test": {"accuracy": 0.5}}, "test"), ({}, None)],
)
def test_a_member_ends_whatever_there_is_to_evaluate_it_on(results, part, tmp_path, capsys):
    (tmp_path / "02").mkdir()
    (tmp_path / "02" / "results.json").write_text(json.dumps(results))
    told = []
    _say_end(tmp_path, "02", 3, told.append)
    assert told == [MemberEnded(2, 3, part, None if part is None else 0.5)]
    Reporter()(told[0])
    assert ("trained" if part is None else "accuracy 50.00%") in capsys.readouterr().err


def test_an_ensembles_folder_holds_its_figures(ensemble):
    found = ensemble.evaluate()
    assert found.accuracy == ensemble.results["test"]["accuracy"]
    kept = json.loads((ensemble.folder / "ensemble.json").read_text())["test"]
    assert len(kept["members"]) == 2
    assert found.ensemble["gain"] == kept["gain"]
    page = (ensemble.folder / "report.html").read_text()
    assert 'id="members"' in page
    assert 'id="curves"' not in page


def test_an_ensemble_goes_on_with_the_members_that_are_left(ensemble):
    (ensemble.folder / "results.json").unlink()
    (ensemble.folder / "members" / "02" / "results.json").unlink()
    kept = (ensemble.folder / "members" / "01" / "results.json").stat().st_mtime_ns
    done = subprocess.run(
        [sys.executable, "-m", "seewhy", "train", "--resume", str(ensemble.folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 2 members have ended before" in done.stderr
    assert "member   2/2" in done.stderr
    assert (ensemble.folder / "members" / "01" / "results.json").stat().st_mtime_ns == kept
    assert ensemble.results["test"]["n"] > 0


def test_a_member_that_fails_is_told_in_its_own_words(ensemble, tmp_path):
    (ensemble.folder / "members" / "02" / "results.json").unlink()
    spec = ensemble.folder / "members" / "02" / "spec.toml"
    whole = spec.read_text()
    spec.write_text("nonsense = 1\n")
    try:
        with pytest.raises(InputError, match=r"member 02 failed: .*nonsense.*; see .*02\.log; the others are kept"):
            resume(ensemble.folder)
    finally:
        spec.write_text(whole)


def test_a_member_that_was_killed_before_its_specification_was_there_begins_anew(ensemble):
    member = ensemble.folder / "members" / "02"
    kept = ensemble.folder / "kept"
    member.rename(kept)
    member.mkdir()
    (member / "data.json").write_text("{}")
    (ensemble.folder / "members" / "02.toml").unlink()  # killed even before that
    resume(ensemble.folder)
    assert (member / "results.json").is_file()
    shutil.rmtree(kept)


def test_changed_pictures_are_refused(ensemble):
    path = ensemble.folder / "data.json"
    whole = path.read_text()
    path.write_text(json.dumps(json.loads(whole) | {"fingerprint": "other"}))
    try:
        with pytest.raises(InputError, match="the pictures have changed since"):
            resume(ensemble.folder)
    finally:
        path.write_text(whole)


def test_the_command_of_each_record_is_taken_as_it_stands(tmp_path, monkeypatch):
    """What `seewhy techniques` says to type is typed, up to the plan."""
    monkeypatch.chdir(tmp_path)
    for record in (ENSEMBLES[name] for name in ENSEMBLES.names()):
        command = ["train", "digits", "--model", "mlp", "--epochs", "20", "--dry-run", *shlex.split(record.choose)]
        assert main(command) == 0, record.name
