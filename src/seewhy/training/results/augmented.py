"""What augmentation makes of a run's own training images: strips of pictures in the run folder, for people and for the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seewhy import data as seewhy_data
from seewhy.core.files import naming, write_json
from seewhy.core.seeding import derive, generator
from seewhy.data import Augment, Cutout, Mix, Part
from seewhy.reporting.records import AugmentationRecord, Drawn
from seewhy.training.assemble import Prepared, make_augment, make_mix
from seewhy.training.results.folder import RunFolder
from seewhy.training.results.pictures import pixels_of, save_picture
from seewhy.training.spec import RegSpec

SHOWN = 8
"""Images a strip."""

FOLDER = "augmented"


def augmented(part: Part, augment: Augment, mix: Mix | None, *, seed: int, epochs: int = 2) -> AugmentationRecord:
    """Return some training images, each change of them by itself, and all together as the first epochs show them.

    Args:
        part: training images.
        augment: the changes of single images.
        mix: the mixture of pairs, None if there is none.
        seed: the run's; which images are chosen and what becomes of them follow from it, the latter as in training.
        epochs: how many are shown.
    """
    chosen = torch.randperm(len(part), generator=generator(seed, "shown"))[:SHOWN].sort().values
    images, keys, labels = part.images(chosen), part.keys[chosen], part.labels[chosen]
    drawn = derive(seed, "data")

    def mixed(images: Tensor, epoch: int) -> Tensor:
        return images if mix is None else mix(images, labels, keys, seed=drawn, epoch=epoch).images

    rows = [
        Drawn(name, list(pixels_of(change(images, keys, seed=drawn, epoch=0))), text)
        for name, text, change in _changes(augment)
    ]
    if mix is not None:
        rows.append(Drawn(mix.kind, list(pixels_of(mixed(images, 0))), f"Beta({mix.alpha:g}, {mix.alpha:g})"))
    if rows:
        rows += [
            Drawn(
                "all together",
                list(pixels_of(mixed(augment(images, keys, seed=drawn, epoch=epoch), epoch))),
                f"epoch {epoch + 1}",
            )
            for epoch in range(epochs)
        ]
    return AugmentationRecord(list(pixels_of(images)), rows)


def illustrated(name: str, source: str, *, epochs: int = 4) -> AugmentationRecord:
    """Return some images of a source, and what one augmentation at a usual strength makes of them in each epoch.

    Args:
        name: one of `seewhy.data.AUGMENTATIONS`.
        source: a folder, a built-in name or an `.npz` file.
        epochs: rows.

    Raises:
        InputError: the name is not known, or the data cannot be read.
    """
    seewhy_data.AUGMENTATIONS[name]
    data = seewhy_data.prepare(source)
    reg = RegSpec(flip="none", crop_padding=0).model_copy(
        update=_usual(name, min(data.height, data.width), data.channels)
    )
    augment, mix = make_augment(reg, data.mean), make_mix(reg)
    record = augmented(data.train, augment, mix, seed=0, epochs=epochs)
    return AugmentationRecord(record.images, [Drawn(name, row.images, row.text) for row in record.rows[-epochs:]])


def _usual(name: str, side: int, channels: int) -> dict[str, Any]:
    """Return fields of `RegSpec` that choose an augmentation at a strength that shows."""
    coloured = {"saturation": 0.4, "hue": 0.1} if channels == 3 else {}
    fields: dict[str, dict[str, Any]] = {
        "random_crop": {"crop_padding": max(1, side // 8)},
        "random_resized_crop": {"crop_padding": None, "resized_crop": 0.08},
        "flip": {"flip": "alternating"},
        "color_jitter": {"brightness": 0.4, "contrast": 0.4, **coloured},
        "cutout": {"cutout": max(1, side // 4)},
        "random_erasing": {"erasing": 0.5},
        "mixup": {"mixup": 0.4},
        "cutmix": {"cutmix": 1.0},
    }
    return fields[name]


def _changes(augment: Augment) -> Iterator[tuple[str, str, Augment]]:
    """Yield (name, strength in words, the change) for each change by itself."""
    for field, change in augment.parts().items():
        value = getattr(augment, field)
        if field == "hole":
            square = isinstance(value, Cutout)
            yield (
                ("cutout", f"{value.side} pixels", change)
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
    """Write a strip of pictures for each change a run makes; nothing if it makes none."""
    spec = prepared.spec
    augment, mix = make_augment(spec.reg, prepared.dataset.mean), make_mix(spec.reg)
    record = augmented(prepared.dataset.train, augment, mix, seed=spec.train.seed)
    if not record.rows:
        return
    home = folder / FOLDER
    with naming(home):
        home.mkdir()
    strips = []
    for place, row in enumerate(record.all_rows()):
        file = f"{place}-{row.name.replace(' ', '-')}.png"
        save_picture(np.concatenate(row.images, axis=1), home / file)
        strips.append({"file": file, "name": row.name, "text": row.text})
    write_json(home / "strips.json", {"images": len(record.images), "strips": strips})


def read_augmented(run: RunFolder) -> AugmentationRecord | None:
    """Return what `write_augmented` wrote, None if that was nothing or a part of it is gone."""
    found = run.read_json(f"{FOLDER}/strips.json")
    files = [run.folder / FOLDER / strip["file"] for strip in found.get("strips", ())]
    if not files or not all(file.is_file() for file in files):
        return None
    rows = [
        Drawn(strip["name"], np.split(np.asarray(Image.open(file)), found["images"], axis=1), strip["text"])
        for strip, file in zip(found["strips"], files, strict=True)
    ]
    return AugmentationRecord(rows[0].images, rows[1:], original=rows[0].name)
