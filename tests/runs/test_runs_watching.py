"""A watched run: the same bits, its findings told as they come and kept in the folder."""

import json
from contextlib import suppress

import pytest
from run_cases import MLP, assert_same_bits

import seewhy
from seewhy.cli.main import run as command
from seewhy.core.errors import InputError, RunError
from seewhy.core.findings import Finding
from seewhy.training.events import Found

FAST = {**MLP, "epochs": 2}
WILD = {**MLP, "epochs": 2, "norm": "none", "activation": "relu", "optimizer": "sgd", "lr": 100.0}


def test_watching_changes_no_bit_and_a_healthy_run_is_not_spoken_of(tmp_path, capsys):
    seewhy.train("digits", out=tmp_path / "plain", **FAST)
    run = seewhy.train("digits", out=tmp_path / "watched", watch=True, **FAST)
    assert_same_bits(run.folder, tmp_path / "plain")
    assert run.findings == []
    checks = {check["code"]: check for check in json.loads((run.folder / "findings.json").read_text())["checks"]}
    for code in ("zero_grad_missing", "weights_do_not_move", "softmax_before_softmax_loss", "exploding_gradients"):
        assert checks[code]["status"] == "passed"
    assert capsys.readouterr() == ("", "")
    assert not (tmp_path / "plain" / "findings.json").exists()
    assert not run.model._forward_hooks


@pytest.mark.parametrize(
    "options",
    [
        {"model": "convnet", "width": 4, "depth": 1},
        {"model": "vae", "model.architecture": "dense", "width": 16},
        {"model": "gan", "width": 4},
        {"model": "mlp", "width": 8, "depth": 1, "optimizer": "lbfgs"},
        {"model": "mlp", "width": 8, "depth": 1, "train.ema": 0.9, "dropout": 0.2},
    ],
)
def test_every_kind_of_run_can_be_watched(options, tmp_path):
    common = {"epochs": 1, "precision": "fp32", "train.threads": 1}
    seewhy.train("digits", out=tmp_path / "plain", **common, **options)
    run = seewhy.train("digits", out=tmp_path / "watched", watch=True, **common, **options)
    assert_same_bits(run.folder, tmp_path / "plain")
    assert run.findings == []
    statuses = {check["status"] for check in json.loads((run.folder / "findings.json").read_text())["checks"]}
    assert "passed" in statuses


def test_what_is_found_is_told_at_once_and_outlives_the_run(tmp_path):
    told = []
    with suppress(RunError):  # the loss may become NaN
        seewhy.train("digits", out=tmp_path / "run", watch=True, observers=[told.append], **WILD)
    found = [event for event in told if isinstance(event, Found)]
    assert found[0].finding["code"] == "learning_rate_too_high"
    run = seewhy.Run(tmp_path / "run")
    assert run.findings[0].code == "learning_rate_too_high"
    assert run.findings[0] == Finding.from_json(run.findings[0].to_json())
    (line, *_) = [event for event in run.events if event["event"] == "found"]
    assert line["finding"]["fingerprint"] == run.findings[0].fingerprint
    assert "changes a typical weight by" in run.report().read_text()


def test_the_command_says_it(tmp_path, capsys):
    words = ["train", "digits", "--model", "mlp", "--width", "8", "--norm", "none", "--optimizer", "sgd", "--lr", "100"]
    assert command([*words, "--epochs", "1", "--watch", "--out", str(tmp_path / "run")]) in (0, 1)
    assert "warning: a step changes a typical weight by" in capsys.readouterr().err


def test_members_are_not_watched(tmp_path):
    with pytest.raises(InputError, match="members are processes of their own"):
        seewhy.train("digits", out=tmp_path / "run", watch=True, members=2, **FAST)
    assert not (tmp_path / "run").exists()
