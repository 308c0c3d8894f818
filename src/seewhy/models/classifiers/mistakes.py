"""The most confident mistakes of a classifier, as images in its run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.files import naming
from seewhy.data import Split
from seewhy.data.image_files import save_image, to_pixels

FOLDER = "samples"
MOST = 24
"""Images that are kept for the report, at most."""


def write_mistakes(folder: Path, classes: Sequence[str], split: Split, probabilities: Tensor) -> list[dict[str, Any]]:
    """Write the images of the most confident mistakes; return their files, names, classes and confidences.

    Args:
        folder: of the run.
        classes: names.
        split: the images.
        probabilities: (N, K) of them.
    """
    confidence, predicted = probabilities.max(dim=1)
    wrong = torch.nonzero(predicted != split.labels).flatten()
    wrong = wrong[confidence[wrong].argsort(descending=True, stable=True)][:MOST]
    home = folder / FOLDER
    with naming(home):
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
    rows = []
    for number, row in enumerate(wrong.tolist(), start=1):
        file = home / f"mistake-{number:02d}.png"
        save_image(to_pixels(split.images(torch.tensor([row]))[0]), file)
        rows.append(
            {
                "file": f"{FOLDER}/{file.name}",
                "name": str(split.names[row]),
                "true": classes[int(split.labels[row])],
                "predicted": classes[int(predicted[row])],
                "confidence": float(confidence[row]),
            }
        )
    return rows
