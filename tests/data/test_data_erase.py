"""Cutout and random erasing: where the holes lie, what they show, and how their sizes are spread."""

import math

import pytest
import torch
from scipy import stats

from seewhy.core.errors import InputError
from seewhy.core.seeding import uniform
from seewhy.data.boxes import draw_boxes
from seewhy.data.erase import Cutout, RandomErasing, noise


def blank(count, height, width, channels=3, value=0):
    images = torch.full((count, channels, height, width), value, dtype=torch.uint8)
    return images.contiguous(memory_format=torch.channels_last), torch.arange(count) * 11 + 2


def spans(hit):
    """First place and length of the True run of each row, (N, side) -> two (N,); asserts that there is one run."""
    length = hit.sum(dim=1)
    first = hit.int().argmax(dim=1)
    places = torch.arange(hit.shape[1])
    assert torch.equal(hit, (places >= first[:, None]) & (places < (first + length)[:, None]))
    return first, length


@pytest.mark.parametrize("side", [1, 4, 5, 40])
def test_a_cutout_is_a_square_around_a_pixel_and_may_reach_beyond_the_image(side):
    height, width = 12, 17
    images, keys = blank(200, height, width)
    holes = Cutout(side=side, fill=(1.0,))(images, keys, seed=3, epoch=2)
    assert holes.is_contiguous(memory_format=torch.channels_last)
    for i, key in enumerate(keys.tolist()):
        place = torch.tensor([key])
        y = int(uniform(place, 3, "cutout row", 2).item() * height) - side // 2
        x = int(uniform(place, 3, "cutout column", 2).item() * width) - side // 2
        expected = torch.zeros(3, height, width, dtype=torch.uint8)
        expected[:, max(0, y) : max(0, y + side), max(0, x) : max(0, x + side)] = 255
        assert torch.equal(holes[i], expected)
    assert torch.all(images == 0)


def test_every_pixel_is_equally_often_a_cutouts_centre():
    images, keys = blank(6000, 4, 5, channels=1)
    holes = Cutout(side=1, fill=(1.0,))(images, keys, seed=0, epoch=0)
    counts = (holes == 255).sum(dim=(0, 1)).flatten()
    assert counts.sum() == 6000
    assert stats.chisquare(counts.numpy()).pvalue > 0.001


def test_erased_rectangles_have_the_asked_areas_ratios_and_share():
    height, width = 100, 80
    images, keys = blank(1500, height, width, channels=1)
    erasing = RandomErasing(probability=0.3, scale=(0.1, 0.2), ratio=(0.5, 2.0), fill=(1.0,))
    hole = erasing(images, keys, seed=1, epoch=0)[:, 0] == 255
    erased = hole.flatten(1).any(1)
    assert abs(erased.float().mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 1500)
    hole = hole[erased]
    (top, rows), (left, columns) = spans(hole.any(2)), spans(hole.any(1))
    assert torch.equal(hole.sum(dim=(1, 2)), rows * columns)
    area = (rows * columns).double() / (height * width)
    assert stats.kstest(area.numpy(), stats.uniform(0.1, 0.1).cdf).pvalue > 0.001
    aspect = torch.log2(columns.double() / rows.double())
    assert stats.kstest(aspect.numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.001
    for start, length, side in ((top, rows, height), (left, columns, width)):
        place = (start.double() + 0.5) / (side - length + 1)
        assert stats.kstest(place.numpy(), "uniform").pvalue > 0.001


def test_sizes_are_drawn_again_until_one_fits():
    keys, scale, ratio = torch.arange(300), (0.5, 1.0), (0.3, 3.0)
    boxes, fits = draw_boxes(keys, (10, 10), scale, ratio, seed=0, epoch=0, purpose="test")
    for key in keys.tolist():
        tries = torch.arange(10) + 10 * key
        area, aspect = (uniform(tries, 0, f"test {name}", 0).double() for name in ("area", "ratio"))
        sizes = [
            (round(math.sqrt(100 * (0.5 + 0.5 * a) / q)), round(math.sqrt(100 * (0.5 + 0.5 * a) * q)))
            for a, q in zip(area.tolist(), (0.3 * 10**aspect).tolist(), strict=True)
        ]
        fitting = [size for size in sizes if max(size) <= 10]
        assert bool(fits[key]) == bool(fitting)
        if fitting:
            assert (int(boxes.height[key]), int(boxes.width[key])) == fitting[0]
    assert 0 < (~fits).sum() < 150


def test_an_image_that_can_hold_no_rectangle_stays_as_it_is():
    images, keys = blank(40, 30, 2)
    erasing = RandomErasing(probability=1.0, scale=(0.9, 0.9), ratio=(2.0, 3.0), fill=(1.0,))
    assert torch.equal(erasing(images, keys, seed=0, epoch=0), images)


def test_a_colour_fills_the_hole_and_leaves_the_rest():
    images, keys = blank(8, 6, 7, value=9)
    holes = Cutout(side=3, fill=(0.2, 0.4, 1.0))(images, keys, seed=0, epoch=0)
    colour = torch.tensor([51, 102, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    painted, kept = (holes == colour).all(1), (holes == 9).all(1)
    assert torch.all(painted ^ kept)
    assert painted.any()


def test_noise_is_uniform_independent_and_a_function_of_the_key():
    keys = torch.arange(64) * 3
    values = noise(keys, 1021, seed=0, epoch=0)
    assert values.shape == (64, 1021)
    assert stats.chisquare(torch.bincount(values.flatten().long(), minlength=256).numpy()).pvalue > 0.001
    centred = values.double() - 127.5
    spread = centred.square().mean()
    pairs = (centred[:, 1:] * centred[:, :-1], centred[:, 4:] * centred[:, :-4], centred[1:] * centred[:-1])
    for product in pairs:
        assert abs(product.mean() / spread) < 4 / math.sqrt(product.numel())
    assert torch.equal(noise(keys[[5, 9]], 1021, seed=0, epoch=0), values[[5, 9]])
    for other in (noise(keys, 1021, seed=1, epoch=0), noise(keys, 1021, seed=0, epoch=1)):
        assert (other == values).float().mean() < 0.006


@pytest.mark.parametrize("change", [Cutout(side=5, fill="noise"), RandomErasing(probability=1.0)])
def test_an_image_is_treated_alike_alone_and_in_any_batch(change):
    images, keys = blank(7, 16, 15)
    together = change(images, keys, seed=4, epoch=1)
    alone = torch.cat([change(images[i : i + 1], keys[i : i + 1], seed=4, epoch=1) for i in range(7)])
    assert torch.equal(together, alone)
    assert not torch.equal(change(images, keys, seed=4, epoch=2), together)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Cutout(side=0), "Cutout.side: must be at least 1 pixel, got 0"),
        (lambda: Cutout(fill="mean"), "Cutout.fill: must be 'noise' or a colour with values from 0 to 1, got 'mean'"),
        (lambda: Cutout(fill=(0.1, 1.2)), "Cutout.fill: must be 'noise' or a colour"),
        (lambda: RandomErasing(probability=1.5), "RandomErasing.probability: must be from 0 to 1, got 1.5"),
        (lambda: RandomErasing(scale=(0.4, 0.1)), "RandomErasing.scale: must be two ascending shares"),
        (lambda: RandomErasing(ratio=(0.0, 1.0)), "RandomErasing.ratio: must be two ascending ratios above 0"),
        (
            lambda: Cutout(fill=(0.1, 0.2))(*blank(2, 4, 4), seed=0, epoch=0),
            "Cutout.fill: must be one value for all channels or one for each of the 3, got (0.1, 0.2)",
        ),
    ],
)
def test_bad_choices_are_refused(build, message):
    with pytest.raises(InputError) as caught:
        build()
    assert str(caught.value).startswith(message)
