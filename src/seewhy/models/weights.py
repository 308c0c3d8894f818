"""The weights of a network: where the first ones come from, and how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def seeded_weights(rng: torch.Generator) -> Iterator[None]:
    """Let constructors take their weights from `rng`: equal states give equal bits. torch's global source is left as it was.

    Args:
        rng: gives one seed, with which torch's global source starts within the context.
    """
    seed = int(torch.randint(2**62, (), generator=rng))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def count_parameters(module: nn.Module) -> int:
    """Return the number of weights, frozen ones included."""
    return sum(parameter.numel() for parameter in module.parameters())
