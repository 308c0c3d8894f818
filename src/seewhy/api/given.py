"""What callers give, as the rooms below take it: sources and runs by their folders, functions by their names, edits as text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seewhy import data as seewhy_data
from seewhy.core.files import user_path
from seewhy.core.trust import name_of
from seewhy.data import ImageSource
from seewhy.runs.run import Run
from seewhy.spec import format_edit
from seewhy.spec.initial import SPEC
from seewhy.spec.tree import leaves


def kept(source: ImageSource | None) -> str | None:
    """Return a source as the text that a specification holds; arrays are kept in the cache."""
    if source is None:
        return None
    return str(seewhy_data.keep_arrays(source)) if seewhy_data.is_arrays(source) else seewhy_data.source_name(source)


def place(value: Any) -> Any:
    """Return the folder of a run, and anything else as it is."""
    return value.folder if isinstance(value, Run) else value


def plain(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with runs, paths and functions as texts."""
    return {name: _text(value) for name, value in options.items()}


def texts(values: Any) -> Any:
    """Return a list of values with runs, paths and functions as texts; anything else, which is refused later, as it is."""
    return [_text(value) for value in values] if isinstance(values, (list, tuple)) else values


def edits(variants: Mapping[str, str | Mapping[str, Any]] | None) -> dict[str, str]:
    """Return named edits as text."""
    return {
        name: edit if isinstance(edit, str) else format_edit(leaves(edit)) for name, edit in (variants or {}).items()
    }


def is_run(source: object) -> bool:
    """Whether a source is a run or its folder, and no data."""
    if isinstance(source, Run):
        return True
    return isinstance(source, (str, os.PathLike)) and (user_path(Path(source), "source") / SPEC).is_file()


def _text(value: Any) -> Any:
    if isinstance(value, (Run, os.PathLike)):
        return os.fspath(place(value))
    return name_of(value, "model") if callable(value) else value
