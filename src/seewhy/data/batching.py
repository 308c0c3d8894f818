"""Which image is seen when, as a pure function of (seed, epoch), and the batches that follow from it.

There are no worker processes: the pixels lie in a memory map, so a batch is one gather and one pass of the augmentation over
the whole batch. Encoded images (`cache="bytes"`) are decoded by threads. Because the order is a function and not a
random state, an interrupted epoch goes on at step `start` without anything having been recorded.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.core import seeding
from seewhy.core.errors import bad_value
from seewhy.data.balance import Balance, draw
from seewhy.data.dataset import Split

Transform = Callable[..., Tensor]


AGAIN = 1 << 40
"""What tells the random numbers of an image's second time in an epoch from those of its first: more than there are rows."""


@dataclass(frozen=True)
class Batch:
    """What one step sees on one process.

    Attributes:
        images: uint8 [n, C, H, W] in channels_last memory.
        labels: int64 [n].
        sample_ids: int64 [n], the addresses of the images' random numbers: their rows in the whole data set, plus `AGAIN` for each time that
            the epoch has drawn the image before (`balance`).
        step_in_epoch: which batch of the epoch this is, from 0.
        global_size: images of this step on all processes together (n when there is one process).
        shared: how many of the images, the last ones, the next batch of the epoch begins with.
    """

    images: Tensor
    labels: Tensor
    sample_ids: Tensor
    step_in_epoch: int
    global_size: int
    shared: int = 0


def order(n: int, *, seed: int, epoch: int) -> Tensor:
    """Return the permutation of `range(n)` in which epoch `epoch` visits a split: int64 [n]."""
    return torch.randperm(n, generator=seeding.rng(seed, "order", epoch))


def batch_bounds(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut `range(n)` into ceil(n / batch_size) batches whose lengths differ by at most one.

    Every image is seen exactly once an epoch, and no tiny last batch disturbs batch statistics or the step size.

    Raises:
        InputError: `batch_size` is less than one.
    """
    if batch_size < 1:
        raise bad_value("batch_size", batch_size, "at least 1")
    count = -(-n // batch_size)
    return [(n * i // count, n * (i + 1) // count) for i in range(count)]


def batches(
    split: Split,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    augment: Transform | None = None,
    start: int = 0,
    shard: tuple[int, int] = (0, 1),
    overlap: float = 0.0,
    balance: Balance = "none",
) -> Iterator[Batch]:
    """Yield the batches of one epoch, from step `start` on.

    Where batches have to be decoded, the next one is prepared in a background thread while the step computes; a gather from memory is over
    sooner than a thread is woken.

    Args:
        split: the images.
        batch_size: images of a step on all processes together.
        seed: the run's seed.
        epoch: which epoch; decides the order and the augmentation.
        augment: called as `augment(images, sample_ids, seed=..., epoch=...)`, such as `Augment(...)`.
        start: the first step to yield; earlier ones cost nothing.
        shard: (rank, world), this process and how many share each batch; it takes positions `rank, rank + world, ...` of every batch.
        overlap: share of a batch, at least 0 and less than 1, that the next one sees again before its own images; for methods that
            compare gradients on the same images (Berahas et al. 2016, 1605.06049). The first of an epoch has only its own.
        balance: how far classes of different sizes are drawn equally often, see `seewhy.data.balance`; "none" is each image once.

    Raises:
        InputError: `batch_size` or `overlap` is out of range, or there is no such balance.
    """
    rank, world = shard
    if not 0 <= overlap < 1:
        raise bad_value("overlap", overlap, "at least 0 and less than 1")
    if overlap and world > 1:
        raise bad_value("overlap", overlap, f"0 where {world} processes share a batch")
    if balance == "none":
        permutation, times = order(len(split), seed=seed, epoch=epoch), None
    else:
        permutation, times = draw(split.labels.cpu(), balance, seed=seed, epoch=epoch)
        times = times.to(split.labels.device, non_blocking=True)
    permutation = permutation.to(split.sample_ids.device, non_blocking=True)  # once an epoch, not once a batch
    bounds = batch_bounds(len(split), batch_size)
    shared = 0 if len(bounds) == 1 else int(overlap * min(high - low for low, high in bounds))

    def make(step: int) -> Batch:
        low, high = bounds[step]
        low = max(0, low - shared)
        own = slice(low + rank, high, world)
        positions = permutation[own]
        images, sample_ids = split.images(positions), split.sample_ids[positions]
        if times is not None:
            sample_ids = sample_ids + AGAIN * times[own]
        if augment is not None and len(positions):
            images = augment(images, sample_ids, seed=seed, epoch=epoch)
        return Batch(images, split.labels[positions], sample_ids, step, high - low, shared)

    steps = range(start, len(bounds))
    if split.decodes:
        return _ahead(make, steps)
    return (make(step) for step in steps)


def _ahead(make: Callable[[int], Batch], steps: range) -> Iterator[Batch]:
    """Run `make` one step ahead in a thread; its error surfaces in the caller, and leaving early ends the thread."""
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=1)
    leave = threading.Event()

    def work() -> None:
        try:
            for step in steps:
                item = make(step)
                if not _offer(ready, item, leave):
                    return
            _offer(ready, None, leave)
        except BaseException as error:  # noqa: BLE001  handed to the caller's thread, which raises it
            _offer(ready, error, leave)

    thread = threading.Thread(target=work, name="seewhy-prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        leave.set()
        thread.join()


def _offer(ready: queue.Queue[Any], item: Any, leave: threading.Event) -> bool:
    """Put `item` unless the reader has left; returns whether it was put."""
    while not leave.is_set():
        try:
            ready.put(item, timeout=0.05)
        except queue.Full:
            continue
        return True
    return False
