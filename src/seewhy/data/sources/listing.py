"""Which kind of source a path or a name is, and the list of its images."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Literal

from seewhy.core.errors import InputError, nearest, unknown_name
from seewhy.data.identity import digest
from seewhy.data.sources.archive import load_npz
from seewhy.data.sources.arrays import from_memory
from seewhy.data.sources.builtin import BUILTIN, load_builtin
from seewhy.data.sources.catalog import Catalog, SourceKind
from seewhy.data.sources.folder import list_folder, suggest_inner
from seewhy.data.sources.kept import Arrays, is_arrays
from seewhy.data.sources.labelled import TableOptions, groups_by_name, list_labelled
from seewhy.data.sources.names import printable
from seewhy.data.sources.paths import as_path
from seewhy.data.sources.saved import is_saved, list_saved
from seewhy.data.sources.shard_files import find_shards
from seewhy.data.sources.shards import list_shards

Labels = Literal["required", "optional"]
ImageSource = str | Path | Arrays
"""A path or a name, or arrays in memory; see `list_images`."""

LABELS: tuple[Labels, ...] = ("required", "optional")

OWN_TABLE: tuple[SourceKind, ...] = ("datasets", "shards")
"""Sources that are tables themselves, with columns (or fields) for labels, splits and groups."""


def is_builtin(source: object) -> bool:
    """Whether a source names a built-in set (and is no path)."""
    return isinstance(source, str) and source in BUILTIN


def list_images(
    source: ImageSource,
    *,
    labels: Labels = "required",
    data_dir: Path | None = None,
    table: TableOptions | None = None,
) -> Catalog:
    """List the images of a source.

    Args:
        source: a built-in name, a folder (of class folders, of tar shards, or a data set that `datasets` saved), a `.tar` or a pattern of them,
            an `.npz` file, or arrays: `(images, labels)`, images alone where labels are optional, or a mapping with the keys of an `.npz` file
            (see `arrays`).
        labels: "required": there must be images of at least two classes; "optional": any images will do, and those without class folders are
            one class.
        data_dir: where built-in sets live; default: `SEEWHY_DATA`, else the user's cache folder.
        table: what is known of the images beside their files: a labels file, columns, groups.

    Raises:
        InputError: there is no such source, it holds too few classes, or a built-in set is not there and cannot be fetched.
    """
    if labels not in LABELS:
        raise unknown_name("labels", labels, LABELS)
    required, table = labels == "required", table or TableOptions()
    if is_arrays(source):
        _validate_table("the arrays", table, "arrays")
        return _checked("the arrays", replace(from_memory(source, labels_required=required), labels_required=required))
    path = as_path(source)
    if is_builtin(source):
        _validate_table(path, table, "builtin")
        catalog = load_builtin(path, None if data_dir is None else Path(data_dir))
    elif os.path.isdir(path) and is_saved(path):
        _validate_table(path, table, "datasets")
        catalog = list_saved(path, table, labels_required=required)
    elif (shards := find_shards(path)) is not None:
        _validate_table(path, table, "shards")
        catalog = list_shards(path, shards, table, labels_required=required)
    elif os.path.isdir(path):
        _validate_table(path, table, "folder")
        catalog = _listed_folder(path, table, labels_required=required)
    elif os.path.isfile(path):
        if not path.lower().endswith(".npz"):
            raise InputError(
                f"source: {printable(path)} is a file, but no .npz or .tar; give a folder of class folders, an .npz, tar shards, or {_names()}"
            )
        _validate_table(path, table, "npz")
        catalog = load_npz(path, labels_required=required)
    else:
        raise _not_found(path)
    return _checked(path, replace(catalog, labels_required=required))


def _listed_folder(path: str, table: TableOptions, *, labels_required: bool) -> Catalog:
    """List a folder, with the labels and groups that a table says."""
    if table.labels is not None:
        return list_labelled(path, table, labels_required=labels_required)
    catalog = list_folder(path, labels_required=labels_required)
    if table.group is None:
        return catalog
    groups = groups_by_name(catalog, table.group)
    return replace(catalog, groups=groups, content=digest("\0".join(groups)))


def _validate_table(where: str, table: TableOptions, kind: SourceKind) -> None:
    """Refuse what a kind of source does not have: a labels file, columns, names by which images are grouped."""
    if table.labels is not None and kind != "folder":
        own = "has labels of its own" if kind in OWN_TABLE else "is none"
        raise InputError(f"labels: goes with a folder of images, but {printable(where)} {own}; leave it out")
    if table.group is not None and kind != "folder" and kind not in OWN_TABLE:
        raise InputError(f"group: goes with a folder of images, but {printable(where)} is none; leave it out")
    for name in ("image_column", "label_column", "split_column"):
        if getattr(table, name) is not None and table.labels is None and kind not in OWN_TABLE:
            raise InputError(f"{name}: is a column of the labels file, but there is none; name it with data.labels")


def _checked(where: str, catalog: Catalog) -> Catalog:
    """Return a catalog that has images of enough classes."""
    if len(catalog.classes) < catalog.fewest_classes:
        raise _one_class(where, catalog)
    return catalog


def _names() -> str:
    return ", ".join(BUILTIN)


def _one_class(path: str, catalog: Catalog) -> InputError:
    """Return the error for a source whose images are all of one class."""
    message = f"source: {path} has images of one class only ({catalog.classes[0]}); a classifier needs at least two"
    if catalog.kind != "folder" or catalog.labels_file:
        return InputError(message)
    inner = suggest_inner(catalog)
    return InputError(f"{message} class folders" + (f"; did you mean {inner!r}?" if inner else ""))


def _not_found(path: str) -> InputError:
    """Return the error for what is no folder, file or name, and what is near."""
    shown = printable(path)
    message = f"source: {shown[:200]!r} is neither a folder, nor an .npz or .tar file, nor a built-in name ({_names()})"
    if os.path.lexists(path):
        return InputError(f"source: {shown[:200]} is neither a folder nor a file that can be read")
    hint = nearest(path, BUILTIN)
    if hint is None:
        parent, name = os.path.split(os.path.abspath(path))
        try:
            hint = nearest(name, [entry for entry in os.listdir(parent) if not entry.startswith(".")])
        except (OSError, ValueError):
            return InputError(f"{message}; there is no folder {printable(parent)[:200]}")
        hint = printable(os.path.join(os.path.dirname(path), hint)) if hint else None
    return InputError(f"{message}; did you mean {hint!r}?" if hint else f"{message}; check the path")
