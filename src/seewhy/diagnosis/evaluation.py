"""What a pass without gradients tells: what it is given, and whether dropout that a function makes is off."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode

from seewhy.diagnosis.history import LoopRecord
from seewhy.diagnosis.hooks import leave_mode
from seewhy.diagnosis.records import InputRecord
from seewhy.nn.dropout import Dropout

DROPOUTS: frozenset[Callable[..., Any]] = frozenset(
    (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout, torch.dropout)
)

PASSES = 16
"""Passes without gradients whose inputs are looked at."""

EXAMPLES = 128


def is_live(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call of dropout drops anything."""
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    return bool(kwargs.get("training", args[2] if len(args) > 2 else True)) and p > 0


class LiveDropout(TorchFunctionMode):
    """Sees during one pass whether dropout is on.

    Attributes:
        live: whether it is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.live = self.live or (func in DROPOUTS and is_live(args, kwargs))
        return func(*args, **kwargs)


def is_dropout(module: nn.Module) -> bool:
    """Whether a module is dropout and nothing else, so that it follows the mode."""
    return isinstance(module, _DropoutNd)


@torch.no_grad()
def given_moments(args: tuple[Any, ...]) -> tuple[int, float, float] | None:
    """Return how many rows a pass is given, their mean and mean square; None where they are no batch of floating-point values."""
    x = next((arg for arg in args if isinstance(arg, Tensor)), None)
    if x is None or not x.is_floating_point() or x.dim() < 2 or not x.numel():
        return None
    some = x.detach()[:EXAMPLES].float()
    return len(x), float(some.mean()), float(some.square().mean())


def pooled(record: InputRecord) -> tuple[float, float]:
    """Return mean and deviation of inputs over all channels."""
    mean = sum(record.mean) / len(record.mean)
    square = sum(s * s + m * m for m, s in zip(record.mean, record.std, strict=True)) / len(record.mean)
    return mean, math.sqrt(max(0.0, square - mean * mean))


def mode_matters(module: nn.Module) -> bool:
    """Whether a module behaves otherwise in training mode than in evaluation mode."""
    if isinstance(module, (_BatchNorm, _InstanceNorm)):
        return bool(module.track_running_stats)
    return isinstance(module, (_DropoutNd, Dropout)) and module.p > 0


def live(module: nn.Module) -> bool:
    """Whether dropout or batch norm behaves as in training anywhere."""
    return any(part.training and mode_matters(part) for part in module.modules())


class Evaluations:
    """What one network's passes without gradients have told.

    Attributes:
        drops: whether a function drops within the network, which may be live in evaluations too.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self.drops = False
        self._mode: LiveDropout | None = None
        self._given: tuple[Any, ...] = ()
        self._seen = 0
        self._last: tuple[Any, ...] = ()
        self._again = 0
        self._last_step = -1

    def begin(self, loop: LoopRecord, args: tuple[Any, ...]) -> None:
        """Look at what a pass is given, as long as there were few; see whether it drops by a function in evaluation mode."""
        if loop.step and loop.looked < PASSES and (given := given_moments(args)) is not None:
            rows, mean, square = given
            share = rows / (loop.looked_rows + rows)
            loop.looked_mean += share * (mean - loop.looked_mean)
            loop.looked_square += share * (square - loop.looked_square)
            loop.looked_rows += rows
            loop.looked += 1
        if loop.step and self.drops and not self._module.training and self._mode is None:
            self._mode, self._given = LiveDropout(), args
            self._mode.__enter__()  # type: ignore[no-untyped-call]

    def end(self, loop: LoopRecord) -> None:
        """Note whether the pass has dropped."""
        if self._mode is None:
            return
        live, given = self._mode.live, self._given
        self.forget()
        if live:
            loop.live_dropout += self._counts(loop.step, given)
        self._seen += 1
        if self._seen >= PASSES:
            self.drops = False

    def forget(self) -> None:
        """See nothing more of a pass."""
        if self._mode is not None:
            leave_mode(self._mode)
        self._mode, self._given = None, ()

    def wait(self) -> None:
        """See whether the next ones drop, unless enough were seen."""
        self.drops = self.drops or self._seen < PASSES

    def in_training_mode(self, loop: LoopRecord, args: tuple[Any, ...]) -> None:
        """Count a pass in training mode."""
        loop.train_evaluations += self._counts(loop.step, args)
        loop.evaluated += self._last_step != loop.step
        self._last_step = loop.step

    def _counts(self, step: int, args: tuple[Any, ...]) -> int:
        """Return how an evaluation that drops counts: the same inputs three times at one step are Monte Carlo dropout, on purpose."""
        x = next((arg for arg in args if isinstance(arg, Tensor) and arg.numel()), None)
        if x is None:
            return 1
        some = x.detach().reshape(-1)[:: max(1, x.numel() // 4)][:4].tolist()
        key = (step, x.data_ptr(), tuple(x.shape), *some)
        if key != self._last:
            self._last, self._again = key, 0
            return 1
        self._again += 1
        return -1 if self._again == 2 else 0

    def state(self) -> tuple[Any, ...]:
        """Return what no entry holds."""
        return self._last, self._again, self._last_step

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go on from what `state` gave."""
        self._last, self._again, self._last_step = state
