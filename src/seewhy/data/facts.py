"""What is known of every image after decoding it once: its own size, whether it is grey, a hash of its pixels and their sums.

Letters: N images, H height, W width, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from seewhy.data.codec import Bytes
from seewhy.data.split_rules import Ints

STD_FLOOR = 1 / 255
DARK = 8
"""Root mean square of the pixels (0 to 255) up to which an image is nearly black."""


@dataclass(frozen=True)
class ImageFacts:
    """Facts of N images, as arrays.

    Attributes:
        sizes: int64 [N, 2], own height and width.
        grey: bool [N].
        several: bool [N], whether the file has more pages or frames than the one that counts.
        hashes: uint64 [N], of the decoded pixels.
        sums: int64 [N, C], of the pixels by channel.
        squares: int64 [N, C], of the squared pixels by channel.
        unreadable: reason for each row that cannot be used.
    """

    sizes: Ints
    grey: npt.NDArray[np.bool_]
    several: npt.NDArray[np.bool_]
    hashes: npt.NDArray[np.uint64]
    sums: Ints
    squares: Ints
    unreadable: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def empty(cls, count: int, channels: int) -> ImageFacts:
        """Make the arrays to be filled."""
        return cls(
            np.zeros((count, 2), np.int64),
            np.zeros(count, np.bool_),
            np.zeros(count, np.bool_),
            np.zeros(count, np.uint64),
            np.zeros((count, channels), np.int64),
            np.zeros((count, channels), np.int64),
            {},
        )

    def measure(self, rows: slice, pixels: Bytes) -> None:
        """Fill hashes and sums of `rows` from their pixels [n, H, W, C]."""
        self.hashes[rows] = pixel_hash(pixels)
        n, height, width, channels = pixels.shape
        wide = torch.from_numpy(pixels.reshape(n, height, width * channels)).to(torch.int32)  # exact: 255^2 H < 2^31
        sums = wide.sum(1, dtype=torch.int32)
        squares = wide.mul_(wide).sum(1, dtype=torch.int32)
        for target, column in ((self.sums, sums), (self.squares, squares)):
            target[rows] = column.view(n, width, channels).sum(1).numpy()

    def moments(self, rows: npt.NDArray[np.bool_], pixels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation by channel of some rows, in units where 255 is 1.

        Args:
            rows: bool [N], which images count.
            pixels: of one image, H W.
        """
        total = int(rows.sum()) * pixels
        mean = self.sums[rows].sum(0).astype(np.float64) / total
        square = self.squares[rows].sum(0).astype(np.float64) / total
        std = np.sqrt(np.maximum(square - mean * mean, 0)) / 255
        return tuple((mean / 255).tolist()), tuple(np.maximum(std, STD_FLOOR).tolist())


def blank_and_dark(facts: ImageFacts, pixels: int) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which images are of one colour, and which of the others are nearly black, bool [N] each.

    Args:
        facts: of the images.
        pixels: of one image, H W.
    """
    blank = (facts.sums**2 == facts.squares * pixels).all(1)
    dark = (facts.squares.sum(1) <= DARK**2 * pixels * facts.squares.shape[1]) & ~blank
    return blank, dark


def pixel_hash(pixels: Bytes) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each image of [n, H, W, C]; images that agree in it are compared before they count as equal."""
    flat = pixels.reshape(len(pixels), -1)
    if flat.shape[1] % 8:
        flat = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8)))
    words = flat.view(np.uint64)
    weights = np.random.default_rng(8).integers(0, 1 << 63, words.shape[1], dtype=np.uint64) | np.uint64(1)
    return np.asarray(((words ^ (words >> np.uint64(29))) * weights).sum(1, dtype=np.uint64))
