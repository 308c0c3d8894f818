"""The examples run, shortened, as their users run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize(("name", "out"), [("text", None), ("sound", "sound.wav"), ("moving_digits", "clips.png")])
def test_an_example_runs_and_writes_what_it_says(name, out, tmp_path):
    command = [sys.executable, HOME / f"{name}.py", "--steps", "2", *(["--out", tmp_path / out] if out else [])]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=env)
    assert done.returncode == 0, done.stderr
    assert "bits per value" in done.stdout
    assert "from the" in done.stdout
    if out:
        assert (tmp_path / out).stat().st_size > 100
