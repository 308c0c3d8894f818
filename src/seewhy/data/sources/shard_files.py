"""Which tars a source names, and what their names say: a folder of them, one of them, or a pattern such as shards-{000..009}.tar."""

from __future__ import annotations

import os
import re

from seewhy.core.errors import InputError
from seewhy.data.audit import count, some
from seewhy.data.sources import braces
from seewhy.data.sources.names import natural_key, printable
from seewhy.data.sources.split_names import split_of
from seewhy.data.sources.walk import Walk
from seewhy.data.split_rules import UNDECIDED

TAR = ".tar"


def find_shards(path: str) -> list[str] | None:
    """Return the shards that a source names: a tar, a pattern, or a folder that holds tars and no image; None if it is none of these.

    Raises:
        InputError: shards of a pattern are missing.
    """
    if os.path.isfile(path):
        return [path] if path.lower().endswith(TAR) else None
    if os.path.isdir(path):
        return _in_folder(path)
    if not (path.lower().endswith(TAR) and braces.is_pattern(path)):
        return None
    shards = braces.expanded(path)
    missing = [printable(shard) for shard in shards if not os.path.isfile(shard)]
    if missing:
        raise InputError(
            f"source: {count(len(missing), 'shard')} of {len(shards):,} that {printable(path)} names {'is' if len(missing) == 1 else 'are'} not "
            f"there: {some(missing)}"
        )
    return shards


def _in_folder(root: str) -> list[str] | None:
    """Return the tars of a folder and of folders in it that are called like splits, unless there are images below it."""
    listing = Walk(root).listing("")
    homes = [("", listing), *((name, Walk(root).listing(name)) for name in listing.inner if split_of(name) is not None)]
    found = [
        os.path.join(root, home, entry.name)
        for home, inner in homes
        for entry in inner.files
        if entry.name.lower().endswith(TAR)
    ]
    if not found or Walk(root).images("").paths:
        return None
    return sorted(found, key=natural_key)


def split_said(shard: str) -> int:
    """Return the split that a shard's folder or name says, such as "imagenet-train-000012.tar"."""
    folder, _, name = shard.rpartition("/")
    words = [*folder.split("/"), *re.split(r"[-_. ]+", name.removesuffix(TAR))]
    meant = {split for word in words if word and (split := split_of(word)) is not None}
    return meant.pop() if len(meant) == 1 else UNDECIDED


def source_name(path: str) -> str:
    """Return a short name: of the folder, or of the shards without their numbers."""
    if os.path.isdir(path):
        return printable(os.path.basename(os.path.realpath(path)))
    stem = re.sub(r"\{[^}]*\}|\.tar$", "", os.path.basename(path))
    return printable(stem.strip("-_. ") or os.path.basename(os.path.dirname(os.path.abspath(path)))) or "shards"
