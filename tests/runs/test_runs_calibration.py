"""Probabilities are calibrated on the validation images, and the same wherever a run gives them."""

import json

import numpy as np
import pytest
import torch

import seewhy
from seewhy import data
from seewhy.metrics import apply_temperature, classification_metrics, fit_temperature


def images_of(split):
    return split.images(torch.arange(len(split)))


@pytest.fixture(params=["digits_run", "shapes_run"])
def run(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def dataset(run):
    return data.load_dataset(run.spec.source)


def test_the_temperature_is_that_of_the_uncalibrated_validation_probabilities(run, dataset):
    raw = run.predictor.uncalibrated(images_of(dataset.val))
    assert run.record["temperature"] == pytest.approx(fit_temperature(raw, dataset.val.labels), rel=1e-4)
    assert run.record["temperature"] != 1
    assert float(run.predictor.temperature) == run.record["temperature"]
    assert json.loads((run.folder / "record.json").read_text())["temperature"] == run.record["temperature"]


@pytest.mark.parametrize("name", ["val", "test"])
def test_what_is_kept_is_what_the_run_predicts(name, run, dataset):
    split = dataset.splits[name]
    images = images_of(split)
    with np.load(run.folder / "predictions" / f"{name}.npz") as kept:
        probabilities, labels, names = kept["probabilities"], kept["labels"], kept["names"]
    assert names.tolist() == list(split.names)
    assert labels.tolist() == split.labels.tolist()
    np.testing.assert_allclose(probabilities, run.probabilities(images).numpy(), atol=1e-6)
    np.testing.assert_allclose(probabilities, run.predictor(images).numpy(), atol=1e-6)
    raw = run.predictor.uncalibrated(images)
    np.testing.assert_allclose(probabilities, apply_temperature(raw, run.record["temperature"]).numpy(), atol=1e-6)
    predictions = run.predict(list(images[:5].permute(0, 2, 3, 1).numpy().squeeze()))
    assert [prediction.label for prediction in predictions] == [run.classes[i] for i in probabilities[:5].argmax(1)]
    assert [prediction.confidence for prediction in predictions] == pytest.approx(probabilities[:5].max(1), abs=1e-6)
    figures = classification_metrics(name, run.classes, torch.from_numpy(probabilities), split.labels)
    assert run.results[name]["accuracy"] == figures.accuracy
    assert run.results[name]["ece"] == pytest.approx(figures.ece, abs=1e-9)


def test_evaluation_gives_the_results_again_and_keeps_the_same_file(run):
    path = run.folder / "predictions" / "test.npz"
    with np.load(path) as kept:
        before = kept["probabilities"]
    path.unlink()
    figures = run.evaluate()
    assert figures.accuracy == run.results["test"]["accuracy"]
    assert figures.log_loss == pytest.approx(run.results["test"]["log_loss"], rel=1e-5)
    with np.load(path) as kept:
        np.testing.assert_allclose(kept["probabilities"], before, atol=1e-6)


def test_the_default_run_on_the_digits_is_better_calibrated_for_it(digits_run):
    for split in ("val", "test"):
        before, after = digits_run.record["uncalibrated"][split], digits_run.results[split]
        assert after["ece"] < 0.5 * before["ece"]
        assert after["log_loss"] < before["log_loss"]
        assert sum(row["n"] for row in before["calibration"]) == after["n"]
    page = (digits_run.folder / "report.html").read_text(encoding="utf-8")
    assert f"{digits_run.record['temperature']:.2f}" in page


def test_before_the_end_nothing_is_calibrated(digits_run, tmp_path):
    import shutil

    shutil.copytree(digits_run.folder, tmp_path / "run")
    for name in ("results.json", "record.json"):
        (tmp_path / "run" / name).unlink()
    run = seewhy.Run(tmp_path / "run")
    assert run.results == run.record == {}
    assert float(run.predictor.temperature) == 1
    assert "has not ended" in run.report().read_text(encoding="utf-8")


def test_without_validation_images_the_temperature_is_one(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(30) % 2)
    options = {"model": "mlp", "width": 4, "depth": 1, "epochs": 1.0, "precision": "fp32", "data.val_fraction": 0.0}
    run = seewhy.train(tmp_path / "data.npz", out=tmp_path / "run", **options)
    assert run.record["temperature"] == 1
    assert list(run.results) == ["test"]
    assert run.metrics[-1].keys() >= {"train_loss"}
    assert "val_loss" not in run.metrics[-1]
