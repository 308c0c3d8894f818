"""`seewhy diagnose` as a person and a pipeline meet it: what it prints, where, and with which exit code."""

import json

import pytest

import seewhy
from seewhy.cli.main import run as command
from seewhy.core.findings import Finding, Remedy

FINDING = Finding(
    code="vanishing_gradients",
    title="the gradient at net.layers.0 is \x1b[31m2e-07 of that at net.head",
    severity="warning",
    step=2,
    layers=("net.layers.0",),
    remedies=(Remedy("normalise", edit='model.norm = "batch"'),),
)
CHECK = {"code": "vanishing_gradients", "status": "found", "reason": "small"}
WILD = [
    "--model",
    "mlp",
    "--width",
    "8",
    "--norm",
    "none",
    "--optimizer",
    "sgd",
    "--lr",
    "30",
    "--epochs",
    "1",
    "--quiet",
]


@pytest.fixture
def ill(tmp_path):
    options = {"model": "mlp", "width": 8, "depth": 1, "norm": "none", "epochs": 0.1, "precision": "fp32"}
    run = seewhy.train("digits", out=tmp_path / "ill", **options)
    value = {"findings": [FINDING.to_json()], "past": [], "checks": [CHECK]}
    (run.folder / "findings.json").write_text(json.dumps(value))
    return str(run.folder)


def refused(words, capsys):
    assert command(words) == 2
    return capsys.readouterr().err


def test_it_prints_what_was_found(ill, capsys):
    assert command(["diagnose", ill]) == 0
    printed = capsys.readouterr()
    assert "1. warning: the gradient at net.layers.0 is \\x1b[31m2e-07" in printed.out
    assert "edit: model.norm" in printed.out
    assert printed.err == ""
    assert command(["diagnose", ill, "--checks"]) == 0
    assert "found           vanishing_gradients  small" in capsys.readouterr().out
    assert command(["diagnose", ill, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "vanishing_gradients"


def test_it_fails_on_what_it_is_told_to_fail_on(ill, tmp_path, capsys):
    assert command(["diagnose", ill, "--fail-on", "critical"]) == 0
    assert command(["diagnose", ill, "--fail-on", "warning"]) == 3
    assert command(["diagnose", ill, "--fail-on", "note", "--json"]) == 3
    base = str(tmp_path / "base.json")
    capsys.readouterr()
    assert command(["diagnose", ill, "--write-baseline", base]) == 0
    assert command(["diagnose", ill, "--fail-on", "note", "--baseline", base]) == 0
    assert "nothing new is wrong" in capsys.readouterr().out


def test_training_fails_on_what_it_is_told_to_fail_on_after_it_is_written(tmp_path, capsys):
    words = ["train", "digits", *WILD, "--dropout", "0.95"]
    assert command([*words, "--out", str(tmp_path / "a"), "--fail-on", "note"]) == 3
    assert (tmp_path / "a" / "report.html").is_file()
    assert "test accuracy" in capsys.readouterr().out
    assert command([*words, "--out", str(tmp_path / "b"), "--lr", "0.05", "--dropout", "0", "--fail-on", "note"]) == 0
    assert command([*words, "--out", str(tmp_path / "c"), "--fail-on", "note", "--dry-run"]) == 0


def test_sarif_is_written_to_its_file(ill, tmp_path):
    path = tmp_path / "log.sarif"
    assert command(["diagnose", ill, "--sarif", str(path)]) == 0
    log = json.loads(path.read_text())
    assert log["runs"][0]["results"][0]["ruleId"] == "vanishing_gradients"


def test_the_plan_and_its_cost_are_shown_before_anything_is_run(ill, tmp_path, capsys):
    assert command(["diagnose", ill, "--try", "--dry-run", "--seeds", "2", "--jobs", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "6 runs: 3 variants x seeds 1 to 2, 1 at a time; about" in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["ill"]


def test_trying_prints_what_came_of_it(ill, tmp_path, capsys):
    assert command(["diagnose", ill, "--try", "--seeds", "1", "--json"]) == 0
    printed = capsys.readouterr()
    value = json.loads(printed.out)
    assert [each["name"] for each in value["variants"]] == ["original", "remedy-1", "random"]
    assert "run   3/3  " in printed.err
    assert value == json.loads((tmp_path / "ill-try-vanishing_gradients" / "try.json").read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "3"], "--seeds: belongs to --try"),
        (["--remedy", "1", "--dry-run"], "--remedy, --dry-run: belongs to --try"),
        (["--seeds", "0"], "--seeds: belongs to --try"),
        (["--try", "--seeds", "0"], "seeds: must be at least 1, got 0"),
        (["--try", "--remedy", "first"], "--remedy: must be a number from 1"),
        (["--try", "--remedy", "0"], "--remedy: must be a number from 1"),
        (["--try", "--remedy", "2"], "has no remedy 2 with an edit"),
        (["--try", "--finding", "dead"], "'dead' was not found"),
        (["--baseline", "none.json"], "baseline: none.json: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(words, message, ill, capsys):
    assert message in refused(["diagnose", ill, *words], capsys)


def test_other_folders_are_refused(tmp_path, capsys):
    assert "holds no class folders" in refused(["diagnose", str(tmp_path)], capsys)
    assert "source: is required" in refused(["diagnose"], capsys)
    assert "--fail-on: fails on what watching finds" in refused(
        ["train", "digits", "--fail-on", "note", "--no-watch"], capsys
    )


def test_data_are_tried_before_training_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["diagnose", "digits", "--model", "mlp", "--width", "16", "--train.threads", "1"]
    assert command([*words, "--fail-on", "warning"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("digits: nothing is wrong that was looked for")
    assert "network  mlp, relu, batch norm, width 16" in printed.err
    ill = [*words, "--norm", "none", "--init", "normal", "--model.init.std", "20", "--sarif", "log.sarif"]
    assert command([*ill, "--fail-on", "warning", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["findings"]
    assert "initial_loss_too_high" in [finding["code"] for finding in found]
    assert [path.name for path in tmp_path.iterdir()] == ["log.sarif"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--activation", "rellu"], "did you mean 'relu'?"),
        (["digits", "--try"], "--try: is for a run, and digits is none; train it first"),
        (["no/such/folder"], "neither a folder"),
        (["digits", "--baseline", "none.json"], "baseline: none.json: cannot be read"),
    ],
)
def test_data_that_make_no_sense_are_refused(words, message, capsys):
    assert message in refused(["diagnose", *words], capsys)


def test_options_of_training_are_not_for_a_run(ill, capsys):
    assert "train.epochs: is for data, but" in refused(["diagnose", ill, "--epochs", "3"], capsys)
