r"""A folder of images whose labels, and what else is known of them, stand in a table (`table`): where the images lie means nothing.

- The column of images is the one whose texts name files of the folder; labels and splits are known by their columns' names; all can be named.
- A text names a file by its path, by the end of its path, or by more than its path (an absolute one of another machine); with / or \, and
  without a suffix. One that names several files is refused.
- Rows that name no file, have no label, or contradict another row on the same image are left out and reported; so are images without a row.

Groups (patients, lesions, videos) are a column, or what a regular expression finds in the images' names; `split_rules` keeps them together.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.audit import Issue, count, some
from seewhy.data.formats import is_image_name
from seewhy.data.identity import digest
from seewhy.data.sources.catalog import Catalog
from seewhy.data.sources.columns import (
    groups_in,
    groups_of,
    label_column,
    quoted,
    split_column,
    splits_of,
    taken_from,
    unused_splits,
    validate_columns,
)
from seewhy.data.sources.names import natural_key, printable, unique
from seewhy.data.sources.table import Table, find_table, read_table
from seewhy.data.sources.walk import Walk

SAMPLED = 500
"""Rows by which the column of images is found."""


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """What is known of images beside their files.

    Attributes:
        labels: the file: CSV or Parquet; None where folders are classes, or the images' own container is a table.
        image_column, label_column, split_column: names of columns; None to find them (there need be no split).
        group: a column, or a regular expression that is looked for in each image's name and whose first group, else the whole match,
            says to which group the image belongs; None where images stand alone.
    """

    labels: str | None = None
    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group: str | None = None


def list_labelled(root: str, options: TableOptions, *, labels_required: bool = True) -> Catalog:
    """List the images of a folder that a labels file names.

    Raises:
        InputError: the file or a column is not there or cannot be used, or no row names an image of the folder.
    """
    assert options.labels is not None
    table = read_table(find_table(options.labels, root))
    walk = Walk(root)
    if walk.listing("").is_output:
        raise InputError(f"source: {printable(root)} is a run or a cache that seewhy wrote, not a folder of images")
    images = walk.images("")
    if not images.paths:
        raise InputError(f"source: {printable(root)} holds no images")
    files = _Files([printable(path) for path in images.paths])
    reading = _Reading(table, files, options, labels_required=labels_required)
    rows, issues = reading.rows(printable(root))
    order = sorted(rows, key=lambda file: files.names[file])
    name = printable(os.path.basename(os.path.realpath(root)))
    found = [rows[file] for file in order]
    classes = tuple(sorted({row.label or name for row in found}, key=natural_key))
    index = {label: k for k, label in enumerate(classes)}
    groups = None if reading.group is None else [row.group for row in found]
    unlisted = tuple(sorted(files.names[file] for file in range(len(files.names)) if file not in reading.listed))
    if unlisted:
        message = f"{count(len(unlisted), 'image')} without a row in {table.name}, left out: {some(unlisted)}"
        issues.append(Issue("unlisted", "warning", message, unlisted))
    return Catalog(
        name=name,
        kind="folder",
        classes=tuple(unique(printable(label) for label in classes)),
        labels=np.array([index[row.label or name] for row in found], np.int64),
        splits=np.array([row.split for row in found], np.int64),
        names=unique(files.names[file] for file in order),
        issues=(*issues, *walk.issues()),
        root=root,
        paths=[images.paths[file] for file in order],
        stats=np.array(images.stats, np.int64).reshape(-1, 5)[order],
        content=digest("\0".join(classes), "\0".join(groups or ())),
        groups=groups,
        labels_file=table.name,
    )


def groups_by_name(catalog: Catalog, pattern: str) -> list[str]:
    """Return the group of each image: what a regular expression finds in its name.

    Raises:
        InputError: it is none, or is not found in every name.
    """
    return groups_in(catalog.names, pattern)


class _Files:
    """Finds files by what a table calls them.

    Attributes:
        names: their paths below the root.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._parts = [tuple(name.split("/")) for name in names]
        self._whole = {name: file for file, name in enumerate(names)}
        self._by_end: dict[str, list[int]] = {}
        for file, parts in enumerate(self._parts):
            last = parts[-1].casefold()
            for end in {last, os.path.splitext(last)[0]}:
                self._by_end.setdefault(end, []).append(file)

    def find(self, text: str) -> list[int]:
        """Return the files that a text may name: none, one, or several among which it does not decide."""
        parts = tuple(part for part in text.replace("\\", "/").split("/") if part not in ("", ".", ".."))
        exact = self._whole.get("/".join(parts))
        if exact is not None:
            return [exact]
        if not parts:
            return []
        near = [
            (file, self._agreement(parts, self._parts[file])) for file in self._by_end.get(parts[-1].casefold(), ())
        ]
        best = max((agreement for _, agreement in near), default=(0, 0))
        return [file for file, agreement in near if agreement == best] if best[0] else []

    @staticmethod
    def _agreement(asked: tuple[str, ...], parts: tuple[str, ...]) -> tuple[int, int]:
        """Return how many parts agree at the end, and how many to the letter; (0, 0) unless one path is the end of the other."""
        common = min(len(asked), len(parts))
        pairs = list(zip(asked[-common:], parts[-common:], strict=True))
        inner = all(a.casefold() == b.casefold() for a, b in pairs[:-1])
        return (common, sum(a == b for a, b in pairs)) if inner else (0, 0)


@dataclass(frozen=True)
class _Row:
    """What a table says of an image."""

    label: str
    split: int
    group: str


class _Reading:
    """One reading of a table: its columns, and what it says of which file.

    Attributes:
        group: the column or the expression of the groups; None without groups.
        listed: the files that some row names.
    """

    def __init__(self, table: Table, files: _Files, options: TableOptions, *, labels_required: bool) -> None:
        self.table, self.files, self.options = table, files, options
        validate_columns(
            table.columns,
            image_column=options.image_column,
            label_column=options.label_column,
            split_column=options.split_column,
        )
        self.image = options.image_column or self._image_column()
        self._validate_header()
        self.group = options.group
        others = [name for name in table.columns if name != self.image]
        self.split = split_column(table.name, others, table.column, options.split_column)
        left = [name for name in others if name not in (self.split, self.group)]
        self.label = options.label_column or label_column(table.name, left, required=labels_required)
        self._validate_lines()
        self.listed: set[int] = set()

    def rows(self, root: str) -> tuple[dict[int, _Row], list[Issue]]:
        """Return what is said of each file that can be used, and what is wrong."""
        texts = self.table.column(self.image)
        found = [self.files.find(text) for text in texts]
        self._validate_found(root, texts, found)
        labels, splits = (
            self._labels(len(texts)),
            splits_of(self.table.name, self.split, self.table.column, len(texts)),
        )
        groups = self._groups(found)
        used: dict[int, _Row] = {}
        doubled, contradicted, unlabelled = [], set[int](), []
        for line, files in enumerate(found):
            if not files:
                continue
            file, row = files[0], _Row(labels[line], splits[line], groups[line])
            self.listed.add(file)
            if self.label is not None and not row.label:
                unlabelled.append(self.files.names[file])
            elif file not in used:
                used[file] = row
            elif used[file] == row:
                doubled.append(self.files.names[file])
            else:
                contradicted.add(file)
        for file in contradicted:
            del used[file]
        if not used:
            raise InputError(
                f"labels: no row of {self.table.name} says anything that can be used of an image of {root}"
            )
        missing = [text for text, files in zip(texts, found, strict=True) if not files]
        opposed = [self.files.names[file] for file in contradicted]
        return used, self._issues(missing, unlabelled, opposed, doubled)

    def _image_column(self) -> str:
        """Return the column most of whose texts name files."""
        sample = Table(self.table.name, self.table.columns, self.table.rows[:SAMPLED])
        hits = {name: sum(bool(self.files.find(text)) for text in sample.column(name)) for name in sample.columns}
        best = max(sample.columns, key=lambda name: hits[name])
        if not hits[best]:
            raise InputError(
                f"image_column: no column of {self.table.name} names images of the folder ({', '.join(sample.columns)}; first row: "
                f"{', '.join(sample.rows[0])}); files there are {some(sorted(self.files.names)[:3])}"
            )
        return best

    def _validate_header(self) -> None:
        """Refuse a table whose first row names an image where the columns' names should stand."""
        first = self.files.find(self.image)
        if first and not is_image_name(self.image):
            # "image" beside an image.png is fine, and so is "view1" beside a view1.png that has a row
            listed = {file for text in self.table.column(self.image) for file in self.files.find(text)}
            if not any(map(str.isdigit, self.image)) or not listed.isdisjoint(first):
                return
        if first:
            raise InputError(
                f"labels: {self.table.name} seems to have no line of column names: its first line is {', '.join(self.table.columns)}, and "
                f"{self.files.names[first[0]]} is an image of the folder; add one such as file,label"
            )

    def _validate_lines(self) -> None:
        """Refuse texts of several lines: what a quotation mark that is not closed swallows would be lost."""
        for column in self.table.columns:
            if column not in (self.image, self.label, self.split, self.group):
                continue
            long = [text for text in self.table.column(column) if "\n" in text or "\r" in text]
            if long:
                raise InputError(
                    f"labels: {column!r} of {self.table.name} has a text of several lines, {long[0][:60]!r}; is a quotation mark opened there "
                    "and closed in another row?"
                )

    def _labels(self, count: int) -> list[str]:
        return [""] * count if self.label is None else self.table.column(self.label)

    def _groups(self, found: Sequence[Sequence[int]]) -> list[str]:
        """Return the group that each row says; "" for one that names no file."""
        if self.group is None:
            return [""] * len(found)
        rows = [row for row, files in enumerate(found) if files]
        names = [self.files.names[found[row][0]] for row in rows]

        def texts(column: str) -> list[str]:
            every = self.table.column(column)
            return [every[row] for row in rows]

        groups = iter(groups_of(self.table.name, self.group, self.table.columns, texts, names))
        return [next(groups) if files else "" for files in found]

    def _validate_found(self, root: str, texts: Sequence[str], found: Sequence[Sequence[int]]) -> None:
        """Refuse a table that names nothing, or does not say which file it means."""
        if not any(found):
            raise InputError(
                f"image_column: {self.image!r} of {self.table.name} names no image of {root}, such as {texts[0]!r}"
            )
        for text, files in zip(texts, found, strict=True):
            if len(files) > 1:
                several = some(sorted(self.files.names[file] for file in files))
                raise InputError(
                    f"image_column: {text!r} in {self.table.name} may be any of {several}; write more of the path"
                )

    def _issues(
        self, missing: Sequence[str], unlabelled: Sequence[str], opposed: Sequence[str], doubled: Sequence[str]
    ) -> list[Issue]:
        """Return what is wrong with the rows, and what was taken from where."""
        name, issues = self.table.name, []
        told: tuple[tuple[str, Sequence[str], str, str], ...] = (
            ("missing_files", missing, "row", f"of {name} {{}} no image that is there, left out"),
            ("unlabelled", unlabelled, "image", f"without a label in {name}, left out"),
            ("contradictory_rows", opposed, "image", f"of which rows of {name} say different things, left out"),
        )
        for kind, names, noun, words in told:
            if names:
                said = words.format("names" if len(names) == 1 else "name")
                message = f"{count(len(names), noun)} {said}: {some(sorted(names))}"
                issues.append(Issue(kind, "error", message, tuple(sorted(names))))
        if doubled:
            message = f"{count(len(doubled), 'row')} of {name} repeated, which changes nothing: {some(sorted(doubled))}"
            issues.append(Issue("doubled_rows", "note", message, tuple(sorted(doubled))))
        kind = "column" if self.group in self.table.columns else "pattern"
        taken = taken_from(
            name,
            unused_splits(
                self.table.columns, self.image, self.label, self.split, self.group, named=self.options.split_column
            ),
            images=quoted("column", self.image),
            labels=quoted("column", self.label),
            split=quoted("column", self.split),
            groups=quoted(kind, self.group),
        )
        if self.table.guessed:
            taken = replace(taken, message=f"{taken.message}; read as {self.table.guessed}, for it is no UTF-8")
        issues.append(taken)
        return issues
