"""Near duplicates of a data set, looked for once: what was found is kept beside the decoded images, for every run and every split of them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import torch

from seewhy.core.errors import RunError
from seewhy.core.files import write_json
from seewhy.data.dataset import Dataset
from seewhy.data.near_copies import LikeRows, NearDuplicates, like_rows, pairs_of
from seewhy.data.sources import cache_folder

MOST = 20_000
"""Images among which they are looked for where nobody has asked: a matter of two seconds."""

VERSION = 1


def kept_near_duplicates(dataset: Dataset, cache_dir: Path | None = None) -> NearDuplicates:
    """Return the near duplicates of a data set, unless that would take long.

    Args:
        dataset: the images.
        cache_dir: where decoded folders are kept; default: `SEEWHY_CACHE`, else the user's cache folder.
    """
    count = sum(len(split) for split in dataset.splits.values())
    if count > MOST:
        return NearDuplicates(skipped=f"{count:,} images are many; `seewhy check` looks for them")
    if dataset.train.decodes:
        return NearDuplicates(skipped="images are decoded for each batch; `seewhy check` looks for them")
    path = cache_folder(cache_dir) / f"near-{VERSION}-{dataset.fingerprint}.json"
    found = _read(path)
    if found is None:
        found = like_rows(dataset)
        if len(torch.unique(dataset.train.sample_ids)) == len(dataset.train):  # a bootstrap sample lacks images
            with contextlib.suppress(
                RunError, OSError
            ):  # a cache that cannot be written costs the time again, and no more
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, asdict(found))
    return pairs_of(dataset, found)


def _read(path: Path) -> LikeRows | None:
    """Return what was found before; None if that is not there or damaged."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple((int(i), int(j), bool(mirrored), float(likeness)) for i, j, mirrored, likeness in held["rows"])
        return LikeRows(rows, str(held["skipped"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
