"""Predictions averaged over stochastic forward passes: with dropout, DropConnect, stochastic depth and fractional pooling left on.

Letters: T passes, N examples, K classes, p_t the probabilities of pass t, p their mean, H the entropy.

    predictive entropy    H(p)                        nats
    mutual information    H(p) - mean of H(p_t)       nats; of the class and the pass

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


def is_stochastic(module: nn.Module) -> bool:
    """Return whether a module (without its submodules) is random in training, and does nothing else differently then."""
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
        samples: p_t, float32 (T, N, K).
        mean: p (N, K).
        std: standard deviation of p_t over the passes (N, K).
        entropy: H(p), nats (N).
        mutual_information: H(p) - mean H(p_t), nats (N).
    """

    samples: Tensor
    mean: Tensor
    std: Tensor
    entropy: Tensor
    mutual_information: Tensor


@contextmanager
def stochastic_inference(module: nn.Module) -> Iterator[None]:
    """Let the modules of a network that are random in training be random, everything else in evaluation; restores all modes.

    Raises:
        InputError: no module of the network is random.
    """
    modes = [(part, part.training) for part in module.modules()]
    if not any(is_stochastic(part) for part, _ in modes):
        raise InputError(
            "module: nothing in the network is random; train it with dropout, DropConnect, stochastic depth or fractional pooling"
        )
    try:
        for part, _ in modes:
            part.training = is_stochastic(part)
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@torch.no_grad()
def monte_carlo(
    module: nn.Module,
    x: Tensor,
    samples: int = 20,
    *,
    seed: int = 0,
    probabilities: Callable[[Tensor], Tensor] | None = None,
) -> MonteCarlo:
    """Predict by several stochastic forward passes, and return their mean and how much they differ.

    Modes, weights, running statistics and torch's global random state are left as they are.

    Args:
        module: from x to logits (N, K).
        x: a batch.
        samples: T, the number of passes, at least 2.
        seed: of the passes; equal seeds give equal answers.
        probabilities: from x to probabilities (N, K), in place of the softmax of the logits, such as an average over views.

    Raises:
        InputError: `samples` is less than 2, or no module of the network is random.
    """
    if samples < 2:
        raise bad_value("samples", samples, "at least 2")
    predict = probabilities or (lambda batch: module(batch).float().softmax(1))
    devices = [x.device] if x.device.type == "cuda" else []
    with stochastic_inference(module), torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        passes = torch.stack([predict(x) for _ in range(samples)])
    mean = passes.mean(0)
    entropy = _entropy(mean)
    mutual_information = (entropy - _entropy(passes).mean(0)).clamp_min(0.0)
    return MonteCarlo(passes, mean, passes.std(0, correction=0), entropy, mutual_information)


def _entropy(p: Tensor) -> Tensor:
    total: Tensor = torch.special.xlogy(p, p).sum(-1)
    return -total
