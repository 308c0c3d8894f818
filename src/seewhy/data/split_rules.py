"""Which images train, validate and test: the rules by which images become the training, validation and test split.

What the data bring is kept. What is missing is made:

====================  =========================================================================================
the data bring        what happens
====================  =========================================================================================
train, val, test      taken as they are
train, test           val is held out from train
train, val            taken as they are; there is no test split (somebody decided so, and val may have been tuned on)
train                 test is held out from train (`test_fraction`), then val from the rest
nothing               test is held out (`test_fraction`), then val from the rest
====================  =========================================================================================

The default size of val is 10% of the images that are left for training, at most 2,000. Every split is stratified: each class with
at least two images gives at least one and keeps at least one, and gives round(fraction * n) otherwise.

A class's images are ordered by a hash of (seed, purpose, name), and the first ones are taken. So the split is a pure function of
the seed and the names; a file that comes or goes moves at most the boundary of its own class. Duplicates within a
class share one position in that order and are never separated, so a split made here leaks nothing that the data did not.

Images of a group (a patient, a video) always lie in one split: groups are ordered likewise, and taken while they bring every class nearer to
its share. With folds, val is one of `folds` parts of about equal size, stratified and grouped likewise, and every image that is not for testing
is in val in one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import InputError
from seewhy.core.seeding import derive
from seewhy.data.split_groups import Units

TRAIN, VAL, TEST, UNDECIDED, LEFT_OUT = 0, 1, 2, -1, -2
SPLIT_NAMES = ("train", "val", "test")

VAL_FRACTION, VAL_MOST = 0.1, 2000

Ints = npt.NDArray[np.int64]


def assign(
    splits: Ints,
    labels: Ints,
    names: Sequence[str],
    *,
    val_fraction: float | None,
    test_fraction: float,
    seed: int,
    duplicates: Ints | None = None,
    groups: Sequence[str] | None = None,
    folds: tuple[int, int] | None = None,
) -> Ints:
    """Return the split of every image: int64 [N] of TRAIN, VAL, TEST (LEFT_OUT stays).

    Args:
        splits: what the data say: TRAIN, VAL, TEST, UNDECIDED, or LEFT_OUT (an unreadable file).
        labels: int64 [N].
        names: N names, unique.
        val_fraction: share of the training images for val; None for the default; 0 for none.
        test_fraction: share of undivided images for test; 0 for none.
        seed: of the hash order.
        duplicates: int64 [N], the row of the first image that is identical; None where it is not known.
        groups: N texts, or None.
        folds: (which, of how many), from 1: the part of the images that are not for testing that val is, whatever val was; or None.

    Raises:
        InputError: nothing is left to train on, the data divide a group, or there are fewer groups than parts.
    """
    units = None if groups is None else Units(groups, splits, splits != LEFT_OUT)
    splits = np.where(splits == UNDECIDED, TRAIN, splits)
    present = set(np.unique(splits).tolist())
    first = np.arange(len(splits), dtype=np.int64) if duplicates is None else duplicates
    if TEST not in present and VAL not in present:
        _hold_out(splits, labels, names, first, TEST, test_fraction, seed, units)
    if folds is not None:
        _take_fold(splits, labels, names, first, folds, seed, units)
    elif VAL not in present:
        if val_fraction is None:
            val_fraction = min(VAL_FRACTION, VAL_MOST / max(int((splits == TRAIN).sum()), 1))
        _hold_out(splits, labels, names, first, VAL, val_fraction, seed, units)
    if not (splits == TRAIN).any():
        raise InputError("source: no images are left to train on; add images to the training split")
    return splits


def _hold_out(
    splits: Ints,
    labels: Ints,
    names: Sequence[str],
    duplicates: Ints,
    target: int,
    fraction: float,
    seed: int,
    units: Units | None,
) -> None:
    """Move a stratified share of the TRAIN images to `target`, in place."""
    if fraction <= 0:
        return
    candidates = np.flatnonzero(splits == TRAIN)
    purpose = SPLIT_NAMES[target]
    if units is not None:
        splits[units.share(candidates, labels, fraction, (seed, purpose))] = target
        return
    for rows in _ordered(candidates, labels, names, duplicates, (seed, purpose)):
        if len(rows) < 2:
            continue
        cut = min(max(1, int(len(rows) * fraction + 0.5)), len(rows) - 1)
        splits[rows[: _between_duplicates(rows, duplicates, cut)]] = target


def _take_fold(
    splits: Ints,
    labels: Ints,
    names: Sequence[str],
    duplicates: Ints,
    folds: tuple[int, int],
    seed: int,
    units: Units | None,
) -> None:
    """Make VAL one of several parts of what is not for testing, in place."""
    which, count = folds
    candidates = np.flatnonzero((splits == TRAIN) | (splits == VAL))
    splits[candidates] = TRAIN
    if units is not None:
        splits[candidates[units.folds(candidates, labels, count, (seed, "fold")) == which - 1]] = VAL
        return
    start = 0  # each class goes on where the one before it ended, so that small classes do not all fill the first part
    for rows in _ordered(candidates, labels, names, duplicates, (seed, "fold")):
        leader = 0
        for place, row in enumerate(rows):
            if duplicates[row] != duplicates[rows[leader]]:
                leader = place
            if (start + leader) % count == which - 1:
                splits[row] = VAL
        start += len(rows)
    if not (splits == VAL).any():
        raise InputError(f"fold: there are too few images for {count} parts: part {which} is empty; lower data.folds")


def _ordered(
    candidates: Ints, labels: Ints, names: Sequence[str], duplicates: Ints, purpose: tuple[int, str]
) -> Iterable[list[int]]:
    """Yield the candidates of each class, in the order of the hash, identical ones together."""
    position = {
        row: derive(purpose[0], "split", purpose[1], names[row]) for row in np.unique(duplicates[candidates]).tolist()
    }
    by_class: dict[int, list[int]] = {}
    for row in candidates.tolist():
        by_class.setdefault(int(labels[row]), []).append(row)
    for rows in by_class.values():
        rows.sort(key=lambda row: (position[int(duplicates[row])], names[row]))
        yield rows


def _between_duplicates(rows: Sequence[int], duplicates: Ints, cut: int) -> int:
    """Move `cut` so that no two identical images lie on its two sides: forward if something is left, else back."""
    forward = cut
    while forward < len(rows) and duplicates[rows[forward]] == duplicates[rows[forward - 1]]:
        forward += 1
    if forward < len(rows):
        return forward
    while cut > 0 and duplicates[rows[cut]] == duplicates[rows[cut - 1]]:
        cut -= 1
    return cut
