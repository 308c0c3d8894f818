"""The list of a source's images: what every kind of source is turned into before any pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy.typing as npt

from seewhy.data.audit import Issue
from seewhy.data.reading import read_bytes
from seewhy.data.sources.stored import Stored
from seewhy.data.split_rules import Ints

SourceKind = Literal["folder", "npz", "builtin", "arrays", "datasets", "shards"]


@dataclass(frozen=True)
class Catalog:
    """The images of a source: `paths` below `root`, or `stored` in larger files, or `pixels`.

    Attributes:
        name: short name for people.
        kind: "folder", "npz", "builtin", "arrays", "datasets" or "shards".
        classes: class names in natural order; some may turn out to have no usable image.
        labels: int64 [N].
        splits: int64 [N]; TRAIN, VAL, TEST or UNDECIDED.
        names: N unique names for people.
        flip_invariant: whether flipped images are as likely as the originals; None where the number of channels decides.
        issues: what the listing itself found.
        root: folder of the paths; the source itself where images are stored in larger files.
        paths: N paths relative to `root`, in the order of the names.
        stored: where the images are if the paths are no files, but names of members.
        stats: int64 [N, 5] of the files, see `identity`.
        content: hash of what is not in names, labels, splits and files: the arrays, or the classes and groups that a table says.
        pixels: uint8 or uint16 [N, H, W, C].
        labels_required: whether there must be images of two classes at least.
        groups: N texts; images of one group are kept in one split; None where each image stands alone.
        labels_file: name of the table that says the labels; "" where folders or arrays do.
    """

    name: str
    kind: SourceKind
    classes: tuple[str, ...]
    labels: Ints
    splits: Ints
    names: Sequence[str]
    flip_invariant: bool | None = None
    issues: tuple[Issue, ...] = ()
    root: str = ""
    paths: Sequence[str] = field(default=(), repr=False)
    stored: Stored | None = field(default=None, repr=False)
    stats: Ints | None = field(default=None, repr=False)
    content: str = ""
    pixels: npt.NDArray[Any] | None = field(default=None, repr=False)
    labels_required: bool = True
    groups: Sequence[str] | None = field(default=None, repr=False)
    labels_file: str = ""

    @property
    def fewest_classes(self) -> int:
        """How many classes there must be images of."""
        return 2 if self.labels_required else 1

    def read(self, row: int) -> bytes:
        """Return the encoded bytes of an image.

        Raises:
            BadImageError: they cannot be read.
        """
        if self.stored is not None:
            return self.stored.read(row)
        return read_bytes(f"{self.root.rstrip('/')}/{self.paths[row]}")


class Numbered(Sequence[str]):
    """Names such as "train/123" for the images of arrays, made when they are asked for."""

    def __init__(self, arrays: Sequence[tuple[str, int]]) -> None:
        """Take the arrays as (name, length), in order."""
        self._arrays = tuple(arrays)
        self._length = sum(length for _, length in arrays)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        position = int(index) + (self._length if index < 0 else 0)
        for name, length in self._arrays:
            if 0 <= position < length:
                return f"{name}/{position}"
            position -= length
        raise IndexError(index)
