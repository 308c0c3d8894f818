"""Checking images and labels: the pages that are drawn, and wrong labels found by runs that had not seen the image."""

import csv

import numpy as np
import pytest
from PIL import Image, ImageOps
from sklearn.datasets import load_digits

from run_cases import MLP
from seewhy import api
from seewhy.cli.main import run
from seewhy.core.errors import InputError, RunError
from seewhy.runs.stopping import ask_to_stop


@pytest.fixture(scope="module")
def mislabelled(tmp_path_factory):
    """300 digits in one folder and a table, of which 12 labels are wrong; returns the folder and the wrong images."""
    root, digits = tmp_path_factory.mktemp("mislabelled") / "images", load_digits()
    root.mkdir()
    wrong = {f"{i:03}.png" for i in range(0, 300, 25)}
    with open(root.parent / "labels.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "digit"])
        for i in range(300):
            name = f"{i:03}.png"
            Image.fromarray((digits.images[i] * 15).astype(np.uint8)).save(root / name)
            writer.writerow([name, (digits.target[i] + (name in wrong)) % 10])
    return root, wrong


def size_of(path):
    with Image.open(path) as image:
        return image.size


def test_wrong_labels_are_found_out_of_fold(mislabelled, tmp_path):
    (root, wrong), options = mislabelled, {**MLP, "epochs": 12.0, "labels": str(mislabelled[0].parent / "labels.csv")}
    audit = api.check(root, labels_folds=2, out=tmp_path / "runs", show=tmp_path / "page.png", **options)
    (issue,) = audit.of("suspicious_labels")
    found = set(issue.paths)
    assert len(found & wrong) >= 10
    assert len(found - wrong) <= 12
    assert issue.paths[0] in wrong
    with open(tmp_path / "runs" / "labels.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == list(issue.paths)
    assert all(row["label"] != row["suggested"] for row in rows)
    assert size_of(tmp_path / "page.png")[0] > 500
    held = []
    for fold in "12":
        with np.load(tmp_path / "runs" / fold / "predictions" / "val.npz") as arrays:
            held += arrays["names"].tolist()
    assert sorted(held) == [f"{i:03}.png" for i in range(300)]
    again = api.check(root, labels_folds=2, out=tmp_path / "runs", **options)  # nothing is trained anew
    assert again.of("suspicious_labels")[0].paths == issue.paths
    with pytest.raises(InputError, match="asks for something else than would be asked now"):
        api.check(root, labels_folds=2, out=tmp_path / "runs", **{**options, "epochs": 13.0})


def test_a_check_is_stopped_by_a_file_and_says_that_it_goes_on(mislabelled, tmp_path, monkeypatch):
    def launch(jobs, *, at_once, stop):
        assert not stop()
        ask_to_stop(tmp_path / "runs")
        assert stop()

    monkeypatch.setattr("seewhy.runs.checking.launch", launch)
    monkeypatch.setattr("seewhy.runs.stopping.LOOK_SECONDS", 0.0)
    (tmp_path / "runs").mkdir()
    ask_to_stop(tmp_path / "runs")  # of a check before, which is not answered
    labels = str(mislabelled[0].parent / "labels.csv")
    with pytest.raises(RunError, match="stopped; the same call goes on with the runs in"):
        api.check(mislabelled[0], labels_folds=2, out=tmp_path / "runs", labels=labels)


def test_pairs_are_drawn_where_there_are_any(shapes, tmp_path, capsys):
    page = tmp_path / "pairs.png"
    assert run(["check", str(shapes), "--show", str(page)]) == 0
    assert "pairs.png is not written, for there is nothing to show" in capsys.readouterr().err
    for name in ("cross", "square"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            noise = np.random.default_rng([i, len(name)]).integers(0, 255, (6, 6, 3), dtype=np.uint8)
            image = Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC)
            image.save(tmp_path / "data" / name / f"{i}.png")
    ImageOps.mirror(image).save(tmp_path / "data" / "cross" / "copy.png")
    assert run(["check", str(tmp_path / "data"), "--show", str(page)]) == 1
    assert "square/3.png (mirrored)" in capsys.readouterr().out
    assert size_of(page)[1] > 128


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"show": "page.jpg"}, r"show: must be the name of a PNG file, got '.*page.jpg'"),
        ({"show": "none/page.png"}, r"show: there is no folder .*none"),
        ({"epochs": 3.0}, r"train.epochs: is for the runs that look for wrong labels"),
        ({"out": "runs"}, r"out: is for the runs that look for wrong labels"),
        ({"labels_folds": 1}, r"folds: must be at least 2 and at most 20, got 1"),
        ({"labels_folds": 2, "folds": 3}, r"data.folds: the images are divided to look for wrong labels"),
        ({"labels": "none.csv"}, r"data.labels: goes with a folder of images, but digits is none"),
        ({"resolution": 1}, r"data.resolution: must be a number at least 4 and at most 1024, got 1"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_work(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        api.check("digits", **options)
    assert not list(tmp_path.iterdir())
