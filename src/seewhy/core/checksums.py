"""Checksums of what was written, verified before it is used: damage is found, and named, instead of being taken for data.

A folder's checksums.json maps the names of its files to the BLAKE2b digests of their bytes (about 1 GB/s).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from seewhy.core.errors import InputError
from seewhy.core.files import read_text, write_json

FILE = "checksums.json"


def digest(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def record(folder: Path, names: Iterable[str]) -> None:
    """Write the digests of files into their folder's checksums.json, beside those that stand there."""
    write_json(folder / FILE, {**_listed(folder), **{name: digest(folder / name) for name in names}})


def carry(source: Path, folder: Path, name: str) -> None:
    """Write a file's digest into a folder's checksums.json as it stands in that of another folder, which holds the same bytes."""
    write_json(folder / FILE, {**_listed(folder), name: _listed(source)[name]})


def verify(path: Path) -> None:
    """Compare a file with its digest.

    Raises:
        InputError: the file is missing though it was written, its bytes are others, or its folder's checksums do not list it.
    """
    listed = _listed(path.parent)
    if path.name not in listed:
        raise InputError(f"{path}: is not listed in {path.parent / FILE}, so whether it is whole is not known")
    if not path.is_file():
        raise InputError(f"{path}: is missing, though it was written")
    if digest(path) != listed[path.name]:
        raise InputError(f"{path}: is damaged: its bytes are not those that were written")


def written(folder: Path, name: str) -> bool:
    """Whether a folder's checksums list a file: whether it was written, be it there or not."""
    return name in _listed(folder)


def _listed(folder: Path) -> dict[str, str]:
    path = folder / FILE
    try:
        listed = json.loads(read_text(path))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: is damaged: {error}") from None
    if not isinstance(listed, dict):
        raise InputError(f"{path}: is damaged: it must hold a table of checksums")
    return listed
