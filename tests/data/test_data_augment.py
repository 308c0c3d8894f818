"""Augmentation of batches against a slow twin that treats one image at a time with torchvision."""

import hashlib

import pytest
import torch
from torchvision.transforms.v2 import functional as V

from seewhy.core.errors import InputError
from seewhy.core.seeding import uniform
from seewhy.data.augmentation.augment import Augment
from seewhy.data.augmentation.crop import ResizedCrop
from seewhy.data.augmentation.erase import Cutout, RandomErasing
from seewhy.data.augmentation.techniques import AUGMENTATIONS

SHAPES = [(3, 32, 32), (1, 8, 8), (3, 20, 33)]


def sample_images(count, shape, *, seed=0):
    random = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, shape[0], 4, 5, generator=random)
    images = torch.nn.functional.interpolate(smooth, size=shape[1:], mode="bilinear") * 300 - 20
    images += 8 * torch.randn(images.shape, generator=random)
    return images.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def sample_ids_of(count):
    return torch.arange(count) * 7 + 3


def one_image(image, sample_id, augment, *, seed, epoch):
    """The twin: a single image (C, H, W) through torchvision, in the documented order."""

    def random_number(*address):
        return uniform(torch.tensor([sample_id]), seed, *address).item()

    if augment.flip == "random" and random_number("flip", epoch) < 0.5:
        image = V.horizontal_flip(image)
    if augment.flip == "alternating" and (random_number("flip") < 0.5) != (epoch % 2 == 1):
        image = V.horizontal_flip(image)
    if augment.crop_padding:
        p = augment.crop_padding
        top, left = (int(random_number(axis, epoch) * (2 * p + 1)) for axis in ("crop top", "crop left"))
        height, width = image.shape[1:]
        image = V.crop(V.pad(image, [p, p, p, p], padding_mode="reflect"), top, left, height, width)
    for name in ("brightness", "contrast", "saturation"):
        if reach := getattr(augment, name):
            low = max(0.0, 1.0 - reach)
            image = getattr(V, f"adjust_{name}")(image, low + (1 + reach - low) * random_number(name, epoch))
    if augment.hue:
        image = V.adjust_hue(image, (2 * random_number("hue", epoch) - 1) * augment.hue)
    return image


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("padding", [0, 1, 4, 7])
def test_crop_and_flip_equal_the_twin_bit_for_bit(shape, flip, padding):
    images, sample_ids = sample_images(24, shape), sample_ids_of(24)
    augment = Augment(crop_padding=padding, flip=flip)
    for epoch in (0, 1):
        batch = augment(images, sample_ids, seed=5, epoch=epoch)
        twin = torch.stack(
            [one_image(x, k, augment, seed=5, epoch=epoch) for x, k in zip(images, sample_ids.tolist(), strict=True)]
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
    images, sample_ids = sample_images(40, (3, 16, 18)), sample_ids_of(40)
    augment = Augment(**strengths)
    batch = augment(images, sample_ids, seed=2, epoch=3)
    twin = torch.stack(
        [one_image(x, k, augment, seed=2, epoch=3) for x, k in zip(images, sample_ids.tolist(), strict=True)]
    )
    # One level of rounding may grow on the way through the changes that follow it.
    difference = (batch.int() - twin.int()).abs()
    if len(strengths) == 1:
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 0.005
    assert (difference > 1).float().mean() < 1e-3
    assert not torch.equal(batch, images)


def test_grey_images_change_brightness_and_contrast_like_the_twin():
    images, sample_ids = sample_images(16, (1, 9, 9)), sample_ids_of(16)
    augment = Augment(brightness=0.5, contrast=0.5)
    batch = augment(images, sample_ids, seed=0, epoch=0)
    twin = torch.stack(
        [one_image(x, k, augment, seed=0, epoch=0) for x, k in zip(images, sample_ids.tolist(), strict=True)]
    )
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
    images, sample_ids = sample_images(12, (3, 16, 16)), sample_ids_of(12)
    together = FULL(images, sample_ids, seed=1, epoch=4)
    alone = torch.cat([FULL(images[i : i + 1], sample_ids[i : i + 1], seed=1, epoch=4) for i in range(12)])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(together, alone)
    assert torch.equal(FULL(images[order], sample_ids[order], seed=1, epoch=4), together[order])


def test_random_numbers_change_with_seed_epoch_and_sample_id_and_leave_the_input_alone():
    images, sample_ids = sample_images(12, (3, 16, 16)), sample_ids_of(12)
    before = images.clone()
    first = FULL(images, sample_ids, seed=1, epoch=4)
    assert torch.equal(images, before)
    assert torch.equal(first, FULL(images, sample_ids, seed=1, epoch=4))
    for other in (FULL(images, sample_ids, seed=2, epoch=4), FULL(images, sample_ids, seed=1, epoch=5)):
        assert not torch.equal(first, other)
    same = images[:1].expand(12, -1, -1, -1)
    assert len(torch.unique(FULL(same, sample_ids, seed=1, epoch=4).flatten(1), dim=0)) == 12


def test_alternating_flips_show_both_sides_in_two_epochs():
    images, sample_ids = sample_images(64, (3, 8, 8)), sample_ids_of(64)
    augment = Augment(flip="alternating")
    even, odd, later = (augment(images, sample_ids, seed=0, epoch=epoch) for epoch in (0, 1, 2))
    assert torch.equal(even.flip(3), odd)
    assert torch.equal(even, later)
    share = (even != images).flatten(1).any(1).float().mean()
    assert 0.3 < share < 0.7


def test_all_positions_of_the_crop_are_about_equally_likely():
    count = 5000
    image = torch.arange(49, dtype=torch.uint8).view(1, 1, 7, 7).expand(count, -1, -1, -1)
    centres = Augment(crop_padding=2)(image, torch.arange(count), seed=0, epoch=0)[:, 0, 3, 3]
    counts = torch.bincount(centres.long(), minlength=49)
    reached = counts[counts > 0]
    assert len(reached) == 25
    assert ((reached - count / 25) ** 2 / (count / 25)).sum() < 52  # chi-squared, 24 degrees of freedom, p = 0.001


def test_result_is_channels_last_and_any_memory_format_is_taken():
    images, sample_ids = sample_images(6, (3, 10, 12)), sample_ids_of(6)
    for given in (images, images.contiguous()):
        result = FULL(given, sample_ids, seed=0, epoch=0)
        assert result.is_contiguous(memory_format=torch.channels_last)
        assert result.dtype == torch.uint8
    assert torch.equal(
        FULL(images, sample_ids, seed=0, epoch=0), FULL(images.contiguous(), sample_ids, seed=0, epoch=0)
    )


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
    result = augment(images, sample_ids_of(24), seed=5, epoch=3).permute(0, 2, 3, 1).contiguous()
    assert hashlib.sha256(result.numpy().tobytes()).hexdigest().startswith(digest)


@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("side", [None, 9])
def test_a_resized_crop_follows_the_flip_and_an_erased_region_comes_last(flip, side):
    images, sample_ids = sample_images(12, (3, 16, 14)), sample_ids_of(12)
    crop, cutout = ResizedCrop(size=side), Cutout(size=5, fill=(1.0, 0.0, 0.0))
    batch = Augment(flip=flip, resized_crop=crop, brightness=0.5, erase=cutout)(images, sample_ids, seed=3, epoch=1)
    step = Augment(flip=flip)(images, sample_ids, seed=3, epoch=1)
    step = Augment(brightness=0.5)(crop(step, sample_ids, seed=3, epoch=1), sample_ids, seed=3, epoch=1)
    assert torch.equal(batch, cutout(step, sample_ids, seed=3, epoch=1))
    assert batch.shape[2:] == ((16, 14) if side is None else (9, 9))
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_single_changes_are_the_changes_one_by_one_in_their_order():
    changes = FULL.single_changes()
    assert list(changes) == ["flip", "crop_padding", "brightness", "contrast", "saturation", "hue"]
    images, sample_ids = sample_images(6, (3, 12, 12)), sample_ids_of(6)
    expected = images
    for change in changes.values():
        expected = change(expected, sample_ids, seed=0, epoch=1)
    assert torch.equal(FULL(images, sample_ids, seed=0, epoch=1), expected)
    assert list(Augment(erase=RandomErasing(), resized_crop=ResizedCrop()).single_changes()) == [
        "resized_crop",
        "erase",
    ]


@pytest.mark.parametrize("augment", [FULL, Augment(resized_crop=ResizedCrop(), erase=RandomErasing())])
def test_no_images_give_no_images(augment):
    result = augment(sample_images(3, (3, 8, 8))[:0], sample_ids_of(0), seed=0, epoch=0)
    assert result.shape == (0, 3, 8, 8)
    assert result.dtype == torch.uint8


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("name", ["contrast", "saturation", "hue"])
def test_images_that_are_neither_grey_nor_coloured_change_no_colours(channels, name):
    images, sample_ids = sample_images(3, (channels, 8, 8)), sample_ids_of(3)
    with pytest.raises(InputError, match=f"the images have {channels} channels; set them to 0"):
        Augment(**{name: 0.3})(images, sample_ids, seed=0, epoch=0)
    assert (
        Augment(flip="random", crop_padding=2, brightness=0.3)(images, sample_ids, seed=0, epoch=0).shape
        == images.shape
    )


def test_nothing_asked_changes_nothing():
    images = sample_images(3, (3, 8, 8))
    assert torch.equal(Augment()(images, sample_ids_of(3), seed=0, epoch=0), images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_padding": -1}, "crop_padding: must be at least 0 pixels, got -1"),
        ({"flip": "vertical"}, "flip: 'vertical' is not known; allowed: none, random, alternating"),
        ({"brightness": -0.1}, "brightness: must be at least 0 and finite, got -0.1"),
        ({"hue": 0.6}, "hue: must be from 0 to 0.5, got 0.6"),
        (
            {"crop_padding": 2, "resized_crop": ResizedCrop()},
            "crop_padding: must be 0 beside a resized crop, got 2; choose one of the crops",
        ),
    ],
)
def test_bad_numbers_are_refused(options, message):
    with pytest.raises(InputError) as caught:
        Augment(**options)
    assert str(caught.value) == message


def test_misfits_are_refused():
    with pytest.raises(InputError, match="less than the images' side"):
        Augment(crop_padding=8)(sample_images(2, (3, 8, 9)), sample_ids_of(2), seed=0, epoch=0)
    with pytest.raises(InputError, match="1 channel"):
        Augment(hue=0.1)(sample_images(2, (1, 8, 8)), sample_ids_of(2), seed=0, epoch=0)


PUBLISHED = {
    "random_crop": {"padding": 4},
    "random_resized_crop": {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)},
    "flip": {"kind": "random"},
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "cutout": {"size": 16},
    "random_erasing": {"probability": 0.5, "area": (0.02, 0.4), "ratio": (0.3, 1 / 0.3)},
    "mixup": {"alpha": 0.2},
    "cutmix": {"alpha": 1.0},
}


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
        defaults = {name: PUBLISHED[technique.name][name] for name in technique.hyperparameters}
        assert technique.factory(**defaults) == technique.factory()
        assert technique.qualified_name.startswith("seewhy.data.")
