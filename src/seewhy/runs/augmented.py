"""What augmentation makes of a run's own training images: strips of images in the run folder, for people and for the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.files import is_inside, naming, write_json
from seewhy.core.seeding import derive, rng
from seewhy.data import Augment, Cutout, Mix, Split
from seewhy.data.image_files import save_image, to_pixels
from seewhy.models.family import Objective
from seewhy.reporting import AugmentationRecord, AugmentedRow
from seewhy.runs.folder import read_json
from seewhy.training.build import Prepared

SHOWN = 8
"""Images of a strip."""

FOLDER = "augmented"


def augmented(split: Split, augment: Augment, mix: Mix | None, *, seed: int, epochs: int = 2) -> AugmentationRecord:
    """Return some training images, each change of them by itself, and all together as the first epochs show them.

    Args:
        split: training images.
        augment: the changes of single images.
        mix: the mixture of pairs, None if there is none.
        seed: the run's; which images are taken and what becomes of them follow from it, the latter as in training.
        epochs: how many are shown.
    """
    rows = torch.randperm(len(split), generator=rng(seed, "shown"))[:SHOWN].sort().values
    images, ids, labels = split.images(rows), split.sample_ids[rows], split.labels[rows]
    data_seed = derive(seed, "data")

    def mixed(images: Tensor, epoch: int) -> Tensor:
        return images if mix is None else mix(images, labels, ids, seed=data_seed, epoch=epoch).images

    strips = [
        AugmentedRow(name, list(to_pixels(change(images, ids, seed=data_seed, epoch=0))), text)
        for name, text, change in _changes(augment)
    ]
    if mix is not None:
        strips.append(AugmentedRow(mix.kind, list(to_pixels(mixed(images, 0))), f"Beta({mix.alpha:g}, {mix.alpha:g})"))
    if strips:
        strips += [
            AugmentedRow(
                "all together",
                list(to_pixels(mixed(augment(images, ids, seed=data_seed, epoch=epoch), epoch))),
                f"epoch {epoch + 1}",
            )
            for epoch in range(epochs)
        ]
    return AugmentationRecord(list(to_pixels(images)), strips)


def illustrated(name: str, source: str, *, epochs: int = 4) -> AugmentationRecord:
    """Return some images of a source, and what one augmentation at a usual strength makes of them in each epoch.

    Args:
        name: one of `seewhy.data.AUGMENTATIONS`.
        source: a folder, a built-in name or an `.npz` file.
        epochs: rows.

    Raises:
        InputError: the name is not known, or the data cannot be read.
    """
    technique = seewhy_data.AUGMENTATIONS[name]
    data = seewhy_data.load_dataset(source)
    change: Any = technique.factory(**_usual(name, min(data.height, data.width), data.channels, data.mean))
    augment, mix = Augment(), None
    if isinstance(change, Augment):
        augment = change
    elif isinstance(change, Mix):
        mix = change
    elif isinstance(change, seewhy_data.ResizedCrop):
        augment = Augment(resized_crop=change)
    else:
        augment = Augment(erase=change)
    record = augmented(data.train, augment, mix, seed=0, epochs=epochs)
    last = [AugmentedRow(name, row.images, row.text) for row in record.rows[-epochs:]]
    return AugmentationRecord(record.images, last)


def _usual(name: str, side: int, channels: int, mean: tuple[float, ...]) -> dict[str, Any]:
    """Return arguments of an augmentation at a strength that shows."""
    coloured = {"saturation": 0.4, "hue": 0.1} if channels == 3 else {}
    arguments: dict[str, dict[str, Any]] = {
        "random_crop": {"padding": max(1, side // 8)},
        "random_resized_crop": {"scale": (0.08, 1.0)},
        "flip": {"kind": "alternating"},
        "color_jitter": {"brightness": 0.4, "contrast": 0.4, **coloured},
        "cutout": {"size": max(1, side // 4), "fill": mean},
        "random_erasing": {"probability": 0.5},
        "mixup": {"alpha": 0.4},
        "cutmix": {"alpha": 1.0},
    }
    return arguments[name]


def _changes(augment: Augment) -> Iterator[tuple[str, str, Augment]]:
    """Yield (name, strength in words, the change) for each change by itself."""
    for field, change in augment.single_changes().items():
        value = getattr(augment, field)
        if field == "erase":
            square = isinstance(value, Cutout)
            yield (
                ("cutout", f"{value.size} pixels", change)
                if square
                else ("erasing", f"{value.probability:.0%} of the images", change)
            )
        elif field == "resized_crop":
            yield "resized crop", f"from {value.scale[0]:.0%} of the area", change
        elif field == "crop_padding":
            yield "crop", f"{value} pixel{'' if value == 1 else 's'}", change
        elif field == "flip":
            yield "flip", value, change
        else:
            yield field, f"within {value:g}", change


def write_augmented(folder: Path, prepared: Prepared) -> None:
    """Write a strip of images for each change a run makes; nothing if it makes none."""
    objective: Objective = prepared.objective
    record = augmented(prepared.dataset.train, objective.augment, objective.mix, seed=prepared.spec.train.seed)
    if not record.rows:
        return
    home = folder / FOLDER
    with naming(home):
        home.mkdir()
    strips = []
    for index, row in enumerate(record.all_rows()):
        file = f"{index}-{row.name.replace(' ', '-')}.png"
        save_image(np.concatenate(row.images, axis=1), home / file)
        strips.append({"file": file, "name": row.name, "text": row.text})
    write_json(home / "strips.json", {"images": len(record.images), "strips": strips})


def read_augmented(folder: Path) -> AugmentationRecord | None:
    """Return what `write_augmented` wrote, None if that was nothing or a part of it is gone."""
    found = read_json(folder, f"{FOLDER}/strips.json")
    files = [strip["file"] for strip in found.get("strips", ())]
    if not files or not all(is_inside(folder / FOLDER, file) for file in files):
        return None
    rows = [
        AugmentedRow(
            strip["name"],
            np.split(np.asarray(Image.open(folder / FOLDER / file)), found["images"], axis=1),
            strip["text"],
        )
        for strip, file in zip(found["strips"], files, strict=True)
    ]
    return AugmentationRecord(rows[0].images, rows[1:], original=rows[0].name)
