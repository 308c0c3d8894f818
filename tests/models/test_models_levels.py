"""Levels of brightness: from uint8 pictures to values, and back."""

import pytest
import torch

from seewhy.core.errors import InputError
from seewhy.models.levels import Levels


def test_stochastic_values_have_the_brightness_as_mean():
    n = 40000
    images = torch.tensor([0, 1, 64, 128, 254, 255], dtype=torch.uint8).expand(n, 6)
    drawn = Levels(2).values(images, torch.Generator().manual_seed(0))
    assert drawn.dtype == torch.int64
    assert drawn.shape == images.shape
    wanted = images[0].double() / 255
    error = (wanted * (1 - wanted) / n).sqrt()
    assert ((drawn.double().mean(0) - wanted).abs() <= 4 * error).all()
    assert drawn[:, 0].sum() == 0
    assert drawn[:, 5].sum() == n


def test_stochastic_values_are_drawn_anew_and_independently():
    images = torch.full((2000, 1, 3, 3), 128, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    first, second = Levels(2).values(images, generator), Levels(2).values(images, generator)
    assert 0.4 < (first != second).double().mean() < 0.6
    assert torch.equal(first, Levels(2).values(images, torch.Generator().manual_seed(0)))
    correlation = torch.corrcoef(first.flatten(1).double().T) - torch.eye(9)
    assert correlation.abs().max() < 0.1


def test_stochastic_values_come_from_torchs_own_generator_without_one():
    images = torch.full((50,), 100, dtype=torch.uint8)
    torch.manual_seed(5)
    drawn = Levels(2).values(images)
    torch.manual_seed(5)
    assert torch.equal(drawn, Levels(2).values(images))


def test_threshold_is_at_128():
    images = torch.tensor([0, 127, 128, 255], dtype=torch.uint8)
    assert Levels(2, "threshold").values(images).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("count", [3, 4, 5, 16, 100, 256])
def test_levels_are_of_equal_width_and_pictures_lead_back_to_them(count):
    images = torch.arange(256, dtype=torch.uint8)
    values = Levels(count).values(images)
    assert values.tolist() == [pixel * count // 256 for pixel in range(256)]
    pictures = Levels(count).pictures(torch.arange(count))
    assert pictures.dtype == torch.uint8
    assert (pictures[0], pictures[-1]) == (0, 255)
    back = Levels(count).values(pictures)
    assert (back - torch.arange(count)).abs().max() <= (256 % count > 0 and count > 16)


def test_two_levels_are_black_and_white():
    assert Levels(2).pictures(torch.tensor([0, 1])).tolist() == [0, 255]
    assert Levels(2).pictures(torch.tensor([0.5])).tolist() == [128]


def test_all_levels_are_the_pictures_themselves():
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(Levels(256).pictures(Levels(256).values(images)), images)


def test_bad_choices_are_named():
    with pytest.raises(InputError, match="levels: must be from 2 to 256, got 1"):
        Levels(1)
    with pytest.raises(InputError, match="levels: must be from 2 to 256, got 257"):
        Levels(257)
    with pytest.raises(InputError, match="did you mean 'threshold'"):
        Levels(2, "treshold")
