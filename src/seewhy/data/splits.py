"""Who learns and who is examined: the rules by which images become the training, validation and test part.

What the data bring is kept. What is missing is made:

====================  =========================================================================================
the data bring        what happens
====================  =========================================================================================
train, val, test      taken as they are
train, test           val is held out from train
train, val            taken as they are; there is no test part (somebody decided so, and val may have been tuned on)
train                 test is held out from train (`test_fraction`), then val from the rest
nothing               test is held out (`test_fraction`), then val from the rest
====================  =========================================================================================

The default size of val is 10% of the images that are left for training, at most 2,000. Every split is stratified: each class with
at least two images gives at least one and keeps at least one, and gives round(fraction * n) otherwise.

A class's images are ordered by a hash of (split_seed, purpose, name), and the first ones are taken. So the split is a pure function of
the seed and the names; a file that comes or goes moves at most the boundary of its own class. Identical pictures of a
class share one place in that order and are never separated, so a split made here leaks nothing that the data did not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from seewhy.core.errors import InputError
from seewhy.core.seeding import derive

TRAIN, VAL, TEST, UNDECIDED, LEFT_OUT = 0, 1, 2, -1, -2
PART_NAMES = ("train", "val", "test")
VAL_SHARE, VAL_MOST = 0.1, 2000

Ints = npt.NDArray[np.int64]


def assign(
    part: Ints,
    labels: Ints,
    names: Sequence[str],
    *,
    val_fraction: float | None,
    test_fraction: float,
    split_seed: int,
    twins: Ints | None = None,
) -> Ints:
    """Return the part of every image: int64 [N] of TRAIN, VAL, TEST (LEFT_OUT stays).

    Args:
        part: what the data say: TRAIN, VAL, TEST, UNDECIDED, or LEFT_OUT (an unreadable file).
        labels: int64 [N].
        names: N names, unique.
        val_fraction: share of the training images for val; None for the default; 0 for none.
        test_fraction: share of undivided images for test; 0 for none.
        split_seed: seed of the hash order.
        twins: int64 [N], the row of the first picture that is identical; None where it is not known.

    Raises:
        InputError: nothing is left to train on.
    """
    part = np.where(part == UNDECIDED, TRAIN, part)
    present = set(np.unique(part).tolist())
    twins = np.arange(len(part), dtype=np.int64) if twins is None else twins
    if TEST not in present and VAL not in present:
        _hold_out(part, labels, names, twins, TEST, test_fraction, split_seed)
    if VAL not in present:
        size = int((part == TRAIN).sum())
        default = min(VAL_SHARE, VAL_MOST / max(size, 1))
        _hold_out(part, labels, names, twins, VAL, default if val_fraction is None else val_fraction, split_seed)
    if not (part == TRAIN).any():
        raise InputError("data: no images are left to train on; add images to the training part")
    return part


def _hold_out(
    part: Ints, labels: Ints, names: Sequence[str], twins: Ints, target: int, fraction: float, seed: int
) -> None:
    """Move a stratified share of the TRAIN images to `target`, in place."""
    if fraction <= 0:
        return
    candidates = np.flatnonzero(part == TRAIN)
    purpose = PART_NAMES[target]
    place = {row: derive(seed, "split", purpose, names[row]) for row in np.unique(twins[candidates]).tolist()}
    by_class: dict[int, list[int]] = {}
    for row in candidates.tolist():
        by_class.setdefault(int(labels[row]), []).append(row)
    for rows in by_class.values():
        if len(rows) < 2:
            continue
        rows.sort(key=lambda row: (place[int(twins[row])], names[row]))
        cut = min(max(1, int(len(rows) * fraction + 0.5)), len(rows) - 1)
        part[rows[: _between_twins(rows, twins, cut)]] = target


def _between_twins(rows: Sequence[int], twins: Ints, cut: int) -> int:
    """Move `cut` so that no two identical pictures lie on its two sides: forward if something is left, else back."""
    forward = cut
    while forward < len(rows) and twins[rows[forward]] == twins[rows[forward - 1]]:
        forward += 1
    if forward < len(rows):
        return forward
    while cut > 0 and twins[rows[cut]] == twins[rows[cut - 1]]:
        cut -= 1
    return cut
