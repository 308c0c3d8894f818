"""What a run shows of its augmentation: what training really sees, and nothing where it changes nothing."""

import numpy as np
import pytest
import torch

from seewhy import data as seewhy_data
from seewhy.core.seeding import derive
from seewhy.data import Augment, Mix
from seewhy.training.results.augmented import augmented, illustrated, read_augmented
from seewhy.training.results.folder import RunFolder
from seewhy.training.spec import RunSpec
from seewhy.training.train import start


def spec(**changes):
    return RunSpec(source="digits").with_changes({"train.epochs": 0.05, "model.width": 4, **changes})


def test_the_strips_are_what_training_sees(tmp_path):
    run = start(spec(**{"reg.crop_padding": 2, "reg.brightness": 0.4, "reg.flip": "alternating"}), tmp_path / "run")
    record = read_augmented(RunFolder(tmp_path / "run"))
    assert [row.name for row in record.rows] == ["flip", "crop", "brightness", "all together", "all together"]
    assert [row.text for row in record.rows] == ["alternating", "2 pixels", "within 0.4", "epoch 1", "epoch 2"]
    part = seewhy_data.prepare("digits").train
    augment = Augment(flip="alternating", crop_padding=2, brightness=0.4)
    seed = derive(run.spec.train.seed, "data")
    for epoch, row in enumerate(record.rows[-2:]):
        seen = {}
        for batch in seewhy_data.batches(part, batch_size=64, seed=seed, augment=augment, epoch=epoch, start=0):
            seen |= {image.numpy().tobytes(): int(key) for image, key in zip(batch.images, batch.keys, strict=True)}
        keys = [seen[np.moveaxis(np.atleast_3d(image), -1, 0).tobytes()] for image in row.images]
        originals = [part.images(torch.nonzero(part.keys == key)[0])[0, 0].numpy() for key in keys]
        assert all(
            np.array_equal(image.squeeze(), expected) for image, expected in zip(record.images, originals, strict=True)
        )


def test_a_mixture_is_a_row_of_its_own():
    part = seewhy_data.prepare("digits").train
    record = augmented(part, Augment(), Mix(alpha=0.4), seed=3)
    assert [row.name for row in record.rows] == ["mixup", "all together", "all together"]
    assert not np.array_equal(record.rows[1].images, record.rows[2].images)


def test_without_augmentation_nothing_is_written(tmp_path):
    start(spec(**{"reg.crop_padding": 0, "reg.flip": "none"}), tmp_path / "run")
    assert not (tmp_path / "run" / "augmented").exists()
    assert read_augmented(RunFolder(tmp_path / "run")) is None


def test_a_lost_strip_is_no_error(tmp_path):
    start(spec(**{"reg.crop_padding": 1}), tmp_path / "run")
    assert read_augmented(RunFolder(tmp_path / "run")) is not None
    next((tmp_path / "run" / "augmented").glob("*.png")).unlink()
    assert read_augmented(RunFolder(tmp_path / "run")) is None


@pytest.mark.parametrize("name", seewhy_data.AUGMENTATIONS.names())
def test_every_augmentation_can_be_looked_at(name, shapes):
    record = illustrated(name, str(shapes))
    assert [(row.name, row.text) for row in record.rows] == [(name, f"epoch {epoch}") for epoch in (1, 2, 3, 4)]
    assert any(not np.array_equal(record.images, row.images) for row in record.rows)
    assert not np.array_equal(record.rows[0].images, record.rows[1].images)
