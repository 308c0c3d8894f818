"""Sheets and frames: which images they show, and where they are written."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from PIL import Image

from seewhy.core.seeding import rng
from seewhy.data.image_files import save_image, to_pixels
from seewhy.models.generative import (
    common_sheets,
    evenly_spaced,
    frame_epochs,
    held_out,
    observe,
    write_images,
    write_sheets,
)
from seewhy.reporting import image_grid


def test_a_class_has_a_column(make_trained, digits):
    samples, nearest = common_sheets(make_trained("gan", conditional=True), digits.train)
    assert (samples.columns, len(samples.images)) == (10, 60)
    assert samples.caption == "Generated images, one class per column."
    assert nearest.columns == 12
    few = replace(make_trained("gan", conditional=True), classes=("0", "1", "2"))
    samples, _ = common_sheets(few, digits.train)
    assert (samples.columns, len(samples.images)) == (6, 60)
    assert samples.caption == "Generated images, the classes in turn along each row."
    samples, _ = common_sheets(make_trained("gan"), digits.train)
    assert (samples.columns, len(samples.images), samples.caption) == (8, 64, "Generated images.")


def test_the_nearest_training_image_of_a_copy_is_the_original(make_trained, digits):
    class Copies(torch.nn.Module):
        def sample(self, n, labels=None, *, rng):
            return digits.train.images(torch.arange(n))

    copying = replace(make_trained("gan"), model=Copies())
    _, nearest = common_sheets(copying, digits.train)
    above, below = nearest.images.chunk(2)
    assert torch.equal(above, below)


def test_sheets_are_written_and_named(make_trained, digits, tmp_path):
    entries = write_sheets(common_sheets(make_trained("gan"), digits.train), tmp_path)
    assert [entry["file"] for entry in entries] == ["generated/samples.png", "generated/nearest-training-images.png"]
    assert [entry["name"] for entry in entries] == ["samples", "nearest training images"]
    with Image.open(tmp_path / entries[0]["file"]) as sheet:
        assert sheet.size == (71, 71)


def test_images_come_back_from_their_files(tmp_path):
    for channels in (1, 3):
        images = torch.randint(0, 256, (2, channels, 4, 5), dtype=torch.uint8)
        pixels = to_pixels(images)
        assert pixels.shape == (2, 4, 5, channels)
        save_image(pixels[1], tmp_path / "image.png")
        with Image.open(tmp_path / "image.png") as image:
            assert np.array_equal(np.atleast_3d(np.asarray(image)), pixels[1])
    assert [path.name for path in tmp_path.iterdir()] == ["image.png"]


def test_frames_lie_ever_further_apart():
    assert frame_epochs(5) == (1, 2, 3, 4, 5)
    epochs = frame_epochs(300)
    assert (epochs[0], epochs[-1]) == (1, 300)
    steps = [after - before for before, after in pairwise(epochs)]
    assert steps == sorted(steps)


def test_the_same_noise_is_shown_after_selected_epochs(make_trained, tmp_path):
    trained = make_trained("gan", conditional=True)
    after_epoch = observe(trained, tmp_path, 300)
    trained.model.train()
    for epoch in (1, 2, 250, 300):
        after_epoch(epoch)
    assert trained.model.training
    names = ["epoch-0001.png", "epoch-0002.png", "epoch-0300.png"]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == names
    trained.model.eval()
    images = trained.model.sample(36, torch.arange(36) % 10, rng=rng(0, "frames"))
    for name in names:
        with Image.open(tmp_path / "frames" / name) as frame:
            assert np.array_equal(np.asarray(frame), image_grid(to_pixels(images))[..., 0])


def test_rows_are_spread_evenly(digits):
    assert evenly_spaced(10, 3).tolist() == [0, 4, 9]
    assert evenly_spaced(2, 5).tolist() == [0, 1]
    assert held_out(digits) is digits.test


def test_images_are_written_as_a_sheet_or_one_by_one(tmp_path):
    images = torch.randint(0, 256, (10, 3, 4, 5), dtype=torch.uint8)
    write_images(images, tmp_path / "new" / "sheet.png", columns=100)
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.size == (10 * 6 - 1, 4)
    write_images(images, tmp_path / "single")
    assert sorted(path.name for path in (tmp_path / "single").iterdir()) == [f"{k:02d}.png" for k in range(1, 11)]
    with Image.open(tmp_path / "single" / "03.png") as image:
        assert np.array_equal(np.asarray(image), to_pixels(images)[2])
