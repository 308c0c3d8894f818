"""What a run shows of its augmentation: what training really sees, and nothing where it changes nothing."""

import numpy as np
import pytest
import torch

from run_cases import MLP
from seewhy import api, data
from seewhy.core.seeding import derive
from seewhy.data import Augment, Mix
from seewhy.runs.augmented import augmented, illustrated, read_augmented


def train(folder, **options):
    return api.train("digits", out=folder, **{**MLP, "width": 4, "epochs": 0.05, **options})


def test_the_strips_are_what_training_sees(tmp_path):
    run = train(tmp_path / "run", **{"reg.crop_padding": 2, "reg.brightness": 0.4, "reg.flip": "alternating"})
    record = read_augmented(run.folder)
    assert [row.name for row in record.rows] == ["flip", "crop", "brightness", "all together", "all together"]
    assert [row.text for row in record.rows] == ["alternating", "2 pixels", "within 0.4", "epoch 1", "epoch 2"]
    split = data.load_dataset("digits").train
    augment = Augment(flip="alternating", crop_padding=2, brightness=0.4)
    seed = derive(run.spec.train.seed, "data")
    for epoch, row in enumerate(record.rows[-2:]):
        seen = {}
        for batch in data.batches(split, batch_size=64, seed=seed, augment=augment, epoch=epoch, start=0):
            pairs = zip(batch.images, batch.sample_ids, strict=True)
            seen |= {image.numpy().tobytes(): int(number) for image, number in pairs}
        numbers = [seen[np.moveaxis(np.atleast_3d(image), -1, 0).tobytes()] for image in row.images]
        rows = [torch.nonzero(split.sample_ids == number)[0] for number in numbers]
        originals = [split.images(row)[0, 0].numpy() for row in rows]
        assert all(
            np.array_equal(image.squeeze(), expected) for image, expected in zip(record.images, originals, strict=True)
        )


def test_a_mixture_is_a_row_of_its_own():
    split = data.load_dataset("digits").train
    record = augmented(split, Augment(), Mix(alpha=0.4), seed=3)
    assert [row.name for row in record.rows] == ["mixup", "all together", "all together"]
    assert not np.array_equal(record.rows[1].images, record.rows[2].images)


def test_without_augmentation_nothing_is_written(tmp_path):
    run = train(tmp_path / "run", **{"reg.crop_padding": 0, "reg.flip": "none"})
    assert not (run.folder / "augmented").exists()
    assert read_augmented(run.folder) is None


def test_a_lost_strip_is_no_error(tmp_path):
    run = train(tmp_path / "run", **{"reg.crop_padding": 1})
    assert read_augmented(run.folder) is not None
    next((run.folder / "augmented").glob("*.png")).unlink()
    assert read_augmented(run.folder) is None
    assert run.report().is_file()


@pytest.mark.parametrize("name", data.AUGMENTATIONS.names())
def test_every_augmentation_can_be_looked_at(name, shapes):
    record = illustrated(name, str(shapes))
    assert [(row.name, row.text) for row in record.rows] == [(name, f"epoch {epoch}") for epoch in (1, 2, 3, 4)]
    assert any(not np.array_equal(record.images, row.images) for row in record.rows)
    assert not np.array_equal(record.rows[0].images, record.rows[1].images)
