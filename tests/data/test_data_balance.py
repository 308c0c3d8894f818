"""Balanced sampling: exact shares, every image of a class as often as its fellows, and a pure function of seed and epoch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.data import class_weights
from seewhy.data.balance import class_shares, draw
from seewhy.data.batching import AGAIN, batches
from seewhy.data.dataset import PixelStore, Split
from seewhy.data.facts import pixel_hash

sizes = st.lists(st.integers(0, 60), min_size=2, max_size=6).filter(lambda n: sum(n) > 1)


def labels_of(counts):
    return torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))


def split_of(counts):
    labels = labels_of(counts)
    pixels = torch.arange(len(labels) + 100, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 2, 1).contiguous()
    names = [str(i) for i in range(len(labels))]
    return Split(torch.arange(len(labels)) + 100, labels, names, PixelStore(pixels), pixel_hash(pixels[100:].numpy()))


@settings(max_examples=60, deadline=None)
@given(sizes, st.sampled_from(["sqrt", "equal"]), st.integers(0, 3))
def test_every_class_has_its_share_and_every_image_its_turn(counts, balance, seed):
    labels = labels_of(counts)
    seen = torch.zeros(len(labels), dtype=torch.long)
    shares = class_shares(counts, balance)
    for epoch in range(4):
        positions, times = draw(labels, balance, seed=seed, epoch=epoch)
        assert len(positions) == len(labels)
        drawn = torch.bincount(labels[positions], minlength=len(counts))
        assert (drawn - shares * len(labels)).abs().max() < 1
        assert len(set(zip(positions.tolist(), times.tolist(), strict=True))) == len(labels)
        for row in positions.unique():
            assert sorted(times[positions == row].tolist()) == list(range(int((positions == row).sum())))
        seen += torch.bincount(positions, minlength=len(labels))
    for k, n in enumerate(counts):
        if n:
            assert seen[labels == k].max() - seen[labels == k].min() <= 1


def test_equal_is_equal_and_sqrt_between():
    labels = labels_of([900, 90, 10])
    drawn = {
        kind: torch.bincount(labels[draw(labels, kind, seed=0, epoch=0)[0]]).tolist() for kind in ("equal", "sqrt")
    }
    assert drawn["equal"] == [334, 333, 333]
    assert drawn["sqrt"] == [703, 223, 74]


def test_weights_are_what_sampling_would_do():
    counts = [900, 90, 10]
    weights = class_weights(counts, "equal")
    assert (weights * torch.tensor(counts)).tolist() == pytest.approx([1000 / 3] * 3)
    assert class_weights(counts, "none").tolist() == [1.0, 1.0, 1.0]
    assert class_weights([5, 0, 5], "equal").tolist() == [1.0, 0.0, 1.0]
    with pytest.raises(InputError, match=r"balance: 'even' is not known; allowed: none, sqrt, equal"):
        class_weights(counts, "even")


def test_an_epoch_goes_on_where_it_stopped_and_is_shared():
    split, options = split_of([50, 8, 3]), {"batch_size": 7, "seed": 3, "epoch": 2, "balance": "equal"}
    whole = list(batches(split, **options))
    rest = list(batches(split, **options, start=4))
    for one, other in zip(whole[4:], rest, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.sample_ids, other.sample_ids)
    shards = [list(batches(split, **options, shard=(rank, 2))) for rank in range(2)]
    for one, *parts in zip(whole, *shards, strict=True):
        together = torch.cat([part.sample_ids for part in parts])
        assert sorted(together.tolist()) == sorted(one.sample_ids.tolist())
    assert not torch.equal(whole[0].sample_ids, next(batches(split, **{**options, "epoch": 3})).sample_ids)


def test_images_drawn_again_are_augmented_anew():
    split, told = split_of([50, 2]), []

    def augment(images, sample_ids, *, seed, epoch):
        told.append(sample_ids)
        return images

    for batch in batches(split, batch_size=16, seed=0, epoch=0, balance="equal", augment=augment):
        assert torch.equal(split.images(batch.sample_ids % AGAIN - 100), batch.images)
    ids = torch.cat(told)
    assert len(ids.unique()) == len(ids) == 52
    assert sorted((ids[ids % AGAIN >= 150] // AGAIN).tolist()) == [i // 2 for i in range(26)]
