"""The images that paths, folders and patterns name, by the same walk as for training."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from seewhy.core.errors import InputError
from seewhy.data.formats import is_image_name
from seewhy.data.sources.names import printable
from seewhy.data.sources.paths import as_path
from seewhy.data.sources.walk import Walk


def find_images(patterns: Iterable[str | Path]) -> Iterator[str]:
    """Yield the files that paths, folders (searched through) and patterns such as `photos/**/*.jpg` name.

    A file that is named itself is taken whatever it is called; of a pattern's matches the images, or all where none is called like one. `~`
    is the home folder.

    Raises:
        InputError: one of them names nothing, or a folder holds no images.
    """
    for pattern in patterns:
        path = as_path(pattern, "images")
        if os.path.isdir(path):
            inside = _inside(path)
            if not inside:
                raise InputError(f"{printable(path)}: there are no images in this folder")
            yield from inside
        elif os.path.lexists(path):
            yield path
        else:
            yield from _matches(path)


def _inside(folder: str) -> list[str]:
    walk = Walk(folder)
    if walk.listing("").is_output:
        raise InputError(f"{printable(folder)}: is a run or a cache that seewhy wrote; name a folder of images")
    return sorted(os.path.join(folder, path) for path in walk.images("").paths)


def _matches(pattern: str) -> list[str]:
    """Return the files that a pattern means."""
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise InputError(f"{printable(pattern)}: there is no such file or folder, and as a pattern it matches nothing")
    files = [path for path in matches if not os.path.isdir(path)]
    images = [path for path in files if is_image_name(path)] or files
    inside = [image for folder in matches if os.path.isdir(folder) and "**" not in pattern for image in _inside(folder)]
    return list(dict.fromkeys(images + inside))
