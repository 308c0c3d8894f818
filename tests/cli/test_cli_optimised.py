"""Nothing depends on docstrings or assertions: `python -OO` trains, explains and refuses as without; it cannot draw, and says why."""

import json
import os
import subprocess
import sys


def seewhy(*words, cwd):
    command = [sys.executable, "-OO", "-m", "seewhy", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=dict(os.environ))


def test_python_without_docstrings(tmp_path):
    made = seewhy("train", "digits", "--model", "mlp", "--width", "8", "--epochs", "1", "--out", "run", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "the report could not be drawn" in made.stderr
    assert "python -OO drops them" in made.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["test"]["n"] > 0
    assert "python -OO drops them" in seewhy("report", "run", cwd=tmp_path).stderr
    assert "--epochs" in seewhy("train", "--help", cwd=tmp_path).stdout
    card = seewhy("techniques", "elu", cwd=tmp_path)
    assert card.returncode == 0
    assert "exp" in card.stdout
    refused = seewhy("train", "digits", "--activation", "rellu", cwd=tmp_path)
    assert refused.returncode == 2
    assert "did you mean 'relu'?" in refused.stderr
