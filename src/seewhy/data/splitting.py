"""The third step: decoded images become a data set of a training, a validation and a test split."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from seewhy.core.errors import InputError, bad_value
from seewhy.data import audit, image_audit, split_rules
from seewhy.data.audit import Issue
from seewhy.data.dataset import Dataset, Split, Store
from seewhy.data.decoding import Decoded
from seewhy.data.facts import ImageFacts, blank_and_dark
from seewhy.data.sources import Catalog
from seewhy.data.split_rules import LEFT_OUT, SPLIT_NAMES, TEST, TRAIN, VAL, Ints

COMPARED = 256
"""Images whose pixels are compared at a time."""


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How images are split where the data do not say; see `split_rules`.

    Attributes:
        val_fraction: share of the training images for validation; default 10%, at most 2,000.
        test_fraction: share for testing where the data bring neither a test nor a val split.
        seed: seed of the split.
        keep_duplicates_together: whether identical images of a class go to one side of a split that is made here, so that a classifier is
            not tested on what it was trained on. Where images repeat, that biases a likelihood: the data's own distribution repeats them
            too. Default: as labels are required.
        folds: parts of the images that are not for testing, for cross-validation; None for none.
        fold: which of them is for validation, from 1.

    Raises:
        InputError: a value is not allowed.
    """

    val_fraction: float | None = None
    test_fraction: float = 0.15
    seed: int = 0
    keep_duplicates_together: bool | None = None
    folds: int | None = None
    fold: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("val_fraction", "test_fraction"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < 1:
                raise bad_value(name, value, "at least 0 and less than 1")
        if self.folds is not None and self.folds < 2:
            raise bad_value("folds", self.folds, "at least 2")
        if not 1 <= self.fold <= (self.folds or 1):
            raise bad_value(
                "fold", self.fold, f"from 1 to {self.folds}" if self.folds else "1 where there are no folds"
            )


def split(decoded: Decoded, options: SplitOptions | None = None) -> Dataset:
    """Split decoded images, and report what is wrong with them.

    Args:
        decoded: of `decode`.
        options: default: `SplitOptions()`.

    Raises:
        InputError: too few classes have usable images, or none is left to train on.
    """
    options = options or SplitOptions()
    catalog, facts, (height, width, channels) = decoded.catalog, decoded.facts, decoded.shape
    splits = catalog.splits.copy()
    splits[list(facts.unreadable)] = LEFT_OUT
    labels, classes, emptied = _usable_classes(catalog, splits)
    duplicates = find_duplicates(facts, decoded.store, splits)
    together = options.keep_duplicates_together
    if together is None:
        together = catalog.labels_required
    given = set(np.unique(splits).tolist())
    splits = split_rules.assign(
        splits,
        labels,
        catalog.names,
        val_fraction=options.val_fraction,
        test_fraction=options.test_fraction,
        seed=options.seed,
        duplicates=duplicates if together else None,
        groups=catalog.groups,
        folds=None if options.folds is None else (options.fold, options.folds),
    )
    mean, std = facts.moments(splits == TRAIN, height * width)
    by_name = {
        name: _split_of(np.flatnonzero(splits == number), labels, decoded) for number, name in enumerate(SPLIT_NAMES)
    }
    issues = [
        *catalog.issues,
        *audit.unreadable(decoded.unreadable),
        *audit.emptied_classes(emptied),
        *audit.classes(labels, splits, classes),
        *audit.class_names(classes),
        *audit.no_validation(splits, asked=options.val_fraction == 0),
        *_image_issues(decoded, splits),
        *_duplicate_issues(decoded, splits, labels, classes, duplicates, divided=bool(given & {VAL, TEST}) or together),
    ]
    data = Dataset(
        name=catalog.name,
        classes=classes,
        channels=channels,
        height=height,
        width=width,
        train=by_name["train"],
        val=by_name["val"],
        test=by_name["test"] if len(by_name["test"]) else None,
        mean=mean,
        std=std,
        audit=audit.collect(issues),
        fingerprint=decoded.fingerprint,
        source_kind=catalog.kind,
        flip_invariant=channels == 3 if catalog.flip_invariant is None else catalog.flip_invariant,
        rule=decoded.rule,
    )
    return replace(data, audit=replace(data.audit, summary=f"{data.summary()}\n{data.table()}"))


def _image_issues(decoded: Decoded, splits: Ints) -> list[Issue]:
    """Return what is wrong with the images that are used."""
    facts, shape, used = decoded.facts, decoded.shape, np.flatnonzero(splits != LEFT_OUT)
    blank, dark = (mask[used] for mask in blank_and_dark(facts, shape[0] * shape[1]))
    names = decoded.catalog.names

    def named(rows: Ints) -> list[str]:
        return [names[row] for row in rows.tolist()]

    return [
        *image_audit.blank(named(used[blank])),
        *image_audit.dark(named(used[dark]), len(used)),
        *image_audit.sizes(facts.sizes[used], shape, decoded.rule.fit),
        *image_audit.extremes(facts.sizes[used], named(used), shape, decoded.rule.fit),
        *image_audit.deep(decoded.rule.peaks),
        *image_audit.several(named(used[facts.several[used]])),
        *image_audit.colours(facts.grey[used], shape[2], asked=decoded.options.channels is not None),
    ]


def _duplicate_issues(
    decoded: Decoded, splits: Ints, labels: Ints, classes: tuple[str, ...], duplicates: Ints, *, divided: bool
) -> list[Issue]:
    """Report identical images: as faults, or, where a split was made image by image, as what the data are like."""
    if divided:
        return audit.duplicates(duplicates, labels, splits, decoded.catalog.names, classes)
    return audit.repeated(duplicates, splits)


def _usable_classes(catalog: Catalog, splits: Ints) -> tuple[Ints, tuple[str, ...], list[str]]:
    """Return labels and names of the classes of which some image can be used, and the names of the others."""
    used = np.bincount(catalog.labels[splits != LEFT_OUT], minlength=len(catalog.classes)) > 0
    names = tuple(name for name, has in zip(catalog.classes, used, strict=True) if has)
    if len(names) < catalog.fewest_classes:
        needed = "a classifier needs at least two" if catalog.labels_required else "there must be at least one"
        raise InputError(
            f"source: {audit.count(len(names), 'class')} of {catalog.name} with usable images ({', '.join(names) or 'none'}); {needed}"
        )
    emptied = [name for name, has in zip(catalog.classes, used, strict=True) if not has]
    return np.maximum(np.cumsum(used) - 1, 0)[catalog.labels], names, emptied


def find_duplicates(facts: ImageFacts, store: Store, splits: Ints) -> Ints:
    """Return for every row the first row with the same pixels: int64 [N]."""
    first = np.arange(len(splits), dtype=np.int64)
    used = np.flatnonzero(splits != LEFT_OUT)
    _, leaders, inverse = np.unique(facts.hashes[used], return_index=True, return_inverse=True)
    leader = used[leaders[inverse]]
    later = np.flatnonzero(leader != used)
    for start in range(0, len(later), COMPARED):
        some = later[start : start + COMPARED]
        own, other = (store.images(torch.from_numpy(rows)).flatten(1) for rows in (used[some], leader[some]))
        equal = (own == other).all(1).numpy()
        first[used[some[equal]]] = leader[some[equal]]
    return first


def _split_of(rows: Ints, labels: Ints, decoded: Decoded) -> Split:
    """Make a split of its rows."""
    names = [decoded.catalog.names[row] for row in rows.tolist()]
    return Split(
        torch.from_numpy(rows), torch.from_numpy(labels[rows]), names, decoded.store, decoded.facts.hashes[rows]
    )
