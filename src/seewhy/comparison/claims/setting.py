"""What the experiments of the claims share: the images and how much is to be run."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from seewhy.core.errors import bad_value
from seewhy.core.seeding import rng
from seewhy.data import Split, load_dataset

SEEDS, QUICK_SEEDS, LEAST_SEEDS = 5, 2, 2

LIMITS = {"train": 10_000, "val": 2_000, "test": 10_000}
"""Images of a split that are used; of larger ones a sample."""

QUICK_LIMIT = 300


@dataclass(frozen=True, eq=False)
class Examples:
    """Images and their classes.

    Attributes:
        pixels: float32 (N, C, H, W) within 0 and 1.
        x: the same, with mean 0 and standard deviation 1 per channel of the training images.
        y: int64 (N).
    """

    pixels: Tensor
    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, eq=False)
class Setting:
    """Where a claim is measured.

    Attributes:
        data: the name of the images.
        quick: whether only the working of the experiment is tried, in a second or two.
        seeds: repetitions, at least two: of weights, of the order of the images and of whatever else is random. The split is the same for all.
        train: the images that are fitted.
        val: those on which rates are chosen.
        test: those on which results are measured.
        classes: K.
    """

    data: str
    quick: bool
    seeds: int
    train: Examples = field(repr=False)
    val: Examples = field(repr=False)
    test: Examples = field(repr=False)
    classes: int = 10

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self.train.x.shape[1:]
        return channels, height, width

    @property
    def features(self) -> int:
        """C H W."""
        return self.train.x[0].numel()

    def amount(self, full: int, quick: int) -> int:
        """Return the number of steps, images or repetitions: `full`, or `quick` in the quick form."""
        return quick if self.quick else full

    def steps(self, least: int, quick: int, *, epochs: int, batch: int = 64) -> int:
        """Return the steps of a training that is to reach a target: so many epochs, in which larger data sets reach it, and at least `least`."""
        return self.amount(max(least, epochs * len(self.train) // batch), quick)

    def describe(self) -> str:
        """Return the images in words."""
        return f"{len(self.train):,} training, {len(self.val):,} validation and {len(self.test):,} test images of {self.data}"


def load_setting(data: str = "digits", *, quick: bool = False, seeds: int | None = None) -> Setting:
    """Return the setting.

    Args:
        data: what `load_dataset` takes as a name or a path.
        quick: whether only the working of the experiments is tried.
        seeds: default: 5, or 2 in the quick form.

    Raises:
        InputError: the data are wrong, or seeds is below 2.
    """
    seeds = (QUICK_SEEDS if quick else SEEDS) if seeds is None else seeds
    if seeds < LEAST_SEEDS:
        raise bad_value("seeds", seeds, f"at least {LEAST_SEEDS}")
    train, val, test, classes = _examples(data, quick)
    return Setting(data, quick, seeds, train, val, test, classes)


@cache
def _examples(data: str, quick: bool) -> tuple[Examples, Examples, Examples, int]:
    dataset = load_dataset(data)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))

    def of(split: Split, name: str) -> Examples:
        most = min(LIMITS[name], QUICK_LIMIT) if quick else LIMITS[name]
        rows = torch.randperm(len(split), generator=rng(0, "claims", name))[:most]
        pixels = split.images(rows).float().div(255.0).contiguous()
        return Examples(pixels, ((pixels - mean) / std).contiguous(), split.labels[rows])

    test = dataset.val if dataset.test is None else dataset.test
    return of(dataset.train, "train"), of(dataset.val, "val"), of(test, "test"), len(dataset.classes)
