"""Hugging Face `datasets` on disk, as `save_to_disk` writes them: a folder of Arrow files, or one such folder a split.

The Arrow files hold the images' encoded bytes, which are read where they lie (`stored`); no code of the data set is run, and files elsewhere
that it names are not opened. Needs pyarrow alone.

- The column of images is the only one of that kind; labels are the column of class labels (whose names and order are kept), else the one that is
  called like labels; a column may say the split or the group. All can be named.
- Rows without an image or a label are left out and told.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seewhy.core.errors import InputError, unknown_name
from seewhy.data.audit import Issue, count, some
from seewhy.data.identity import digest
from seewhy.data.sources.arrow_files import STATE, holds_bytes, image_names, image_places, map_arrow
from seewhy.data.sources.catalog import Catalog
from seewhy.data.sources.columns import (
    groups_of,
    label_column,
    quoted,
    split_column,
    splits_of,
    taken_from,
    unused_splits,
    validate_columns,
)
from seewhy.data.sources.labelled import TableOptions
from seewhy.data.sources.names import composed, natural_key, printable, unique
from seewhy.data.sources.split_names import did_you_mean, misspelt_splits, split_of
from seewhy.data.sources.stored import Stored
from seewhy.data.split_rules import TRAIN, UNDECIDED, Ints

DIVIDED, INFO = "dataset_dict.json", "dataset_info.json"

LARGEST_RECORD = 64 << 20
"""Bytes of a JSON file of the data set."""


def is_saved(path: str) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    has = [os.path.isfile(os.path.join(path, name)) for name in (DIVIDED, INFO, STATE)]
    return has[0] or (has[1] and has[2])


def list_saved(root: str, options: TableOptions, *, labels_required: bool = True) -> Catalog:
    """List the images of a data set on disk.

    Raises:
        InputError: it is damaged, pyarrow is not there, the splits differ, or a column is not there or cannot be used.
    """
    name, parts, left = printable(os.path.basename(os.path.realpath(root))), [], []
    for folder, split in _folders(root):
        if split is None:
            left.append(folder)
        else:
            parts.append(_Part.open(root, folder, split))
    features = parts[0].features
    for part in parts:
        if part.features != features:
            raise InputError(
                f"source: {part.shown} and {parts[0].shown} differ in their columns; save them with the same"
            )
    reading = _Reading(name, parts, options, labels_required=labels_required)
    return reading.catalog(root, left)


def _folders(root: str) -> list[tuple[str, int | None]]:
    """Return the folders that hold a split each, and which; "" for the only one; None as the split of those that are left alone."""
    if not os.path.isfile(os.path.join(root, DIVIDED)):
        return [("", UNDECIDED)]
    named = _record(root, DIVIDED).get("splits")
    if not isinstance(named, list) or not named or not all(_is_plain(one) for one in named):
        raise InputError(f"source: {DIVIDED} of {printable(root)} names no splits; save the data set again")
    splits = {str(one): split_of(str(one)) for one in named}
    if TRAIN not in splits.values():
        if len(splits) > 1 or None not in splits.values():
            raise InputError(
                f"source: none of the splits of {printable(root)} is for training: {', '.join(map(printable, splits))}; name the folder of one "
                "of them"
            )
        return [(one, UNDECIDED) for one in splits]
    return list(splits.items())


def _is_plain(name: object) -> bool:
    """Whether a text is the name of a folder, and does not lead elsewhere."""
    return isinstance(name, str) and name not in ("", ".", "..") and os.path.basename(name) == name and "\0" not in name


def _record(root: str, name: str) -> dict[str, Any]:
    path = os.path.join(root, name)
    try:
        if os.path.getsize(path) > LARGEST_RECORD:
            raise InputError(f"source: {printable(path)} is too large for what it should hold")
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        raise InputError(f"source: {printable(path)} is missing; save the data set again with save_to_disk") from None
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"source: {printable(path)} is damaged: {error}; save the data set again") from None
    if not isinstance(found, dict):
        raise InputError(f"source: {printable(path)} is damaged: it holds no object; save the data set again")
    return found


@dataclass(frozen=True)
class _Part:
    """One split: its Arrow files, mapped.

    Attributes:
        shown: its name, for people.
        prefix: of its images' names.
        split: of `split_rules`.
        files: paths of the Arrow files.
        tables: of each the record batches, and the address at which it is mapped.
        features: what `datasets` knows of the columns.
    """

    shown: str
    prefix: str
    split: int
    files: Sequence[str]
    tables: Sequence[tuple[Sequence[Any], int]]
    features: Mapping[str, Any]

    @classmethod
    def open(cls, root: str, folder: str, split: int) -> _Part:
        """Map the Arrow files of a folder."""
        home = os.path.join(root, folder)
        info, state = _record(home, INFO), _record(home, STATE)
        shown = printable(folder or os.path.basename(os.path.realpath(root)))
        if state.get("_indices_data_files"):
            raise InputError(
                f"source: {shown} is a selection of rows of a larger set; load it and save it again, by datasets 2 or newer"
            )
        named = [one.get("filename") if isinstance(one, dict) else None for one in state.get("_data_files") or ()]
        if not named or not all(_is_plain(one) for one in named):
            raise InputError(f"source: {STATE} of {shown} names no Arrow files of its folder; save the data set again")
        features = info.get("features")
        if not isinstance(features, dict):
            raise InputError(f"source: {INFO} of {shown} names no columns; save the data set again")
        files = [os.path.join(home, str(one)) for one in named]
        return cls(shown, folder or "images", split, files, [map_arrow(path) for path in files], features)

    def __len__(self) -> int:
        return sum(batch.num_rows for batches, _ in self.tables for batch in batches)

    def batches(self) -> Iterator[tuple[int, Any, int]]:
        """Yield (number of the file, record batch, address of the file)."""
        for number, (batches, base) in enumerate(self.tables):
            for batch in batches:
                yield number, batch, base

    def texts(self, column: str) -> list[str]:
        """Return a column as texts, "" where nothing stands; class labels by their names."""
        feature = self.features.get(column)
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        values: list[Any] = []
        for _, batch, _ in self.batches():
            values += batch.column(column).to_pylist()
        if names is not None:
            return [self._class(names, value, column, row) for row, value in enumerate(values)]
        return ["" if value is None else composed(str(value).strip()) for value in values]

    def _class(self, names: Sequence[str], value: Any, column: str, row: int) -> str:
        if value is None or value == -1:  # what a hidden test set has
            return ""
        if not isinstance(value, int) or not 0 <= value < len(names):
            raise InputError(
                f"source: row {row:,} of {self.shown} has {value!r} as its {column}, but {len(names)} are named, 0 to {len(names) - 1}"
            )
        return str(names[value])


class _Reading:
    """One reading of a data set: its columns, and what they say of the images."""

    def __init__(self, name: str, parts: Sequence[_Part], options: TableOptions, *, labels_required: bool) -> None:
        self.name, self.parts, self.options = name, parts, options
        schema = next((batch.schema for part in parts for _, batch, _ in part.batches()), None)
        if schema is None:
            raise InputError(f"source: {name} has no rows")
        self.columns: list[str] = list(schema.names)
        validate_columns(
            self.columns,
            image_column=options.image_column,
            label_column=options.label_column,
            split_column=options.split_column,
        )
        self.image = self._image_column(schema)
        others = [
            column for column in self.columns if column != self.image and not holds_bytes(schema.field(column).type)
        ]
        divided = any(part.split != UNDECIDED for part in parts)
        undecided = () if divided else others
        self.split = split_column(name, undecided, self.texts, options.split_column)
        self.group = options.group
        left = [column for column in others if column not in (self.split, self.group)]
        classes = [column for column in left if self._feature(column).get("_type") == "ClassLabel"]
        only = classes[0] if len(classes) == 1 else None
        self.label = options.label_column or only or label_column(name, classes or left, required=labels_required)
        self.unused = unused_splits(undecided, self.label, self.split, self.group, named=options.split_column)

    def texts(self, column: str) -> list[str]:
        """Return a column of all splits as texts."""
        return [text for part in self.parts for text in part.texts(column)]

    def _feature(self, column: str) -> dict[str, Any]:
        feature = self.parts[0].features.get(column)
        return feature if isinstance(feature, dict) else {}

    def _image_column(self, schema: Any) -> str:
        able: list[str] = [column for column in schema.names if holds_bytes(schema.field(column).type)]
        named = self.options.image_column
        if named is not None:
            if named not in able:
                raise unknown_name("image_column", named, able)
            return named
        images = [column for column in able if self._feature(column).get("_type") == "Image"] or able
        if len(images) != 1:
            which = f"which of {', '.join(images)} holds the images?" if images else "no column holds encoded images"
            raise InputError(f"image_column: {which} Columns of {self.name} are {', '.join(self.columns)}")
        return images[0]

    def catalog(self, root: str, left: Sequence[str]) -> Catalog:
        """Make the catalog of what the columns say."""
        stored, names, splits = self._images()
        labels = self.texts(self.label) if self.label is not None else [self.name] * len(names)
        if self.split is not None:
            said = splits_of(self.name, self.split, self.texts, len(names))
            if any(part.split != UNDECIDED for part in self.parts):
                raise InputError(
                    f"split_column: {self.name} is divided into splits already; leave the column out, or name one folder of it"
                )
            splits = said
        lacking = [row for row in range(len(names)) if stored.sizes[row] < 0]
        unlabelled = [row for row in range(len(names)) if stored.sizes[row] >= 0 and not labels[row]]
        kept = np.array(sorted({*range(len(names))} - {*lacking, *unlabelled}), np.int64)
        if not len(kept):
            raise InputError(f"source: {self.name} has no row with an image and a label")
        classes = self._classes(labels, kept)
        index, kept_names, stored = (
            {label: k for k, label in enumerate(classes)},
            [names[row] for row in kept],
            stored.take(kept),
        )
        groups = None
        if self.group is not None:
            groups = groups_of(
                self.name, self.group, self.columns, lambda c: [self.texts(c)[row] for row in kept], kept_names
            )
        issues = list(self._issues([names[row] for row in lacking], [names[row] for row in unlabelled], left))
        return Catalog(
            name=self.name,
            kind="datasets",
            classes=tuple(unique(printable(label) for label in classes)),
            labels=np.array([index[labels[row]] for row in kept], np.int64),
            splits=np.array(splits, np.int64)[kept],
            names=kept_names,
            issues=tuple(issues),
            root=root,
            paths=kept_names,
            stored=stored,
            stats=stored.stats(),
            content=digest("\0".join(classes), "\0".join(groups or ())),
            groups=groups,
        )

    def _classes(self, labels: Sequence[str], kept: Ints) -> list[str]:
        """Return the classes: those of class labels in their order, else the labels in natural order."""
        feature = self._feature(self.label) if self.label is not None else {}
        if feature.get("_type") == "ClassLabel":
            return [str(name) for name in feature["names"]]
        return sorted({labels[row] for row in kept}, key=natural_key)

    def _images(self) -> tuple[Stored, list[str], list[int]]:
        """Return where the images lie, their names and what folders say of their splits."""
        files: list[str] = []
        number: list[Ints] = []
        offsets: list[Ints] = []
        sizes: list[Ints] = []
        names: list[str] = []
        splits: list[int] = []
        for part in self.parts:
            first = len(names)
            for file, batch, base in part.batches():
                path = part.files[file]
                column = batch.column(self.image)
                places, lengths = image_places(column, base, os.path.getsize(path), printable(os.path.basename(path)))
                number.append(np.full(len(places), len(files) + file, np.int64))
                offsets.append(places)
                sizes.append(lengths)
                names += image_names(column, part.prefix, len(names) - first)
            files += part.files
            splits += [part.split] * (len(names) - first)
        return Stored(files, *map(np.concatenate, (number, offsets, sizes))), unique(names), splits

    def _issues(self, lacking: Sequence[str], unlabelled: Sequence[str], left: Sequence[str]) -> Iterator[Issue]:
        for kind, names, noun, words in (
            ("missing_files", lacking, "row", "without the bytes of an image, left out"),
            ("unlabelled", unlabelled, "image", f"without a label in {self.label!r}, left out"),
        ):
            if names:
                yield Issue(kind, "error", f"{count(len(names), noun)} {words}: {some(names)}", tuple(names))
        if left:
            asked = did_you_mean(misspelt_splits(left, [part.split for part in self.parts]))
            verb = "it is" if len(left) == 1 else "they are"
            message = (
                f"{count(len(left), 'split')} left alone, for {verb} none of train, val, test: {some(left)}{asked}"
            )
            yield Issue("stray_files", "warning", message, tuple(left))
        kind = "column" if self.group in self.columns else "pattern"
        yield taken_from(
            self.name,
            self.unused,
            images=quoted("column", self.image),
            labels=quoted("column", self.label),
            split=quoted("column", self.split),
            groups=quoted(kind, self.group),
        )
