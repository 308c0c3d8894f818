"""Which kind of source a path or a name is, and the list of its images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from seewhy.core.errors import InputError, nearest, unknown_name
from seewhy.data.sources.archive import load_npz
from seewhy.data.sources.builtin import BUILTIN, load_builtin
from seewhy.data.sources.catalog import Catalog
from seewhy.data.sources.folder import list_folder, suggest_inner

Labels = Literal["required", "optional"]
LABELS: tuple[Labels, ...] = ("required", "optional")


def is_builtin(source: str | Path) -> bool:
    """Whether a source names a built-in set (and is no path)."""
    return isinstance(source, str) and source in BUILTIN


def list_images(source: str | Path, *, labels: Labels = "required", data_dir: Path | None = None) -> Catalog:
    """List the images of a source.

    Args:
        source: a built-in name, a folder, or an `.npz` file.
        labels: "required": there must be images of at least two classes; "optional": any images will do, and those without class folders are
            one class.
        data_dir: where built-in sets live; default: `SEEWHY_DATA`, else the user's cache folder.

    Raises:
        InputError: there is no such source, it holds too few classes, or a built-in set is not there and cannot be fetched.
    """
    if labels not in LABELS:
        raise unknown_name("labels", labels, LABELS)
    required, path = labels == "required", os.fspath(source)
    if is_builtin(source):
        catalog = load_builtin(path, None if data_dir is None else Path(data_dir))
    elif os.path.isdir(path):
        catalog = list_folder(path, labels_required=required)
    elif os.path.isfile(path):
        if not path.lower().endswith(".npz"):
            raise InputError(
                f"source: {path} is a file, but not an .npz; give a folder of class folders, an .npz, or {_names()}"
            )
        catalog = load_npz(path)
    else:
        raise _not_found(path)
    catalog = replace(catalog, labels_required=required)
    if len(catalog.classes) < catalog.fewest_classes:
        raise _one_class(path, catalog)
    return catalog


def _names() -> str:
    return ", ".join(BUILTIN)


def _one_class(path: str, catalog: Catalog) -> InputError:
    """Return the error for a source whose images are all of one class."""
    message = f"source: {path} has images of one class only ({catalog.classes[0]}); a classifier needs at least two"
    if catalog.kind != "folder":
        return InputError(message)
    inner = suggest_inner(catalog)
    return InputError(f"{message} class folders" + (f"; did you mean {inner!r}?" if inner else ""))


def _not_found(path: str) -> InputError:
    """Return the error for what is no folder, file or name, and what is near."""
    message = f"source: {path!r} is neither a folder, nor an .npz file, nor a built-in name ({_names()})"
    hint = nearest(path, BUILTIN)
    if hint is None:
        parent, name = os.path.split(os.path.abspath(path))
        try:
            hint = nearest(name, [entry for entry in os.listdir(parent) if not entry.startswith(".")])
        except OSError:
            return InputError(f"{message}; there is no folder {parent}")
        hint = os.path.join(os.path.dirname(path), hint) if hint else None
    return InputError(f"{message}; did you mean {hint!r}?" if hint else f"{message}; check the path")
