"""Running a network to learn about it, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from seewhy.nn.normalisation import BatchNorm

BATCH_NORMS = (BatchNorm, _BatchNorm)
"""Batch normalisation of this package and of torch."""


@contextmanager
def observed(module: nn.Module) -> Iterator[Callable[[RemovableHandle], None]]:
    """Set up `module` for runs that only observe, and restore it afterwards, whatever happens.

    Inside, batch normalisation uses the statistics of the batch, as it will in training, and everything else behaves as in evaluation, so that
    nothing is random. Afterwards modes and buffers (running statistics) are what they were, and all hooks that were handed to the
    yielded function are gone.
    """
    modes = [(part, part.training) for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for buffer in module.buffers()]
    hooks: list[RemovableHandle] = []
    try:
        for part, _ in modes:
            part.training = isinstance(part, BATCH_NORMS)
        yield hooks.append
    finally:
        for hook in hooks:
            hook.remove()
        for part, mode in modes:
            part.training = mode
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
