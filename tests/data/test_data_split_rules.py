from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.data.split_rules import LEFT_OUT, TEST, TRAIN, UNDECIDED, VAL, assign


def split(labels, given=None, **options):
    labels = np.asarray(labels, np.int64)
    given = np.full(len(labels), UNDECIDED, np.int64) if given is None else np.asarray(given, np.int64)
    names = options.pop("names", [f"{k}/{i}" for i, k in enumerate(labels)])
    return assign(given, labels, names, **{"val_fraction": None, "test_fraction": 0.15, "seed": 0, **options})


labels_of = st.lists(st.integers(0, 6), min_size=4, max_size=300).filter(lambda labels: len(set(labels)) < len(labels))


@settings(max_examples=60, deadline=None)
@given(labels_of, st.floats(0.01, 0.9), st.floats(0.01, 0.9), st.integers(0, 5))
def test_a_split_is_stratified_and_leaves_something_to_learn(labels, val, test, seed):
    splits = split(labels, val_fraction=val, test_fraction=test, seed=seed)
    assert set(splits.tolist()) <= {TRAIN, VAL, TEST}
    for k in set(labels):
        rows = splits[np.asarray(labels) == k]
        n = len(rows)
        tests, vals = int((rows == TEST).sum()), int((rows == VAL).sum())
        assert (rows == TRAIN).sum() >= 1
        if n == 1:
            assert tests == vals == 0
            continue
        assert tests == min(max(1, int(n * test + 0.5)), n - 1)
        left = n - tests
        assert vals == (min(max(1, int(left * val + 0.5)), left - 1) if left > 1 else 0)


@settings(max_examples=30, deadline=None)
@given(labels_of, st.integers(0, 5), st.randoms())
def test_a_split_depends_on_names_not_on_their_order(labels, seed, random):
    names = [f"{k}/{i}" for i, k in enumerate(labels)]
    first = dict(zip(names, split(labels, names=names, seed=seed).tolist(), strict=True))
    mixed = list(range(len(labels)))
    random.shuffle(mixed)
    second = split([labels[i] for i in mixed], names=[names[i] for i in mixed], seed=seed)
    assert first == {names[i]: split for i, split in zip(mixed, second.tolist(), strict=True)}


def test_another_seed_is_another_split():
    labels = [0, 1] * 100
    assert not np.array_equal(split(labels), split(labels, seed=1))
    assert np.array_equal(split(labels), split(labels))


def test_a_new_file_moves_at_most_the_boundary_of_its_class():
    labels = [k for k in range(3) for _ in range(40)]
    names = [f"{k}/{i}" for i, k in enumerate(labels)]
    options = {"val_fraction": 0.1}
    before = split(labels, names=names, **options)
    after = split([*labels, 1], names=[*names, "1/new"], **options)[:-1]
    moved = np.flatnonzero(before != after)
    assert len(moved) <= 4
    assert all(labels[i] == 1 for i in moved)


def test_the_default_validation_split_is_a_tenth_up_to_two_thousand():
    assert (
        split([0, 1] * 500, given=[TRAIN] * 1000) == VAL
    ).sum() == 86  # 10% of the 425 of each class that the test split left
    assert (split([0, 1] * 500, given=[TRAIN] * 999 + [TEST]) == VAL).sum() == 100
    assert (split([0, 1] * 20_000, given=[TRAIN] * 39_999 + [TEST]) == VAL).sum() == 2000


def test_what_the_data_bring_is_kept():
    given = [TRAIN, TRAIN, VAL, TEST, TRAIN, VAL]
    assert split([0, 1, 0, 1, 0, 1], given=given).tolist() == given


def test_train_and_val_without_test_stays_without():
    splits = split([0, 1] * 20, given=[TRAIN] * 30 + [VAL] * 10)
    assert TEST not in splits
    assert (splits == VAL).sum() == 10


def test_train_alone_gives_both_splits():
    assert set(split([0, 1] * 20, given=[TRAIN] * 40).tolist()) == {TRAIN, VAL, TEST}


def test_zero_fractions_hold_nothing_out():
    assert set(split([0, 1] * 20, val_fraction=0.0, test_fraction=0.0).tolist()) == {TRAIN}


def test_left_out_rows_stay_out():
    splits = split([0, 1] * 20, given=[LEFT_OUT] * 10 + [UNDECIDED] * 30)
    assert (splits[:10] == LEFT_OUT).all()
    assert (splits[10:] != LEFT_OUT).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=2, max_size=60), st.integers(0, 3))
def test_identical_images_of_a_class_are_never_separated(items, seed):
    labels, images = [k for k, _ in items], [(k, p) for k, p in items]
    duplicates = np.array([images.index(item) for item in images], np.int64)
    splits = split(labels, duplicates=duplicates, seed=seed, val_fraction=0.3, test_fraction=0.3)
    for first in set(duplicates.tolist()):
        assert len(set(splits[duplicates == first].tolist())) == 1


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="no images are left to train on"):
        split([0, 1], given=[TEST, VAL])
