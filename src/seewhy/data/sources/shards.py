"""Tar shards as WebDataset writes them: a folder of .tar files, one of them, or a pattern such as shards-{000..009}.tar.

- Members of one name up to the first dot of its last part are a sample: `a/0017.jpg` and `a/0017.cls`; the rest of the name says what each is.
- The image is the member that ends like one. The label is a number in `.cls`, whose names may stand line by line in `classes.txt` beside the
  shards, else a field of `.json`, else the text of `.txt`. Splits and groups are fields of `.json`; a shard's name or folder may say the split.
- Samples without image or label are left out and told. A name that comes twice in a shard, a `.cls` that is no number or has no name, and a
  damaged tar are errors that say where.

Nothing is extracted: the headers say where each image lies (`tar_members`), and there it is read, in any order (`stored`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seewhy.core.errors import InputError
from seewhy.data.audit import Issue, count, some
from seewhy.data.formats import is_image_name
from seewhy.data.identity import digest
from seewhy.data.sources.catalog import Catalog
from seewhy.data.sources.columns import (
    groups_in,
    label_column,
    quoted,
    split_column,
    taken_from,
    unused_splits,
    validate_columns,
)
from seewhy.data.sources.labelled import TableOptions
from seewhy.data.sources.names import composed, natural_key, printable, unique
from seewhy.data.sources.shard_files import TAR, source_name, split_said
from seewhy.data.sources.split_names import split_of
from seewhy.data.sources.stored import Stored, read_at
from seewhy.data.sources.tar_members import Member, members
from seewhy.data.split_rules import SPLIT_NAMES, TRAIN, UNDECIDED

NAMES = ("classes.txt", "classnames.txt")
"""Files beside shards that name the numbers of `.cls`."""

LONGEST_LABEL = 1 << 20
"""Bytes of a member that holds a label."""

SAMPLED = 100
"""Samples of the first shard by which it is found what says the label."""

_SAMPLE = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
"""A sample's name, and what the member is."""


def list_shards(path: str, shards: Sequence[str], options: TableOptions, *, labels_required: bool = True) -> Catalog:
    """List the images of shards.

    Args:
        path: the source.
        shards: of `find_shards`.
        options: fields of `.json` (columns), and the ending of the image where samples have several (`image_column`).
        labels_required: whether images without labels are left out.

    Raises:
        InputError: a shard is damaged, a sample is there twice, a label cannot be understood, or there is no image.
    """
    root = path if os.path.isdir(path) else os.path.dirname(path) or "."
    reading = _Reading(root, options, labels_required=labels_required)
    for number, shard in enumerate(shards):
        reading.add(number, shard)
    return reading.catalog(path, shards)


@dataclass
class _Rows:
    """What is known of the images so far, by row."""

    file: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


class _Reading:
    """One reading of shards.

    Attributes:
        root: the folder in which they lie.
        kind: what says the labels: "cls", "json" or "txt"; "" where nothing does.
    """

    def __init__(self, root: str, options: TableOptions, *, labels_required: bool) -> None:
        self.root, self.options, self.required = root, options, labels_required
        self.rows = _Rows()
        self.kind: str | None = None
        self.label = options.label_column
        self.split = options.split_column
        self.group: str | None = None
        self.class_names: list[str] | None = None
        self.fields: list[str] = []
        self.imageless: list[str] = []
        self.unlabelled: list[str] = []
        self.special: list[str] = []

    def add(self, number: int, shard: str) -> None:
        """Read the headers and the labels of a shard."""
        shown = printable(os.path.relpath(shard, self.root))
        samples: dict[str, dict[str, Member]] = {}
        for member in members(shard, self.special):
            found = _SAMPLE.fullmatch(member.name)
            if found is None:
                continue
            sample, ending = samples.setdefault(found[1], {}), found[2].lower()
            if ending in sample:
                raise InputError(
                    f"source: {shown} holds {member.name!r} twice, at byte {sample[ending].header:,} and at byte {member.header:,}; which one "
                    "counts? Write the shard anew with each name once"
                )
            sample[ending] = member
        if self.kind is None and samples:
            self._decide(shard, shown, list(samples.values())[:SAMPLED])
        said = split_said(shown)
        for key, sample in samples.items():
            self._add_sample(number, shard, f"{shown}/{key}", sample, said)

    def _decide(self, shard: str, shown: str, samples: Sequence[Mapping[str, Member]]) -> None:
        """Find out what says labels, splits and groups, by the first samples."""
        endings = {ending for sample in samples for ending in sample}
        read = [self._fields(shard, shown, sample["json"]) for sample in samples if "json" in sample]
        fields = self.fields = list(dict.fromkeys(name for one in read for name in one))
        validate_columns(fields, label_column=self.label, split_column=self.split)

        def texts(name: str) -> list[str]:
            return [_text(one.get(name)) for one in read]

        if self.options.group in fields:
            self.group = self.options.group
        self.split = split_column(
            f"the .json of {shown}", [name for name in fields if name != self.label], texts, self.split
        )
        if self.label is None and "cls" in endings:
            self.kind = "cls"
            self.class_names = _class_names(self.root)
            return
        if self.label is None and fields:
            self.label = label_column(
                f"the .json of {shown}", [f for f in fields if f not in (self.split, self.group)], required=False
            )
        self.kind = "json" if self.label is not None else "txt" if "txt" in endings else ""
        if not self.kind and self.required:
            beside = f" (.json has {', '.join(fields)}: name one by data.label_column)" if fields else ""
            raise InputError(
                f"source: {shown} holds no labels: neither .cls nor .txt, nor a field of .json that is called like labels{beside}; "
                f"members end in {some(sorted(endings))}"
            )

    def _add_sample(self, number: int, shard: str, name: str, sample: Mapping[str, Member], said: int) -> None:
        image = self._image(name, sample)
        if image is None:
            first = next(iter(sample.values()))
            self.imageless.append(f"{name} (byte {first.header:,})")
            return
        shown = name.partition(TAR)[0] + TAR
        fields = (
            self._fields(shard, shown, sample["json"])
            if "json" in sample and (self.label or self.split or self.group)
            else {}
        )
        label = self._label(shard, name, sample, fields)
        if self.kind and not label:
            self.unlabelled.append(f"{name} (byte {image.header:,})")
            return
        split = said
        if self.split is not None:
            text = _text(fields.get(self.split))
            meant = split_of(text)
            if meant is None:
                raise InputError(
                    f"split_column: {self.split!r} of {name}.json must say {', '.join(SPLIT_NAMES)}, got {text!r}"
                )
            split = meant
        group = _text(fields.get(self.group)) if self.group is not None else ""
        if self.group is not None and not group:
            raise InputError(f"group: {self.group!r} of {name}.json is empty")
        rows = self.rows
        rows.file.append(number)
        rows.offsets.append(image.offset)
        rows.sizes.append(image.size)
        rows.names.append(f"{name}.{image.name.rpartition('.')[2]}")
        rows.labels.append(label)
        rows.splits.append(split)
        rows.groups.append(group)

    def _image(self, name: str, sample: Mapping[str, Member]) -> Member | None:
        """Return the image of a sample, None if it has none."""
        if self.options.image_column is not None:
            return sample.get(self.options.image_column.lower().lstrip("."))
        endings = [ending for ending in sample if is_image_name(f"x.{ending}")]
        if len(endings) > 1:
            raise InputError(
                f"image_column: {name} has several images ({', '.join('.' + e for e in endings)}); name the ending of those that count"
            )
        return sample[endings[0]] if endings else None

    def _label(self, shard: str, name: str, sample: Mapping[str, Member], fields: Mapping[str, Any]) -> str:
        """Return the label of a sample; "" if it has none."""
        if self.kind == "json":
            return _text(fields.get(self.label or ""))
        if not self.kind or self.kind not in sample:
            return ""
        member = sample[self.kind]
        text = _content(shard, name, member).strip()
        if self.kind == "txt" or not text:
            return composed(text)
        if not text.isdecimal():
            raise InputError(
                f"source: {name}.cls (byte {member.header:,}) must be the number of a class, from 0, got {text[:40]!r}"
            )
        if self.class_names is None:
            return str(int(text))
        if int(text) >= len(self.class_names):
            raise InputError(
                f"source: {name}.cls (byte {member.header:,}) is the class {int(text)}, but {len(self.class_names)} are named, 0 to "
                f"{len(self.class_names) - 1}"
            )
        return self.class_names[int(text)]

    def _fields(self, shard: str, shown: str, member: Member) -> dict[str, Any]:
        try:
            found = json.loads(_content(shard, shown, member))
        except (ValueError, RecursionError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"source: {member.name} of {shown} (byte {member.header:,}) is no JSON: {error}") from None
        return found if isinstance(found, dict) else {"label": found}

    def catalog(self, path: str, shards: Sequence[str]) -> Catalog:
        """Make the catalog of what was read."""
        rows = self.rows
        if not rows.names:
            lost = self.imageless or self.unlabelled
            detail = (
                f": {count(len(lost), 'sample')} without {'an image' if self.imageless else 'a label'}, such as {lost[0]}"
                if lost
                else ""
            )
            raise InputError(f"source: {printable(path)} holds no image that can be used{detail}")
        name = source_name(path)
        labels = [label or name for label in rows.labels]
        classes = tuple(self.class_names or sorted(set(labels), key=natural_key))
        index = {label: k for k, label in enumerate(classes)}
        order = sorted(range(len(labels)), key=rows.names.__getitem__)
        stored = Stored(
            shards, *(np.array(column, np.int64)[order] for column in (rows.file, rows.offsets, rows.sizes))
        )
        names = [rows.names[row] for row in order]
        groups = self._groups(names, order)
        return Catalog(
            name=name,
            kind="shards",
            classes=tuple(unique(printable(label) for label in classes)),
            labels=np.array([index[label] for label in labels], np.int64)[order],
            splits=np.array(_divided(rows.splits), np.int64)[order],
            names=unique(names),
            issues=tuple(self._issues(len(shards))),
            root=path,
            paths=names,
            stored=stored,
            stats=stored.stats(),
            content=digest("\0".join(classes), "\0".join(groups or ())),
            groups=groups,
        )

    def _groups(self, names: Sequence[str], order: Sequence[int]) -> list[str] | None:
        if self.options.group is None:
            return None
        if self.group is not None:
            return [self.rows.groups[row] for row in order]
        return groups_in(names, self.options.group)

    def _issues(self, shards: int) -> Iterator[Issue]:
        for kind, names, noun, words in (
            ("missing_files", self.imageless, "sample", "without an image, left out"),
            ("unlabelled", self.unlabelled, "image", f"without a label (.{self.kind}), left out"),
        ):
            if names:
                yield Issue(
                    kind, "error", f"{count(len(names), noun)} {words}: {some(sorted(names))}", tuple(sorted(names))
                )
        if self.special:
            message = f"{count(len(self.special), 'member')} of shards no plain files (links, devices), left alone: {some(self.special)}"
            yield Issue("special_files", "warning", message, tuple(sorted(self.special)))
        undivided = {split for split in self.rows.splits if split != UNDECIDED}
        if undivided and TRAIN in undivided and UNDECIDED in self.rows.splits:
            yield Issue(
                "split_names",
                "warning",
                "shards whose names say no split are taken for training, for others say theirs",
            )
        named = f".cls, named by {' or '.join(NAMES)}" if self.class_names else ".cls"
        pattern = self.options.group if self.group is None else None
        yield taken_from(
            count(shards, "shard"),
            unused_splits(self.fields, self.label, self.split, self.group, named=self.options.split_column),
            labels={"cls": named, "txt": ".txt"}.get(self.kind or "", quoted("field", self.label)),
            split=quoted("field", self.split),
            groups=quoted("field", self.group) or quoted("pattern", pattern),
        )


def _divided(splits: Sequence[int]) -> Sequence[int]:
    """Return the splits that names say; where none is for training they are no splits, but what somebody has picked out."""
    return splits if TRAIN in splits else [UNDECIDED] * len(splits)


def _content(shard: str, name: str, member: Member) -> str:
    """Return the text of a member that says a label."""
    if member.size > LONGEST_LABEL:
        raise InputError(
            f"source: {member.name} of {name} (byte {member.header:,}) is too large for a label: {member.size:,} bytes"
        )
    try:
        return read_at(shard, member.offset, member.size).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"source: {member.name} of {name} (byte {member.header:,}) is no text in UTF-8") from None
    except OSError as error:
        raise InputError(f"source: {printable(shard)} cannot be read: {error.strerror or error}") from None


def _class_names(root: str) -> list[str] | None:
    """Return the names that stand beside shards, line by line."""
    for name in NAMES:
        path = os.path.join(root, name)
        try:
            with open(path, encoding="utf-8") as file:
                names = [composed(line.strip()) for line in file.read(LONGEST_LABEL).splitlines() if line.strip()]
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"source: {printable(path)} cannot be read: {error}") from None
        twice = sorted({one for one in names if names.count(one) > 1})
        if twice:
            raise InputError(f"source: {name} names several classes {twice[0]!r}; give each a name of its own")
        return names
    return None


def _text(value: Any) -> str:
    """Return a field of JSON as text; "" for nothing, and for what is neither a text nor a whole number."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return str(value).lower() if isinstance(value, bool) else ""
    return composed(str(value).strip())
