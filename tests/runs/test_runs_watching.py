"""A watched run: the same bits, its findings told as they come and kept in the folder."""

import json
import re
from contextlib import suppress

import pytest

import seewhy
from run_cases import MLP, assert_same_bits
from seewhy.cli.main import run as command
from seewhy.core.errors import RunError
from seewhy.core.findings import Finding
from seewhy.runs.watching import PartOptimizer
from seewhy.training.events import Found, RunStarted

FAST = {**MLP, "epochs": 2}
WILD = {**MLP, "epochs": 2, "norm": "none", "activation": "relu", "optimizer": "sgd", "lr": 100.0}


def test_watching_changes_no_bit_and_a_healthy_run_is_not_spoken_of(tmp_path, capsys):
    plain = seewhy.train("digits", out=tmp_path / "plain", watch=False, **FAST)
    assert 'id="findings"' not in (plain.folder / "report.html").read_text()
    run = seewhy.train("digits", out=tmp_path / "watched", **FAST)
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
        {"model": "resnet", "width": 4},
        {"model": "pixelcnn", "width": 4},
        {"model": "gated_pixelcnn", "width": 4},
        {"model": "row_lstm", "width": 4},
        {"model": "diagonal_bilstm", "width": 4},
        {"model": "autoencoder", "width": 4},
        {"model": "vae", "width": 4},
        {"model": "vae", "model.architecture": "dense", "width": 16},
        {"model": "gan", "width": 4},
        {"model": "gan", "width": 4, "model.loss": "wasserstein"},
        {"model": "gan", "width": 20, "model.architecture": "dense"},
        {"model": "mlp", "width": 8, "depth": 1, "train.ema": 0.9, "dropout": 0.2},
        {"model": "mlp", "width": 8, "depth": 1, "precision": "bf16", "reg.l1": 0.01, "reg.max_norm": 2.0},
        {"model": "mlp", "width": 8, "depth": 1, "train.snapshots": 2},
        *(
            {"model": "mlp", "width": 8, "depth": 1, "optimizer": name}
            for name in ("newton", "damped_newton", "hessian_free", "dfp", "bfgs", "lbfgs")
        ),
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_kind_of_run_is_watched(options, tmp_path):
    common = {"epochs": 1, "precision": "fp32", "train.threads": 1, **options}
    seewhy.train("digits", out=tmp_path / "plain", watch=False, **common)
    run = seewhy.train("digits", out=tmp_path / "watched", **common)
    assert_same_bits(run.folder, tmp_path / "plain")
    assert run.findings == []
    statuses = {check["status"] for check in json.loads((run.folder / "findings.json").read_text())["checks"]}
    assert "passed" in statuses


def test_what_is_found_is_told_at_once_and_outlives_the_run(tmp_path):
    told = []
    with suppress(RunError):  # the loss may become NaN
        seewhy.train("digits", out=tmp_path / "run", observers=[told.append], **WILD)
    found = [event for event in told if isinstance(event, Found)]
    assert found[0].finding["code"] == "learning_rate_too_high"
    run = seewhy.Run(tmp_path / "run")
    assert run.findings[0].code == "learning_rate_too_high"
    assert run.findings[0] == Finding.from_json(run.findings[0].to_json())
    (line, *_) = [event for event in run.events if event["event"] == "found"]
    assert line["finding"]["fingerprint"] == run.findings[0].fingerprint
    page = run.report().read_text()
    assert "changes a typical weight by" in page
    assert 'id="finding-learning_rate_too_high"' in page
    assert page.count(" data-network ") == 1
    (record,) = re.findall(r"data-record>(.*?)</script>", page)
    assert json.loads(record)["steps"] == [entry.record.step for entry in run.records]


def test_the_command_says_it(tmp_path, capsys):
    words = ["train", "digits", "--model", "mlp", "--width", "8", "--norm", "none", "--optimizer", "sgd", "--lr", "100"]
    assert command([*words, "--epochs", "1", "--out", str(tmp_path / "run")]) in (0, 1)
    assert "warning: a step changes a typical weight by" in capsys.readouterr().err
    assert command([*words, "--epochs", "1", "--no-watch", "--out", str(tmp_path / "blind")]) in (0, 1)
    assert "a typical weight" not in capsys.readouterr().err
    assert not (tmp_path / "blind" / "findings.json").exists()


@pytest.mark.parametrize("watch", [True, False])
def test_members_are_watched_each_in_its_own_folder(watch, tmp_path):
    run = seewhy.train("digits", out=tmp_path / "run", watch=watch, members=2, **FAST)
    assert [(member.folder / "findings.json").exists() for member in run.members] == [watch, watch]


def test_both_networks_of_adversarial_training_are_watched_by_name(tmp_path):
    """The critic steps five times as often as the generator; each has its own count of steps, and its own gradients."""
    watched = {}

    def look(event):
        if isinstance(event, RunStarted):
            watched.update(networks=event.networks, parts=[])
            for name, network in event.networks.items():
                part = PartOptimizer(event.optimizer, network)
                assert {id(p) for group in part.param_groups for p in group["params"]} == set(
                    map(id, network.parameters())
                )
                watched["parts"].append(name)

    options = {
        "epochs": 1,
        "precision": "fp32",
        "train.threads": 1,
        "model": "gan",
        "width": 4,
        "model.loss": "wasserstein",
    }
    seewhy.train("digits", out=tmp_path / "run", observers=[look], **options)
    assert watched["parts"] == ["generator", "discriminator"]
