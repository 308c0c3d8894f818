"""Arrays in memory as a file of the cache, so that another process, or a resumed run, can read them again.

The file is named after its content: equal arrays are kept once, and whoever names the file again gets the same images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from seewhy.core.files import naming, write_atomic
from seewhy.data.sources.arrays import catalog_of, pairs_in_memory
from seewhy.data.sources.builtin import cache_folder
from seewhy.data.split_rules import SPLIT_NAMES, UNDECIDED

Arrays = tuple[Any, Any] | Mapping[str, Any] | Any
"""Images with labels, or with the keys of an `.npz` file, or images alone; see `arrays`."""


def is_arrays(source: object) -> TypeGuard[Arrays]:
    """Whether a source is arrays in memory, and no path or name."""
    return isinstance(source, (tuple, Mapping)) or hasattr(source, "ndim")


def keep_arrays(source: Arrays, cache_dir: Path | None = None) -> Path:
    """Write arrays into the cache, unless they are there, and return the file: an `.npz` that is a source like any other.

    Args:
        source: images and labels, see `arrays`.
        cache_dir: default: `SEEWHY_CACHE`, else the user's cache folder.

    Raises:
        InputError: the arrays cannot be used; says which and what is allowed.
        RunError: the file cannot be written.
    """
    pairs, given = pairs_in_memory(source, labels_required=False)
    catalog = catalog_of("arrays", "arrays", "source", pairs, given)
    labelled = all(pair.labels is not None for pair in pairs)
    path = cache_folder(cache_dir) / "arrays" / catalog.content / "arrays.npz"
    if path.is_file():
        return path
    assert catalog.pixels is not None
    arrays: dict[str, Any] = {}
    for split in np.unique(catalog.splits):
        rows = catalog.splits == split
        images, labels = ("images", "labels") if split == UNDECIDED else (f"{x}_{SPLIT_NAMES[split]}" for x in "xy")
        arrays[images] = catalog.pixels if rows.all() else catalog.pixels[rows]
        if labelled:
            arrays[labels] = catalog.labels[rows]
    if labelled:
        arrays["classes"] = np.asarray(catalog.classes)

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)

    with naming(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, write)
    return path
