"""Images as files: from tensors to pixels, and from pixels to a PNG that is whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seewhy.core.files import write_atomic


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Return uint8 images (..., C, H, W) as an array [..., H, W, C]."""
    return np.ascontiguousarray(images.movedim(-3, -1).cpu().numpy())


def save_image(pixels: NDArray[np.uint8], path: Path) -> None:
    """Write uint8 [H, W, C] with C = 1 or 3 as a PNG.

    Raises:
        RunError: the file cannot be written.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    write_atomic(path, lambda temporary: image.save(temporary, format="PNG"))
