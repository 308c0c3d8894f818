"""Generated pictures as files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from seewhy.core.files import naming
from seewhy.training.results.pictures import pixels_of, save_picture


def write_pictures(images: Tensor, out: Path, columns: int | None = None) -> None:
    """Write pictures (N, C, H, W): as one sheet if `out` is a .png file, else one by one into the folder `out`, which is made.

    Raises:
        InputError: the place cannot be written.
    """
    from seewhy.reporting import grid

    with naming(out):
        if out.suffix == ".png":
            out.parent.mkdir(parents=True, exist_ok=True)
            fitting = None if columns is None else min(columns, len(images))
            save_picture(grid(pixels_of(images), columns=fitting), out)
            return
        out.mkdir(parents=True)
        digits = len(str(len(images)))
        for place, pixels in enumerate(pixels_of(images), start=1):
            save_picture(pixels, out / f"{place:0{digits}d}.png")
