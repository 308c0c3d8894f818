"""Whether an exported file computes what its run does, measured before it gets its name.

Of images (what a classifier sees, what a generator makes) the largest difference in intensity levels; of probabilities the largest |dp| over
images and classes, and on how many images another class comes first. Both sides compute in float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seewhy.core.errors import RunError
from seewhy.data import Split
from seewhy.export.formats import Array, Compute
from seewhy.models.graph import Graph
from seewhy.runs.exported import Parity

LEVELS, PROBABILITY = 1, 0.01
"""Differences that are allowed."""

TIE = 1e-4
"""Classes whose probabilities differ by less come first together."""

SIZES = ((None, None), (1, 1), (33, 57), (57, 33), (300, 400), (400, 300), (31, 31), (1, 9), (751, 1001))
"""Heights and widths of the images by which parity is measured; None is the run's own."""

IMAGES = 18
"""Images by which parity is measured: each of the sizes twice, once grey."""


def validate_parity(parity: Parity) -> None:
    """Raise RunError where a difference is larger than allowed, or is not a number."""
    close = (parity.levels or 0) <= LEVELS and (parity.probability or 0.0) <= PROBABILITY and not parity.different
    if not close:
        raise RunError(
            f"the exported network does not compute what the run does: {parity}; allowed are {LEVELS} level, |dp| {PROBABILITY} and the same "
            "top-1; no file was written"
        )


@torch.no_grad()
def measure_parity(graph: Graph, compute: Compute, samples: Iterable[Mapping[str, Tensor]]) -> Parity:
    """Compare a file with its run.

    Args:
        graph: what was exported.
        compute: the file.
        samples: inputs by name.
    """
    inputs, levels, probability, different = 0, [], [], 0
    sizes: dict[str, None] = {}
    for sample in samples:
        found = compute({name: value.numpy() for name, value in sample.items()})
        wanted = dict(zip(graph.outputs, graph.reference(*sample.values()), strict=True))
        inputs += max(len(value) for value in sample.values())
        if "images" in sample:
            sizes["x".join(map(str, sample["images"].shape[1:3]))] = None
        for name, value in wanted.items():
            if value.dtype == torch.uint8:
                levels.append(_level_difference(found[name], value))
            else:
                p, q = _probabilities(torch.from_numpy(found[name]), name), _probabilities(value, name)
                probability.append(float((p - q).abs().max()))
                different += int((q.max(1).values - q.gather(1, p.argmax(1, keepdim=True))[:, 0] > TIE).sum())
    return Parity(
        inputs=inputs,
        sizes=tuple(sizes),
        levels=max(levels) if levels else None,
        probability=float(np.max(probability)) if probability else None,
        different=different,
    )


def _level_difference(found: Array, wanted: Tensor) -> int:
    if found.shape != tuple(wanted.shape) or found.dtype != np.uint8:
        raise RunError(
            f"the exported network gives {found.dtype} {found.shape} in place of uint8 {tuple(wanted.shape)}"
        )
    return int(np.abs(found.astype(np.int16) - wanted.numpy().astype(np.int16)).max())


def _probabilities(values: Tensor, name: str) -> Tensor:
    return values.double().softmax(1) if name == "logits" else values.double()


def real_images(split: Split, sizes: Sequence[tuple[int | None, int | None]] = SIZES) -> Iterator[dict[str, Tensor]]:
    """Yield images of a split at many sizes, grey and in colour, each as the input of a classifier."""
    rows = torch.arange(IMAGES) * len(split) // IMAGES
    for number, pixels in enumerate(split.images(rows).permute(0, 2, 3, 1).numpy()):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        height, width = sizes[number % len(sizes)]
        if height is not None and width is not None:
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        grey = number >= len(sizes)
        array = np.array(image.convert("L" if grey else "RGB"))
        yield {"images": torch.from_numpy(array.reshape(1, image.height, image.width, -1))}
