"""Two processes train like one: the same loss curve at the same global batch, every image once an epoch, one set of files."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from seewhy import api, data
from seewhy.cli.main import run
from seewhy.runs.run import Run
from seewhy.runs.stopping import InterruptedRun
from seewhy.training.events import StepEnded

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
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "seewhy"]


def curve(folder):
    with open(folder / "metrics.csv", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    return [[float(row[name]) for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy")] for row in rows]


def assert_same_curve(one, two, train_images, val_images):
    """To fp32's accuracy: sums are taken in another order, and a few images may change sides."""
    assert len(one) == len(two) > 0
    for a, b in zip(one, two, strict=True):
        assert b[0] == pytest.approx(a[0], rel=2e-4)
        assert b[2] == pytest.approx(a[2], rel=5e-3)
        assert b[1] == pytest.approx(a[1], abs=2.01 / train_images)
        assert b[3] == pytest.approx(a[3], abs=2.01 / val_images)


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """One process, and two under torchrun, with the same specification."""
    folder = tmp_path_factory.mktemp("parallel")
    assert run(["train", *OPTIONS, "--out", str(folder / "one"), "--quiet"]) == 0
    command = [*TORCHRUN, "train", *OPTIONS, "--out", str(folder / "two")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_the_loss_curve_is_that_of_one_process(launched):
    folder, _ = launched
    assert_same_curve(curve(folder / "one"), curve(folder / "two"), 1375, 153)


def test_a_generative_models_losses_are_those_of_one_process(tmp_path):
    options = [
        "digits",
        "--model",
        "pixelcnn",
        "--width",
        "8",
        "--depth",
        "1",
        "--epochs",
        "1",
        "--precision",
        "fp32",
        "--train.threads",
        "1",
    ]
    assert run(["train", *options, "--out", str(tmp_path / "one"), "--quiet"]) == 0
    command = [*TORCHRUN, "train", *options, "--out", str(tmp_path / "two")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    rows = [list(csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())) for name in ("one", "two")]
    for one, two in zip(*rows, strict=True):
        for name in ("train_loss", "val_loss"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-4)
    found = [json.loads((tmp_path / name / "results.json").read_text())["test"] for name in ("one", "two")]
    assert found[1]["nats"] == pytest.approx(found[0]["nats"], rel=1e-4)


def test_one_process_writes_and_prints(launched):
    folder, done = launched
    assert {path.name for path in (folder / "one").iterdir()} == {path.name for path in (folder / "two").iterdir()}
    assert json.loads((folder / "two" / "environment.json").read_text())["processes"] == 2
    assert done.stdout.count("test accuracy") == 1
    assert done.stdout.count("report") >= 1
    assert done.stderr.count("epoch   1/2") == 1
    # torchrun's own log lines begin with a letter and the date, such as "W0131"
    noise = [line for line in done.stderr.splitlines() if "Warning" in line or "Traceback" in line]
    assert not noise


@pytest.mark.parametrize("batch_size", [101, 7, 1375])
def test_each_image_is_seen_once_an_epoch(batch_size):
    split = data.load_dataset("digits").train
    ranks = [
        list(data.batches(split, batch_size=batch_size, seed=0, epoch=3, augment=None, shard=(rank, 2)))
        for rank in range(2)
    ]
    seen = torch.cat([batch.sample_ids for batches in ranks for batch in batches])
    assert torch.equal(seen.sort().values, split.sample_ids.sort().values)
    (whole,) = [list(data.batches(split, batch_size=batch_size, seed=0, epoch=3, augment=None))]
    for first, second, together in zip(*ranks, whole, strict=True):
        assert abs(len(first.sample_ids) - len(second.sample_ids)) <= 1
        assert first.global_size == second.global_size == len(together.sample_ids)
        assert torch.equal(
            torch.cat([first.sample_ids, second.sample_ids]).sort().values, together.sample_ids.sort().values
        )


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, shapes):
    """The scenarios of parallel_server.py; `half` is a run that one process began."""
    folder = tmp_path_factory.mktemp("pairs")
    options = {"epochs": 2.0, "batch_size": 17, "width": 4, "precision": "fp32", "train.threads": 1}
    api.train(shapes, out=folder / "whole", **options)

    def stop(event):
        if isinstance(event, StepEnded) and event.step == 3:
            import signal

            signal.raise_signal(signal.SIGINT)

    with pytest.raises(InterruptedRun):
        api.train(shapes, out=folder / "half", observers=[stop], **options)
    script = Path(__file__).with_name("parallel_server.py")
    done = subprocess.run(
        [sys.executable, script, folder, shapes], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def said(folder, scenario):
    return [(folder / f"{scenario}-{rank}.txt").read_text() for rank in range(2)]


def test_two_processes_go_on_where_one_stopped(pairs):
    folder, codes = pairs
    assert codes["resume"] == [0, 0], said(folder, "resume")
    assert_same_curve(curve(folder / "whole"), curve(folder / "half"), 84, 18)
    assert json.loads((folder / "half" / "results.json").read_text())["test"]["n"] > 0
    first, second = said(folder, "resume")
    assert "going on at step 3" in first
    assert second == ""


def test_a_batch_smaller_than_the_processes_is_refused(pairs):
    folder, codes = pairs
    assert codes["small_batch"] == [2, 2]
    message = "train.batch_size: must be at least the number of processes (2), got 1\n"
    first, second = said(folder, "small_batch")
    assert first.endswith(f"seewhy train: {message}")
    assert second.endswith(f"seewhy train (process 1): {message}")
    assert not (folder / "small").exists()


def test_processes_agree_on_the_folder_that_the_first_chose(pairs):
    folder, codes = pairs
    assert codes["own_name"] == [0, 0], said(folder, "own_name")
    assert [path.name for path in (folder / "runs").iterdir()] == ["named-by-0"]


def test_processes_leave_their_group_before_they_end(pairs):
    """Threads of a group that outlive its owner abort the process, now and then on a busy machine."""
    folder, _ = pairs
    assert all(text.endswith("in a group: False\n") for text in said(folder, "own_name"))


def test_a_stop_asked_of_one_process_stops_all_with_a_checkpoint(pairs):
    folder, codes = pairs
    assert codes["interrupted"] == [130, 130], said(folder, "interrupted")
    assert Run(folder / "interrupted").checkpoints.load("last").step == 3


def test_a_lost_process_does_not_leave_the_other_waiting(pairs):
    folder, codes = pairs
    assert codes["dies"][1] == 9
    assert codes["dies"][0] not in (0, -9), said(folder, "dies")
