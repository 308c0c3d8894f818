"""Killed right before or right after any of its renames, a run ends with the bits, and with the files, of one that nothing killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from run_cases import assert_same_bits
from seewhy.spec import Request

COMMON = {"train.threads": 1, "precision": "fp32", "batch_size": 40, "epochs": 1, "train.checkpoint_seconds": 1e6}
CASES = {
    "classifier": {"model": "mlp", "width": 4, "depth": 1, "reg.brightness": 0.1},
    "vae": {"model": "vae", "width": 4, "model.latent_dim": 2, "model.architecture": "dense"},
}


def files(folder):
    """Return the names of all files of a run."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("name", "first"), [("classifier", "before"), ("vae", "after")])
def test_no_moment_is_a_bad_one(name, first, shapes, tmp_path):
    Request.make(str(shapes), {**COMMON, **CASES[name]}).save(tmp_path / "spec.toml")
    home = tmp_path / "runs"
    home.mkdir()
    script = Path(__file__).with_name("kill_at_rename.py")
    done = subprocess.run(
        [sys.executable, str(script), str(home), str(tmp_path / "spec.toml"), first],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    renames = int(done.stdout)
    assert renames > 10
    assert not [path for path in os.listdir(home) if path.startswith(".")]
    whole = home / "whole"
    for run in sorted(home.iterdir()):
        if run != whole:
            assert_same_bits(run, whole)
            assert files(run) == files(whole), run.name
            assert (run / "results.json").read_text() == (whole / "results.json").read_text()
