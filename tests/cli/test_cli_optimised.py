"""Nothing depends on docstrings or assertions: `python -OO` trains, explains and refuses as without; it cannot draw, and says why."""

import json
import subprocess
import sys

PROGRAM = """
import contextlib, io, json, sys
from seewhy.cli.main import run
for words in json.loads(sys.argv[1]):
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            code = run(words)
        except SystemExit as stop:
            code = stop.code
    print(json.dumps([code, out.getvalue(), error.getvalue()]))
"""


def seewhy(*commands, cwd):
    """Run commands one after the other without docstrings and assertions; return the code, the output and the errors of each."""
    command = [sys.executable, "-OO", "-c", PROGRAM, json.dumps(commands)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_python_without_docstrings(tmp_path):
    train = ["train", "digits", "--model", "mlp", "--width", "8", "--epochs", "1", "--out", "run"]
    made, report, options, card, refused = seewhy(
        train,
        ["report", "run"],
        ["train", "--help"],
        ["techniques", "elu"],
        ["train", "digits", "--activation", "rellu"],
        cwd=tmp_path,
    )
    assert made[0] == 0, made[2]
    assert "the report could not be drawn" in made[2]
    assert "python -OO drops them" in made[2]
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test"]["n"] > 0
    assert "python -OO drops them" in report[2]
    assert "--epochs" in options[1]
    assert card[0] == 0
    assert "exp" in card[1]
    assert refused[0] == 2
    assert "did you mean 'relu'?" in refused[2]
