"""A prepared data set: three parts that are row numbers into one store of pixels.

Legend: N images, C channels, H height, W width; pixels are uint8, stored [N, H, W, C], handed out [n, C, H, W] in
channels_last memory (the same bytes, another view).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seewhy.core.errors import RunError
from seewhy.data.audit import Audit
from seewhy.data.decode import decode_many
from seewhy.data.sources import SourceKind


class Store(Protocol):
    """Where the pixels of a whole data set are."""

    @property
    def decodes(self) -> bool:
        """Whether reading costs decoding (so that it is worth preparing a batch ahead)."""

    def images(self, rows: Tensor) -> Tensor:
        """Return uint8 [n, C, H, W] in channels_last memory for int64 rows [n]."""


@dataclass(frozen=True)
class PixelStore:
    """Decoded pixels in memory or in a memory map: a batch is one gather.

    Attributes:
        pixels: uint8 [N, H, W, C], contiguous.
    """

    pixels: Tensor

    @property
    def decodes(self) -> bool:
        """Pixels are ready."""
        return False

    def images(self, rows: Tensor) -> Tensor:
        """Gather rows; the only copy is the gather itself."""
        return self.pixels.index_select(0, rows).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class ByteStore:
    """Encoded pictures in a memory map, decoded for every batch in threads.

    Attributes:
        blob: uint8, all files one after the other.
        offsets: int64 [N + 1], where each begins.
        shape: (H, W, C) of the decoded pictures.
        names: N names, for errors.
    """

    blob: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    shape: tuple[int, int, int]
    names: Sequence[str]

    @property
    def decodes(self) -> bool:
        """Every batch is decoded."""
        return True

    def images(self, rows: Tensor) -> Tensor:
        """Decode rows; they were decoded once before, so a failure means that the cache was damaged since."""
        chosen: list[Any] = rows.tolist()
        encoded = [self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes() for row in chosen]
        images, bad = decode_many(encoded, resolution=self.shape[:2], channels=self.shape[2])
        if bad:
            place, reason = bad[0]
            raise RunError(
                f"{self.names[chosen[place]]} in the cache {reason}; remove the cache folder and start again"
            )
        return images


@dataclass(frozen=True)
class Part:
    """The training, validation or test images: rows of a shared store.

    Attributes:
        keys: int64 [n], the images' rows in the whole data set; the address of their random draws.
        labels: int64 [n], index into the data set's classes.
        names: file path relative to the source, or such as "train/123".
    """

    keys: Tensor
    labels: Tensor
    names: Sequence[str]
    store: Store = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def decodes(self) -> bool:
        """Whether `images` decodes files (`cache="bytes"`)."""
        return self.store.decodes

    def take(self, indices: Tensor) -> Part:
        """Return the part that holds the images at int64 positions [n], which may repeat."""
        names = [self.names[place] for place in indices.tolist()]
        return Part(self.keys[indices], self.labels[indices], names, self.store)

    def images(self, indices: Tensor) -> Tensor:
        """Return the images at int64 positions [n] of this part: uint8 [n, C, H, W], channels_last."""
        return self.store.images(self.keys[indices])


@dataclass(frozen=True)
class Dataset:
    """Images, labels, classes and what is known about them before training.

    Attributes:
        mean: per channel, of the training part only, in units where 255 is 1.
        std: likewise, at least 1/255 so that constant images can be normalised.
        mirrorable: whether a mirrored picture is as likely as the original (false for digits, letters and grey images).
        fingerprint: hash of the files (path, size, modification time) or arrays, and the decode settings.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    train: Part
    val: Part
    test: Part | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    audit: Audit
    fingerprint: str
    source_kind: SourceKind
    mirrorable: bool

    @property
    def parts(self) -> dict[str, Part]:
        """The parts by name, without a missing test part."""
        parts = {"train": self.train, "val": self.val}
        return parts if self.test is None else {**parts, "test": self.test}

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Images of every class, by part."""
        return {
            name: tuple(torch.bincount(part.labels, minlength=len(self.classes)).tolist())
            for name, part in self.parts.items()
        }

    def table(self, most: int = 100) -> str:
        """Lines for people: the images of every class (up to `most` classes) by part."""
        counts = self.counts()
        width = max(5, *(len(name) for name in self.classes[:most]))
        lines = [" ".join([f"{'class':<{width}}", *(f"{name:>9}" for name in counts)])]
        for k, label in enumerate(self.classes[:most]):
            lines.append(" ".join([f"{label:<{width}}", *(f"{column[k]:>9,}" for column in counts.values())]))
        if len(self.classes) > most:
            lines.append(f"and {len(self.classes) - most:,} more classes")
        return "\n".join(lines)

    def summary(self) -> str:
        """One line for people: how many images of what, and how they are split."""
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in self.parts.items())
        colour = "grey" if self.channels == 1 else "colour"
        return f"{self.name}: {sizes}; {len(self.classes)} classes; {self.width} x {self.height} pixels, {colour}"
