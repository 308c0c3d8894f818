from __future__ import annotations

import threading
import time
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.data.batching import batch_bounds, batches, order
from seewhy.data.dataset import PixelStore, Split
from seewhy.data.facts import pixel_hash


@given(st.integers(1, 5000), st.integers(1, 600))
def test_batches_cover_everything_once_in_even_sizes(n, size):
    bounds = batch_bounds(n, size)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == n
    assert all(left[1] == right[0] for left, right in pairwise(bounds))
    sizes = [high - low for low, high in bounds]
    assert len(sizes) == -(-n // size)
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_no_images_are_no_batches_and_no_batch_size_is_an_error():
    assert batch_bounds(0, 8) == []
    with pytest.raises(InputError, match=r"batch_size: must be at least 1, got 0"):
        batch_bounds(10, 0)


@given(st.integers(0, 200), st.integers(0, 3), st.integers(0, 3))
def test_the_order_is_a_permutation_and_a_pure_function(n, seed, epoch):
    steps = order(n, seed=seed, epoch=epoch)
    assert sorted(steps.tolist()) == list(range(n))
    assert torch.equal(steps, order(n, seed=seed, epoch=epoch))


def test_every_epoch_and_seed_has_its_own_order():
    orders = {tuple(order(50, seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


class DecodingStore(PixelStore):
    """Pretends that reading costs decoding, so that batches are prepared ahead."""

    decodes = True


@pytest.fixture
def split() -> Split:
    pixels = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(100, 2, 2, 3).contiguous()
    sample_ids = torch.arange(0, 100, 2)
    return Split(
        sample_ids,
        sample_ids % 5,
        [f"{sample_id}" for sample_id in sample_ids.tolist()],
        PixelStore(pixels),
        pixel_hash(pixels.numpy()),
    )


def test_a_split_reads_its_own_rows(split):
    images = split.images(torch.tensor([3, 0, 49]))
    assert images[:, 0, 0, 0].tolist() == [6, 0, 98]
    assert images.shape == (3, 3, 2, 2)
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("store", [PixelStore, DecodingStore])
def test_batches_follow_the_order(split, store):
    split = replace(split, store=store(split.store.pixels))
    steps = list(batches(split, batch_size=16, seed=1, epoch=2))
    assert [batch.step_in_epoch for batch in steps] == [0, 1, 2, 3]
    assert sum(batch.global_size for batch in steps) == 50
    sample_ids = torch.cat([batch.sample_ids for batch in steps])
    assert torch.equal(sample_ids, split.sample_ids[order(50, seed=1, epoch=2)])
    for batch in steps:
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.sample_ids)
        assert torch.equal(batch.labels, batch.sample_ids % 5)


def test_a_later_start_gives_the_same_later_batches(split):
    whole = list(batches(split, batch_size=8, seed=0, epoch=0))
    rest = list(batches(split, batch_size=8, seed=0, epoch=0, start=4))
    assert [batch.step_in_epoch for batch in rest] == [4, 5, 6]
    assert all(torch.equal(a.images, b.images) for a, b in zip(whole[4:], rest, strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_every_batch(split, world):
    alone = list(batches(split, batch_size=16, seed=0, epoch=0))
    shares = [list(batches(split, batch_size=16, seed=0, epoch=0, shard=(rank, world))) for rank in range(world)]
    for step, whole in enumerate(alone):
        here = [share[step] for share in shares]
        assert sorted(torch.cat([batch.sample_ids for batch in here]).tolist()) == sorted(whole.sample_ids.tolist())
        assert {batch.global_size for batch in here} == {len(whole.sample_ids)}
        assert max(len(b.sample_ids) for b in here) - min(len(b.sample_ids) for b in here) <= 1


def test_augmentation_gets_the_sample_ids_the_seed_and_the_epoch(split):
    calls = []

    def augment(images, sample_ids, *, seed, epoch):
        calls.append((sample_ids, seed, epoch))
        return 255 - images

    batch = next(iter(batches(split, batch_size=8, seed=5, epoch=6, augment=augment)))
    assert torch.equal(batch.images[:, 0, 0, 0].long(), 255 - batch.sample_ids)
    assert torch.equal(calls[0][0], batch.sample_ids)
    assert calls[0][1:] == (5, 6)


def test_an_error_in_the_background_reaches_the_caller(split):
    ahead = replace(split, store=DecodingStore(split.store.pixels))

    def augment(images, sample_ids, *, seed, epoch):
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        list(batches(ahead, batch_size=8, seed=0, epoch=0, augment=augment))


def test_leaving_early_ends_the_background_thread(split):
    running = batches(replace(split, store=DecodingStore(split.store.pixels)), batch_size=4, seed=0, epoch=0)
    next(running)
    assert any(thread.name == "seewhy-prefetch" for thread in threading.enumerate())
    running.close()
    deadline = time.monotonic() + 5
    while any(thread.name == "seewhy-prefetch" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_batches_that_overlap_begin_with_the_end_of_the_one_before(split):
    plain = list(batches(split, batch_size=10, seed=1, epoch=2))
    overlapping = list(batches(split, batch_size=10, seed=1, epoch=2, overlap=0.3))
    assert [batch.shared for batch in overlapping] == [3] * 5
    assert [len(batch.sample_ids) for batch in overlapping] == [10, 13, 13, 13, 13]
    for left, right in pairwise(overlapping):
        assert torch.equal(left.sample_ids[-3:], right.sample_ids[:3])
        assert torch.equal(left.images[-3:], right.images[:3])
    assert all(torch.equal(own.sample_ids, more.sample_ids[-10:]) for own, more in zip(plain, overlapping, strict=True))
    (resumed,) = batches(split, batch_size=10, seed=1, epoch=2, overlap=0.3, start=4)
    assert torch.equal(resumed.sample_ids, overlapping[4].sample_ids)


def test_a_single_batch_shares_nothing_and_wrong_shares_are_refused(split):
    (batch,) = batches(split, batch_size=50, seed=1, epoch=0, overlap=0.5)
    assert (batch.shared, len(batch.sample_ids)) == (0, 50)
    with pytest.raises(InputError, match="overlap: must be at least 0 and less than 1, got 1"):
        batches(split, batch_size=10, seed=1, epoch=0, overlap=1.0)
    with pytest.raises(InputError, match=r"overlap: must be 0 where 2 processes share a batch, got 0\.5"):
        batches(split, batch_size=10, seed=1, epoch=0, overlap=0.5, shard=(0, 2))
