"""Two processes train like one: the same loss curve at the same global batch, every image once an epoch, one set of files."""

import csv
import json
import subprocess
import sys

import pytest
import torch

from seewhy import data

OPTIONS = [
    "digits",
    "--epochs",
    "2",
    "--precision",
    "fp32",
    "--batch-size",
    "101",
    "--train.threads",
    "1",
    "--width",
    "8",
]


def curve(folder):
    with open(folder / "metrics.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return [[float(row[name]) for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")] for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process and two processes, the same specification."""
    folder = tmp_path_factory.mktemp("parallel")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = {}
    for name, launcher in (("one", []), ("two", torchrun)):
        command = [sys.executable, *launcher, "-m", "seewhy", "train", *OPTIONS, "--out", str(folder / name)]
        said[name] = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    return folder, said


def test_the_loss_curve_is_that_of_one_process(runs):
    folder, _ = runs
    one, two = curve(folder / "one"), curve(folder / "two")
    assert len(one) == 2
    for a, b in zip(one, two, strict=True):
        assert b[0] == pytest.approx(a[0], rel=2e-4)
        assert b[2] == pytest.approx(a[2], rel=5e-3)
        assert b[1] == pytest.approx(a[1], abs=2 / 1375)
        assert b[3] == pytest.approx(a[3], abs=2 / 153)


def test_one_process_writes_and_prints(runs):
    folder, said = runs
    assert {path.name for path in (folder / "one").iterdir()} == {path.name for path in (folder / "two").iterdir()}
    assert json.loads((folder / "two" / "environment.json").read_text())["processes"] == 2
    assert said["two"].stdout.count("test accuracy") == 1
    assert said["two"].stderr.count("epoch   1/2") == 1
    assert "Warning" not in said["two"].stderr.replace("W1", "")


def test_each_image_is_seen_once_an_epoch():
    part = data.prepare("digits").train
    seen = [
        batch.keys
        for rank in range(2)
        for batch in data.batches(part, batch_size=101, seed=0, epoch=3, augment=None, rank=rank, world=2)
    ]
    assert torch.equal(torch.cat(seen).sort().values, part.keys.sort().values)


def test_a_batch_smaller_than_the_processes_is_refused(tmp_path):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "seewhy",
        "train",
    ]
    command += ["digits", "--batch-size", "1", "--precision", "fp32", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode != 0
    assert "train.batch_size: must be at least the number of processes (2), got 1" in done.stderr
