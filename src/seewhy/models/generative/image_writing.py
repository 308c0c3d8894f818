"""Generated images as files: one sheet, or a folder of single images."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from seewhy.core.files import naming, whole_folder
from seewhy.data.image_files import save_image, to_pixels
from seewhy.reporting import image_grid


def write_images(images: Tensor, out: Path, columns: int | None = None) -> None:
    """Write images, uint8 (N, C, H, W), as one sheet if `out` is a .png file, else one by one into the folder `out`, which is made.

    Args:
        images: at least one.
        out: a path that does not exist yet.
        columns: images in a row of the sheet; None for a sheet as square as possible.

    Raises:
        RunError: the place cannot be written.
    """
    with naming(out):
        if out.suffix == ".png":
            out.parent.mkdir(parents=True, exist_ok=True)
            save_image(
                image_grid(to_pixels(images), columns=None if columns is None else min(columns, len(images))), out
            )
            return
        digits = len(str(len(images)))
        with whole_folder(out) as temporary:
            for number, pixels in enumerate(to_pixels(images), start=1):
                save_image(pixels, temporary / f"{number:0{digits}d}.png")
