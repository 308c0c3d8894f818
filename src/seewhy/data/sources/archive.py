"""An `.npz` file of images and labels: its keys are those of `arrays`, and nothing is unpacked that its header or the memory contradicts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.sources.arrays import Array, catalog_of, left_alone, pair_keys
from seewhy.data.sources.catalog import Catalog
from seewhy.data.sources.names import printable

SHARE = 0.5
"""Of the machine's memory, which the arrays of a file may take."""


def load_npz(path: str, *, labels_required: bool = True) -> Catalog:
    """Read and check an `.npz` file.

    Raises:
        InputError: the file is damaged, too large, has other keys, or an array cannot be used; says which and what is allowed.
    """
    shown = printable(path)
    try:
        with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
            pairs = pair_keys(shown, file.files, labels_required=labels_required)
            issues = left_alone(file.files, pairs)
            keys = [key for pair in pairs for key in (pair.images, pair.labels) if key is not None]
            keys += ["classes"] if "classes" in file.files else []
            _validate_sizes(shown, file, keys)
            arrays = {key: _get(shown, file, key) for key in keys}
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  a damaged archive may raise anything; it must not end in a traceback
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise InputError(f"source: {shown} cannot be read as .npz: {reason}; save it again with numpy.savez") from None
    return replace(catalog_of(Path(shown).stem, "npz", shown, pairs, arrays), issues=issues)


def _get(path: str, file: Any, key: str) -> Array:
    """Read one array; an array of Python objects is refused, since loading it would run code."""
    try:
        return np.asarray(file[key])
    except ValueError as error:
        if "pickle" in str(error).lower() or "object" in str(error).lower():
            raise _objects(path, key) from None
        raise


def _objects(path: str, key: str) -> InputError:
    return InputError(f"{path}: {key} holds Python objects, which are not loaded; save numbers or texts of one dtype")


def _validate_sizes(path: str, file: Any, keys: Iterable[str]) -> None:
    """Refuse arrays that do not fit into memory, and headers that claim another size than the archive holds, before anything is unpacked."""
    total = 0
    for key in keys:
        member = next(name for name in (f"{key}.npy", key) if name in file.zip.namelist())
        with file.zip.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
            unpacked = file.zip.getinfo(member).file_size - stream.tell()
        if dtype.hasobject:
            raise _objects(path, key)
        claimed = math.prod(shape) * dtype.itemsize
        if claimed != unpacked or min(shape, default=0) < 0:
            raise InputError(
                f"{path}: {key} is damaged: its header claims {claimed:,} bytes ({' x '.join(map(str, shape))}), the file holds {unpacked:,}"
            )
        total += claimed
    memory = _memory()
    if total > SHARE * memory:
        raise InputError(
            f"{path}: unpacks to {total / 1e9:,.1f} GB, more than half of this machine's memory ({memory / 1e9:,.1f} GB); save the images as "
            "files in class folders"
        )


def _memory() -> int:
    """Return the machine's memory in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 16 << 30
