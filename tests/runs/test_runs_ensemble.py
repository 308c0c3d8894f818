"""Ensembles: members' requests, training in processes, going on, predicting with all."""

import json
import shlex
import shutil
import signal
import threading

import numpy as np
import pytest
import torch

import seewhy
from run_cases import MLP
from seewhy import api
from seewhy.core.errors import InputError
from seewhy.core.findings import Finding
from seewhy.metrics import apply_temperature, classification_metrics, fit_temperature
from seewhy.runs.ensemble import _emit_end
from seewhy.runs.launch import Job
from seewhy.runs.members import ENSEMBLES, jobs_at_once, member_requests, member_threads
from seewhy.runs.progress import Reporter
from seewhy.runs.run import Run
from seewhy.runs.stopping import InterruptedRun, InterruptedRunError, ask_to_stop
from seewhy.spec import Request, build_request
from seewhy.training.events import MemberEnded, MembersStarted, Planned


def requests(**options):
    return member_requests(Request.make("digits", options), {})


def test_members_have_seeds_of_their_own_and_are_single_runs():
    members = requests(members=3, seed=5, width=8)
    views = [member.view() for member in members]
    assert [view["train.seed"] for view in views] == [5, 6, 7]
    assert all(view["ensemble.members"] == 1 and view["model.width"] == 8 for view in views)


def test_edits_are_taken_in_turn():
    edits = ('activation = "elu", optim.lr = 0.1', 'model = "resnet"')
    members = requests(members=3, **{"ensemble.edits": edits})
    assert [
        tuple(member.get(path) for path in ("model.activation.name", "optim.lr", "model.name")) for member in members
    ] == [
        ("elu", 0.1, None),
        (None, None, "resnet"),
        ("elu", 0.1, None),
    ]


def test_the_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    request = Request.make("digits", {"members": 3, "train.device": "cpu"})
    assert (jobs_at_once(request), member_threads(request)) == (3, 2)
    assert jobs_at_once(request.with_changes({"members": 20})) == 8
    assert jobs_at_once(request.with_changes({"ensemble.jobs": 2})) == 2
    assert jobs_at_once(request.with_changes({"train.device": "cuda"})) == 1
    assert member_threads(request.with_changes({"train.threads": 5})) == 5


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("activation = elu", "ensemble.edits: edit 1: must be TOML such as"),
        ('activation = "elo"', "ensemble.edits: edit 1: model.activation"),
        ("resolution = 16", "ensemble.edits: edit 1 cannot change data.resolution, which the members share"),
        ("members = 3", "ensemble.edits: edit 1 cannot change ensemble.members, which the members share"),
        (
            "train.snapshots = 2",
            "ensemble.edits: edit 1 cannot change train.snapshots: an ensemble of ensembles is one too many",
        ),
        ('model = "vae"', "ensemble.edits: edit 1: vae gives no probabilities to average; choose a classifier"),
        ("widht = 3", "ensemble.edits: edit 1: widht: there is no such option; did you mean 'width'?"),
    ],
)
def test_bad_edits_are_refused(edit, message):
    with pytest.raises(InputError) as caught:
        requests(members=2, **{"ensemble.edits": (edit,)})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("reg.hue = 0.1", "ensemble.edits: edit 2: reg.saturation, reg.hue: "),
        (
            "batch_size = 100000",
            "ensemble.edits: edit 2: train.batch_size: must be at most the number of training images",
        ),
        ('model.init = "dirac"', "ensemble.edits: edit 2: model.init"),
    ],
)
def test_edits_that_do_not_fit_the_data_are_refused_before_anything_is_written(edit, message, tmp_path):
    options = {"members": 2, "model": "mlp", "width": 4, "epochs": 1, "ensemble.edits": ("width = 5", edit)}
    with pytest.raises(InputError) as caught:
        api.start(Request.make("digits", options), out=tmp_path / "run")
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "run").exists()


def test_the_first_edit_stays_with_its_members(tmp_path):
    edits = ("epochs = 1, precision = 'bf16'", "optim.lr = 0.01")
    request = Request.make(
        "digits", {"members": 2, "model": "mlp", "width": 4, "epochs": 5, "precision": "fp32", "ensemble.edits": edits}
    )
    events = []
    assert api.start(request, out=tmp_path / "run", observers=[events.append], dry_run=True) is None
    (spec,) = [event.spec for event in events if isinstance(event, Planned)]
    assert (spec.ensemble.members, spec.train.epochs, spec.train.precision) == (2, 5, "fp32")
    settled = {path: spec.flat()[path] for path in ("train.epochs", "train.device", "train.precision")}
    members = member_requests(request, settled)
    assert [(member.get("train.epochs"), member.get("train.precision")) for member in members] == [
        (1, "bf16"),
        (5, "fp32"),
    ]
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ensemble")
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    images[::2] //= 3
    np.savez(folder / "data.npz", images=images, labels=np.arange(60) % 2)
    options = {**MLP, "width": 4, "epochs": 1, "members": 2, "ensemble.edits": ("width = 4", "width = 6")}
    return seewhy.train(folder / "data.npz", out=folder / "run", **options)


def test_an_ensemble_is_the_mean_of_its_members(ensemble):
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    members = [seewhy.Run(ensemble.folder / "members" / name) for name in ("01", "02")]
    assert [member.spec.model.width for member in members] == [4, 6]
    assert [member.spec.train.seed for member in members] == [0, 1]
    each = torch.stack([member.predictor.uncalibrated(images) for member in members])
    expected = apply_temperature(each.mean(0), ensemble.record["temperature"])
    torch.testing.assert_close(ensemble.probabilities(images), expected)
    torch.testing.assert_close(ensemble.predictor(images), expected)
    torch.testing.assert_close(ensemble.predictor.member_probabilities(images), each)
    prediction = ensemble.predict(images[0])
    assert prediction.confidence == pytest.approx(expected[0].max().item())
    assert prediction.disagreement >= 0
    with pytest.raises(InputError, match="is an ensemble; each of its members has a network"):
        ensemble.model  # noqa: B018
    with pytest.raises(InputError, match="is an ensemble, whose members differ already"):
        ensemble.predict(images[0], samples=3)
    with pytest.raises(InputError, match="samples: bound the likelihood of a vae, but this is an ensemble"):
        ensemble.evaluate(samples=3)


def test_members_are_loaded_once_however_many_images_are_predicted(ensemble, monkeypatch):
    loads = []
    weights = Run.weights
    monkeypatch.setattr(Run, "weights", lambda run: loads.append(run.folder) or weights(run))
    predictions = ensemble.predict_each([np.zeros((8, 8), np.uint8)] * 600)
    assert sum(1 for _ in predictions) == 600
    assert len(loads) == 2


def test_its_temperature_is_fitted_on_the_averaged_validation_probabilities(ensemble):
    from seewhy import data

    dataset = data.load_dataset(ensemble.spec.source)
    images = dataset.val.images(torch.arange(len(dataset.val)))
    mean = torch.stack([member.predictor.uncalibrated(images) for member in ensemble.members]).mean(0)
    assert ensemble.record["temperature"] == pytest.approx(fit_temperature(mean, dataset.val.labels), rel=1e-3)
    with np.load(ensemble.folder / "predictions" / "val.npz") as kept:
        expected = apply_temperature(mean, ensemble.record["temperature"])
        np.testing.assert_allclose(kept["probabilities"], expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("results", "split"),
    [({"val": {"accuracy": 0.5}, "test": {"accuracy": 0.4}}, "val"), ({"test": {"accuracy": 0.5}}, "test"), ({}, None)],
)
def test_a_member_ends_whatever_there_is_to_evaluate_it_on(results, split, tmp_path):
    (tmp_path / "02").mkdir()
    (tmp_path / "02" / "results.json").write_text(json.dumps(results))
    events = []
    _emit_end(Job(tmp_path / "02.toml", tmp_path / "02", tmp_path / "02.log"), 3, events.append)
    assert events == [MemberEnded(2, 3, split, None if split is None else 0.5)]


def test_a_member_ends_with_what_was_found_wrong_with_it(tmp_path, capsys):
    finding = Finding("code", "a title", "warning", 7)
    (tmp_path / "02").mkdir()
    (tmp_path / "02" / "results.json").write_text("{}")
    (tmp_path / "02" / "findings.json").write_text(json.dumps({"findings": [finding.to_json()]}))
    events = []
    _emit_end(Job(tmp_path / "02.toml", tmp_path / "02", tmp_path / "02.log"), 3, events.append)
    assert events[0].findings == ("warning: a title, step 7",)
    Reporter()(events[0])
    assert "member   2/3  warning: a title, step 7" in capsys.readouterr().err


def test_an_ensembles_folder_holds_its_figures(ensemble):
    figures = ensemble.evaluate()
    assert figures.accuracy == ensemble.results["test"]["accuracy"]
    kept = json.loads((ensemble.folder / "ensemble.json").read_text())["test"]
    assert len(kept["members"]) == 2
    assert figures.ensemble["gain"] == kept["gain"]
    page = (ensemble.folder / "report.html").read_text()
    assert 'id="members"' in page
    assert 'id="curves"' not in page
    names = [event["event"] for event in ensemble.events if event["event"] != "data_progress"]
    assert names == [
        "planned",
        "members_started",
        "member_ended",
        "member_ended",
        "run_ended",
        "evaluated",
        "evaluated",
    ]


def test_an_ensemble_goes_on_with_the_members_that_are_left(ensemble):
    (ensemble.folder / "results.json").unlink()
    (ensemble.folder / "members" / "02" / "results.json").unlink()
    kept = (ensemble.folder / "members" / "01" / "results.json").stat().st_mtime_ns
    events = []
    run = api.resume(ensemble.folder, observers=[events.append])
    (started,) = [event for event in events if type(event).__name__ == "MembersStarted"]
    assert (started.total, started.done) == (2, 1)
    assert [event.index for event in events if isinstance(event, MemberEnded)] == [2]
    assert (ensemble.folder / "members" / "01" / "results.json").stat().st_mtime_ns == kept
    assert run.results["test"]["n"] > 0


def test_a_member_that_fails_is_told_in_its_own_words(ensemble):
    (ensemble.folder / "members" / "02" / "results.json").unlink()
    spec = ensemble.folder / "members" / "02" / "spec.toml"
    whole = spec.read_text()
    spec.write_text("format = 2\nnonsense = 1\n")
    try:
        with pytest.raises(InputError, match=r"run 02 failed: .*nonsense.*; see .*02\.log; the others are kept"):
            api.resume(ensemble.folder)
    finally:
        spec.write_text(whole)


def test_a_stop_lets_the_members_save_and_they_go_on(ensemble):
    """Also covers a member that was killed before its specification was there: it begins anew."""
    member = ensemble.folder / "members" / "02"
    shutil.rmtree(member)
    member.mkdir()
    (member / "data.json").write_text("{}")
    (ensemble.folder / "members" / "02.toml").unlink()  # killed even before that
    with pytest.raises(InterruptedRunError, match="stopped at member 1 of 2; go on with: seewhy train --resume"):
        api.resume(ensemble.folder, stop=lambda: True)

    def interrupted_as_members_begin(event):
        if isinstance(event, MembersStarted):
            threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()

    with pytest.raises(InterruptedRun, match="stopped at member 1 of 2"):
        api.resume(ensemble.folder, observers=[interrupted_as_members_begin])

    def asked_as_members_begin(event):
        if isinstance(event, MembersStarted):
            ask_to_stop(ensemble.folder)

    with pytest.raises(InterruptedRunError, match="stopped at member 1 of 2"):
        api.resume(ensemble.folder, observers=[asked_as_members_begin])
    api.resume(ensemble.folder)
    assert (member / "results.json").is_file()


def test_changed_images_are_refused(ensemble):
    path = ensemble.folder / "data.json"
    whole = path.read_text()
    path.write_text(json.dumps(json.loads(whole) | {"fingerprint": "other"}))
    try:
        with pytest.raises(InputError, match="the images have changed since"):
            api.resume(ensemble.folder)
    finally:
        path.write_text(whole)


def test_the_calibration_of_the_whole_is_measured_before_and_after(ensemble):
    from seewhy import data

    test = data.load_dataset(ensemble.spec.source).test
    images = test.images(torch.arange(len(test)))
    before = classification_metrics("test", ensemble.classes, ensemble.predictor.uncalibrated(images), test.labels)
    kept = ensemble.record["uncalibrated"]["test"]
    assert (kept["ece"], kept["log_loss"]) == pytest.approx((before.ece, before.log_loss), abs=1e-4)


def test_the_command_of_each_record_is_taken_as_it_stands(tmp_path, monkeypatch):
    """What `seewhy techniques` says to type is typed, up to the plan."""
    from seewhy.cli.main import run as main

    monkeypatch.chdir(tmp_path)
    for record in (ENSEMBLES[name] for name in ENSEMBLES.names()):
        command = ["train", "digits", "--model", "mlp", "--epochs", "20", "--dry-run", *shlex.split(record.example)]
        assert main(command) == 0, record.name


def test_members_that_would_be_one_network_are_refused(shapes, tmp_path, capsys):
    for edits in (("train.seed = 5",), ("train.seed = 5", "train.seed = 5, lr = 0.1", "train.seed = 5")):
        with pytest.raises(InputError, match=r"would be the same network, for the edits set train\.seed"):
            api.train(shapes, out=tmp_path / "run", members=3, **{"ensemble.edits": edits})
    planned = []
    request = build_request(
        str(shapes), None, {**MLP, "epochs": 1, "members": 2, "ensemble.edits": ("train.seed = 5", "train.seed = 9")}
    )
    api.start(request, out=tmp_path / "run", observers=[planned.append], dry_run=True)
    (lines,) = (dict(event.lines) for event in planned if event.name == "planned")
    assert "seeds 5, 9" in lines["ensemble"]
