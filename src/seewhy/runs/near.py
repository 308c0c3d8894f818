"""Near duplicates of a run's images: what is wrong about them, and a picture of the likest pairs, in the run folder for its report.

near/   pairs.json, what was found; pairs.png, the images of the likest pairs, one below the other
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from seewhy.core.errors import InputError
from seewhy.core.files import is_inside, naming, write_json
from seewhy.data import Dataset, NearPair, kept_near_duplicates
from seewhy.data.image_files import save_image, to_pixels
from seewhy.reporting import ImagePair
from seewhy.runs.folder import read_json
from seewhy.training.build import Prepared

SHOWN = 12
"""Pairs in the report."""

SIDE = 96
"""Pixels of their images."""

FOLDER = "near"


def write_near(folder: Path, prepared: Prepared) -> None:
    """Write what is known of near duplicates among a run's images; the picture only where there are any."""
    dataset = prepared.dataset
    found = kept_near_duplicates(dataset)
    home = folder / FOLDER
    with naming(home):
        home.mkdir()
    shown = found.pairs[:SHOWN]
    rows = [{"names": list(pair.names), "text": text_of(pair)} for pair in shown]
    issues = [{**vars(issue), "paths": list(issue.paths)} for issue in found.issues()]
    write_json(home / "pairs.json", {"found": len(found.pairs), "pairs": rows, "issues": issues})
    if shown:
        sides = [
            _small(dataset, split, at) for pair in shown for split, at in zip(pair.splits, pair.positions, strict=True)
        ]
        save_image(np.concatenate(sides), home / "pairs.png")


def text_of(pair: NearPair) -> str:
    """Return where a pair lies, what its classes are if they differ, and how like it is."""
    where = " and ".join(dict.fromkeys(pair.splits))
    labels = f"{pair.classes[0]} and {pair.classes[1]}, " if pair.classes[0] != pair.classes[1] else ""
    return f"{where}, {labels}{'mirrored, ' * pair.mirrored}likeness {pair.likeness:.3f}"


def _small(dataset: Dataset, split: str, at: int) -> Any:
    """Return an image uint8 [H, W, C], of at most 96 pixels a side."""
    pixels = to_pixels(dataset.splits[split].images(torch.tensor([at]))[0])
    if max(pixels.shape[:2]) <= SIDE:
        return pixels
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((SIDE, SIDE))
    return np.asarray(image).reshape(image.height, image.width, pixels.shape[2])


def read_near(folder: Path) -> tuple[list[ImagePair], list[dict[str, Any]]]:
    """Return the pairs to show and what is wrong, as `write_near` wrote them; nothing of a run that has none.

    Raises:
        InputError: a file is damaged or missing.
    """
    held = read_json(folder, f"{FOLDER}/pairs.json")
    rows, path = held.get("pairs", ()), folder / FOLDER / "pairs.png"
    if not rows:
        return [], list(held.get("issues", ()))
    if not is_inside(folder / FOLDER, path.name):
        raise InputError(f"{path}: is missing; restore it, or remove the folder {FOLDER}")
    try:
        images = np.split(np.asarray(Image.open(path)), 2 * len(rows))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is damaged ({error}); restore it, or remove the folder {FOLDER}") from None
    pairs = [
        ImagePair((images[2 * number], images[2 * number + 1]), tuple(row["names"]), row["text"])
        for number, row in enumerate(rows)
    ]
    return pairs, list(held["issues"])
