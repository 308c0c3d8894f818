"""What is known of the data before a run is resolved: numbers, no images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SMALL = 64
"""Sides up to this many pixels are small."""


@dataclass(frozen=True)
class DataFacts:
    """What the defaults of a run depend on.

    Attributes:
        height, width: of every image, in pixels.
        channels: 1 for grey, 3 for colour.
        classes: K.
        train_images, val_images, test_images: in each split, 0 where there is none.
        flip_invariant: whether a mirrored image is as likely as the original.
        class_images: training images of each class; () where they were not counted.
    """

    height: int
    width: int
    channels: int
    classes: int
    train_images: int
    val_images: int
    test_images: int
    flip_invariant: bool
    class_images: tuple[int, ...] = ()

    @property
    def side(self) -> int:
        """The longer side in pixels."""
        return max(self.height, self.width)

    @property
    def small(self) -> bool:
        """Whether the images are small."""
        return self.side <= SMALL

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, self.height, self.width

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> DataFacts:
        """Make the record of what `to_json` returned, by this version or an earlier one."""
        return cls(**{**values, "class_images": tuple(values.get("class_images", ()))})

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)
