"""Computing with a run's network: torch's state around it, and class probabilities of one network, of members, or of many passes.

On a processor each of torch's threads computes chunks of its own. Threads that share a chunk wait for one another after every layer, which costs
most where decoding or other programs have some of the processors (benchmarks/predict_speed.py).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import wraps
from queue import SimpleQueue
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from seewhy.data.threads import in_threads
from seewhy.models.family import Engine
from seewhy.models.predictor import Predictor, view_probabilities
from seewhy.nn import monte_carlo
from seewhy.training import fabric
from seewhy.training.state import isolated

CHUNK, PIXELS = 64, 64 * 128**2
"""Images of a forward pass on a processor, and pixels, at most: larger ones are no faster."""

LAUNCHED = 500
"""Images of a forward pass elsewhere, where a launch costs more."""


class Computing(Protocol):
    """A run that computes."""

    @property
    def engine(self) -> fabric.Engine:
        """Where."""


S = TypeVar("S", bound=Computing)
P = ParamSpec("P")
R = TypeVar("R")
N = TypeVar("N", bound=nn.Module)


def computing(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Let a method compute in torch's usual state, with the run's threads and precision, and give the caller's state back."""

    @wraps(method)
    def inside(self: S, *args: P.args, **kwargs: P.kwargs) -> R:
        with isolated():
            self.engine.apply()
            return method(self, *args, **kwargs)

    return cast("Callable[Concatenate[S, P], R]", inside)


class Member(Protocol):
    """A member of an ensemble: a network that is loaded when it is needed, and let go of."""

    @property
    def engine(self) -> Engine:
        """Where it computes."""

    @property
    def predictor(self) -> Predictor:
        """What predicts."""

    def release(self) -> None:
        """Let go of the network."""


class Replicas(Generic[N]):
    """A network for several threads at once: modules of their own, which may keep what they compute, with the same parameters and buffers.

    Args:
        network: is one of them.
    """

    def __init__(self, network: N) -> None:
        self._all = [network]

    def __getitem__(self, count: int) -> list[N]:
        """Return so many."""
        first = self._all[0]
        while len(self._all) < count:
            shared = {id(tensor): tensor for tensor in (*first.parameters(), *first.buffers())}
            self._all.append(copy.deepcopy(first, shared))
        return self._all[:count]


def in_chunks(engine: Engine, replicas: Replicas[N], compute: Callable[[N, Tensor], Tensor], images: Tensor) -> Tensor:
    """Compute some images at a time, and return the whole, images first, on the CPU.

    Args:
        engine: where.
        replicas: of the network.
        compute: from a network and uint8 images on the engine's device to what is wanted; nothing random.
        images: uint8 (N, C, H, W).
    """

    @torch.no_grad()
    def one(network: N, chunk: Tensor) -> Tensor:
        with engine.autocast():
            return compute(network, chunk.to(engine.device)).cpu()

    pixels = max(1, images.shape[-2:].numel())
    on_cpu = engine.device.type == "cpu"
    chunks = torch.split(images, max(1, min(CHUNK, PIXELS // pixels)) if on_cpu else LAUNCHED)
    threads = torch.get_num_threads()
    workers = min(threads, len(chunks)) if on_cpu else 1
    if workers < 2:
        return torch.cat([one(replicas[1][0], chunk) for chunk in chunks])
    free: SimpleQueue[N] = SimpleQueue()
    for network in replicas[workers]:
        free.put(network)

    def work(chunk: Tensor) -> Tensor:
        network = free.get()
        try:
            return one(network, chunk)
        finally:
            free.put(network)

    torch.set_num_threads(1)  # of each of the threads that begin now
    try:
        return torch.cat(list(in_threads(work, chunks, workers)))
    finally:
        torch.set_num_threads(threads)


def of_members(members: Iterable[Member], compute: Callable[[Member, Predictor], Tensor]) -> Tensor:
    """Return what is computed with every member, stacked in front; one network is in memory at a time.

    Args:
        members: of an ensemble.
        compute: from a member and its predictor to a tensor.
    """
    parts = []
    for member in members:
        parts.append(compute(member, member.predictor))
        member.release()
    return torch.stack(parts)


def sampled(engine: Engine, model: nn.Module, predictor: Predictor, images: Tensor, samples: int) -> Tensor:
    """Return the uncalibrated probabilities (T, N, K) of T stochastic forward passes, the same for equal images (Gal & Ghahramani 2016)."""

    def views(x: Tensor) -> Tensor:
        return view_probabilities(model, x, predictor.views)

    parts = []
    for chunk in torch.split(images, LAUNCHED):
        with engine.autocast():
            fitted = predictor.resize(chunk.to(engine.device))
            parts.append(monte_carlo(model, fitted, samples, probabilities=views).samples.cpu())
    return torch.cat(parts, dim=1)
