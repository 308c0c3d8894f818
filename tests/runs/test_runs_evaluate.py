"""Evaluation: on the run's own unseen images, or on another source whose classes the run knows."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from run_cases import MLP
from seewhy.core.errors import InputError
from seewhy.runs.evaluate import relabelled


def test_its_own_source_means_its_own_test_split(shapes_run, shapes, monkeypatch):
    figures = shapes_run.evaluate()
    assert figures.n == shapes_run.results["test"]["n"] < 120
    monkeypatch.chdir(shapes.parent)
    for source in (shapes, str(shapes), shapes.name):  # however it is written
        again = shapes_run.evaluate(source)
        assert (again.n, again.confusion, again.accuracy) == (figures.n, figures.confusion, figures.accuracy)


def test_another_source_is_evaluated_whole_and_its_classes_by_name(shapes_run, shapes, tmp_path):
    for name in ("stripes", "cross"):
        (tmp_path / "new" / name).mkdir(parents=True)
        for path in sorted((shapes / name).iterdir())[:5]:
            with Image.open(path) as image:  # other sizes are resized
                image.resize((40, 30)).save(tmp_path / "new" / name / path.name)
    before = (shapes_run.folder / "predictions" / "test.npz").read_bytes()
    told = []
    figures = shapes_run.evaluate(tmp_path / "new", lambda done, total: told.append((done, total)))
    assert figures.n == 10
    assert figures.classes == shapes_run.classes
    assert [sum(row) for row in figures.confusion] == [5, 0, 5]  # cross, square, stripes
    assert told[-1] == (10, 10)
    assert (shapes_run.folder / "predictions" / "test.npz").read_bytes() == before  # those are of its own images


def test_unknown_classes_are_refused(shapes_run, shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / "new")
    (tmp_path / "new" / "cross").rename(tmp_path / "new" / "crucifix")
    with pytest.raises(
        InputError, match="has classes that the run does not know: crucifix; it knows cross, square, stripes"
    ):
        shapes_run.evaluate(tmp_path / "new")


def test_labels_are_translated_by_name():
    labels = torch.tensor([0, 1, 2, 1])
    assert relabelled(labels, ("c", "a", "b"), ("a", "b", "c", "d"), "x").tolist() == [2, 0, 1, 0]


def test_figures_in_words(digits_run):
    lines = digits_run.measure().lines
    assert lines[0].startswith("test: 269 images, 10 classes")
    assert any(line.startswith("calibration error") for line in lines)
    assert any(line.split()[:2] == ["7", str(digits_run.evaluate().per_class[7]["n"])] for line in lines)


def test_samples_are_for_models_with_a_bound(shapes_run):
    with pytest.raises(
        InputError, match=r"samples: bound the likelihood of a vae, but .* is a convnet; leave them out"
    ):
        shapes_run.evaluate(samples=3)


def test_without_a_test_split_the_validation_images_are_evaluated(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(60) % 2)
    options = {**MLP, "width": 4, "epochs": 1.0, "data.val_fraction": 0.2}
    run = seewhy.train(tmp_path / "data.npz", out=tmp_path / "run", **options, **{"data.test_fraction": 0.0})
    assert list(run.results) == ["val"]
    with pytest.warns(UserWarning, match="by which the best epoch and the temperature were chosen"):
        assert run.evaluate().split == "val"
    assert "Validation accuracy" in (run.folder / "report.html").read_text(encoding="utf-8")
    none = seewhy.train(
        tmp_path / "data.npz",
        out=tmp_path / "none",
        **{**options, "data.val_fraction": 0.0},
        **{"data.test_fraction": 0.0},
    )
    assert none.results == {}
    with pytest.raises(InputError, match="has no test or validation images to evaluate on; name another source"):
        none.evaluate()
    assert none.report().is_file()
