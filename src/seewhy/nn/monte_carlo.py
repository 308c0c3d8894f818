"""Predictions averaged over draws of a network's own randomness: dropout, DropConnect, stochastic depth, fractional pooling.

Letters: T draws, N examples, K classes, p_t the probabilities of draw t, p their mean, H the entropy.

    uncertainty       H(p)                                          nats
    disagreement      H(p) - mean of H(p_t)                         nats; the mutual information of prediction and draw

The first holds both what the data leave open and what the network does not know; the second the latter alone (Gal & Ghahramani 2016,
1506.02142; Houlsby et al. 2011, 1112.5745).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from seewhy.core.errors import InputError, bad_value
from seewhy.nn.dropconnect import DropConnectConv2d, DropConnectLinear
from seewhy.nn.dropout import Dropout
from seewhy.nn.fractional_pool import FractionalMaxPool2d
from seewhy.nn.stochastic_depth import StochasticDepth


def draws(module: nn.Module) -> bool:
    """Return whether a module (without its parts) draws in training, and does nothing else differently then."""
    if isinstance(module, (_DropoutNd, Dropout)):
        return module.p > 0.0
    if isinstance(module, (DropConnectLinear, DropConnectConv2d)):
        return module.drop > 0.0
    if isinstance(module, StochasticDepth):
        return module.survival < 1.0
    return isinstance(module, FractionalMaxPool2d)


@dataclass(frozen=True)
class MonteCarlo:
    """What `monte_carlo` returns.

    Attributes:
        draws: p_t, float32 (T, N, K).
        mean: p (N, K).
        deviation: of p_t over the draws (N, K).
        uncertainty: H(p), nats (N).
        disagreement: H(p) - mean H(p_t), nats (N).
    """

    draws: Tensor
    mean: Tensor
    deviation: Tensor
    uncertainty: Tensor
    disagreement: Tensor


@contextmanager
def drawing(module: nn.Module) -> Iterator[None]:
    """Let the parts of a network that draw in training draw, everything else in evaluation; restores all modes.

    Raises:
        InputError: no part of the network draws.
    """
    modes = [(part, part.training) for part in module.modules()]
    if not any(draws(part) for part, _ in modes):
        raise InputError(
            "draws: the network draws nothing; train it with dropout, DropConnect, stochastic depth or fractional pooling"
        )
    try:
        for part, _ in modes:
            part.training = draws(part)
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@torch.no_grad()
def monte_carlo(
    module: nn.Module,
    x: Tensor,
    count: int = 20,
    *,
    seed: int = 0,
    probabilities: Callable[[Tensor], Tensor] | None = None,
) -> MonteCarlo:
    """Predict several times with the network's randomness on, and return the mean and how far the draws lie apart.

    Modes, weights, running statistics and torch's generators are left as they are.

    Args:
        module: from x to logits (N, K).
        x: a batch.
        count: T, the number of draws, at least 2.
        seed: of the draws; equal seeds give equal answers.
        probabilities: from x to probabilities (N, K), in place of the softmax of the logits, such as an average over views.

    Raises:
        InputError: `count` is less than 2, or no part of the network draws.
    """
    if count < 2:
        raise bad_value("draws", count, "at least 2")
    predict = probabilities or (lambda batch: module(batch).float().softmax(1))
    devices = [x.device] if x.device.type == "cuda" else []
    with drawing(module), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        found = torch.stack([predict(x) for _ in range(count)])
    mean = found.mean(0)
    uncertainty = _entropy(mean)
    apart = (uncertainty - _entropy(found).mean(0)).clamp_min(0.0)
    return MonteCarlo(found, mean, found.std(0, correction=0), uncertainty, apart)


def _entropy(p: Tensor) -> Tensor:
    total: Tensor = torch.special.xlogy(p, p).sum(-1)
    return -total
