"""A family that somebody else registers is a family like any other: it trains, resumes, evaluates, reports, and stands in help and lists."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import seewhy
from seewhy.cli.main import run as command
from seewhy.core.errors import InputError
from seewhy.runs.stopping import InterruptedRunError
from seewhy.spec import Request, families, model_names, register_family

OPTIONS = {"model": "toy", "epochs": 2, "device": "cpu", "precision": "fp32", "train.threads": 1}


@pytest.fixture(scope="module", autouse=True)
def toy():
    """Register the toy for this module alone."""
    records = importlib.import_module("seewhy.spec.family")
    families()
    before = dict(records._families)
    module = importlib.import_module("toy_family")
    if module.FAMILY not in families():
        register_family(module.FAMILY)
    yield module.FAMILY
    records._families.clear()
    records._families.update(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A toy that was trained without interruption."""
    return seewhy.train("digits", out=tmp_path_factory.mktemp("toy") / "run", **OPTIONS)


def weights_of(run):
    return {name: value.clone() for name, value in run.checkpoints.load("last").model.items()}


def test_it_trains(trained):
    assert trained.spec.model.name == "toy"
    assert trained.spec.optim.name == "momentum"
    assert trained.spec.family.name == "toys"
    assert [row["epoch"] for row in trained.metrics] == [1, 2]
    assert trained.metrics[1]["train_loss"] < trained.metrics[0]["train_loss"]
    assert trained.results["test"]["accuracy"] > 0.3
    assert "a toy rolls" in (trained.folder / "spec.toml").read_text()


def test_its_field_changes_what_is_built(trained, tmp_path):
    hot = seewhy.train("digits", out=tmp_path / "hot", **{**OPTIONS, "epochs": 0.1, "model.temperature": 4.0})
    assert (trained.model.temperature, hot.model.temperature) == (1.0, 4.0)
    assert hot.record == {"temperature": 4.0}


def test_it_resumes_bit_for_bit(trained, tmp_path):
    """Stopped within the second epoch, with an average, momentum, and noise of its own."""
    steps = iter(range(1000))
    with pytest.raises(InterruptedRunError) as caught:
        seewhy.train("digits", out=tmp_path / "run", stop=lambda: next(steps) == 17, **OPTIONS)
    assert caught.value.total / 2 < caught.value.done < caught.value.total
    resumed = seewhy.resume(tmp_path / "run")
    expected, found = weights_of(trained), weights_of(resumed)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    assert resumed.results == trained.results
    assert resumed.metrics[1]["val_loss"] == trained.metrics[1]["val_loss"]


def test_it_is_opened_and_evaluated(trained):
    figures = seewhy.Run(trained.folder).evaluate()
    assert (figures.split, figures.accuracy) == ("test", trained.results["test"]["accuracy"])


def test_it_answers_no_other_verb(trained):
    with pytest.raises(InputError, match="is a run of toy, which cannot sample images; that is for pixelcnn"):
        trained.sample(1)


def test_its_section_stands_in_the_report(trained):
    page = (trained.folder / "report.html").read_text(encoding="utf-8")
    assert "The toy&#39;s own section" in page or "The toy's own section" in page
    assert "What the toy has to say for itself." in page
    assert 'id="toy"' in page


def test_its_fields_are_checked():
    with pytest.raises(InputError, match=r"model\.temperature: must be a number greater than 0, got 0"):
        Request.make("digits", {"model": "toy", "model.temperature": 0})
    with pytest.raises(InputError, match=r"model\.temperature: belongs to toy, but model\.name is 'mlp'"):
        Request.make("digits", {"model": "mlp", "model.temperature": 2.0})
    with pytest.raises(InputError, match="a hot toy has no L1 penalty"):
        Request.make("digits", {"model": "toy", "model.temperature": 2.0, "reg.l1": 0.1})
    with pytest.raises(
        InputError, match=r"reg\.dropout: belongs to classifiers, pretrained, custom, but model\.name is 'toy'"
    ):
        Request.make("digits", {"model": "toy", "dropout": 0.5})


def test_names_are_taken_once(toy):
    with pytest.raises(InputError, match="toys: there is a model or family of this name already"):
        register_family(toy)


def test_help_lists_its_fields(capsys):
    with pytest.raises(SystemExit) as caught:
        command(["train", "--model", "toy", "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert "--model.temperature" in shown
    assert "What the toy's outputs are divided by." in " ".join(shown.split())
    assert "--model.stem" not in shown
    assert "--reg.dropout" not in shown


def test_the_command_line_trains_and_evaluates_it(tmp_path, capsys):
    folder = tmp_path / "run"
    options = [
        "--model",
        "toy",
        "--epochs",
        "0.2",
        "--model.temperature",
        "2",
        "--device",
        "cpu",
        "--train.threads",
        "1",
    ]
    assert command(["train", "digits", *options, "--out", str(folder)]) == 0
    assert command(["evaluate", str(folder)]) == 0
    assert "the toy is right" in capsys.readouterr().out


def test_it_is_listed_among_the_techniques(capsys):
    assert command(["techniques"]) == 0
    listed = capsys.readouterr().out
    assert "toys" in listed
    assert "linear least squares on one-hot labels" in listed
    assert command(["techniques", "toy"]) == 0
    card = capsys.readouterr().out
    assert "Gauss 1809" in card
    assert "--model.temperature (1.0)" in card


def test_an_installed_plug_in_is_found_by_its_entry_point(tmp_path):
    """A distribution is faked: what an installer writes of it, beside the module."""
    info = tmp_path / "toy_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[seewhy.families]\ntoy = toy_family\n")
    here = Path(__file__).parent
    path = os.pathsep.join([str(tmp_path), str(here), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "seewhy", "techniques", "toy"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "toy: linear least squares on one-hot labels" in done.stdout


def test_nothing_is_left_behind_elsewhere():
    """Other processes, and other tests, know the package's own families alone."""
    done = subprocess.run(
        [sys.executable, "-c", "from seewhy.spec import model_names; print(*model_names())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [name for name in model_names() if name != "toy"]
