"""Sheets of images that a trained model generates, for its report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seewhy.core.files import naming
from seewhy.core.seeding import rng
from seewhy.data import Split
from seewhy.data.image_files import save_image, to_pixels
from seewhy.metrics import nearest_neighbours
from seewhy.models.family import Trained
from seewhy.models.generative.conditioning import class_count, labels_in_turn
from seewhy.models.generative.selection import evenly_spaced
from seewhy.reporting import image_grid

FOLDER = "generated"

SHEET_IMAGES = 64
"""Images of a sheet of samples."""

NEAREST, SEARCHED = 12, 10_000
"""Generated images whose nearest training images are shown, and among how many."""

EXAMPLES = 8
"""Images that are completed or reconstructed."""

MAX_CLASSES = 16
"""With more classes than this a sheet of samples does not give each a column."""


class SheetImages(NamedTuple):
    """The images of a sheet.

    Attributes:
        name: its heading.
        images: uint8 (N, C, H, W).
        columns: images in a row.
        caption: what is seen.
    """

    name: str
    images: Tensor
    columns: int
    caption: str


@torch.no_grad()
def write_sheets(sheets: Iterable[SheetImages], folder: Path) -> list[dict[str, str]]:
    """Write sheets into a run's folder; return their files (relative to it), names and captions."""
    with naming(folder / FOLDER):
        (folder / FOLDER).mkdir(exist_ok=True)
    entries = []
    for sheet in sheets:
        file = f"{FOLDER}/{sheet.name.replace(' ', '-')}.png"
        save_image(image_grid(to_pixels(sheet.images), columns=sheet.columns), folder / file)
        entries.append({"file": file, "name": sheet.name, "caption": sheet.caption})
    return entries


def common_sheets(trained: Trained, training: Split, sampling: str | None = None) -> Iterator[SheetImages]:
    """Yield the sheets of any generative model: samples, and some of them with the training images nearest to them.

    Args:
        trained: a generative model.
        training: the images it was trained on.
        sampling: how images are sampled, in words, where a model has several ways.
    """
    samples = samples_sheet(trained, sampling)
    yield samples
    yield nearest_sheet(samples.images, training)


def samples_sheet(trained: Trained, sampling: str | None = None) -> SheetImages:
    """Generate images, of all classes in turn where the model is class-conditional."""
    side, classes = math.isqrt(SHEET_IMAGES), class_count(trained)
    if classes is not None and classes > MAX_CLASSES:
        classes = None
    columns = side if classes is None else classes * max(1, side // classes)
    count = columns * (SHEET_IMAGES // columns)
    noise = rng(trained.spec.train.seed, "samples", device=trained.engine.device)
    images = trained.model.sample(count, labels_in_turn(trained, count), rng=noise)
    order = ", one class per column" if columns == classes else ", the classes in turn along each row"
    how = "" if sampling is None else f": {sampling}"
    return SheetImages("samples", images, columns, f"Generated images{order if classes and classes > 1 else ''}{how}.")


def nearest_sheet(generated: Tensor, training: Split) -> SheetImages:
    """Set generated images beside the training images that are most like them, pixel by pixel."""
    some = generated[:: max(1, len(generated) // NEAREST)][:NEAREST].cpu()
    rows = evenly_spaced(len(training), SEARCHED)
    candidates = training.images(rows)
    nearest = nearest_neighbours(some.flatten(1).float(), candidates.flatten(1).float(), 1)[1][:, 0]
    caption = (
        f"Top: generated. Below: the nearest of {len(rows):,} training images, by their pixels. "
        "Equal ones would be copies."
    )
    return SheetImages("nearest training images", torch.cat([some, candidates[nearest]]), len(some), caption)
