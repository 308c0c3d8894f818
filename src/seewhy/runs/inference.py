"""Computing with a run's network: torch's state around it, and class probabilities of one network, of members, or of many passes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

import torch
from torch import Tensor, nn

from seewhy.models.family import Engine
from seewhy.models.predictor import Predictor, view_probabilities
from seewhy.nn import monte_carlo
from seewhy.training import fabric
from seewhy.training.state import isolated

CHUNK = 500
"""Images of a forward pass."""


class Computing(Protocol):
    """A run that computes."""

    @property
    def engine(self) -> fabric.Engine:
        """Where."""


S = TypeVar("S", bound=Computing)
P = ParamSpec("P")
R = TypeVar("R")


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


def in_chunks(engine: Engine, predict: Callable[[Tensor], Tensor], images: Tensor, axis: int = 0) -> Tensor:
    """Compute some images at a time, and return the whole on the CPU.

    Args:
        engine: where.
        predict: from uint8 images on the engine's device to what is wanted.
        images: uint8 (N, C, H, W).
        axis: that of the images in what comes out.
    """
    parts = []
    for chunk in torch.split(images, CHUNK):
        with engine.autocast():
            parts.append(predict(chunk.to(engine.device)).cpu())
    return torch.cat(parts, dim=axis)


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

    def passes(x: Tensor) -> Any:
        return monte_carlo(model, predictor.resize(x), samples, probabilities=views).samples

    return in_chunks(engine, passes, images, axis=1)
