"""One watched network: what it is made of, and what is known of it so far."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from seewhy.diagnosis import outputs
from seewhy.diagnosis.checks import CHECKS, Judge
from seewhy.diagnosis.evaluation import Evaluations, mode_matters
from seewhy.diagnosis.history import Entry, History, LoopRecord
from seewhy.diagnosis.hooks import Owner
from seewhy.diagnosis.memory import UnitMemory
from seewhy.diagnosis.parameters import (
    agreements,
    gradient_norms,
    gradient_sample,
    parameter_records,
    sample,
    untouched,
    untouched_embeddings,
)
from seewhy.diagnosis.probe import Probe
from seewhy.diagnosis.records import ProbeRecord
from seewhy.diagnosis.values import likeness, rows_of

DENSE = (1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 75, 100, 130, 170)
DEEP = (1, 10, 56, 170)
"""Of these, the steps at which also what takes long is measured."""

STRUCTURE = (1, 10)
"""The steps at which the rows of the batch are followed through views."""

GROWTH = 1.5
"""A probe comes at least when there were so many times as many steps as at the one before."""

EVERY = 50
SECONDS = 60.0
"""After which a probe comes even if there were fewer steps."""

LAYERS = 8
"""Names that are kept where something is said of layers."""

IDLE = 1e-4
"""Of the largest rate of an optimiser, that of a group which hardly moves beside the others."""

FORGET_DROPOUT = 5000
"""Steps after which no evaluation is waited for any more."""

SOME_ROWS, SOME_COLUMNS = 16, 64
"""Of a batch, which are compared with those of the next one that is probed."""

SHARE = 0.01
"""Of the time, which probes may take after the dense ones."""


class Network:
    """One watched network, with what is known of it so far."""

    def __init__(self, name: str, module: nn.Module, optimizers: list[Optimizer], *, alone: bool) -> None:
        self.module, self.optimizers = module, optimizers
        self.refresh()
        self.history = History(name, alone=alone)
        self.history.loop.mode_matters = any(mode_matters(part) for part in module.modules())
        self.memory = UnitMemory()
        self.entered = self.apart = False
        self.evaluations = Evaluations(module)
        self.given: Tensor | None = None
        self.original: Any = None
        self.judge = Judge(CHECKS)
        self.probe: Probe | None = None
        self.due = True
        self.passed = self.skip = 0
        self.stale: list[bool] = []
        self.before: Tensor | None = None
        self.after: Tensor | None = None
        self.graded: dict[str, float] = {}
        self.agreement: dict[str, float] = {}
        self.path: tuple[Tensor, Tensor] | None = None
        self.bend: tuple[float, float] | None = None
        self.told: dict[str, list[tuple[int, float]]] = {}
        self.eval_forward = False
        self.left: dict[str, Tensor] = {}
        self.handles: list[Any] = []  # of the hooks that only some steps need
        self.output_handles: deque[Any] = deque()
        self.cost = self.each = 0.0
        self.since = time.perf_counter()

    def forget(self) -> None:
        """Take away the hooks on outputs."""
        for handle in self.output_handles:
            handle.remove()
        self.output_handles.clear()

    def disarm(self) -> None:
        """Take away the hooks that only some steps need."""
        self.evaluations.forget()
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def refresh(self) -> None:
        """Look anew at what the network is made of, which the user may have changed."""
        self.names = {part: path for path, part in self.module.named_modules()}
        every = list(self.module.named_parameters())
        self.parameters = [
            (path, p) for path, p in every if p.requires_grad and (p.is_floating_point() or p.is_complex())
        ]
        total = sum(_size(p) for _, p in every)
        self.frozen_share = 1 - sum(_size(p) for _, p in self.parameters) / total if total else 0.0
        # What is compiled runs as it was traced, and what is on meta has no values.
        compiled = any(
            type(part).__name__ == "OptimizedModule" or part._compiled_call_impl is not None for part in self.names
        )
        self.measurable = not compiled and not any(p.is_meta for _, p in self.parameters)

    def held(self) -> set[int]:
        """Return the identities of the parameters that the watched optimisers hold."""
        return {id(p) for optimizer in self.optimizers for group in optimizer.param_groups for p in group["params"]}

    def remember_gradients(self, *, needed: bool) -> None:
        """Keep some entries of what a step leaves of the gradients that `zero_grad` clears, if the next step looks at them."""
        if not needed:
            self.left = {}
            return
        held = self.held()
        some = [(name, p) for name, p in self.parameters if id(p) in held]
        chosen = some[:: max(1, len(some) // 3)]
        self.left = {name: _some_of(p.grad) for name, p in chosen if p.grad is not None}

    def look_for_stale(self, *, only: str = "") -> None:
        """Note whether the gradients, or one of them, are those that the last step left: nobody has cleared them, nor added to them."""
        left = [only] if only else list(self.left)
        if not self.left or not all(name in self.left for name in left):
            return
        now = {name: _some_of(p.grad) for name, p in self.parameters if name in left and p.grad is not None}
        # At the first backward pass they are just those; at further ones of the same step something may have been added.
        alike = self.stale or all(
            some.shape == self.left[name].shape and torch.equal(some, self.left[name]) for name, some in now.items()
        )
        self.stale.append(bool(alike) and any(bool(some.any()) for some in now.values()))

    @property
    def only_counts(self) -> bool:
        """Whether nothing but the number of a step that is not probed matters: its modes do not, nor which optimiser takes it."""
        return not self.history.loop.mode_matters and len(self.optimizers) == 1

    def rests(self) -> bool:
        """Whether nothing is measured now, nor at the next step."""
        return self.probe is None and not self.handles and self.history.loop.step > DENSE[-1]

    def last_left(self) -> tuple[str, Tensor] | None:
        """Return the last parameter whose gradient is remembered, which a backward pass reaches first."""
        return next(((name, p) for name, p in reversed(self.parameters) if name in self.left), None)

    def is_due(self) -> bool:
        """Whether the next step is probed."""
        coming = self.history.loop.step + 1
        if coming <= DENSE[-1]:
            return coming in DENSE
        last, idle = self.history.latest[-1].step if self.history.latest else 0, time.perf_counter() - self.since
        if coming >= GROWTH * last:  # however fast the loop is
            return True
        return (coming - last >= EVERY or idle >= SECONDS) and idle >= self.each / SHARE

    def new_probe(self, owner: Owner) -> Probe:
        """Begin a probe of the pass that comes."""
        coming = self.history.loop.step + 1
        deep = coming in DEEP or coming > DENSE[-1]
        self.probe = Probe(
            owner,
            self.module,
            self.names,
            self.memory,
            diverse=not self.history.alone,
            deep=deep,
            structure=coming in STRUCTURE,
        )
        return self.probe

    def skips(self) -> bool:
        """Whether a pass is to be let go by, since a later one of the step alone gets a gradient."""
        self.passed += 1
        return self.passed <= self.skip

    def choose_pass(self) -> None:
        """Choose which pass of a step to probe: the first one that got a gradient. Of a generator the first serves its rival."""
        assert self.probe is not None
        graded = [output.number for output in self.probe.outputs if output.gradients]
        if not graded:
            self.skip = 0
        elif graded[0] > 1:
            self.skip += graded[0] - 1

    def before_step(self, *, closure: bool) -> None:
        """Measure at a probed step what the step will change; with a closure the gradients come within it."""
        self.before = sample(self.parameters)
        if not closure:
            self.measure_gradients()

    def measure_gradients(self) -> None:
        """Measure the gradients that are there."""
        self.graded = gradient_norms(self.parameters)
        self.agreement = agreements(self.parameters)

    def after_step(self, *, closure: bool) -> None:
        """Measure what a probed step left, and keep the way that it went, to be compared with the gradient at its end."""
        self.after, self.path = sample(self.parameters), None
        if closure:
            self.measure_gradients()
            return
        gradient = gradient_sample(self.parameters)
        if self.before is None or self.after is None or gradient is None or len(self.after) != len(self.before):
            return
        self.path = (self.after - self.before, gradient)

    def look_back(self) -> None:
        """Compare the gradient at the end of the last probe's step with the one at its start."""
        if self.path is None:
            return
        way, start = self.path
        self.path = None
        end = gradient_sample(self.parameters)
        if end is None or len(end) != len(start):
            return
        slope, size = float(start @ way), float(start.norm() * end.norm())
        if slope < 0 and size > 0:
            self.bend = (float(start @ end) / size, float(end @ way) / slope)

    def record(self, optimizer: Optimizer) -> ProbeRecord:
        """Put together what the probe of this step has measured."""
        probe = self.probe
        assert probe is not None
        step = self.history.loop.step
        logits, found = outputs.read(probe.outputs, diverse=probe.diverse, deep=probe.deep)
        parameters = parameter_records(
            self.parameters, self.held(), self.graded, self.agreement, self.before, self.after
        )
        repeats, remade = self.compare_given()
        if probe.drops_by_function and step < FORGET_DROPOUT:
            self.evaluations.wait()
        bend, self.bend = self.bend, None
        lr = optimizer.param_groups[0].get("lr")
        return ProbeRecord(
            step=step,
            bad=_first_bad(probe, self.graded, parameters),
            lr=None if lr is None else float(lr),
            inputs=probe.inputs,
            logits=logits,
            layers=probe.layer_records(),
            activations=tuple(probe.activations),
            parameters=parameters,
            outputs=found,
            weight_decay=max(float(group.get("weight_decay") or 0) for group in optimizer.param_groups),
            latent=probe.drawn.record,
            seen=tuple(probe.seen),
            dropout=probe.dropout,
            normalised_rows=probe.normalised_rows,
            given_rows=len(probe.given) if probe.given is not None and probe.given.dim() else 0,
            normalised=probe.normalised,
            batch_softmax=probe.batch_softmax,
            batch_sequence=probe.batch_sequence,
            batch_mixed=probe.batch_mixed,
            repeats=repeats,
            remade=remade,
            given_moments=probe.moments,
            idle=tuple(self.idle()[:LAYERS]),
            unregistered=tuple(probe.unregistered[:LAYERS]),
            linear=probe.outputs[0].linear if probe.outputs else None,
            drawn=untouched_embeddings(self.module) if step <= DENSE[2] else (),
            frozen=untouched(self.module) if step <= DENSE[2] else (),
            frozen_share=self.frozen_share,
            alignment=None if bend is None else bend[0],
            overshoot=None if bend is None else bend[1],
        )

    def idle(self) -> list[str]:
        """Return the parameters whose rate is `IDLE` of the largest of the same optimiser, or less."""
        slow: set[int] = set()
        for optimizer in self.optimizers:
            rates = [float(group.get("lr") or 0) for group in optimizer.param_groups]
            for rate, group in zip(rates, optimizer.param_groups, strict=True):
                if rate <= IDLE * max(rates) and max(rates) > 0:
                    slow |= {id(p) for p in group["params"]}
        return [name for name, p in self.parameters if id(p) in slow]

    def compare_given(self) -> tuple[float | None, bool]:
        """Return how far the batch is from that of the probe before (`values.likeness`), and whether it is another tensor."""
        assert self.probe is not None
        given, tensor = self.probe.given, self.probe.original() if self.probe.original else None
        if given is None or given.dim() < 2:
            return None, False
        some = rows_of(given, SOME_ROWS, SOME_COLUMNS).clone()
        like = None if self.given is None else likeness(self.given, some)
        remade = tensor is None or self.original is None or self.original() is not tensor
        self.given, self.original = some, self.probe.original
        return like, remade

    def entry(self, record: ProbeRecord) -> Entry:
        """Return a line of the journal."""
        told, self.told = self.told, {}
        history = self.history
        return Entry(history.network, history.alone, _copy(history.loop), record, told)

    def replay(self, entry: Entry) -> None:
        """Go on from what an earlier part of the same loop has recorded."""
        history = self.history
        for name, values in entry.told.items():
            for step, value in values:
                history.tell(name, step, value)
        history.loop = _copy(entry.loop)
        history.add(entry.record)
        self.judge.judge(history)
        self.due = self.is_due()

    def state(self) -> dict[str, Any]:
        """Return what no entry holds, as tensors and plain values: what was counted and told since, and what the next probe compares."""
        return {
            "loop": dict(vars(self.history.loop)),
            "told": {name: list(values) for name, values in self.told.items()},
            "due": self.due,
            "path": self.path,
            "bend": self.bend,
            "left": self.left,
            "given": self.given,
            "skip": self.skip,
            "evaluated": self.evaluations.state(),
            "memory": self.memory.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, after the replay of the entries before it."""
        history = self.history
        history.loop = LoopRecord(**state["loop"])
        self.told = {name: list(values) for name, values in state["told"].items()}
        for name, values in self.told.items():
            for step, value in values:
                history.tell(name, step, value)
        self.due, self.bend = state["due"], state["bend"]
        if state["path"] is not None:
            way, gradient = (part.to(self.parameters[0][1].device) for part in state["path"])
            self.path = way, gradient
        device = self.parameters[0][1].device if self.parameters else None
        self.left = {name: some.to(device) for name, some in state["left"].items()}
        self.given = None if state["given"] is None else state["given"].to(device)
        self.skip = state["skip"]
        self.evaluations.restore(state["evaluated"])
        self.memory.restore(state["memory"])


def _some_of(grad: Tensor) -> Tensor:
    values = grad.detach().coalesce().values() if grad.is_sparse else grad.detach()
    return values.reshape(-1)[:: max(1, values.numel() // 16)][:16].clone()


def _copy(loop: Any) -> Any:
    return type(loop)(**vars(loop))


def _size(p: Tensor) -> int:
    return 0 if isinstance(p, nn.parameter.UninitializedParameter) else p.numel()


def _first_bad(probe: Probe, graded: dict[str, float], parameters: Iterable[Any]) -> str:
    """Return what is not finite, the first in the order of the computation, "" if all is."""
    if probe.bad:
        return probe.bad
    if any(outputs.is_broken(output) for output in probe.outputs):
        return "the outputs"
    for name, norm in graded.items():
        if not _finite(norm):
            return f"the gradient of {name}"
    return next((record.name for record in parameters if not _finite(record.weight)), "")


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


def optimizers_of(module: nn.Module, optimizers: Iterable[Optimizer]) -> list[Optimizer]:
    """Return the optimisers that hold a parameter of a module; all of them where none does, which a check will tell."""
    own = {id(p) for p in module.parameters()}
    every = list(optimizers)
    holding = [
        optimizer
        for optimizer in every
        if any(id(p) in own for group in optimizer.param_groups for p in group["params"])
    ]
    return holding or every
