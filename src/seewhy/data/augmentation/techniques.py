"""What augmentation can do, one record per technique.

Each is chosen by its strength, and they may be combined; the names are those of the literature. Letters: s side of a square, p padding in
pixels, f and h factors of an image, lambda the first image's share, U uniform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seewhy.core.registry import Registry, Technique
from seewhy.data.augmentation.augment import Augment, Flip
from seewhy.data.augmentation.crop import ResizedCrop
from seewhy.data.augmentation.erase import Cutout, RandomErasing
from seewhy.data.augmentation.mix import Mix


def random_crop(*, padding: int = 4) -> Augment:
    """Make a padded crop alone."""
    return Augment(crop_padding=padding)


def flip(*, kind: Flip = "random") -> Augment:
    """Make a flip alone."""
    return Augment(flip=kind)


def color_jitter(
    *, brightness: float = 0.4, contrast: float = 0.4, saturation: float = 0.4, hue: float = 0.1
) -> Augment:
    """Make changes of colour alone."""
    return Augment(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)


def mixup(*, alpha: float = 0.2) -> Mix:
    """Make a mixture by blending."""
    return Mix(alpha=alpha, kind="mixup")


def cutmix(*, alpha: float = 1.0) -> Mix:
    """Make a mixture by pasting."""
    return Mix(alpha=alpha, kind="cutmix")


_AUGMENT = f"{Augment.__module__}.{Augment.__qualname__}"
_MIX = f"{Mix.__module__}.{Mix.__qualname__}"

AUGMENTATIONS: Registry[Callable[..., Any]] = Registry("augmentations", "")

AUGMENTATIONS.add(
    Technique(
        name="random_crop",
        factory=random_crop,
        summary="a window of the image's own size, shifted by up to p pixels; the border is mirrored",
        formula="shift from U{-p, ..., p} along each axis",
        source="Krizhevsky et al. 2012",
        good_for="small images whose object fills them",
        bad_for="images in which the position carries the class",
        claims=("C22",),
        example="--reg.crop_padding 4",
        qualified_name=_AUGMENT,
        hyperparameters=("padding",),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="random_resized_crop",
        factory=ResizedCrop,
        summary="a window of random area, shape and position, enlarged to the image's size",
        formula="area from U(0.08, 1) H W, log(width / height) from U(log 3/4, log 4/3)",
        source="Szegedy et al. 2015, 1409.4842",
        good_for="photographs from 64 pixels on, long runs",
        bad_for="small images and short runs; objects that need all of the image",
        claims=("C22",),
        example="--reg.resized_crop.scale 0.35,1.0",
        hyperparameters=("scale", "ratio"),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="flip",
        factory=flip,
        summary="images flipped left to right: at random, or in every other epoch",
        formula="with probability 1/2 in each epoch; alternating: that once, then every other epoch",
        source="Krizhevsky et al. 2012; Jordan 2024, 2404.00498 (alternating)",
        good_for="photographs of things",
        bad_for="letters, digits and whatever has a left and a right",
        claims=("C22",),
        example="--reg.flip alternating",
        qualified_name=_AUGMENT,
        hyperparameters=("kind",),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="color_jitter",
        factory=color_jitter,
        summary="brightness, contrast and saturation times random factors, the hue turned",
        formula="b: f x; c: f x + (1 - f) mean grey; s: f x + (1 - f) grey; f from U(1 - b, 1 + b) and so on; h: hue + U(-h, h)",
        source="Krizhevsky et al. 2012; Howard 2013, 1312.5402",
        good_for="photographs under changing light and cameras",
        bad_for="classes that differ by colour",
        claims=("C22",),
        example="--reg.brightness 0.4 --reg.contrast 0.4 --reg.saturation 0.4 --reg.hue 0.1",
        qualified_name=_AUGMENT,
        hyperparameters=("brightness", "contrast", "saturation", "hue"),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="cutout",
        factory=Cutout,
        summary="a square of each image erased",
        formula="side s, centre from U(all pixels)",
        source="DeVries & Taylor 2017, 1708.04552",
        good_for="small images, networks that lean on one detail, long runs",
        bad_for="short runs; objects smaller than the erased region",
        example="--reg.cutout.size 8",
        hyperparameters=("size",),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="random_erasing",
        factory=RandomErasing,
        summary="a rectangle of random area and shape erased with noise, in half of the images",
        formula="area from U(0.02, 0.4) H W, log(width / height) from U(log 0.3, log 1/0.3)",
        source="Zhong et al. 2020, 1708.04896",
        good_for="objects that are often partly hidden",
        bad_for="short runs; objects smaller than the erased region",
        example="--reg.erasing.probability 0.5",
        hyperparameters=("probability", "area", "ratio"),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="mixup",
        factory=mixup,
        summary="two images blended, their classes in the same proportion",
        formula="x = lambda a + (1 - lambda) b, lambda from Beta(alpha, alpha)",
        source="Zhang et al. 2018, 1710.09412",
        good_for="calibration, wrong labels, long runs",
        bad_for="short runs; the training accuracy says little",
        example="--reg.mixup 0.2",
        qualified_name=_MIX,
        hyperparameters=("alpha",),
    )
)
AUGMENTATIONS.add(
    Technique(
        name="cutmix",
        factory=cutmix,
        summary="a window of another image pasted in, the classes in proportion to the areas",
        formula="window of area (1 - lambda) H W, lambda from Beta(alpha, alpha), then set to the share that is left",
        source="Yun et al. 2019, 1905.04899",
        good_for="photographs, long runs; keeps pixels natural",
        bad_for="short runs; objects smaller than the window",
        example="--reg.cutmix 1",
        qualified_name=_MIX,
        hyperparameters=("alpha",),
    )
)
