"""Which images of a data set stand for it where all would be too many: rows spread evenly, since a split may be sorted by class."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.data import Dataset, Split
from seewhy.models.family import Trained
from seewhy.models.generative.conditioning import is_conditional


def evenly_spaced(count: int, most: int) -> Tensor:
    """Return at most `most` rows of `count`, spread evenly from the first to the last: int64."""
    return torch.linspace(0, count - 1, min(most, count)).long()


def held_out(dataset: Dataset) -> Split:
    """Return the test images, else those of validation, else of training: the first split of more than one image."""
    splits = (dataset.test, dataset.val, dataset.train)
    return next(split for split in splits if split is not None and len(split) > 1)


def examples(trained: Trained, split: Split, most: int) -> tuple[Tensor, Tensor | None]:
    """Return at most `most` images of a split, uint8 (N, C, H, W), and their labels where the model is class-conditional."""
    rows, device = evenly_spaced(len(split), most), trained.engine.device
    labels = split.labels[rows].to(device) if is_conditional(trained.spec) else None
    return split.images(rows).to(device), labels
