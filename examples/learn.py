"""What the examples of rasters share: training by likelihood, and a measure that tells whether something was learned."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from seewhy.models.autoregressive import log_likelihood


def learn(net: nn.Module, batch: Callable[[], Tensor], steps: int, lr: float = 3e-3) -> None:
    """Train by Adam with a falling rate; print the bits per value now and then."""
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for step in range(1, steps + 1):
        values = batch()
        loss = -log_likelihood(net, values).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 100.0)
        optimizer.step()
        schedule.step()
        if step == 1 or step % max(1, steps // 10) == 0:
            print(f"step {step:>5}  {bits_per_value(loss.item(), values):.3f} bits per value", flush=True)


@torch.no_grad()
def bits(net: nn.Module, values: Tensor) -> float:
    """Return the mean bits per value of rasters that were not trained on."""
    return bits_per_value(-log_likelihood(net, values).mean().item(), values)


def bits_per_value(nats: float, values: Tensor) -> float:
    """Return nats per raster in bits per value: nats / (values x log 2)."""
    return nats / (values[0].numel() * math.log(2))


def frequency_bits(training: Tensor, values: Tensor, levels: int) -> float:
    """Return the bits per value of knowing only how often each level occurs in training: what a network must beat."""
    counts = torch.bincount(training.flatten(), minlength=levels).double() + 1
    return float(-(counts / counts.sum()).log2()[values.flatten()].mean()) if len(values) else math.nan
