"""Intensity levels: from uint8 images to values, and back."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.intensity import IntensityLevels


def test_stochastic_values_have_the_intensity_as_mean():
    n = 40000
    images = torch.tensor([0, 1, 64, 128, 254, 255], dtype=torch.uint8).expand(n, 6)
    values = IntensityLevels(2).values(images, torch.Generator().manual_seed(0))
    assert values.dtype == torch.int64
    assert values.shape == images.shape
    wanted = images[0].double() / 255
    error = (wanted * (1 - wanted) / n).sqrt()
    assert ((values.double().mean(0) - wanted).abs() <= 4 * error).all()
    assert values[:, 0].sum() == 0
    assert values[:, 5].sum() == n


def test_stochastic_values_are_resampled_independently():
    images = torch.full((2000, 1, 3, 3), 128, dtype=torch.uint8)
    rng = torch.Generator().manual_seed(0)
    first, second = IntensityLevels(2).values(images, rng), IntensityLevels(2).values(images, rng)
    assert 0.4 < (first != second).double().mean() < 0.6
    assert torch.equal(first, IntensityLevels(2).values(images, torch.Generator().manual_seed(0)))
    correlation = torch.corrcoef(first.flatten(1).double().T) - torch.eye(9)
    assert correlation.abs().max() < 0.1


def test_stochastic_values_come_from_torchs_global_source_without_rng():
    images = torch.full((50,), 100, dtype=torch.uint8)
    torch.manual_seed(5)
    values = IntensityLevels(2).values(images)
    torch.manual_seed(5)
    assert torch.equal(values, IntensityLevels(2).values(images))


def test_threshold_is_at_128():
    images = torch.tensor([0, 127, 128, 255], dtype=torch.uint8)
    assert IntensityLevels(2, "threshold").values(images).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("count", [3, 4, 5, 16, 100, 256])
def test_levels_are_of_equal_width_and_images_lead_back_to_them(count):
    images = torch.arange(256, dtype=torch.uint8)
    values = IntensityLevels(count).values(images)
    assert values.tolist() == [pixel * count // 256 for pixel in range(256)]
    back_to_images = IntensityLevels(count).images(torch.arange(count))
    assert back_to_images.dtype == torch.uint8
    assert (back_to_images[0], back_to_images[-1]) == (0, 255)
    back = IntensityLevels(count).values(back_to_images)
    assert (back - torch.arange(count)).abs().max() <= (256 % count > 0 and count > 16)


def test_two_levels_are_0_and_255():
    assert IntensityLevels(2).images(torch.tensor([0, 1])).tolist() == [0, 255]
    assert IntensityLevels(2).images(torch.tensor([0.5])).tolist() == [128]


def test_all_levels_are_the_images_themselves():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(IntensityLevels(256).images(IntensityLevels(256).values(images)), images)


def test_bad_choices_are_named():
    with pytest.raises(InputError, match="count: must be from 2 to 256, got 1"):
        IntensityLevels(1)
    with pytest.raises(InputError, match="count: must be from 2 to 256, got 257"):
        IntensityLevels(257)
    with pytest.raises(InputError, match="did you mean 'threshold'"):
        IntensityLevels(2, "treshold")
