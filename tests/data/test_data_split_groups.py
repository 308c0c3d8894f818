"""Groups never lie in two splits, whatever the data and the fractions; folds divide what is not for testing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.data import SplitOptions
from seewhy.data.split_rules import LEFT_OUT, TEST, TRAIN, UNDECIDED, VAL, assign

images = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=6, max_size=200).filter(
    lambda rows: len({group for _, group in rows}) > 3
)


def split(rows, given=None, **options):
    labels = np.array([label for label, _ in rows], np.int64)
    start = np.full(len(rows), UNDECIDED, np.int64) if given is None else np.asarray(given, np.int64)
    names = options.pop("names", [str(i) for i in range(len(rows))])
    groups = [f"p{group}" for _, group in rows]
    options = {"val_fraction": None, "test_fraction": 0.15, "seed": 0, **options}
    return assign(start, labels, names, groups=groups, **options)


def sides(rows, splits):
    found: dict[int, set[int]] = {}
    for (_, group), side in zip(rows, splits.tolist(), strict=True):
        found.setdefault(group, set()).add(side)
    return found


@settings(max_examples=80, deadline=None)
@given(images, st.floats(0.01, 0.9), st.floats(0.01, 0.9), st.integers(0, 5), st.randoms())
def test_no_group_lies_in_two_splits(rows, val, test, seed, random):
    splits = split(rows, val_fraction=val, test_fraction=test, seed=seed)
    assert all(len(found) == 1 for found in sides(rows, splits).values())
    assert {TRAIN, TEST} <= set(splits.tolist())
    mixed = list(range(len(rows)))
    random.shuffle(mixed)
    again = split([rows[i] for i in mixed], val_fraction=val, test_fraction=test, seed=seed)
    assert again.tolist() == splits[mixed].tolist()


@settings(max_examples=60, deadline=None)
@given(images, st.integers(2, 4), st.integers(0, 3), st.booleans())
def test_folds_cover_everything_once_and_keep_groups(rows, folds, seed, grouped):
    rows = rows if grouped else [(label, i) for i, (label, _) in enumerate(rows)]
    parts = [split(rows, test_fraction=0.0, seed=seed, folds=(i, folds)) for i in range(1, folds + 1)]
    times = sum((part == VAL).astype(int) for part in parts)
    assert times.tolist() == [1] * len(rows)
    for part in parts:
        assert all(len(found) == 1 for found in sides(rows, part).values())
        assert (part == TRAIN).any()


def test_folds_are_stratified_and_leave_the_test_split_alone():
    labels, n = [k for k in range(3) for _ in range(20)], 60
    given_splits = [TEST if i % 5 == 0 else VAL if i % 5 == 1 else UNDECIDED for i in range(n)]
    for fold in range(1, 5):
        splits = assign(
            np.array(given_splits), np.array(labels), [str(i) for i in range(n)],
            val_fraction=None, test_fraction=0.15, seed=0, folds=(fold, 4),
        )  # fmt: skip
        assert [i for i in range(n) if splits[i] == TEST] == list(range(0, n, 5))
        assert np.bincount(np.array(labels)[splits == VAL]).tolist() == [4, 4, 4]


def test_grouped_splits_are_near_their_shares():
    random = np.random.default_rng(0)
    rows = [(int(random.integers(3)), int(random.integers(60))) for _ in range(1200)]
    splits = split(rows)
    labels = np.array([label for label, _ in rows])
    for k in range(3):
        assert (splits[labels == k] == TEST).mean() == pytest.approx(0.15, abs=0.03)


def test_files_that_are_left_out_bind_nothing():
    rows = [(i % 2, i // 4) for i in range(16)]
    splits = split(rows, given=[LEFT_OUT if i == 3 else UNDECIDED for i in range(16)])
    assert splits[3] == LEFT_OUT


def test_what_cannot_be_kept_together_is_refused():
    rows = [(i % 2, i // 4) for i in range(16)]
    with pytest.raises(InputError, match=r"group: the data's own split divides 1 groups, such as p0"):
        split(rows, given=[TRAIN, TEST] + [TRAIN] * 14)
    with pytest.raises(InputError, match=r"group: all images are of one group \('p0'\)"):
        split([(0, 0), (1, 0)])
    with pytest.raises(InputError, match=r"folds: 4 groups cannot be 5 parts"):
        split(rows, test_fraction=0.0, folds=(1, 5))
    with pytest.raises(InputError, match=r"fold: must be from 1 to 3, got 4"):
        SplitOptions(folds=3, fold=4)


def test_folds_of_many_small_classes_are_of_one_size():
    labels, sizes = [k for k in range(10) for _ in range(3)], []
    for fold in range(1, 6):
        start = np.full(30, UNDECIDED, np.int64)
        options = {"val_fraction": None, "test_fraction": 0.0, "seed": 0, "folds": (fold, 5)}
        sizes.append(int((assign(start, np.array(labels), [str(i) for i in range(30)], **options) == VAL).sum()))
    assert sizes == [6] * 5
