"""A data set: three splits that are row numbers into one store of pixels.

Letters: N images, C channels, H height, W width; pixels are uint8, stored [N, H, W, C], handed out [n, C, H, W] in
channels_last memory (the same bytes, another view).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seewhy.core.errors import RunError
from seewhy.data.audit import Audit, count
from seewhy.data.checksums import BackgroundCheck
from seewhy.data.codec import decode_many
from seewhy.data.fitting import PLAIN, DecodeRule
from seewhy.data.identity import content_hash
from seewhy.data.reading import BadImageError
from seewhy.data.sources import SourceKind


class Store(Protocol):
    """Where the pixels of a whole data set are."""

    @property
    def decodes(self) -> bool:
        """Whether reading costs decoding (so that it is worth preparing a batch ahead)."""

    def images(self, rows: Tensor) -> Tensor:
        """Return uint8 [n, C, H, W] in channels_last memory for int64 rows [n]."""

    @property
    def ready_bytes(self) -> int | None:
        """Memory that all of it takes; None where every batch is decoded."""

    def on(self, device: torch.device) -> Store:
        """Return the same with its memory on a device."""


@dataclass(frozen=True)
class PixelStore:
    """Decoded pixels in memory or in a memory map: a batch is one gather.

    Attributes:
        pixels: uint8 [N, H, W, C], contiguous.
        check: of a large entry of the cache.
    """

    pixels: Tensor
    check: BackgroundCheck | None = None

    @property
    def decodes(self) -> bool:
        """Pixels are ready."""
        return False

    def images(self, rows: Tensor) -> Tensor:
        """Gather rows; the only copy is the gather itself."""
        if self.check is not None:
            self.check.raise_if_damaged()
        return self.pixels.index_select(0, rows).permute(0, 3, 1, 2)

    @property
    def ready_bytes(self) -> int:
        """Of the pixels."""
        return self.pixels.nbytes

    def on(self, device: torch.device) -> PixelStore:
        """Return the same with its pixels on a device."""
        return PixelStore(self.pixels.to(device), self.check)


@dataclass(frozen=True)
class ByteStore:
    """Encoded images in a memory map, decoded for every batch in threads.

    Attributes:
        blob: uint8, all files one after the other.
        offsets: int64 [N + 1], where each begins.
        shape: (H, W, C) of the decoded images.
        names: N names, for errors.
        rule: how they are decoded.
        check: of a large entry of the cache.
    """

    blob: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    shape: tuple[int, int, int]
    names: Sequence[str]
    rule: DecodeRule = PLAIN
    check: BackgroundCheck | None = None

    @property
    def decodes(self) -> bool:
        """Every batch is decoded."""
        return True

    def images(self, rows: Tensor) -> Tensor:
        """Decode rows; they were decoded once before, so a failure means that the cache was damaged since."""
        if self.check is not None:
            self.check.raise_if_damaged()
        numbers: list[Any] = rows.tolist()
        encoded = [self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes() for row in numbers]
        images, failures = decode_many(encoded, resolution=self.shape[:2], channels=self.shape[2], rule=self.rule)
        if failures:
            position, reason = failures[0]
            raise RunError(
                f"{self.names[numbers[position]]} in the cache {reason}; remove the cache folder and start again"
            )
        return images

    @property
    def ready_bytes(self) -> None:
        """Every batch is decoded."""

    def on(self, device: torch.device) -> ByteStore:
        """Return itself: it decodes on the processor."""
        del device
        return self


@dataclass(frozen=True)
class FileStore:
    """Images that stay where they are, such as in the shards of a large set: read and decoded for every batch in threads.

    Attributes:
        read: gives an image's encoded bytes by its row.
        hashes: uint8 [N, 16], of the bytes as they were when the images were listed.
        shape: (H, W, C) of the decoded images.
        names: N names, for errors.
        rule: how they are decoded.
    """

    read: Callable[[int], bytes]
    hashes: npt.NDArray[np.uint8]
    shape: tuple[int, int, int]
    names: Sequence[str]
    rule: DecodeRule = PLAIN

    @property
    def decodes(self) -> bool:
        """Every batch is decoded."""
        return True

    def images(self, rows: Tensor) -> Tensor:
        """Read and decode rows; they were decoded once before, so a failure, or other bytes, mean that they were changed since."""
        numbers: list[int] = rows.tolist()
        sources = [partial(self._same, row) for row in numbers]
        images, failures = decode_many(sources, resolution=self.shape[:2], channels=self.shape[2], rule=self.rule)
        if failures:
            position, reason = failures[0]
            raise RunError(
                f"{self.names[numbers[position]]} {reason}; images must stay as they are while data.cache is none: restore them and go on"
            )
        return images

    @property
    def ready_bytes(self) -> None:
        """Every batch is decoded."""

    def on(self, device: torch.device) -> FileStore:
        """Return itself: it decodes on the processor."""
        del device
        return self

    def _same(self, row: int) -> bytes:
        data = self.read(row)
        if content_hash(data) != self.hashes[row].tobytes():
            raise BadImageError("is not what it was when the run began")
        return data


@dataclass(frozen=True)
class Split:
    """The training, validation or test images: rows of a shared store.

    Attributes:
        sample_ids: int64 [n], the images' rows in the whole data set; the address of their random numbers.
        labels: int64 [n], index into the data set's classes.
        names: file path relative to the source, or such as "train/123".
        hashes: uint64 [n], of each image's decoded pixels: equal for equal images of one shape, whatever their files are called and
            wherever they lie; `overlap` compares them with those of another split, or of a run.
    """

    sample_ids: Tensor
    labels: Tensor
    names: Sequence[str]
    store: Store = field(repr=False)
    hashes: npt.NDArray[np.uint64] = field(repr=False)

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def decodes(self) -> bool:
        """Whether `images` decodes files (`cache="bytes"` or `"none"`)."""
        return self.store.decodes

    def take(self, indices: Tensor) -> Split:
        """Return the split that holds the images at int64 positions [n], which may repeat."""
        names = [self.names[position] for position in indices.tolist()]
        return Split(self.sample_ids[indices], self.labels[indices], names, self.store, self.hashes[indices.numpy()])

    def images(self, indices: Tensor) -> Tensor:
        """Return the images at int64 positions [n] of this split: uint8 [n, C, H, W], channels_last."""
        return self.store.images(self.sample_ids[indices])

    def on(self, device: torch.device) -> Split:
        """Return the same on a device: a batch is gathered there, from positions that are there."""
        return replace(
            self, sample_ids=self.sample_ids.to(device), labels=self.labels.to(device), store=self.store.on(device)
        )

    def overlap(self, hashes: npt.NDArray[np.uint64]) -> Tensor:
        """Return which images are among those of `hashes`, such as the images that a run was trained on: bool [n]."""
        return torch.from_numpy(np.isin(self.hashes, hashes))


@dataclass(frozen=True)
class Dataset:
    """Images, labels, classes and what is known about them before training.

    Attributes:
        mean: per channel, of the training split only, in units where 255 is 1.
        std: likewise, at least 1/255 so that constant images can be normalised.
        flip_invariant: whether a flipped image is as likely as the original (false for digits, letters and grey images).
        fingerprint: hash of the images' names, classes, splits and contents, and of how they are decoded; a copy elsewhere has the same.
        rule: how they are decoded; images that a model of this data set is to see elsewhere are decoded so too.
    """

    name: str
    classes: tuple[str, ...]
    channels: int
    height: int
    width: int
    train: Split
    val: Split
    test: Split | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    audit: Audit
    fingerprint: str
    source_kind: SourceKind
    flip_invariant: bool
    rule: DecodeRule = PLAIN

    @property
    def splits(self) -> dict[str, Split]:
        """The splits by name, without a missing test split."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    def counts(self) -> dict[str, tuple[int, ...]]:
        """Images of every class, by split."""
        return {
            name: tuple(torch.bincount(split.labels, minlength=len(self.classes)).tolist())
            for name, split in self.splits.items()
        }

    def table(self, most: int = 100) -> str:
        """Lines for people: the images of every class (up to `most` classes) by split."""
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
        sizes = ", ".join(f"{len(split):,} {name}" for name, split in self.splits.items())
        colour = "grey" if self.channels == 1 else "colour"
        return (
            f"{self.name}: {sizes}; {count(len(self.classes), 'class')}; {self.width} x {self.height} pixels, {colour}"
        )
