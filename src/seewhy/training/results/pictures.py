"""Pictures in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seewhy.core.files import write_atomic


def pixels_of(images: Tensor) -> NDArray[Any]:
    """Return images (..., C, H, W) as an array [..., H, W, C]."""
    return np.ascontiguousarray(images.movedim(-3, -1).cpu().numpy())


def save_picture(pixels: NDArray[Any], path: Path) -> None:
    """Write uint8 [H, W, C] with C = 1 or 3 as a PNG, whole or not at all."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    write_atomic(path, lambda temporary: picture.save(temporary, format="PNG"))
