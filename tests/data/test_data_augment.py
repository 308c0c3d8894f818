"""Augmentation of batches against a slow twin that treats one image at a time with torchvision."""

import hashlib

import pytest
import torch
from torchvision.transforms.v2 import functional as V

from seewhy.core.errors import InputError
from seewhy.core.seeding import uniform
from seewhy.data.augment import Augment
from seewhy.data.augmentations import AUGMENTATIONS
from seewhy.data.crop import ResizedCrop
from seewhy.data.erase import Cutout, RandomErasing

SHAPES = [(3, 32, 32), (1, 8, 8), (3, 20, 33)]


def pictures(count, shape, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, shape[0], 4, 5, generator=random)
    images = torch.nn.functional.interpolate(smooth, size=shape[1:], mode="bilinear") * 300 - 20
    images += 8 * torch.randn(images.shape, generator=random)
    return images.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def keys_of(count):
    return torch.arange(count) * 7 + 3


def one_image(image, key, augment, *, seed, epoch):
    """The twin: a single image (C, H, W) through torchvision, in the documented order."""

    def draw(*address):
        return uniform(torch.tensor([key]), seed, *address).item()

    if augment.flip == "random" and draw("flip", epoch) < 0.5:
        image = V.horizontal_flip(image)
    if augment.flip == "alternating" and (draw("flip") < 0.5) != (epoch % 2 == 1):
        image = V.horizontal_flip(image)
    if augment.crop_padding:
        p = augment.crop_padding
        top, left = (int(draw(axis, epoch) * (2 * p + 1)) for axis in ("crop top", "crop left"))
        height, width = image.shape[1:]
        image = V.crop(V.pad(image, [p, p, p, p], padding_mode="reflect"), top, left, height, width)
    for name in ("brightness", "contrast", "saturation"):
        if reach := getattr(augment, name):
            low = max(0.0, 1.0 - reach)
            image = getattr(V, f"adjust_{name}")(image, low + (1 + reach - low) * draw(name, epoch))
    if augment.hue:
        image = V.adjust_hue(image, (2 * draw("hue", epoch) - 1) * augment.hue)
    return image


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("padding", [0, 1, 4, 7])
def test_crop_and_flip_equal_the_twin_bit_for_bit(shape, flip, padding):
    images, keys = pictures(24, shape), keys_of(24)
    augment = Augment(crop_padding=padding, flip=flip)
    for epoch in (0, 1):
        batch = augment(images, keys, seed=5, epoch=epoch)
        twin = torch.stack(
            [one_image(x, k, augment, seed=5, epoch=epoch) for x, k in zip(images, keys.tolist(), strict=True)]
        )
        assert torch.equal(batch, twin)


@pytest.mark.parametrize(
    "strengths",
    [
        {"brightness": 0.6},
        {"contrast": 0.6},
        {"saturation": 0.9},
        {"hue": 0.5},
        {"brightness": 1.4, "contrast": 1.2, "saturation": 1.3, "hue": 0.2},
    ],
    ids=lambda strengths: "+".join(strengths),
)
def test_colours_equal_the_twin_within_one_level(strengths):
    images, keys = pictures(40, (3, 16, 18)), keys_of(40)
    augment = Augment(**strengths)
    batch = augment(images, keys, seed=2, epoch=3)
    twin = torch.stack([one_image(x, k, augment, seed=2, epoch=3) for x, k in zip(images, keys.tolist(), strict=True)])
    # One level of rounding may grow on the way through the changes that follow it.
    apart = (batch.int() - twin.int()).abs()
    if len(strengths) == 1:
        assert apart.max() <= 1
        assert (apart > 0).float().mean() < 0.005
    assert (apart > 1).float().mean() < 1e-3
    assert not torch.equal(batch, images)


def test_grey_pictures_change_brightness_and_contrast_like_the_twin():
    images, keys = pictures(16, (1, 9, 9)), keys_of(16)
    augment = Augment(brightness=0.5, contrast=0.5)
    batch = augment(images, keys, seed=0, epoch=0)
    twin = torch.stack([one_image(x, k, augment, seed=0, epoch=0) for x, k in zip(images, keys.tolist(), strict=True)])
    assert (batch.int() - twin.int()).abs().max() <= 1


@pytest.mark.parametrize("corner", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 255), (7, 7, 9), (12, 12, 3)])
def test_hue_of_pure_colours(corner):
    image = torch.tensor(corner, dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    augment = Augment(hue=0.5)
    for epoch in range(12):
        batch = augment(image, torch.tensor([1]), seed=0, epoch=epoch)
        twin = one_image(image[0], 1, augment, seed=0, epoch=epoch)
        assert (batch[0].int() - twin.int()).abs().max() <= 1


FULL = Augment(crop_padding=3, flip="random", brightness=0.3, contrast=0.3, saturation=0.3, hue=0.1)


def test_an_image_is_treated_alike_alone_and_in_any_batch():
    images, keys = pictures(12, (3, 16, 16)), keys_of(12)
    together = FULL(images, keys, seed=1, epoch=4)
    alone = torch.cat([FULL(images[i : i + 1], keys[i : i + 1], seed=1, epoch=4) for i in range(12)])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(together, alone)
    assert torch.equal(FULL(images[order], keys[order], seed=1, epoch=4), together[order])


def test_draws_change_with_seed_epoch_and_key_and_leave_the_input_alone():
    images, keys = pictures(12, (3, 16, 16)), keys_of(12)
    before = images.clone()
    first = FULL(images, keys, seed=1, epoch=4)
    assert torch.equal(images, before)
    assert torch.equal(first, FULL(images, keys, seed=1, epoch=4))
    for other in (FULL(images, keys, seed=2, epoch=4), FULL(images, keys, seed=1, epoch=5)):
        assert not torch.equal(first, other)
    same = images[:1].expand(12, -1, -1, -1)
    assert len(torch.unique(FULL(same, keys, seed=1, epoch=4).flatten(1), dim=0)) == 12


def test_alternating_flips_show_both_sides_in_two_epochs():
    images, keys = pictures(64, (3, 8, 8)), keys_of(64)
    augment = Augment(flip="alternating")
    even, odd, later = (augment(images, keys, seed=0, epoch=epoch) for epoch in (0, 1, 2))
    assert torch.equal(even.flip(3), odd)
    assert torch.equal(even, later)
    share = (even != images).flatten(1).any(1).float().mean()
    assert 0.3 < share < 0.7


def test_all_places_of_the_crop_are_about_equally_likely():
    count = 5000
    image = torch.arange(49, dtype=torch.uint8).view(1, 1, 7, 7).expand(count, -1, -1, -1)
    centres = Augment(crop_padding=2)(image, torch.arange(count), seed=0, epoch=0)[:, 0, 3, 3]
    counts = torch.bincount(centres.long(), minlength=49)
    seen = counts[counts > 0]
    assert len(seen) == 25
    assert ((seen - count / 25) ** 2 / (count / 25)).sum() < 52  # chi-squared, 24 degrees of freedom, p = 0.001


def test_result_is_channels_last_and_any_memory_format_is_taken():
    images, keys = pictures(6, (3, 10, 12)), keys_of(6)
    for given in (images, images.contiguous()):
        result = FULL(given, keys, seed=0, epoch=0)
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert result.dtype == torch.uint8
    assert torch.equal(FULL(images, keys, seed=0, epoch=0), FULL(images.contiguous(), keys, seed=0, epoch=0))


@pytest.mark.parametrize(
    ("augment", "digest"),
    [
        (FULL, "eca4e19041f07abc"),
        (Augment(crop_padding=2, flip="alternating"), "2cb5cf95da902575"),
        (Augment(brightness=0.5), "ae737c59bcab1c45"),
        (Augment(contrast=0.5, hue=0.5), "884ff3c4069cc71d"),
    ],
)
def test_a_run_of_an_earlier_version_sees_the_same_bits(augment, digest):
    x = torch.arange(24 * 16 * 16 * 3).view(24, 16, 16, 3)
    images = ((x * x // 7 + x * 37) % 251 + x % 3).to(torch.uint8).permute(0, 3, 1, 2)
    result = augment(images, keys_of(24), seed=5, epoch=3).permute(0, 2, 3, 1).contiguous()
    assert hashlib.sha256(result.numpy().tobytes()).hexdigest().startswith(digest)


@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("side", [None, 9])
def test_a_resized_crop_follows_the_flip_and_a_hole_comes_last(flip, side):
    images, keys = pictures(12, (3, 16, 14)), keys_of(12)
    crop, hole = ResizedCrop(side=side), Cutout(side=5, fill=(1.0, 0.0, 0.0))
    batch = Augment(flip=flip, resized_crop=crop, brightness=0.5, hole=hole)(images, keys, seed=3, epoch=1)
    step = Augment(flip=flip)(images, keys, seed=3, epoch=1)
    step = Augment(brightness=0.5)(crop(step, keys, seed=3, epoch=1), keys, seed=3, epoch=1)
    assert torch.equal(batch, hole(step, keys, seed=3, epoch=1))
    assert batch.shape[2:] == ((16, 14) if side is None else (9, 9))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_the_parts_are_the_changes_one_by_one_in_their_order():
    parts = FULL.parts()
    assert list(parts) == ["flip", "crop_padding", "brightness", "contrast", "saturation", "hue"]
    images, keys = pictures(6, (3, 12, 12)), keys_of(6)
    expected = images
    for part in parts.values():
        expected = part(expected, keys, seed=0, epoch=1)
    assert torch.equal(FULL(images, keys, seed=0, epoch=1), expected)
    assert list(Augment(hole=RandomErasing(), resized_crop=ResizedCrop()).parts()) == ["resized_crop", "hole"]


@pytest.mark.parametrize("augment", [FULL, Augment(resized_crop=ResizedCrop(), hole=RandomErasing())])
def test_no_images_give_no_images(augment):
    result = augment(pictures(3, (3, 8, 8))[:0], keys_of(0), seed=0, epoch=0)
    assert result.shape == (0, 3, 8, 8)
    assert result.dtype == torch.uint8


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["contrast", "saturation", "hue"])
def test_images_that_are_neither_grey_nor_coloured_change_no_colours(channels, name):
    images, keys = pictures(3, (channels, 8, 8)), keys_of(3)
    with pytest.raises(InputError, match=f"the images have {channels} channels; set them to 0"):
        Augment(**{name: 0.3})(images, keys, seed=0, epoch=0)
    assert Augment(flip="random", crop_padding=2, brightness=0.3)(images, keys, seed=0, epoch=0).shape == images.shape


def test_nothing_asked_changes_nothing():
    images = pictures(3, (3, 8, 8))
    assert torch.equal(Augment()(images, keys_of(3), seed=0, epoch=0), images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_padding": -1}, "reg.crop_padding: must be at least 0 pixels, got -1"),
        ({"flip": "vertical"}, "reg.flip: must be one of none, random, alternating, got 'vertical'"),
        ({"brightness": -0.1}, "reg.brightness: must be at least 0 and finite, got -0.1"),
        ({"hue": 0.6}, "reg.hue: must be from 0 to 0.5, got 0.6"),
        (
            {"crop_padding": 2, "resized_crop": ResizedCrop()},
            "reg.crop_padding: must be 0 beside a resized crop, got 2; choose one of the crops",
        ),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(InputError) as caught:
        Augment(**options)
    assert str(caught.value) == message


def test_misfits_are_refused():
    with pytest.raises(InputError, match="less than the images' side"):
        Augment(crop_padding=8)(pictures(2, (3, 8, 9)), keys_of(2), seed=0, epoch=0)
    with pytest.raises(InputError, match="1 channel"):
        Augment(hue=0.1)(pictures(2, (1, 8, 8)), keys_of(2), seed=0, epoch=0)


def test_every_technique_is_recorded_and_can_be_made():
    assert AUGMENTATIONS.names() == (
        *("random_crop", "random_resized_crop", "flip", "color_jitter"),
        *("cutout", "random_erasing", "mixup", "cutmix"),
    )
    for technique in AUGMENTATIONS:
        assert technique.formula
        assert technique.source
        assert technique.good_for
        assert technique.bad_for
        assert callable(technique.factory())
        assert technique.lives_in.startswith("seewhy.data.")
