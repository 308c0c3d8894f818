"""Arrow files of a data set on disk, mapped: where the encoded images lie in them, and what these are called. Needs pyarrow."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.sources.names import printable
from seewhy.data.split_rules import Ints

STATE = "state.json"
"""The record of a data set that names its Arrow files."""


def map_arrow(path: str) -> tuple[list[Any], int]:
    """Map an Arrow file; returns its record batches and the address at which it begins."""
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            "source: a data set on disk needs pyarrow to be read; install it (pip install 'seewhy[datasets]')"
        ) from None
    shown, batches = printable(os.path.basename(path)), []
    try:
        mapped = pyarrow.memory_map(path)
        base = mapped.read_buffer().address
        mapped.seek(0)
        batches.extend(pyarrow.ipc.open_stream(mapped))
    except FileNotFoundError:
        raise InputError(
            f"source: {printable(path)} is missing, although {STATE} names it; copy the whole folder"
        ) from None
    except (pyarrow.ArrowException, OSError, ValueError, EOFError) as error:
        rows = sum(batch.num_rows for batch in batches)
        raise InputError(
            f"source: {shown} is damaged behind row {rows:,}: {' '.join(str(error).split())[:120]}; save the data set again"
        ) from None
    return batches, base


def image_places(column: Any, base: int, size: int, where: str) -> tuple[Ints, Ints]:
    """Return where each image of a column lies in its mapped file, and its bytes, int64 [n]; -1 bytes where there is none.

    Args:
        column: an Arrow array of bytes, or of `datasets`' images (bytes and path).
        base: address at which the file begins.
        size: its bytes.
        where: for errors.
    """
    import pyarrow

    held = ~column.is_null().to_numpy(zero_copy_only=False)
    if pyarrow.types.is_struct(column.type):
        column = column.field("bytes")
        held &= ~column.is_null().to_numpy(zero_copy_only=False)
    _, bounds, data = column.buffers()
    count_, wide = len(column), pyarrow.types.is_large_binary(column.type)
    if not held.any() or data is None:
        return np.zeros(count_, np.int64), np.full(count_, -1, np.int64)
    edges = np.frombuffer(bounds, np.int64 if wide else np.int32)[column.offset : column.offset + count_ + 1].astype(
        np.int64
    )
    start, lengths = data.address - base, np.diff(edges)
    if not 0 <= start <= size:
        raise InputError(
            f"source: {where} is compressed, so that no image can be found by its place; save it without compression"
        )
    if edges[0] < 0 or (lengths < 0).any() or start + edges[-1] > size:
        raise InputError(f"source: {where} is damaged: images lie beyond its end; save the data set again")
    return start + edges[:-1], np.where(held, lengths, -1)


def holds_bytes(kind: Any) -> bool:
    """Whether a column of an Arrow type may hold encoded images."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and holds_bytes(kind.field(index).type)
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def image_names(column: Any, prefix: str, first: int) -> list[str]:
    """Return names of images: their paths where these are known, else the numbers of their rows."""
    import pyarrow

    paths: list[str | None] = [None] * len(column)
    if pyarrow.types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
        paths = column.field("path").to_pylist()
    return [f"{prefix}/{printable(path) if path else first + row}" for row, path in enumerate(paths)]
