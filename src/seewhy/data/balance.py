"""Unbalanced classes: how large each class's share of an epoch, or of the loss, is made.

With n_k of n training images in class k, the shares are n_k^p / sum_j n_j^p, where p = 1 (none: as the data are), 1/2 (sqrt) or 0 (equal: the
same for every class). Sampling draws each class as often as its share says; weights multiply its images' loss by share_k n / n_k, whose mean
over the training images is 1. The square root stands between the two ends (Mahajan et al. 2018, 1805.00932).

Sampling is a pure function of (seed, epoch): each class is a stream of permutations of its images, of which every epoch takes the next piece.
So no image is drawn twice more often than another of its class, over epochs as within one, and an interrupted epoch goes on without a record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from seewhy.core import seeding
from seewhy.core.errors import unknown_name

Balance = Literal["none", "sqrt", "equal"]
_POWERS: dict[str, float] = {"none": 1.0, "sqrt": 0.5, "equal": 0.0}


def class_shares(counts: Sequence[int], balance: Balance) -> Tensor:
    """Return the share of each class, float64 (K), of its images' number n_k; 0 for a class without images.

    Raises:
        InputError: there is no such balance.
    """
    if balance not in _POWERS:
        raise unknown_name("balance", balance, list(_POWERS))
    n = torch.tensor(counts, dtype=torch.float64)
    raised = torch.where(n > 0, n.clamp_min(1) ** _POWERS[balance], 0.0)
    return raised / raised.sum()


def class_weights(counts: Sequence[int], balance: Balance) -> Tensor:
    """Return the weight of each class in a loss, share_k n / n_k, float32 (K); 0 for a class without images.

    Raises:
        InputError: there is no such balance.
    """
    n = torch.tensor(counts, dtype=torch.float64)
    return (class_shares(counts, balance) * n.sum() / n.clamp_min(1)).float()


def draw(labels: Tensor, balance: Balance, *, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """Return which images an epoch sees, as many as there are, in order.

    Args:
        labels: int64 (n), of the training images.
        balance: "sqrt" or "equal".
        seed: the run's seed.
        epoch: from 0.

    Returns:
        positions int64 (n), and how often each was drawn before in this epoch, int64 (n).
    """
    counts = torch.bincount(labels)
    quotas = _quotas(class_shares(counts.tolist(), balance), len(labels))
    rows = torch.split(labels.argsort(stable=True), counts.tolist())
    drawn, times = [], []
    for k, quota in enumerate(quotas.tolist()):
        size = len(rows[k])
        if not quota:
            continue
        first, last = epoch * quota // size, ((epoch + 1) * quota - 1) // size
        passes = [torch.randperm(size, generator=seeding.rng(seed, "balance", k, p)) for p in range(first, last + 1)]
        start = epoch * quota - first * size
        drawn.append(rows[k][torch.cat(passes)[start : start + quota]])
        times.append(_times(drawn[-1]))
    mixed = torch.randperm(len(labels), generator=seeding.rng(seed, "order", epoch))
    return torch.cat(drawn)[mixed], torch.cat(times)[mixed]


def _quotas(shares: Tensor, n: int) -> Tensor:
    """Return whole numbers near shares n whose sum is n, int64 (K): the largest remainders are rounded up."""
    exact = shares * n
    quotas = exact.floor().long()
    left = n - int(quotas.sum())
    quotas[(exact - quotas).argsort(descending=True, stable=True)[:left]] += 1
    return quotas


def _times(values: Tensor) -> Tensor:
    """Return for each of int64 (m) how often the same value came before it."""
    order = values.argsort(stable=True)
    ordered = values[order]
    begins = torch.ones(len(values), dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    places = torch.arange(len(values))
    times = torch.empty_like(values)
    times[order] = places - torch.where(begins, places, 0).cummax(0).values
    return times
