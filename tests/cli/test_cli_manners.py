"""How the commands behave at the edges: interruptions, poor terminals, strange names, places that cannot be written."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from rich.console import Console

from seewhy import api
from seewhy.cli.main import main, run
from seewhy.runs.progress import Reporter
from seewhy.runs.screens import TerminalScreen
from seewhy.training.events import DataProgress, EpochEnded, Planned, RunEnded, RunStarted, StepEnded

QUICK = ["--epochs", "1", "--width", "4", "--batch-size", "16", "--precision", "fp32"]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A folder with classes named in several scripts, and a run on it."""
    folder = tmp_path_factory.mktemp("manners")
    for place, name in enumerate(("Käse", "日本", "with space")):
        (folder / "data" / name).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (12, 12), (80 * place, number, 40)).save(folder / "data" / name / f"é {number}.png")
    assert run(["train", str(folder / "data"), *QUICK, "--out", str(folder / "run"), "--quiet"]) == 0
    return folder


def seewhy(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "seewhy", *map(str, arguments)], capture_output=True, check=False, timeout=120, **options
    )


def test_a_terminal_that_knows_only_ascii_gets_escapes(named):
    """And a name that is no text at all passes through every form of output."""
    strange = os.fsencode(named) + b"/\xff\xfe.png"
    with open(strange, "wb") as handle:
        handle.write((named / "data" / "Käse" / "é 0.png").read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii:surrogateescape", "PYTHONUTF8": "0"}
    done = seewhy("predict", named / "run", named / "data" / "日本", os.fsdecode(strange), "--json", env=environment)
    assert done.returncode == 0, done.stderr
    entries = json.loads(done.stdout.decode("ascii"))
    assert "/日本/é 0.png" in entries[0]["name"]
    assert {entry["label"] for entry in entries} <= {"Käse", "日本", "with space"}
    assert os.fsencode(entries[-1]["name"]) == strange


def test_streams_of_main_escape_what_they_cannot_say(named, monkeypatch, capsysbinary):
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(named / "run"), str(named / "data" / "日本" / "é 1.png")])
    assert stop.value.code == 0
    assert "/日本/é 1.png" in capsysbinary.readouterr().out.decode()


def test_names_in_other_scripts_are_shown_as_they_are(named, capsys):
    assert run(["evaluate", str(named / "run")]) == 0
    assert "日本" in capsys.readouterr().out
    assert run(["check", str(named / "data"), "--json"]) in (0, 1)
    json.loads(capsys.readouterr().out)
    assert "日本" in (named / "run" / "report.html").read_text(encoding="utf-8")


def test_stop_during_decoding_is_clean_and_leaves_nothing(tmp_path):
    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(40):
            Image.new("RGB", (64, 64), (number, ord(name), 0)).save(tmp_path / "data" / name / f"{number}.png")
    script = (
        "import os, signal, sys\nfrom seewhy import data\nfrom seewhy.cli.main import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "real = data.load_dataset\n"
        "def load_dataset(*arguments, progress, **fields):\n"
        "    def interrupt(done, total):\n"
        "        progress(done, total)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(*arguments, progress=interrupt, **fields)\n"
        "data.load_dataset = load_dataset\n"
        "main(['train', 'data', '--out', 'run'])"
    )
    environment = {**os.environ, "SEEWHY_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "seewhy train: stopped\n")
    assert not (tmp_path / "run").exists()
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert not left


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_during_training_saves_and_says_how_to_go_on(number, code, shapes, tmp_path):
    """Ctrl-C also kills by its signal, so that a shell's loop over runs ends with it."""
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "seewhy",
        "train",
        str(shapes),
        *QUICK[2:],
        "--epochs",
        "300",
        "--out",
        str(folder),
    ]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # a shell's background jobs ignore Ctrl-C
    while not (folder / "checkpoint" / "last.json").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    out, printed = process.communicate(timeout=60)
    assert (process.returncode, out) == (code, "")
    assert printed.rstrip().endswith(f"go on with: seewhy train --resume {folder}")
    assert "Warning" not in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("place", ["file.txt/run", "file.txt"])
def test_a_place_that_cannot_be_written_is_refused_before_the_data_are_read(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("mine")
    assert run(["train", "no/such/data", "--out", place]) == 2
    printed = capsys.readouterr().err
    assert "choose another --out" in printed
    assert (tmp_path / "file.txt").read_text() == "mine"


def test_a_read_only_place_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda *_: False)  # the tests may run as a user who may write anywhere
    assert run(["train", "digits", "--out", str(tmp_path / "a" / "run")]) == 2
    assert f"since {tmp_path} cannot be written; choose another --out" in capsys.readouterr().err


def test_missing_parents_are_made(shapes, tmp_path, capsys):
    assert run(["train", str(shapes), *QUICK, "--out", str(tmp_path / "a" / "b" / "run"), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert str(tmp_path / "a" / "b" / "run") in printed.out


def test_what_is_wrong_with_the_data_is_said_before_training(shapes, tmp_path, capsys):
    for name in ("cross", "square"):
        (tmp_path / name).mkdir()
        for file in sorted((shapes / name).iterdir())[:10]:
            (tmp_path / name / file.name).write_bytes(file.read_bytes())
    (tmp_path / "cross" / "half.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "nothing").mkdir()
    assert run(["train", str(tmp_path), "--dry-run"]) == 0
    printed = capsys.readouterr().err
    assert "error  1 file cannot be used and is left out: cross/half.jpg" in printed
    assert "warning  1 class without images, left out: nothing" in printed


def test_a_fraction_of_an_epoch_trains_a_step(shapes, tmp_path, capsys):
    assert run(["train", str(shapes), *QUICK[2:], "--epochs", "0.01", "--out", str(tmp_path / "run")]) == 0
    assert "epoch   1/1" in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines()[1].startswith("1,1,")


def test_a_run_without_validation_and_with_encoded_cache(shapes, tmp_path, capsys):
    options = ["--data.val-fraction", "0", "--data.cache", "bytes", "--out", str(tmp_path / "run"), "--quiet"]
    assert run(["train", str(shapes), *QUICK, *options]) == 0
    printed = capsys.readouterr().out
    assert "test accuracy" in printed
    assert "validation accuracy" not in printed


def test_a_finished_run_says_so_when_it_is_resumed(named, capsys):
    assert run(["train", "--resume", str(named / "run")]) == 0
    assert "has taken all its" in capsys.readouterr().err


def test_a_budget_given_replaces_that_of_the_file(named, capsys, tmp_path):
    spec = tmp_path / "spec.toml"
    spec.write_text(f'source = "{named / "data"}"\n[train]\nminutes = 3.0\n')
    assert run(["train", "--spec", str(spec), "--epochs", "2", "--width", "4", "--dry-run"]) == 0
    assert "2 epochs" in capsys.readouterr().err


def test_help_names_every_option_once(capsys):
    with pytest.raises(SystemExit):
        run(["train", "--help"])
    printed = capsys.readouterr().out
    assert "_fraction" not in printed
    assert "--batch-size, --train.batch-size N" in printed
    with pytest.raises(SystemExit) as stop:
        run(["train", "digits", "--data.val_fraction", "two", "--help"])
    assert stop.value.code == 0


def test_the_live_bar_shows_on_a_terminal_and_goes(tmp_path, capsys):
    text = io.StringIO()
    reporter = Reporter(TerminalScreen(Console(file=text, force_terminal=True, width=120, highlight=False)))
    for event in (
        DataProgress(1, 2),
        DataProgress(2, 2),
        Planned(None, (("data", "images"),)),
        RunStarted(tmp_path, None, None, 0, 2, 2),
        StepEnded(1, 0, {"loss": 0.5, "accuracy": 0.75}, 0.1, 8),
        StepEnded(2, 0, {"loss": 0.5, "accuracy": 0.75}, 0.1, 8),
        EpochEnded(0, {"train_loss": 0.5, "train_accuracy": 0.75, "images_per_second": 9.0, "seconds": 1.0}, True),
        RunEnded(2, "finished"),
    ):
        reporter(event)
    reporter.close()
    printed = text.getvalue()
    for words in ("decoding", "images", "training", "epoch   1/1", "evaluating the best checkpoint"):
        assert words in printed
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "strict"),
    [(["--data.strict", "{}"], True), (["--data.strict", "false", "{}"], False), (["{}", "--data.strict"], True)],
)
def test_a_switch_does_not_swallow_the_next_word(words, strict, shapes, tmp_path, capsys):
    shutil.copytree(shapes, tmp_path / "data")
    (tmp_path / "data" / "cross" / "bad.jpg").write_bytes(b"")
    code = run(["train", *(word.format(tmp_path / "data") for word in words), "--dry-run"])
    assert code == (2 if strict else 0)
    assert ("data.strict: 1 file cannot be used" in capsys.readouterr().err) == strict


def test_what_an_unfinished_run_says_is_marked(shapes, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        api.train(shapes, out=tmp_path / "run", model="mlp", epochs=3, observers=[stop_after_an_epoch])
    image = next((shapes / "cross").iterdir())
    assert run(["predict", str(tmp_path / "run"), str(image)]) == 0
    assert "has not ended: the best weights so far are used" in capsys.readouterr().err
    api.resume(tmp_path / "run")
    assert run(["predict", str(tmp_path / "run"), str(image)]) == 0
    assert capsys.readouterr().err == ""


def stop_after_an_epoch(event):
    if event.name == "epoch_ended":
        raise KeyboardInterrupt
