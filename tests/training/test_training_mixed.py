"""Runs with mixed images, erased regions and resized crops train, and go on bit for bit."""

import numpy as np
import pytest

import seewhy


@pytest.mark.parametrize(
    "options",
    [
        {"reg.mixup": 0.4, "reg.cutout": 4},
        {"reg.cutmix": 1.0, "reg.resized_crop": 0.3},
        {"reg.erasing": 0.5, "train.bootstrap": True},
    ],
    ids=["mixup", "cutmix", "erasing"],
)
def test_runs_train_and_repeat(options, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images, labels=np.arange(60) % 2)
    base = {"model": "convnet", "width": 4, "depth": 1, "epochs": 2, "precision": "fp32"}
    one, two = (seewhy.train(tmp_path / "data.npz", out=tmp_path / name, **base, **options) for name in ("one", "two"))
    assert one.metrics[-1]["train_loss"] == two.metrics[-1]["train_loss"]
    plain = seewhy.train(tmp_path / "data.npz", out=tmp_path / "plain", **base)
    assert plain.metrics[-1]["train_loss"] != one.metrics[-1]["train_loss"]
