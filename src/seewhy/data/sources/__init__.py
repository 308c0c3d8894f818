"""What a source holds: the list of its images, with class and part, before any pixel is read.

A source is a folder of class folders, a built-in name, or an `.npz` file. A built-in name always means the built-in set; write
`./mnist`, or give a `pathlib.Path`, for a folder of that name.
"""

from __future__ import annotations

import os
from pathlib import Path

from seewhy.core.errors import InputError, nearest
from seewhy.data.sources.archive import load_npz
from seewhy.data.sources.builtin import BUILTIN, cache_home, load_builtin
from seewhy.data.sources.catalog import Catalog, SourceKind
from seewhy.data.sources.folder import load_folder

__all__ = ["BUILTIN", "Catalog", "SourceKind", "cache_home", "is_builtin", "open_source"]


def is_builtin(source: str | Path) -> bool:
    """Whether a source names a built-in set (and is no path)."""
    return isinstance(source, str) and source in BUILTIN


def open_source(source: str | Path, data_dir: Path | None = None, fewest_classes: int = 2) -> Catalog:
    """List the images of a source.

    Args:
        source: a built-in name, a folder, or an `.npz` file.
        data_dir: where built-in sets live; default: `SEEWHY_DATA`, else the user's cache folder.
        fewest_classes: that there must be images of.

    Raises:
        InputError: there is no such source, it holds too few classes, or a built-in set is not there and cannot be fetched.
    """
    text = os.fspath(source)
    if is_builtin(source):
        return load_builtin(text, data_dir)
    if os.path.isdir(text):
        return load_folder(text, fewest_classes)
    if os.path.isfile(text):
        if not text.lower().endswith(".npz"):
            raise InputError(
                f"data: {text} is a file, but not an .npz; give a folder of class folders, an .npz, or {_names()}"
            )
        return load_npz(text, fewest_classes)
    raise _not_found(text)


def _names() -> str:
    return ", ".join(BUILTIN)


def _not_found(text: str) -> InputError:
    """Say that there is no such folder, file or name, and what is near."""
    message = f"data: {text!r} is neither a folder, nor an .npz file, nor a built-in name ({_names()})"
    hint = nearest(text, BUILTIN)
    if hint is None:
        parent, name = os.path.split(os.path.abspath(text))
        try:
            hint = nearest(name, [entry for entry in os.listdir(parent) if not entry.startswith(".")])
        except OSError:
            return InputError(f"{message}; there is no folder {parent}")
        hint = os.path.join(os.path.dirname(text), hint) if hint else None
    return InputError(f"{message}; did you mean {hint!r}?" if hint else f"{message}; check the path")
