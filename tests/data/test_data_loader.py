from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.data.dataset import Part, PixelStore
from seewhy.data.loader import batch_bounds, batches, order


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
    with pytest.raises(InputError, match=r"train\.batch_size: must be at least 1, got 0"):
        batch_bounds(10, 0)


@given(st.integers(0, 200), st.integers(0, 3), st.integers(0, 3))
def test_the_order_is_a_permutation_and_a_pure_function(n, seed, epoch):
    found = order(n, seed=seed, epoch=epoch)
    assert sorted(found.tolist()) == list(range(n))
    assert torch.equal(found, order(n, seed=seed, epoch=epoch))


def test_every_epoch_and_seed_has_its_own_order():
    orders = {tuple(order(50, seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@pytest.fixture
def part() -> Part:
    pixels = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(100, 2, 2, 3).contiguous()
    keys = torch.arange(0, 100, 2)
    return Part(keys, keys % 5, [f"{key}" for key in keys.tolist()], PixelStore(pixels))


def test_a_part_reads_its_own_rows(part):
    images = part.images(torch.tensor([3, 0, 49]))
    assert images[:, 0, 0, 0].tolist() == [6, 0, 98]
    assert images.shape == (3, 3, 2, 2)
    assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("prefetch", [False, True])
def test_batches_follow_the_order(part, prefetch):
    found = list(batches(part, batch_size=16, seed=1, epoch=2, prefetch=prefetch))
    assert [batch.step_in_epoch for batch in found] == [0, 1, 2, 3]
    assert sum(batch.global_size for batch in found) == 50
    keys = torch.cat([batch.keys for batch in found])
    assert torch.equal(keys, part.keys[order(50, seed=1, epoch=2)])
    for batch in found:
        assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.keys)
        assert torch.equal(batch.labels, batch.keys % 5)


def test_a_later_start_gives_the_same_later_batches(part):
    whole = list(batches(part, batch_size=8, seed=0, epoch=0))
    rest = list(batches(part, batch_size=8, seed=0, epoch=0, start=4))
    assert [batch.step_in_epoch for batch in rest] == [4, 5, 6]
    assert all(torch.equal(a.images, b.images) for a, b in zip(whole[4:], rest, strict=True))


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_every_batch(part, world):
    alone = list(batches(part, batch_size=16, seed=0, epoch=0))
    shares = [list(batches(part, batch_size=16, seed=0, epoch=0, rank=rank, world=world)) for rank in range(world)]
    for step, whole in enumerate(alone):
        here = [share[step] for share in shares]
        assert sorted(torch.cat([batch.keys for batch in here]).tolist()) == sorted(whole.keys.tolist())
        assert {batch.global_size for batch in here} == {len(whole.keys)}
        assert max(len(b.keys) for b in here) - min(len(b.keys) for b in here) <= 1


def test_augmentation_gets_the_keys_the_seed_and_the_epoch(part):
    seen = []

    def augment(images, keys, *, seed, epoch):
        seen.append((keys, seed, epoch))
        return 255 - images

    batch = next(iter(batches(part, batch_size=8, seed=5, epoch=6, augment=augment)))
    assert torch.equal(batch.images[:, 0, 0, 0].long(), 255 - batch.keys)
    assert torch.equal(seen[0][0], batch.keys)
    assert seen[0][1:] == (5, 6)


def test_an_error_in_the_background_reaches_the_caller(part):
    def augment(images, keys, *, seed, epoch):
        raise ZeroDivisionError("on purpose")

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        list(batches(part, batch_size=8, seed=0, epoch=0, augment=augment, prefetch=True))


def test_leaving_early_ends_the_background_thread(part):
    running = batches(part, batch_size=4, seed=0, epoch=0, prefetch=True)
    next(running)
    running.close()
    deadline = time.monotonic() + 5
    while any(thread.name == "seewhy-prefetch" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_batches_that_overlap_begin_with_the_end_of_the_one_before(part):
    plain = list(batches(part, batch_size=10, seed=1, epoch=2))
    seen = list(batches(part, batch_size=10, seed=1, epoch=2, overlap=0.3))
    assert [batch.shared for batch in seen] == [3] * 5
    assert [len(batch.keys) for batch in seen] == [10, 13, 13, 13, 13]
    for left, right in pairwise(seen):
        assert torch.equal(left.keys[-3:], right.keys[:3])
        assert torch.equal(left.images[-3:], right.images[:3])
    assert all(torch.equal(own.keys, more.keys[-10:]) for own, more in zip(plain, seen, strict=True))
    (resumed,) = batches(part, batch_size=10, seed=1, epoch=2, overlap=0.3, start=4)
    assert torch.equal(resumed.keys, seen[4].keys)


def test_a_single_batch_shares_nothing_and_wrong_shares_are_refused(part):
    (batch,) = batches(part, batch_size=50, seed=1, epoch=0, overlap=0.5)
    assert (batch.shared, len(batch.keys)) == (0, 50)
    with pytest.raises(InputError, match="overlap: must be at least 0 and less than 1, got 1"):
        batches(part, batch_size=10, seed=1, epoch=0, overlap=1.0)
    with pytest.raises(InputError, match=r"overlap: must be 0 where 2 processes share a batch, got 0\.5"):
        batches(part, batch_size=10, seed=1, epoch=0, overlap=0.5, world=2)
