"""Streams that are closed, full or narrow, and text that would command a terminal or a spreadsheet."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from seewhy.cli.commands.predict import find
from seewhy.cli.main import run
from seewhy.cli.text import cell, json_text
from seewhy.core.errors import InputError
from seewhy.core.escaping import escaped
from seewhy.runs.progress import Reporter
from seewhy.runs.screens import TerminalScreen
from seewhy.training.events import DataProgress, Planned

SEEWHY = f"{sys.executable} -m seewhy"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams") / "run"
    words = ["train", "digits", "--model", "mlp", "--epochs", "0.2", "--batch-size", "200", "--quiet", "--out"]
    assert run([*words, str(folder)]) == 0
    return folder


def shell(line, **environment):
    """Run a line of the shell."""
    return subprocess.run(
        line,
        shell=True,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_full_stdout_is_told(trained):
    done = shell(f"{SEEWHY} evaluate {trained} > /dev/full")
    assert done.returncode == 1
    assert done.stderr == "seewhy evaluate: cannot write to the standard output: No space left on device\n"


@pytest.mark.parametrize("command", ["--help", "--version", "train --help", "techniques", "predict RUN IMAGE"])
@pytest.mark.parametrize(
    ("stdout", "why"), [("> /dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_an_error_of_every_command(command, stdout, why, trained, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    words = command.replace("RUN", str(trained)).replace("IMAGE", str(tmp_path / "a.png"))
    done = shell(f"{SEEWHY} {words} {stdout}")
    assert done.returncode == 1
    assert done.stderr.endswith(f": cannot write to the standard output: {why}\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-", "2>/dev/full"])
def test_closed_and_full_streams_fail_no_training_and_get_into_no_file(closed, tmp_path):
    out = tmp_path / "run"
    done = shell(f"{SEEWHY} train digits --model mlp --epochs 0.2 --batch-size 200 --out {out} {closed}")
    assert "Traceback" not in done.stderr
    assert done.returncode == ("1>&-" in closed)  # the figures are not printed
    assert json.loads((out / "results.json").read_text())["test"]["n"] > 0
    assert (out / "report.html").read_text().startswith("<!")
    assert "DATA" not in (out / "metrics.csv").read_text()


def test_an_error_on_a_closed_stderr_keeps_its_code(tmp_path):
    assert shell(f"{SEEWHY} evaluate {tmp_path / 'none'} 2>&-").returncode == 2
    assert shell(f"{SEEWHY} evaluate {tmp_path / 'none'} 2>/dev/full").returncode == 2


@pytest.mark.parametrize("columns", ["0", "-1", "x", ""])
def test_absurd_widths_of_a_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    assert TerminalScreen()._console.width >= 20


def test_a_reporter_whose_console_fails_falls_silent():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    reporter = Reporter(TerminalScreen(Console(file=Full(), force_terminal=True)))
    reporter(Planned(None, (("data", "digits"),)))
    reporter(DataProgress(1, 2))
    reporter.close()
    assert reporter.quiet


HOSTILE = "a\x1b[31mred\x1b[0m\x07\x9b2J\u202egnp.exe"


def test_names_of_files_do_not_command_the_terminal(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(f"{HOSTILE}.png")
    (tmp_path / f"{HOSTILE}2.png").write_text("no image")
    (tmp_path / "line\nsplit.png").write_text("no image")
    for form in ([], ["--json"], ["--csv"]):
        assert run(["predict", str(trained), str(tmp_path), *form]) == 1
        printed = capsys.readouterr()
        if form != ["--csv"]:
            assert not set("\x1b\x07\x9b\u202e") & set(printed.out + printed.err)
        if form == ["--json"]:
            assert f"{HOSTILE}.png" in {os.path.basename(entry["name"]) for entry in json.loads(printed.out)}
        if not form:
            assert printed.out.count("\n") == 3
            assert r"a\x1b[31mred\x1b[0m\x07\x9b2J\u202egnp.exe" in printed.out
    assert run(["evaluate", f"none{HOSTILE}"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_text_is_escaped_once_and_letters_stay():
    assert escaped("日本 é 🙂 a\\b") == "日本 é 🙂 a\\b"
    assert escaped("a\nb\tc\rd\x00") == r"a\nb\tc\rd\x00"
    assert escaped("a\nb\x1b", lines=True) == "a\nb\\x1b"
    assert json.loads(json_text({"a": HOSTILE})) == {"a": HOSTILE}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_a_spreadsheet_would_compute_are_guarded(start, trained, tmp_path, monkeypatch, capsys):
    assert cell(f"{start}1") == f"'{start}1"
    assert cell("a=1") == "a=1"
    assert cell("") == ""
    monkeypatch.chdir(tmp_path)
    name = f'{start}HYPERLINK("x").png'
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(name)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{name}\n"))
    assert run(["predict", str(trained), "-", "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[1][0] == f"'{name}"


def test_every_form_of_predictions_has_all_probabilities(trained, tmp_path, capsys):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((8, 8), 99, np.uint8)).save(path)
    assert run(["predict", str(trained), str(path), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert list(entry["probabilities"]) == [str(digit) for digit in range(10)]
    assert sum(entry["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert entry["probabilities"][entry["label"]] == entry["confidence"] == max(entry["probabilities"].values())
    assert run(["predict", str(trained), str(path), "--csv"]) == 0
    head, row = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head == ["name", "label", "confidence", "error", *entry["probabilities"]]
    assert [float(value) for value in row[4:]] == pytest.approx(list(entry["probabilities"].values()), rel=1e-6)


def test_paths_from_stdin_are_read_as_they_are_needed_and_what_is_named_is_looked_for_first(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    stdin = io.StringIO("b.png\n\nc.png\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(InputError, match="there is no such file"):
        find(["-", str(tmp_path / "none.png")])
    images = iter(find([str(path), "-"]))
    assert stdin.tell() == 0
    assert [next(images), next(images)] == [str(path), "b.png"]
    assert stdin.tell() == len("b.png\n")
    assert list(images) == ["c.png"]
    assert find([str(path)]) == [str(path)]
