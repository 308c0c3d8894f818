"""A run that is watched: the very same watch as of anybody's loop, fed from the training's events.

What is found, and what has passed away, is told as events as it is confirmed, and stands in findings.json together with how every check ended.
"""

from __future__ import annotations

<<<<<<< HEAD
=======
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
>>>>>>> 567c800 (Watch every run by default: members, every family, generator and discriminator by name)
from pathlib import Path

from torch import nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from seewhy.core.files import write_json
from seewhy.core.findings import Finding
<<<<<<< HEAD
from seewhy.diagnosis import Watch, watch
from seewhy.diagnosis.records import plain
from seewhy.training.events import Emit, Evaluated, Event, Found, RunEnded, RunStarted
=======
from seewhy.diagnosis import Watch
from seewhy.training.events import (
    Emit,
    Evaluated,
    Event,
    Found,
    GradientsReady,
    OptimizerStepped,
    RunEnded,
    RunStarted,
)
>>>>>>> 567c800 (Watch every run by default: members, every family, generator and discriminator by name)

FILE = "findings.json"


class Watching:
    """An observer that watches the networks of a run.

    Args:
        folder: of the run.
        emit: told of every finding.
    """

    def __init__(self, folder: Path, emit: Emit) -> None:
        self._folder, self._emit = folder, emit
        self._why: Watch | None = None
        self._parts: dict[str, PartOptimizer] = {}
        self._step = 0

    def __call__(self, event: Event) -> None:
        """Begin with the run, follow its updates and its validation, and end with it."""
        match event:
            case RunStarted():
                self._begin(event)
            case GradientsReady():
                self._step = event.step
                if event.network in self._parts:
                    self._parts[event.network].begin()
            case OptimizerStepped():
                if event.network in self._parts:
                    self._parts[event.network].end()
            case Evaluated(split="val") if self._why is not None and "loss" in event.metrics:
                self._why.observe(val_loss=event.metrics["loss"])
            case RunEnded():
                self.close()

    def close(self) -> None:
        """End the watching and write what was found; does nothing a second time, or if the run has not begun."""
        if self._why is not None:
            self._why.close()
            self._write(self._why)
        self._why = None

    def _begin(self, event: RunStarted) -> None:
        networks, self._step = dict(event.networks), event.step
        optimizers: dict[str, Optimizer] = {"optimizer": event.optimizer}
        if len(networks) > 1:  # one optimiser moves them in turn
            self._parts = {name: PartOptimizer(event.optimizer, module) for name, module in networks.items()}
            optimizers = {f"{name}_optimizer": part for name, part in self._parts.items()}
        self._why = Watch(networks, optimizers, tell=self._tell)

    def _tell(self, finding: Finding) -> None:
        where = f"{finding.network}: " if self._parts else ""
        self._emit(Found(self._step, plain(finding.to_json()), f"{where}{finding}"))
        if self._why is not None:  # at once: what was found may be about to end the run
            self._write(self._why)

    def _write(self, why: Watch) -> None:
        found = {
            "findings": [plain(finding.to_json()) for finding in why.findings],
            "checks": [vars(check) for check in why.checks],
        }
        write_json(self._folder / FILE, found)
<<<<<<< HEAD
=======


class PartOptimizer(Optimizer):
    """What an optimiser of several networks does to one of them, as an optimiser that steps only where it moves this one.

    Args:
        whole: the optimiser.
        network: whose parameters are its part.
    """

    def __init__(self, whole: Optimizer, network: nn.Module) -> None:
        own = {id(p) for p in network.parameters()}
        self._before: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._after: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        parts = [[p for p in group["params"] if id(p) in own] for group in whole.param_groups]
        self._pairs = [(group, part) for group, part in zip(whole.param_groups, parts, strict=True) if part]
        super().__init__([{**group, "params": part} for group, part in self._pairs], {})

    def register_step_pre_hook(self, hook: Any) -> RemovableHandle:
        """Call a hook before each update of the network."""
        return _registered(self._before, hook)

    def register_step_post_hook(self, hook: Any) -> RemovableHandle:
        """Call a hook after each update of the network."""
        return _registered(self._after, hook)

    def begin(self) -> None:
        """Tell that the network's update begins: its gradients are there."""
        for (group, _), mine in zip(self._pairs, self.param_groups, strict=True):
            mine.update({name: value for name, value in group.items() if name != "params"})  # the rate of this step
        self._call(self._before)

    def end(self) -> None:
        """Tell that the network has been updated."""
        self._call(self._after)

    def _call(self, hooks: Mapping[int, Callable[..., Any]]) -> None:
        for hook in tuple(hooks.values()):
            hook(self, (self,), {})


def _registered(hooks: OrderedDict[int, Callable[..., Any]], hook: Callable[..., Any]) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers that are not finite as texts."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value
>>>>>>> 567c800 (Watch every run by default: members, every family, generator and discriminator by name)
