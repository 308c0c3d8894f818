"""What is wrong with the images and the split, told before any training.

An `Issue` is one line for people with counts and a few names, and the whole list of paths for machines. Errors are files that were
left out; warnings are facts that make results worse or figures dishonest; notes are worth knowing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from seewhy.data.splits import LEFT_OUT, PART_NAMES

Ints = npt.NDArray[np.int64]
Severity = Literal["error", "warning", "note"]

IMBALANCE = 10  # images of the largest class for each one of the smallest, in the training part
SHOWN = 3


@dataclass(frozen=True)
class Issue:
    """One finding.

    Attributes:
        kind: "unreadable", "empty_class", "one_image_class", "missing_class", "duplicate", "leakage",
            "conflicting_labels", "imbalance", "mixed_sizes", "cut", "colour_as_grey", "stray_files", "link_loop".
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
        summary: the data set in a line, and the images of every class by part in a table.
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
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("s") else "s")
    return f"{n:,} {noun if n == 1 else plural}"


def unreadable(bad: Sequence[tuple[str, str]]) -> list[Issue]:
    """Report files that were left out, as (name, reason)."""
    if not bad:
        return []
    told = some([f"{name} ({reason})" if len(name) < 60 else name for name, reason in bad])
    message = f"{count(len(bad), 'file')} cannot be used and {'is' if len(bad) == 1 else 'are'} left out: {told}"
    return [Issue("unreadable", "error", message, tuple(name for name, _ in bad))]


def classes(labels: Ints, part: Ints, names: Sequence[str]) -> list[Issue]:
    """Report empty-handed, single, missing and unbalanced classes; classes are those that have images at all."""
    issues = []
    present = [p for p in range(len(PART_NAMES)) if (part == p).any()]
    table = np.stack([np.bincount(labels[part == p], minlength=len(names)) for p in range(len(PART_NAMES))])
    single = [names[k] for k in np.flatnonzero(table.sum(0) == 1).tolist()]
    if single:
        told = f"{count(len(single), 'class')} with a single image, which cannot be split: {some(single)}"
        issues.append(Issue("one_image_class", "warning", told, tuple(single)))
    for p in present:
        missing = [names[k] for k in np.flatnonzero(table[p] == 0).tolist() if names[k] not in single]
        if not missing:
            continue
        effect = (
            "can never be recognised"
            if p == 0
            else "is not examined there"
            if len(missing) == 1
            else "are not examined there"
        )
        told = f"{count(len(missing), 'class')} without images in the {PART_NAMES[p]} part, {effect}: {some(missing)}"
        issues.append(Issue("missing_class", "warning", told, tuple(missing)))
    train = table[0]
    most, least = int(train.argmax()), int(np.where(train > 0, train, train.max() + 1).argmin())
    if train[most] > IMBALANCE * train[least]:
        told = (
            f"classes are unbalanced in the train part: {names[most]} has {count(int(train[most]), 'image')}, "
            f"{names[least]} {train[least]:,}; look at per-class recall, not only at accuracy"
        )
        issues.append(Issue("imbalance", "warning", told, (names[most], names[least])))
    return issues


def twins(same: Ints, labels: Ints, part: Ints, names: Sequence[str], classes: Sequence[str]) -> list[Issue]:
    """Report identical pictures within the training part, across parts, and under different classes.

    Args:
        same: int64 [N], the row of the first picture with the same pixels (the row itself if it is the first).
        labels: int64 [N].
        part: int64 [N]; rows that are LEFT_OUT do not count.
        names: N names.
        classes: the class names.
    """
    used = np.flatnonzero(part != LEFT_OUT)
    size = np.bincount(same[used], minlength=len(same))
    rows = used[size[same[used]] > 1]
    groups: dict[int, list[int]] = {}
    for row in rows.tolist():
        groups.setdefault(int(same[row]), []).append(row)
    extra: list[str] = []
    leaked: dict[int, list[str]] = {1: [], 2: []}
    conflicts: list[str] = []
    pairs: list[str] = []
    for group in groups.values():
        by_part = {p: [row for row in group if part[row] == p] for p in range(len(PART_NAMES))}
        extra.extend(names[row] for row in by_part[0][1:])
        for p, others in ((1, by_part[0]), (2, by_part[0] + by_part[1])):
            if others:
                leaked[p].extend(names[row] for row in by_part[p])
        kinds = sorted({int(labels[row]) for row in group})
        if len(kinds) > 1:
            conflicts.extend(names[row] for row in group)
            pairs.append(f"{names[group[0]]} ({' and '.join(classes[k] for k in kinds[:3])})")
    return _twin_issues(extra, leaked, conflicts, pairs)


def _twin_issues(extra: list[str], leaked: dict[int, list[str]], conflicts: list[str], pairs: list[str]) -> list[Issue]:
    """Word what `twins` found."""
    issues = []
    for p, found in leaked.items():
        if found:
            where = "the train part" if p == 1 else "the train or val part"
            told = (
                f"{count(len(found), 'image')} of the {PART_NAMES[p]} part also in {where}, so its figures flatter: "
                f"{some(found)}; remove the copies"
            )
            issues.append(Issue("leakage", "warning", told, tuple(sorted(found))))
    if conflicts:
        told = f"{count(len(pairs), 'picture')} under more than one class: {some(pairs)}; keep the right one"
        issues.append(Issue("conflicting_labels", "warning", told, tuple(sorted(conflicts))))
    if extra:
        told = f"{count(len(extra), 'image')} of the train part {'is a copy' if len(extra) == 1 else 'are copies'} of another: {some(extra)}"
        issues.append(Issue("duplicate", "warning", told, tuple(sorted(extra))))
    return issues


def sizes(natural: Ints, frame: tuple[int, int, int]) -> list[Issue]:
    """Report mixed sizes; `natural` is int64 [n, 2] (height, width) of the used pictures."""
    low, high = natural.min(0).tolist(), natural.max(0).tolist()
    effect = f"each is scaled to cover {frame[1]} x {frame[0]} and cut at the centre"
    if low != high:
        told = f"sizes are mixed: {low[1]} to {high[1]} pixels wide, {low[0]} to {high[0]} high; {effect}"
        return [Issue("mixed_sizes", "note", told)]
    if low[0] * frame[1] != low[1] * frame[0]:
        return [Issue("cut", "note", f"pictures are not square: {low[1]} x {low[0]} pixels; {effect}")]
    return []


def colours(grey: npt.NDArray[np.bool_], channels: int, *, asked: bool) -> list[Issue]:
    """Report colour pictures that are turned to grey without having been asked for."""
    lost = int((~grey).sum())
    if channels == 3 or not lost or asked:
        return []
    told = f"{count(lost, 'colour picture')} among grey ones, turned to grey; set data.channels to 3 to keep the colour"
    return [Issue("colour_as_grey", "warning", told)]
