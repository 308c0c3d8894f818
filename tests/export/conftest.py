"""Tiny runs, trained once, and what was exported of them."""

from functools import cache

import pytest

from seewhy import api

RUNS = {
    "mlp": {"model": "mlp", "width": 16, "depth": 1},
    "convnet": {"model": "convnet", "width": 4, "depth": 1},
    "resnet": {"model": "resnet", "width": 4, "depth": 1},
    "ensemble": {"model": "mlp", "width": 16, "depth": 1, "train.snapshots": 2, "epochs": 2.0},
    "timm_vit": {"model": "timm", "model.backbone": "test_vit", "model.weights": "none", "model.input_size": 32},
    "vae": {"model": "vae", "width": 16, "depth": 1, "model.conditional": True},
    "gan": {"model": "gan", "width": 16, "depth": 1},
    "pixelcnn": {"model": "pixelcnn", "width": 4, "depth": 1},
}


@pytest.fixture(scope="session", autouse=True)
def _extra():
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the extra seewhy[export] is not installed")


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Return a run by name, trained for an epoch on the digits."""

    @cache
    def make(name):
        folder = tmp_path_factory.mktemp("runs") / name
        options = {"epochs": 1.0, "precision": "fp32", "train.threads": 1, **RUNS[name]}
        return api.train("digits", out=folder, watch=False, **options)

    return make


@pytest.fixture(scope="session")
def exported(make_run, tmp_path_factory):
    """Return what the export of a run by name and format has written."""

    @cache
    def export(name, form, precision):
        place = tmp_path_factory.mktemp("exports") / ("model.onnx" if form == "onnx" else "model.pt2")
        return make_run(name).export(form, place, precision=precision)

    return lambda name, form="onnx", precision="fp32": export(name, form, precision)
