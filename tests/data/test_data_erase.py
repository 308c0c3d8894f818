"""Cutout and random erasing: where the erased regions lie, what they show, and how their sizes are spread."""

import math

import pytest
import torch
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.core.seeding import uniform
from seewhy.data.augmentation.boxes import sample_boxes
from seewhy.data.augmentation.erase import Cutout, RandomErasing, noise


def blank(count, height, width, channels=3, value=0):
    images = torch.full((count, channels, height, width), value, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last), torch.arange(count) * 11 + 2


def spans(hit):
    """First position and length of the True run of each row, (N, side) -> two (N,); asserts that there is one run."""
    length = hit.sum(dim=1)
    first = hit.int().argmax(dim=1)
    positions = torch.arange(hit.shape[1])
    assert torch.equal(hit, (positions >= first[:, None]) & (positions < (first + length)[:, None]))
    return first, length


@pytest.mark.parametrize("side", [1, 4, 5, 40])
def test_a_cutout_is_a_square_around_a_pixel_and_may_reach_beyond_the_image(side):
    height, width = 12, 17
    images, sample_ids = blank(200, height, width)
    erased = Cutout(size=side, fill=(1.0,))(images, sample_ids, seed=3, epoch=2)
    assert erased.is_contiguous(memory_format=torch.channels_last)
    for i, sample_id in enumerate(sample_ids.tolist()):
        only = torch.tensor([sample_id])
        y = int(uniform(only, 3, "cutout row", 2).item() * height) - side // 2
        x = int(uniform(only, 3, "cutout column", 2).item() * width) - side // 2
        expected = torch.zeros(3, height, width, dtype=torch.uint8)
        expected[:, max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)] = 255
        assert torch.equal(erased[i], expected)
    assert torch.all(images == 0)


def test_every_pixel_is_equally_often_a_cutouts_centre():
    images, sample_ids = blank(6000, 4, 5, channels=1)
    erased = Cutout(size=1, fill=(1.0,))(images, sample_ids, seed=0, epoch=0)
    counts = (erased == 255).sum(dim=(0, 1)).flatten()
    assert counts.sum() == 6000
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_erased_rectangles_have_the_asked_areas_ratios_and_share():
    height, width = 100, 80
    images, sample_ids = blank(1500, height, width, channels=1)
    erasing = RandomErasing(probability=0.3, area=(0.1, 0.2), ratio=(0.5, 2.0), fill=(1.0,))
    region = erasing(images, sample_ids, seed=1, epoch=0)[:, 0] == 255
    hit = region.flatten(1).any(1)
    assert abs(hit.float().mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 1500)
    region = region[hit]
    (top, rows), (left, columns) = spans(region.any(2)), spans(region.any(1))
    assert torch.equal(region.sum(dim=(1, 2)), rows * columns)
    area = (rows * columns).double() / (height * width)
    assert stats.kstest(area.numpy(), stats.uniform(0.1, 0.1).cdf).pvalue > 0.001
    aspect = torch.log2(columns.double() / rows.double())
    assert stats.kstest(aspect.numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.001
    for start, length, side in ((top, rows, height), (left, columns, width)):
        position = (start.double() + 0.5) / (side - length + 1)
        assert stats.kstest(position.numpy(), "uniform").pvalue > 0.001


def test_sizes_are_sampled_again_until_one_fits():
    sample_ids, scale, ratio = torch.arange(300), (0.5, 1.0), (0.3, 3.0)
    boxes, fits = sample_boxes(sample_ids, (10, 10), scale, ratio, seed=0, epoch=0, purpose="test")
    for sample_id in sample_ids.tolist():
        tries = torch.arange(10) + 10 * sample_id
        area, aspect = (uniform(tries, 0, f"test {name}", 0).double() for name in ("area", "ratio"))
        sizes = [
            (round(math.sqrt(100 * (0.5 + 0.5 * a) / q)), round(math.sqrt(100 * (0.5 + 0.5 * a) * q)))
            for a, q in zip(area.tolist(), (0.3 * 10**aspect).tolist(), strict=True)
        ]
        fitting = [size for size in sizes if max(size) <= 10]
        assert bool(fits[sample_id]) == bool(fitting)
        if fitting:
            assert (int(boxes.height[sample_id]), int(boxes.width[sample_id])) == fitting[0]
    assert 0 < (~fits).sum() < 150


def test_an_image_that_can_hold_no_rectangle_stays_as_it_is():
    images, sample_ids = blank(40, 30, 2)
    erasing = RandomErasing(probability=1.0, area=(0.9, 0.9), ratio=(2.0, 3.0), fill=(1.0,))
    assert torch.equal(erasing(images, sample_ids, seed=0, epoch=0), images)


def test_a_colour_fills_the_region_and_leaves_the_rest():
    images, sample_ids = blank(8, 6, 7, value=9)
    erased = Cutout(size=3, fill=(0.2, 0.4, 1.0))(images, sample_ids, seed=0, epoch=0)
    colour = torch.tensor([51, 102, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    filled, unchanged = (erased == colour).all(1), (erased == 9).all(1)
    assert torch.all(filled ^ unchanged)
    assert filled.any()


def test_noise_is_uniform_independent_and_a_function_of_the_sample_id():
    sample_ids = torch.arange(64) * 3
    values = noise(sample_ids, 1021, seed=0, epoch=0)
    assert values.shape == (64, 1021)
    assert stats.chisquare(torch.bincount(values.flatten().long(), minlength=256).numpy()).pvalue > 0.001
    centred = values.double() - 127.5
    spread = centred.square().mean()
    pairs = (centred[:, 1:] * centred[:, :-1], centred[:, 4:] * centred[:, :-4], centred[1:] * centred[:-1])
    for product in pairs:
        assert abs(product.mean() / spread) < 4 / math.sqrt(product.numel())
    assert torch.equal(noise(sample_ids[[5, 9]], 1021, seed=0, epoch=0), values[[5, 9]])
    for other in (noise(sample_ids, 1021, seed=1, epoch=0), noise(sample_ids, 1021, seed=0, epoch=1)):
        assert (other == values).float().mean() < 0.006


@pytest.mark.parametrize("change", [Cutout(size=5, fill="noise"), RandomErasing(probability=1.0)])
def test_an_image_is_treated_alike_alone_and_in_any_batch(change):
    images, sample_ids = blank(7, 16, 15)
    together = change(images, sample_ids, seed=4, epoch=1)
    alone = torch.cat([change(images[i : i + 1], sample_ids[i : i + 1], seed=4, epoch=1) for i in range(7)])
    assert torch.equal(together, alone)
    assert not torch.equal(change(images, sample_ids, seed=4, epoch=2), together)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cutout(size=0), "size: must be at least 1 pixel, got 0"),
        (lambda: Cutout(fill="mean"), "fill: must be 'noise' or a colour with values from 0 to 1, got 'mean'"),
        (lambda: Cutout(fill=(0.1, 1.2)), "fill: must be 'noise' or a colour"),
        (lambda: RandomErasing(probability=1.5), "probability: must be from 0 to 1, got 1.5"),
        (lambda: RandomErasing(area=(0.4, 0.1)), "area: must be two ascending shares"),
        (lambda: RandomErasing(ratio=(0.0, 1.0)), "ratio: must be two ascending ratios above 0"),
        (
            lambda: Cutout(fill=(0.1, 0.2))(*blank(2, 4, 4), seed=0, epoch=0),
            "fill: must be one value for all channels or one for each of the 3, got (0.1, 0.2)",
        ),
    ],
)
def test_bad_choices_are_refused(build, message):
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(message)
