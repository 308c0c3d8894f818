"""Resized crops against a slow twin that treats one image at a time with torchvision."""

import math
import platform

import pytest
import torch
from torchvision.transforms.v2 import RandomResizedCrop
from torchvision.transforms.v2 import functional as V

from seewhy.core.errors import InputError
from seewhy.data.augmentation.boxes import Boxes
from seewhy.data.augmentation.crop import ResizedCrop, resample, resample_each, resample_together

BYTES = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512") or platform.machine() in ("aarch64", "arm64")
"""Whether torchvision resamples bytes here by PyTorch's kernel for them, or as floating point."""


def sample_images(count, shape, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, shape[0], 4, 5, generator=random)
    images = torch.nn.functional.interpolate(smooth, size=shape[1:], mode="bilinear") * 300 - 20
    images += 30 * torch.randn(images.shape, generator=random)
    return images.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def boxes_of(count, height, width, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    rows = torch.randint(1, height + 1, (count,), generator=random)
    columns = torch.randint(1, width + 1, (count,), generator=random)
    rows[0], columns[0] = height, width
    rows[1], columns[1] = 1, 1
    top = (torch.rand(count, generator=random) * (height - rows + 1)).long()
    left = (torch.rand(count, generator=random) * (width - columns + 1)).long()
    return Boxes(top, left, rows, columns)


def twin(images, boxes, shape, *, antialias=True):
    windows = zip(
        images, boxes.top.tolist(), boxes.left.tolist(), boxes.height.tolist(), boxes.width.tolist(), strict=True
    )
    return torch.stack([V.resized_crop(*window, list(shape), antialias=antialias) for window in windows])


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ((3, 20, 33), (20, 33)),
        ((1, 16, 16), (16, 16)),
        ((3, 40, 31), (12, 7)),
        ((3, 9, 8), (23, 30)),
        ((3, 5, 7), (1, 1)),
        ((3, 6, 5), (1, 9)),
    ],
)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("how", [resample_each, resample_together])
def test_windows_equal_the_twin(source, shape, antialias, layout, how):
    """Bit for bit by the same kernel; by a gather, as on other devices, within one level."""
    images, boxes = sample_images(24, source), boxes_of(24, *source[1:])
    batch = how(images.contiguous(memory_format=layout), boxes, shape, antialias, None)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    difference = (batch.int() - twin(images, boxes, shape, antialias=antialias).int()).abs()
    assert difference.max() <= (0 if how is resample_each and BYTES else 1)
    assert (difference > 0).float().mean() < 0.05


def test_antialiasing_matters_where_windows_are_downsampled_alone():
    images = sample_images(8, (3, 40, 40))
    boxes = boxes_of(8, 40, 40)
    for side, same in ((40, True), (10, False)):
        smooth, sharp = (resample(images, boxes, (side, side), antialias=choice) for choice in (True, False))
        assert torch.equal(smooth, sharp) == same


def test_a_window_as_large_as_the_result_is_cut_out_unchanged():
    images = sample_images(6, (3, 12, 14))
    boxes = Boxes(*(torch.full((6,), value) for value in (3, 2, 8, 9)))
    assert torch.equal(resample(images, boxes, (8, 9)), images[:, :, 3:11, 2:11])


@pytest.mark.parametrize("shape", [(7, 20), (1, 1)])
@pytest.mark.parametrize("how", [resample_each, resample_together])
def test_mirrored_images_are_mirrored_before_the_window_is_cut(how, shape):
    images, boxes = sample_images(10, (3, 11, 13)), boxes_of(10, 11, 13)
    flipped = torch.arange(10) % 2 == 1
    turned = torch.where(flipped[:, None, None, None], images.flip(3), images)
    assert torch.equal(how(images, boxes, shape, True, flipped), how(turned, boxes, shape, True, None))


def test_no_images_give_no_images():
    images, none = sample_images(2, (3, 11, 13))[:0], torch.zeros(0, dtype=torch.int64)
    assert ResizedCrop(size=4)(images, none, seed=0, epoch=0).shape == (0, 3, 4, 4)


def test_an_image_is_treated_alike_alone_and_in_any_batch():
    images, sample_ids = sample_images(9, (3, 16, 12)), torch.arange(9) * 5
    crop = ResizedCrop(size=10)
    together = crop(images, sample_ids, seed=1, epoch=2)
    assert together.shape == (9, 3, 10, 10)
    for i in (0, 4, 8):
        assert torch.equal(crop(images[i : i + 1], sample_ids[i : i + 1], seed=1, epoch=2)[0], together[i])
    assert not torch.equal(crop(images, sample_ids, seed=1, epoch=3), together)


def test_windows_are_sampled_like_torchvisions():
    count, (height, width) = 4000, (60, 45)
    crop = ResizedCrop(scale=(0.2, 0.8), ratio=(0.5, 2.0))
    boxes = crop.boxes(torch.arange(count), (height, width), seed=0, epoch=0)
    assert torch.all((boxes.top >= 0) & (boxes.top + boxes.height <= height))
    assert torch.all((boxes.left >= 0) & (boxes.left + boxes.width <= width))
    ours = torch.stack([boxes.height, boxes.width, boxes.top, boxes.left], dim=1).double()
    torch.manual_seed(0)
    theirs = RandomResizedCrop(1, scale=(0.2, 0.8), ratio=(0.5, 2.0))
    sampled = [theirs.make_params([torch.empty(1, height, width)]) for _ in range(count)]
    other = torch.tensor([[box[name] for name in ("height", "width", "top", "left")] for box in sampled]).double()
    error = (ours.var(dim=0) / count + other.var(dim=0) / count).sqrt()
    assert torch.all((ours.mean(dim=0) - other.mean(dim=0)).abs() < 4 * error)
    assert torch.all((ours.std(dim=0) / other.std(dim=0) - 1).abs() < 0.06)


def test_every_position_that_holds_a_window_is_equally_likely():
    boxes = ResizedCrop(scale=(0.25, 0.25), ratio=(1.0, 1.0)).boxes(torch.arange(5000), (8, 8), seed=0, epoch=0)
    counts = torch.bincount(boxes.top * 5 + boxes.left, minlength=25)
    assert len(counts) == 25
    assert ((counts - 200) ** 2 / 200).sum() < 52  # chi-squared, 24 degrees of freedom, p = 0.001


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((40, 10), {"scale": (0.999, 1.0), "ratio": (0.8, 1.3)}, (14, 0, 12, 10)),
        ((10, 40), {"scale": (0.999, 1.0), "ratio": (0.8, 1.3)}, (0, 13, 10, 13)),
        ((10, 10), {"scale": (1.0, 1.0), "ratio": (1.2, 1.3)}, (1, 0, 8, 10)),
        ((10, 9), {"scale": (1.0, 1.0), "ratio": (0.5, 0.8)}, (0, 0, 10, 8)),
    ],
)
def test_where_no_window_fits_the_largest_central_one_is_taken(shape, options, expected):
    boxes = ResizedCrop(**options).boxes(torch.arange(3), shape, seed=0, epoch=0)
    assert expected == tuple(int(column[2]) for column in (boxes.top, boxes.left, boxes.height, boxes.width))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"scale": (0.0, 1.0)},
            "scale: must be two ascending shares above 0 and at most 1, got (0.0, 1.0)",
        ),
        ({"scale": (0.5, 0.2)}, "scale: must be two ascending shares"),
        ({"ratio": (0.5, math.inf)}, "ratio: must be two ascending ratios above 0"),
        ({"size": 0}, "size: must be at least 1 pixel, got 0"),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(InputError) as caught:
        ResizedCrop(**options)
    assert str(caught.value).startswith(message)
