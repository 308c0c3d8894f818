"""From a source to a data set that is ready to train on: list, decode, split."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch

from seewhy.core.errors import InputError
from seewhy.data import decoding, splitting
from seewhy.data.audit import Audit, count
from seewhy.data.cache_build import Progress
from seewhy.data.dataset import Dataset, Split
from seewhy.data.decoding import Decoded, DecodeOptions
from seewhy.data.sources import ImageSource, Labels, TableOptions, list_images
from seewhy.data.splitting import SplitOptions

SHOWN = 20
"""Unreadable files that an error names."""


LOST = ("missing_files", "unlabelled", "contradictory_rows")
"""What is left out of a labels file, unless strictness forbids it."""


class ReadOptions(TypedDict, total=False):
    """Those keyword arguments of `load_dataset` that a run's specification says."""

    decode: DecodeOptions | None
    split: SplitOptions | None
    strict: bool
    table: TableOptions | None


class LoadOptions(ReadOptions, total=False):
    """The keyword arguments of `load_dataset`."""

    labels: Labels
    cache_dir: Path | None
    data_dir: Path | None
    progress: Progress | None


def load_dataset(
    source: ImageSource,
    *,
    decode: DecodeOptions | None = None,
    split: SplitOptions | None = None,
    labels: Labels = "required",
    strict: bool = False,
    table: TableOptions | None = None,
    cache_dir: Path | None = None,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Make a data set of a folder of class folders, a built-in name, an `.npz` file or arrays.

    Args:
        source: what to read, see `list_images`; a built-in name wins over a folder of that name unless it is written with a separator.
        decode: shape and storage of the images.
        split: what is held out where the data do not say.
        labels: "required": there must be images of at least two classes; "optional": any images will do, and those without class folders are
            one class.
        strict: make an unreadable file, or a row of the labels file that cannot be used, an error instead of leaving it out.
        table: a labels file for a folder, and groups.
        cache_dir: where decoded folders are kept; default: `SEEWHY_CACHE`, else the user's cache folder.
        data_dir: where built-in sets live; default: `SEEWHY_DATA`, else the user's cache folder.
        progress: called with (images done, images in all) while they are decoded.

    Raises:
        InputError: the source is wrong, or too few classes have images.
        RunError: the cache cannot be written.
    """
    catalog = list_images(source, labels=labels, data_dir=data_dir, table=table)
    lost = [issue.message for issue in catalog.issues if strict and issue.kind in LOST]
    if lost:
        raise InputError(
            "\n".join(f"strict: {message}; correct the file, or leave them out with strict off" for message in lost)
        )
    decoded = decoding.decode(catalog, decode, cache_dir=cache_dir, progress=progress)
    if strict and decoded.unreadable:
        raise InputError(_format_unreadable(decoded))
    return splitting.split(decoded, split)


def load_for_evaluation(source: ImageSource, **options: Unpack[LoadOptions]) -> tuple[tuple[str, ...], Split]:
    """Return the classes and the images on which a model is evaluated: the data's own test split, else every image.

    Takes and raises what `load_dataset` does; nothing is held out, whatever `split` says.
    """
    options["split"] = SplitOptions(val_fraction=0.0, test_fraction=0.0)
    data = load_dataset(source, **options)
    if data.test is not None:
        return data.classes, data.test
    splits = [split for split in (data.train, data.val) if len(split)]
    joined = Split(
        torch.cat([split.sample_ids for split in splits]),
        torch.cat([split.labels for split in splits]),
        [name for split in splits for name in split.names],
        data.train.store,
        np.concatenate([split.hashes for split in splits]),
    )
    return data.classes, joined


def check_dataset(source: ImageSource, **options: Unpack[LoadOptions]) -> Audit:
    """Report what is wrong with the images and the split; takes and raises what `load_dataset` does.

    Returns:
        the audit; its `summary` describes the data set in a line, and the images of every class by split in a table.
    """
    return load_dataset(source, **options).audit


def _format_unreadable(decoded: Decoded) -> str:
    """Return the error of strict mode: every file up to twenty, with its reason."""
    files = decoded.unreadable
    lines = [
        f"strict: {count(len(files), 'file')} cannot be used; fix or remove them, or leave them out with strict off:"
    ]
    lines += [f"  {name} {reason}" for name, reason in files[:SHOWN]]
    return "\n".join(lines + ([f"  and {len(files) - SHOWN:,} more"] if len(files) > SHOWN else []))
