"""A stranger's program, tried on copies: its network, a batch, its loss.

Every trial has a deep copy of its own. Gradients are asked of the copy's parameters alone, so that what a loss refers to otherwise gets none.
"""

from __future__ import annotations

import copy
import inspect
import random
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from seewhy.core.errors import InputError
from seewhy.core.seeding import rng, seed_global
from seewhy.diagnosis.begin import watch
from seewhy.diagnosis.history import History
from seewhy.diagnosis.logits import read_logits
from seewhy.diagnosis.nested import tensors_of
from seewhy.diagnosis.records import LogitsRecord
from seewhy.diagnosis.trial.structures import Rows, fresh, rows_of

Loss = Callable[..., Tensor]
Factory = Callable[[Iterable[nn.Parameter]], Optimizer]

NETWORK_NAMES = frozenset(("model", "net", "network", "module"))
"""First parameters of a loss that takes the network and the batch."""


class Clock:
    """What is left of the time."""

    def __init__(self, seconds: float) -> None:
        self.end = time.perf_counter() + seconds

    @property
    def left(self) -> float:
        """Seconds, 0 when they are over."""
        return max(0.0, self.end - time.perf_counter())


@dataclass(frozen=True)
class Pass:
    """One forward pass, and its loss.

    Attributes:
        args, kwargs: what the network was called with.
        outputs: what it returned; None where the loss did not call it.
        loss: None where only the network was called.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: Any
    loss: Tensor | None = None

    @property
    def scores(self) -> Tensor | None:
        """The first floating-point tensor of the outputs with two axes or more, else with one."""
        floating = [x for x in tensors_of(self.outputs) if x.is_floating_point() and x.dim()]
        return next((x for x in floating if x.dim() > 1), floating[0] if floating else None)


class Trial:
    """A copy of the network and its loss, to be used up.

    Attributes:
        model: the copy.
    """

    def __init__(self, model: nn.Module, loss: Loss | None, *, whole: bool, seed: int) -> None:
        # Together: a loss that is a method of the network is then one of the copy.
        self.model, self.loss = copy.deepcopy((model, loss))
        self.whole, self.seed = whole, seed

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained: of the network, and of a loss that has weights."""
        modules = [part for part in (self.model, self.loss) if isinstance(part, nn.Module)]
        return [p for p in nn.ModuleList(modules).parameters() if p.requires_grad]

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], seed: int | None = None) -> Any:
        """Return the network's outputs; the random numbers are those of the seed."""
        self._seeded(seed)
        mode = "training" if self.model.training else "evaluation"
        with _context(f"in the forward pass of the model in {mode} mode, called with the batch's inputs"):
            return self.model(*fresh(args), **fresh(dict(kwargs)))

    def run(self, batch: Any, seed: int | None = None) -> Pass:
        """Return the forward pass of a batch with its loss."""
        if self.whole:
            return self._run_whole(batch, seed)
        inputs, targets = parts(batch)
        args, kwargs = arguments(inputs)
        outputs = self.call(args, kwargs, seed)
        with _context("in the loss, called with the model's outputs and the batch's targets"):
            value = (
                default_loss(outputs, targets, own=targets is inputs)
                if self.loss is None
                else self.loss(outputs, fresh(targets))
            )
        return Pass(args, kwargs, outputs, _single(value))

    def _run_whole(self, batch: Any, seed: int | None) -> Pass:
        calls: list[tuple[Any, Any, Any]] = []
        handle = self.model.register_forward_hook(lambda _, *call: calls.append(call), with_kwargs=True)
        assert self.loss is not None
        self._seeded(seed)
        try:
            with _context("in the loss, called with the model and the batch"):
                value = self.loss(self.model, fresh(batch))
        finally:
            handle.remove()
        args, kwargs, outputs = calls[0] if calls else ((), {}, None)
        return Pass(args, kwargs, outputs, _single(value))

    def _seeded(self, seed: int | None) -> None:
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        seed = self.seed if seed is None else seed
        seed_global(seed, device)
        random.seed(seed)
        np.random.seed(seed % (1 << 32))  # noqa: NPY002  the source that the user's modules draw from

    @torch.no_grad()
    def fill_zeros(self) -> None:
        """Give parameters that start at zero small random values, so that what stands before them is seen."""
        source = rng(self.seed, "sanity", "zeros")
        for p in self.model.parameters():
            if p.is_floating_point() and p.numel() and not p.any():
                p.copy_(torch.randn(p.shape, generator=source) * 0.02)

    def fitting_mode(self) -> None:
        """Training mode without dropout and its like: what is fitted is not disturbed."""
        self.model.train()
        for module in self.model.modules():
            if "drop" in type(module).__name__.lower() and not list(module.children()):
                module.eval()


@dataclass(frozen=True)
class Start:
    """The first step's forward and backward pass, in training mode, as the watcher records them.

    Attributes:
        seen: the pass.
        logits: what the gradient at the outputs tells; None where the loss is no cross-entropy of them.
        history: of one probe, of a step that changes nothing; None where the network cannot be probed.
        seconds: that it took.
    """

    seen: Pass
    logits: LogitsRecord | None
    history: History | None
    seconds: float


class Program:
    """What is tried.

    Attributes:
        batch: as the user gave it; copied for every pass.
        clock: of all trials together.
    """

    def __init__(
        self, model: nn.Module, batch: Any, loss: Loss | None, optimizer: Factory | None, clock: Clock, seed: int
    ) -> None:
        self._model, self._loss, self.whole = model, loss, takes_model(loss)
        self.batch, self.optimizer, self.clock, self.seed = batch, optimizer, clock, seed
        self.time_first = any(getattr(part, "batch_first", True) is False for part in model.modules())
        if not self.whole:
            parts(batch)
        self.trial()

    @property
    def targets(self) -> Any:
        """The batch's targets; None where only the loss knows them."""
        return None if self.whole else parts(self.batch)[1]

    @property
    def loss(self) -> Loss | None:
        """The user's loss; None for the default."""
        return self._loss

    def trial(self) -> Trial:
        """Return a new copy of the program."""
        try:
            return Trial(self._model, self._loss, whole=self.whole, seed=self.seed)
        except Exception as error:
            raise InputError(f"sanity: model: it is tried on a copy, and cannot be copied: {error}") from error

    @cached_property
    def forward(self) -> Pass:
        """The forward pass in training mode, its loss only where the network is called by the loss."""
        trial = self.trial()
        trial.model.train()
        if self.whole:
            return trial.run(self.batch)
        args, kwargs = arguments(parts(self.batch)[0])
        return Pass(args, kwargs, trial.call(args, kwargs))

    @cached_property
    def rows(self) -> Rows | None:
        """Where the examples of the batch are; None where that cannot be told."""
        seen = self.forward
        return rows_of((seen.args, dict(seen.kwargs)), self.targets, time_first=self.time_first)

    @cached_property
    def start(self) -> Start:
        """The first step."""
        began = time.perf_counter()
        trial = self.trial()
        trial.model.train()
        trained = trial.parameters()
        if not trained:
            return Start(trial.run(self.batch), None, None, time.perf_counter() - began)
        optimizer = SGD(trained, 0.0)
        with watch(trial.model, optimizer, tell=None) as why:
            seen = trial.run(self.batch)
            logits = backpropagate(seen, trained)
            optimizer.step()
        history = why.history() if why.history().latest and not why.error else None
        return Start(seen, logits, history, time.perf_counter() - began)


def backpropagate(seen: Pass, trained: list[nn.Parameter]) -> LogitsRecord | None:
    """Give the parameters, and nothing else, their gradients; return what the gradient at the outputs tells of the loss."""
    assert seen.loss is not None
    if not seen.loss.requires_grad:
        raise InputError("sanity: loss: no gradient flows from it to the model; it must be made of the model's outputs")
    scores = seen.scores
    reached = [] if scores is None or not scores.requires_grad else [scores]
    with _context("in the backward pass of the loss"):
        gradients = torch.autograd.grad(seen.loss, [*trained, *reached], allow_unused=True)
    for parameter, gradient in zip(trained, gradients, strict=False):
        parameter.grad = gradient
    at_outputs = gradients[-1] if reached else None
    return None if at_outputs is None or scores is None else read_logits(scores.detach(), at_outputs)


def takes_model(loss: Loss | None) -> bool:
    """Whether a loss is called with the network and the batch, which its first parameter's name or annotation says."""
    if loss is None or isinstance(loss, nn.Module):
        return False
    try:
        first = next(iter(inspect.signature(loss).parameters.values()), None)
    except (TypeError, ValueError):  # of a function in C
        return False
    if first is None:
        return False
    annotated = isinstance(first.annotation, type) and issubclass(first.annotation, nn.Module)
    return annotated or first.name.lower() in NETWORK_NAMES


def parts(batch: Any) -> tuple[Any, Any]:
    """Return the inputs and the targets of a batch; of a tensor alone both are the tensor."""
    if isinstance(batch, Tensor):
        return batch, batch
    if isinstance(batch, (tuple, list)) and len(batch) == 2:
        return batch[0], batch[1]
    came = f"{type(batch).__name__} of {len(batch)}" if isinstance(batch, (tuple, list, dict)) else type(batch).__name__
    raise InputError(
        f"sanity: batch: must be (inputs, targets), or a tensor that is its own target, got {came}; "
        "for other batches give loss=lambda model, batch: ..."
    )


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return how the network is called: a tuple is several arguments, a mapping arguments by name, all else one argument."""
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def default_loss(outputs: Any, targets: Any, *, own: bool) -> Tensor:
    """Cross-entropy of (N, K, ...) with integer class labels; the mean squared error where the inputs are their own targets."""
    found = [x for x in tensors_of(outputs) if x.is_floating_point()]
    if len(found) != 1 or not isinstance(targets, Tensor):
        raise InputError(
            f"sanity: loss: needed where the model returns {len(found)} tensors and the targets are {type(targets).__name__}; "
            "give loss=lambda outputs, targets: ..."
        )
    if not targets.is_floating_point() and targets.dtype is not torch.bool:
        return F.cross_entropy(found[0], targets.long())
    if own and found[0].shape == targets.shape:
        return F.mse_loss(found[0], targets.to(found[0].dtype))
    raise InputError(
        f"sanity: loss: needed where the targets are no integer class labels, but {targets.dtype} of {tuple(targets.shape)}"
    )


def _single(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        came = f"a tensor of {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(
            f"sanity: loss: must return a tensor of one number, got {came}; take the mean over the examples"
        )
    return value.reshape(())


@contextmanager
def _context(where: str) -> Iterator[None]:
    """Add to an error of the user's code where it came from."""
    try:
        yield
    except Exception as error:
        error.add_note(f"seewhy.sanity: {where}")
        raise


@contextmanager
def undisturbed(model: nn.Module, loss: Loss | None) -> Iterator[None]:
    """Leave modes, buffers, and every source of random numbers as they were, though a loss may refer to the user's own network."""
    modules = [part for part in (model, loss) if isinstance(part, nn.Module)]
    modes = [(part, part.training) for module in modules for part in module.modules()]
    buffers = [(buffer, buffer.detach().clone()) for module in modules for buffer in module.buffers()]
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    try:
        with (
            torch.random.fork_rng(devices),
            torch.inference_mode(False),
            torch.enable_grad(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # what the user's program warns of, it will warn of again
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        for part, mode in modes:
            part.training = mode
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
