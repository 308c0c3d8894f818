"""What is wrong with the images and the split, reported before any training.

An `Issue` is one line for people with counts and a few names, and the whole list of paths for machines. Errors are files that were
left out; warnings are facts that make results worse or figures dishonest; notes are worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from seewhy.data.split_rules import LEFT_OUT, SPLIT_NAMES, TEST, TRAIN, VAL, Ints

Severity = Literal["error", "warning", "note"]

IMBALANCE = 10  # images of the largest class for each one of the smallest, in the training split
SHOWN = 3

NO_LABELS = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "null"})
"""Names, in small letters, that programs write where a label is missing."""


@dataclass(frozen=True)
class Issue:
    """One finding.

    Attributes:
        kind: "unreadable", "empty_class", "one_image_class", "missing_class", "no_validation", "duplicate", "leakage",
            "repeated", "conflicting_labels", "imbalance", "mixed_sizes", "cut", "extreme_shapes", "blank", "dark",
            "deep_pixels", "several_pages", "colour_as_grey",
            "stray_files", "own_output", "special_files", "link_loop", "split_names", "class_names",
            "missing_files", "unlabelled", "contradictory_rows", "doubled_rows", "unlisted", "labels_file", "near_duplicate",
            "near_leakage", "suspicious_labels".
        message: one line for people.
        paths: every file or class that it concerns, sorted.
    """

    kind: str
    severity: Severity
    message: str
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """All findings, errors first.

    Attributes:
        summary: the data set in a line, and the images of every class by split in a table.
    """

    issues: tuple[Issue, ...] = ()
    summary: str = ""

    def of(self, kind: str) -> tuple[Issue, ...]:
        """Return the issues of one kind."""
        return tuple(issue for issue in self.issues if issue.kind == kind)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the issues as plain values."""
        return [{**asdict(issue), "paths": list(issue.paths)} for issue in self.issues]


def collect(issues: Iterable[Issue], summary: str = "") -> Audit:
    """Sort issues by severity, keeping their order otherwise."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return Audit(tuple(sorted(issues, key=lambda issue: rank[issue.severity])), summary)


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(name if len(name) <= 80 else f"{name[:38]}...{name[-38:]}" for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN:,} more"


def count(n: int, noun: str) -> str:
    """Return "1 file", "2 files", "3 classes"."""
    plural = (
        noun[:-1] + "ies"
        if noun.endswith("y") and not noun.endswith("ay")
        else noun + ("es" if noun.endswith("s") else "s")
    )
    return f"{n:,} {noun if n == 1 else plural}"


def unreadable(files: Sequence[tuple[str, str]]) -> list[Issue]:
    """Report files that were left out, as (name, reason)."""
    if not files:
        return []
    shown = some([f"{name} ({reason})" if len(name) < 60 else name for name, reason in files])
    message = f"{count(len(files), 'file')} cannot be used and {'is' if len(files) == 1 else 'are'} left out: {shown}"
    return [Issue("unreadable", "error", message, tuple(name for name, _ in files))]


def emptied_classes(names: Sequence[str]) -> list[Issue]:
    """Report classes that were left out because all of their files are unreadable."""
    if not names:
        return []
    message = f"{count(len(names), 'class')} without a usable image, left out: {some(names)}"
    return [Issue("empty_class", "warning", message, tuple(names))]


def classes(labels: Ints, splits: Ints, names: Sequence[str]) -> list[Issue]:
    """Report single-image, missing and unbalanced classes; classes are those that have images at all."""
    issues = []
    table = np.stack([np.bincount(labels[splits == p], minlength=len(names)) for p in range(len(SPLIT_NAMES))])
    single = [names[k] for k in np.flatnonzero(table.sum(0) == 1).tolist()]
    if single:
        message = f"{count(len(single), 'class')} with a single image, which cannot be split: {some(single)}"
        issues.append(Issue("one_image_class", "warning", message, tuple(single)))
    for split, counts in zip(SPLIT_NAMES, table, strict=True):
        missing = [names[k] for k in np.flatnonzero(counts == 0).tolist() if names[k] not in single]
        if not missing or not counts.any():
            continue
        verb = "is" if len(missing) == 1 else "are"
        effect = "can never be recognised" if split == "train" else f"{verb} not evaluated there"
        message = f"{count(len(missing), 'class')} without images in the {split} split, {effect}: {some(missing)}"
        issues.append(Issue("missing_class", "warning", message, tuple(missing)))
    return issues + _imbalance(table[0], names)


def class_names(names: Sequence[str]) -> list[Issue]:
    """Report classes whose names differ in capitals and blanks only, and those that are called like a missing label."""
    issues, alike = [], dict[str, list[str]]()
    for name in names:
        alike.setdefault("".join(name.split()).casefold(), []).append(name)
    groups = [group for group in alike.values() if len(group) > 1]
    if groups:
        shown = some([" and ".join(map(repr, group)) for group in groups])
        message = (
            f"names of classes differ in capitals or blanks only: {shown}; give them one name if they are one class"
        )
        issues.append(Issue("class_names", "note", message, tuple(name for group in groups for name in group)))
    missing = [name for name in names if name.strip().casefold() in NO_LABELS]
    if missing:
        message = (
            f"{count(len(missing), 'class')} named like a missing label: {some(list(map(repr, missing)))}; leave the images out where no class "
            "is meant"
        )
        issues.append(Issue("class_names", "note", message, tuple(missing)))
    return issues


def no_validation(splits: Ints, *, asked: bool) -> list[Issue]:
    """Report that nothing is held out for validation, whether that was asked for or the classes are too small."""
    if (splits == VAL).any():
        return []
    why = "as was asked" if asked else "for no class has images to spare"
    message = (
        f"no validation images, {why}: the last epoch is taken instead of the best, and probabilities stay uncalibrated"
    )
    return [Issue("no_validation", "note" if asked else "warning", message)]


def _imbalance(counts: Ints, names: Sequence[str]) -> list[Issue]:
    """Report classes of very different sizes, int64 [K], in the training split."""
    most, least = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max() + 1).argmin())
    if counts[most] <= IMBALANCE * counts[least]:
        return []
    message = (
        f"classes are unbalanced in the train split: {names[most]} has {count(int(counts[most]), 'image')}, "
        f"{names[least]} {counts[least]:,}; look at per-class recall, not only at accuracy"
    )
    return [Issue("imbalance", "warning", message, (names[most], names[least]))]


def duplicates(first: Ints, labels: Ints, splits: Ints, names: Sequence[str], classes: Sequence[str]) -> list[Issue]:
    """Report identical images within the training split, across splits, and under different classes.

    Args:
        first: int64 [N], the row of the first image with the same pixels (the row itself if it is the first).
        labels: int64 [N].
        splits: int64 [N]; rows that are LEFT_OUT do not count.
        names: N names.
        classes: the class names.
    """
    extra: list[str] = []
    leaked: dict[int, list[str]] = {VAL: [], TEST: []}
    conflicts: list[str] = []
    pairs: list[str] = []
    for group in _groups(first, splits):
        by_split = {p: [row for row in group if splits[row] == p] for p in (TRAIN, VAL, TEST)}
        extra.extend(names[row] for row in by_split[TRAIN][1:])
        for p, others in ((VAL, by_split[TRAIN]), (TEST, by_split[TRAIN] + by_split[VAL])):
            if others:
                leaked[p].extend(names[row] for row in by_split[p])
        kinds = sorted({int(labels[row]) for row in group})
        if len(kinds) > 1:
            conflicts.extend(names[row] for row in group)
            pairs.append(f"{names[group[0]]} ({' and '.join(classes[k] for k in kinds[:3])})")
    return [*_leakage(leaked), *_conflicts(pairs, conflicts), *_extra(extra)]


def _groups(first: Ints, splits: Ints) -> Iterable[list[int]]:
    """Return the rows of identical images, where there are two at least."""
    used = np.flatnonzero(splits != LEFT_OUT)
    size = np.bincount(first[used], minlength=len(first))
    groups: dict[int, list[int]] = {}
    for row in used[size[first[used]] > 1].tolist():
        groups.setdefault(int(first[row]), []).append(row)
    return groups.values()


def _leakage(leaked: Mapping[int, Sequence[str]]) -> list[Issue]:
    issues = []
    for split, names in leaked.items():
        if names:
            where = "the train split" if split == VAL else "the train or val split"
            message = (
                f"{count(len(names), 'image')} of the {SPLIT_NAMES[split]} split also in {where}, so its figures flatter: "
                f"{some(names)}; remove the duplicates"
            )
            issues.append(Issue("leakage", "warning", message, tuple(sorted(names))))
    return issues


def _conflicts(pairs: Sequence[str], names: Sequence[str]) -> list[Issue]:
    if not pairs:
        return []
    message = f"{count(len(pairs), 'image')} under more than one class: {some(pairs)}; keep the right one"
    return [Issue("conflicting_labels", "warning", message, tuple(sorted(names)))]


def _extra(names: Sequence[str]) -> list[Issue]:
    if not names:
        return []
    verb = "is a duplicate" if len(names) == 1 else "are duplicates"
    message = f"{count(len(names), 'image')} of the train split {verb} of another: {some(names)}"
    return [Issue("duplicate", "warning", message, tuple(sorted(names)))]


def repeated(first: Ints, splits: Ints) -> list[Issue]:
    """Report images that repeat where the split is made image by image; `first` and `splits` as for `duplicates`."""
    used = np.flatnonzero(splits != LEFT_OUT)
    copies = len(used) - len(np.unique(first[used]))
    if not copies:
        return []
    message = (
        f"{count(copies, 'image')} of {len(used):,} {'is a duplicate' if copies == 1 else 'are duplicates'} of another; they are split one by "
        "one, so that every split has the distribution of the whole"
    )
    return [Issue("repeated", "note", message)]
