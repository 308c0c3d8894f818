"""Resizing that can be traced, by each rule for other shapes, against Pillow's by way of the decoder."""

import numpy as np
import pytest
import torch

from seewhy import data
from seewhy.data import DecodeRule
from seewhy.models.resize import any_to_channels, resample, to_channels

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40), (50, 3), (8, 8), (16, 16), (17, 31), (31, 17), (64, 48), (333, 100)], ids=str
)
@pytest.mark.parametrize("side", [8, 15])
def test_each_fit_is_pillows(fit, size, side):
    image = torch.from_numpy(RNG.integers(0, 256, (3, *size), dtype=np.uint8))
    expected = data.from_pixels(image, resolution=side, channels=3, rule=DecodeRule(fit=fit))
    found = resample(image[None], (side, side), fit)[0]
    assert found.dtype == torch.uint8
    difference = (found.int() - expected.int()).abs()
    assert difference.max() <= 1
    if size[0] <= size[1]:  # of tall images Pillow from version 13 on resizes the columns first
        assert difference.float().mean() < 1e-3


@pytest.mark.parametrize("theirs", [1, 3])
@pytest.mark.parametrize("ours", [1, 3])
def test_channels_that_are_not_known_become_those_that_are_wanted(theirs, ours):
    images = torch.from_numpy(RNG.integers(0, 256, (2, theirs, 5, 7), dtype=np.uint8))
    assert torch.equal(any_to_channels(images, ours), to_channels(images, ours))
