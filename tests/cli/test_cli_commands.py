"""The commands as a person meets them: what they print, where, and with which exit code."""

import argparse
import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pkgutil import resolve_name

import pytest

from seewhy import data
from seewhy.cli.main import COMMANDS, run
from seewhy.cli.options import add_spec_options

QUICK = ["--epochs", "1", "--width", "4", "--batch-size", "16", "--precision", "fp32"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, shapes):
    """A run of one epoch on the shapes."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert run(["train", str(shapes), *QUICK, "--out", str(folder), "--quiet"]) == 0
    return folder


def refused(arguments, capsys, code=2):
    """Run a command that must be refused; return what it said on stderr."""
    try:
        got = run(arguments)
    except SystemExit as stop:  # argparse ends the process by itself
        got = stop.code
    printed = capsys.readouterr()
    assert got == code
    assert "Traceback" not in printed.err
    return printed.err


def test_help_names_every_command_and_imports_nothing_heavy():
    script = (
        "import sys\nfrom seewhy.cli.main import run\ncode = run(['--help'])\n"
        "print([name for name in ('torch', 'pydantic', 'rich', 'numpy') if name in sys.modules], code, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[] 0"
    assert all(f"  {name}" in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        run([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: seewhy {command}" in capsys.readouterr().out


def test_wrong_names_are_refused_with_the_nearest(capsys):
    assert "did you mean 'train'?" in refused(["trian"], capsys)
    assert "did you mean --epochs?" in refused(["train", "digits", "--epoch", "3"], capsys)
    assert "model.activation: 'rellu' is not known" in refused(["train", "digits", "--activation", "rellu"], capsys)
    assert "train.epochs: must be a number, got 'many'" in refused(["train", "digits", "--epochs", "many"], capsys)
    assert "did you mean 'relu'?" in refused(["techniques", "rel"], capsys)
    assert "neither a folder" in refused(["train", "no/such/folder"], capsys)
    assert "is not a run folder" in refused(["evaluate", "no/such/run"], capsys)


def test_wrong_values_are_refused_before_torch_is_imported():
    script = (
        "import sys\nfrom seewhy.cli.main import run\ncode = run(['train', 'digits', '--lr', '-1'])\n"
        "print(code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
    assert done.stderr == "seewhy train: optim.lr: must be a number greater than 0, got -1\n"


def test_dry_run_prints_the_plan_and_writes_nothing(shapes, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for precision in ("fp32", "bf16"):
        assert run(["train", str(shapes), "--dry-run", "--precision", precision]) == 0
        printed = capsys.readouterr()
        lines = dict(line.strip().split("  ", 1) for line in printed.err.splitlines())
        assert lines["data"] == "shapes0: 120 images in 3 classes, 16 x 16 px, colour"
        assert lines["split"].startswith("train ")
        assert "validation" in lines["split"]
        assert "test" in lines["split"]
        assert lines["network"].endswith(" parameters")
        assert lines["hardware"] == f"cpu x 1, {precision}, 1 thread"
        assert " epochs" in lines["budget"]
        assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_results_go_to_stdout_and_progress_to_stderr(shapes, tmp_path, capsys):
    assert run(["train", str(shapes), *QUICK, "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr()
    assert "test accuracy" in printed.out
    assert "report" in printed.out
    assert "epoch   1/1" in printed.err
    assert "epoch   1/1" not in printed.out


def test_an_existing_folder_is_kept(trained, shapes, capsys):
    before = sorted(path.name for path in trained.iterdir())
    assert "exists already" in refused(["train", str(shapes), "--out", str(trained)], capsys)
    assert sorted(path.name for path in trained.iterdir()) == before


def test_resume_takes_no_other_options(trained, capsys):
    assert "not optim.lr" in refused(["train", "--resume", str(trained), "--lr", "3"], capsys)


def test_a_spec_can_be_overridden(trained, tmp_path, capsys):
    assert (
        run(["train", "--spec", str(trained / "spec.toml"), "--seed", "5", "--out", str(tmp_path / "run"), "--quiet"])
        == 0
    )
    assert "seed = 5" in (tmp_path / "run" / "spec.toml").read_text()


def test_predict_in_every_form(trained, shapes, tmp_path, capsys, monkeypatch):
    bad = tmp_path / "bad é.jpg"
    bad.write_text("no image")
    good = sorted((shapes / "cross").iterdir())[0]
    assert run(["predict", str(trained), str(good)]) == 0
    assert str(good) in capsys.readouterr().out
    assert run(["predict", str(trained), str(good), str(bad), "--json"]) == 1
    printed = capsys.readouterr()
    entries = json.loads(printed.out)
    assert [entry["error"] is None for entry in entries] == [True, False]
    assert entries[0]["label"] in ("cross", "square", "stripes")
    assert len(entries[0]["top"]) == 3
    assert "no prediction for 1 of 2 images" in printed.err
    assert run(["predict", str(trained), str(shapes), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 120
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{good}\n"))
    assert run(["predict", str(trained), "-", "--csv"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run(["predict", str(trained), "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["predict", str(trained), str(shapes / "cross" / "*.png")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 40
    assert "matches nothing" in refused(["predict", str(trained), str(tmp_path / "*.gif")], capsys)


def test_evaluate_own_and_other_data(trained, shapes, tmp_path, capsys):
    assert run(["evaluate", str(trained), "--json"]) == 0
    own = json.loads(capsys.readouterr().out)
    results = json.loads((trained / "results.json").read_text())
    assert own["accuracy"] == results["test"]["accuracy"]
    assert run(["evaluate", str(trained), str(shapes), "--json"]) == 0  # its own data: no image that was trained on
    assert json.loads(capsys.readouterr().out) == own
    shutil.copytree(shapes, tmp_path / "copy")
    assert run(["evaluate", str(trained), str(tmp_path / "copy")]) == 0
    printed = capsys.readouterr()
    assert (
        "test: 18 images, 3 classes" in printed.out
    )  # a copy: those that the run was not trained or validated on, which are its test split
    assert "102 of 120 images" in printed.err
    assert "are left out, since the run was trained or validated on them" in printed.err
    assert "precision" in printed.out
    shutil.rmtree(tmp_path / "copy" / "square")
    assert run(["evaluate", str(trained), str(tmp_path / "copy"), "--json"]) == 0
    subset = json.loads(capsys.readouterr().out)
    assert subset["n"] == 12
    assert [row["n"] for row in subset["per_class"]] == [6, 0, 6]
    for name in ("cross", "circle"):
        (tmp_path / "other" / name).mkdir(parents=True)
        for number, file in enumerate(sorted((shapes / "cross").iterdir())[:3]):
            (tmp_path / "other" / name / f"{name}{number}.png").write_bytes(file.read_bytes())
    assert "classes that the run does not know: circle" in refused(
        ["evaluate", str(trained), str(tmp_path / "other")], capsys
    )


def test_check_reports_and_its_exit_code(shapes, tmp_path, capsys):
    assert run(["check", str(shapes)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ": " in lines[0]
    assert lines[1].split() == ["class", "train", "val", "test"]
    assert any(line.split()[0] == "cross" for line in lines)
    copy = tmp_path / "data"
    shutil.copytree(shapes, copy)
    (copy / "cross" / "bad.jpg").write_bytes(b"")
    assert run(["check", str(copy)]) == 1
    assert "bad.jpg" in capsys.readouterr().out
    assert run(["check", str(copy), "--json"]) == 1
    assert any("bad.jpg" in str(issue) for issue in json.loads(capsys.readouterr().out))
    assert "bad.jpg" in refused(["train", str(copy), "--data.strict"], capsys)


def test_techniques(capsys):
    assert run(["techniques"]) == 0
    assert "activations (--model.activation)" in capsys.readouterr().out
    assert run(["techniques", "elu", "--json"]) == 0
    (card,) = json.loads(capsys.readouterr().out)
    assert card["choose"] == "--model.activation elu"
    assert "1511.07289" in card["source"]


@pytest.fixture(scope="module")
def cards():
    """What `seewhy techniques --json` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert run(["techniques", "--json"]) == 0
    return json.loads(printed.getvalue())


def test_every_technique_is_listed_once(cards):
    listed = {(card["family"], card["name"]) for card in cards}
    assert len(listed) == len(cards)
    assert {("penalties", name) for name in ("l1", "l2", "weight_decay", "max_norm")} <= listed
    assert {("ensembles", name) for name in ("deep_ensemble", "bagging", "hyper_ensemble", "snapshot", "ema")} <= listed
    assert {("augmentations", name) for name in data.AUGMENTATIONS.names()} <= listed
    for card in cards:
        assert card["summary"], card
        if card["family"] in ("penalties", "ensembles", "augmentations"):
            assert all(card[field] for field in ("formula", "source", "good_for", "bad_for", "choose")), card


def test_a_card_names_the_claims_that_measured_the_technique(cards, capsys):
    codes = {card["name"]: [claim["code"] for claim in card["claims"]] for card in cards}
    assert {"C01", "C05", "C06"} <= set(codes["relu"])
    assert codes["gelu"] == []
    assert run(["techniques", "relu"]) == 0
    assert re.search(r"claims  C01  \w", capsys.readouterr().out)
    assert run(["techniques", "gelu"]) == 0
    assert "claims" not in capsys.readouterr().out
    assert run(["techniques"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^  relu .*\(C01, C05, ", listed, re.M)
    assert re.search(r"^  C05  \w", listed, re.M)


def test_the_qualified_name_of_a_technique_can_be_imported(cards):
    for card in cards:
        assert resolve_name(card["qualified_name"]) is not None, card


def test_the_options_of_a_technique_are_options(cards):
    """What a card names beside the formula can be typed."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_spec_options(parser, [])
    known = {name for action in parser._actions for name in action.option_strings}
    printed = [option.split(" ")[0] for card in cards for option in card["options"]]
    assert {"--optim.history", "--model.activation.pieces", "--model.latent_dim"} <= set(printed)
    assert set(printed) <= known


def test_report_is_rebuilt(trained, capsys):
    (trained / "report.html").unlink()
    assert run(["report", str(trained)]) == 0
    assert capsys.readouterr().out.strip() == str(trained / "report.html")
    assert (trained / "report.html").read_text().startswith("<!doctype html>")


def test_a_closed_pipe_is_no_error(trained, shapes):
    line = f"{sys.executable} -m seewhy predict {trained} {shapes} --csv | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "name,label,confidence,error,cross,square,stripes"
    assert "Traceback" not in done.stderr


def test_techniques_show_an_augmentation_on_the_users_images(tmp_path, capsys):
    target = tmp_path / "flip.png"
    assert run(["techniques", "flip", "--show", "--data", "digits", "--out", str(target)]) == 0
    assert capsys.readouterr().out == f"figure  {target}\n"
    assert target.read_bytes().startswith(b"\x89PNG")
    assert "is not overwritten" in refused(["techniques", "flip", "--show", "--out", str(target)], capsys)
    svg = str(tmp_path / "flip.svg")
    assert "--out: must end in .png, got flip.svg" in refused(["techniques", "flip", "--show", "--out", svg], capsys)
    assert "--data: belongs to --show" in refused(["techniques", "flip", "--data", "digits"], capsys)


def test_techniques_show_how_one_starts_a_network(tmp_path, capsys):
    target = tmp_path / "he.svg"
    assert run(["techniques", "he", "--show", "--out", str(target)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("layer")
    assert printed.endswith(f"figure  {target}\n")
    assert "<svg" in target.read_text()
    assert "--show: draws initialisations, activations" in refused(["techniques", "cutmix,he", "--show"], capsys)


@pytest.mark.parametrize("function", ["rosenbrock", "beale", "saddle", "ravine"])
def test_techniques_show_optimisers_on_a_function(function, tmp_path, capsys, drawn):
    target = tmp_path / "path.svg"
    words = ["techniques", "lbfgs,damped_newton", "--show", "--out", str(target)]
    assert run([*words, *(["--on", function] if function != "rosenbrock" else [])]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{function}: ")
    assert printed.endswith(f"figure  {target}\n")
    rows = [line.split() for line in printed.splitlines() if line.startswith(("lbfgs", "damped_newton"))]
    assert len(rows) == 2
    assert all(float(row[3]) < 1e-8 and row[4] == "converged" for row in rows)
    assert target.read_text().count("lbfgs") >= 1


def test_techniques_refuse_what_is_no_path_over_a_function(tmp_path, capsys):
    out = ["--out", str(tmp_path / "a.png")]
    assert "--on: 'cliff' is not known" in refused(["techniques", "adam", "--show", "--on", "cliff", *out], capsys)
    assert "'he' is not known" in refused(["techniques", "he", "--show", "--on", "beale", *out], capsys)
    assert "--data: an optimiser's path" in refused(["techniques", "adam", "--show", "--data", "digits", *out], capsys)
    assert "--on: belongs to --show" in refused(["techniques", "adam", "--on", "beale"], capsys)
    assert list(tmp_path.iterdir()) == []
