"""Fitting a handful of examples of the batch, on copies: whether the network can memorise them at all.

Dropout is off and batch norm takes the batch's statistics. Examples with equal inputs are taken once, so that unequal labels of equal inputs
set no floor; label smoothing's floor is known from the gradient at the outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from seewhy.core.seeding import rng
from seewhy.diagnosis.records import LogitsRecord
from seewhy.diagnosis.trial.losses import kind_of, kind_of_pass
from seewhy.diagnosis.trial.program import Factory, Program, Trial, backpropagate
from seewhy.diagnosis.trial.structures import fingerprints

STILL = 0.02
"""Of the loss, that it falls by where it has not come to rest."""

EXAMPLES, FEWEST = 16, 4
"""Examples that are fitted; fewer where a step is slow."""

STEPS, ENOUGH = 200, 50
"""Steps at most, and those that a rate must have had before it has failed."""

LOOK = 5
"""Steps between looks at how far it is."""

SHARE = 0.5
"""Of the time, for all rates together."""

RATES = (1e-3, 1e-2, 1e-4)
FACTORS = (1.0, 0.1, 10.0)
"""Of Adam; what the rate of a given optimiser is multiplied by."""

FITTED, UNMOVED, UNMOVED_UNKNOWN = 0.2, 0.9, 0.98
"""What is left of the loss of guessing: from where a batch counts as fitted, and as not; of an unknown loss its first value is the level."""


@dataclass(frozen=True)
class Attempt:
    """One rate's.

    Attributes:
        rate: in words.
        trial: the copy after its last step.
        batch: what was fitted.
        losses: before each step.
        share: what is left of the loss of guessing.
    """

    rate: str
    trial: Trial
    batch: Any
    losses: tuple[float, ...]
    share: float

    @property
    def falling(self) -> bool:
        """Whether the loss still falls towards the end: by `STILL` in the last third."""
        third = len(self.losses) // 3
        before, last = sum(self.losses[third : 2 * third]), sum(self.losses[len(self.losses) - third :])
        return third > 0 and last < before - STILL * abs(before)


@dataclass(frozen=True)
class Fit:
    """All rates that were tried.

    Attributes:
        attempts: in order; the first that fitted is the last.
        examples: that were fitted.
        guessing: the loss of the best constant outputs, or the first loss where that is not known.
        known: whether it is.
        reason: why there was no attempt, "" where there was one.
    """

    attempts: tuple[Attempt, ...] = ()
    examples: int = 0
    guessing: float = math.nan
    known: bool = False
    reason: str = ""

    @property
    def best(self) -> Attempt | None:
        """The attempt that came nearest."""
        return min(self.attempts, key=lambda attempt: attempt.share, default=None)

    @property
    def failed(self) -> bool | None:
        """Whether no rate moved the loss, though each had steps enough; None where that cannot be said."""
        best = self.best
        if best is None:
            return None
        if best.share < (UNMOVED if self.known else UNMOVED_UNKNOWN):
            return False
        enough = [
            attempt
            for attempt in self.attempts
            if len(attempt.losses) >= ENOUGH or not math.isfinite(attempt.losses[-1])
        ]
        return True if len(enough) >= 2 and not any(attempt.falling for attempt in self.attempts) else None


def fit_batch(program: Program) -> Fit:
    """Fit a few examples of the batch."""
    if not program.trial().parameters():
        return Fit(reason="no parameter requires a gradient")
    index = chosen(program)
    if isinstance(index, str):
        return Fit(reason=index)
    rows = program.rows
    assert rows is not None
    batch = rows.taken(program.batch, index)
    try:
        level = _guessing(program, batch)
    except Exception as error:  # noqa: BLE001  of a batch that the user did not give
        return Fit(reason=f"the program fails with {len(index)} examples: {error}")
    if level is not None and level < 1e-6:
        return Fit(reason="the targets of the examples do not differ")
    available = program.clock.left * SHARE
    attempts: list[Attempt] = []
    for part, (rate, factory) in zip((0.4, 0.4, 0.2), _factories(program), strict=True):
        attempts.append(attempt(program, batch, rate, factory, level, seconds=part * available))
        if attempts[-1].share < FITTED:
            break
    return Fit(tuple(attempts), len(index), level if level is not None else attempts[0].losses[0], level is not None)


def chosen(program: Program) -> Tensor | str:
    """Return the indices of examples to be fitted, with unequal inputs; why there are none where there are too few."""
    rows = program.rows
    if rows is None or not rows.sure:
        return "where the examples of the batch lie cannot be told"
    inputs = (program.forward.args, dict(program.forward.kwargs))
    order = torch.randperm(rows.count, generator=rng(program.seed, "sanity", "examples")).tolist()
    texts = fingerprints(rows, inputs)
    different = list({texts[i]: i for i in order}.values())
    each = program.start.seconds / rows.count
    affordable = int(program.clock.left * SHARE / (2 * ENOUGH * max(each, 1e-9)))
    count = min(EXAMPLES, len(different), max(affordable, FEWEST))
    if count < FEWEST:
        return f"fewer than {FEWEST} examples with unequal inputs"
    return torch.tensor(different[:count])


def attempt(
    program: Program,
    batch: Any,
    rate: str,
    factory: Factory,
    level: float | None,
    *,
    seconds: float,
    steps: int = STEPS,
    stop: bool = True,
) -> Attempt:
    """Train a copy on a batch, until it is fitted, `steps` are done or the time is over."""
    trial = program.trial()
    trial.fitting_mode()
    trained = trial.parameters()
    optimizer = factory(trained)
    losses: list[float] = []
    end, share = program.clock.left - seconds, math.inf
    record: LogitsRecord | None = None

    def closure() -> Tensor:
        nonlocal record
        seen = trial.run(batch, program.seed + len(losses))
        record = backpropagate(seen, trained)
        assert seen.loss is not None
        return seen.loss.detach()

    for step in range(steps):
        value = float(optimizer.step(closure))  # type: ignore[arg-type]
        losses.append(value)
        if not math.isfinite(value):
            share = math.inf
            break
        if step % LOOK == 0 or step == steps - 1:
            share = _left(record, value, losses[0], level)
            if (stop and share < FITTED / 2) or program.clock.left <= max(end, 0.0):
                break
    return Attempt(rate, trial, batch, tuple(losses), share)


def _left(record: LogitsRecord | None, value: float, first: float, level: float | None) -> float:
    """Return what is left of the loss of guessing, above the least that is possible."""
    if record is not None and level is not None:
        e, classes = record.smoothing, record.classes
        on, off = 1 - e + e / classes, e / classes
        floor = -on * math.log(on) - (classes - 1) * off * (math.log(off) if off else 0.0)
        return (
            0.0
            if record.accuracy == 1 and record.loss < 0.7 * level
            else (record.loss - floor) / max(level - floor, 1e-9)
        )
    if level is not None:
        return value / level
    return (value - (first - abs(first))) / max(abs(first), 1e-12)


def _guessing(program: Program, batch: Any) -> float | None:
    """Return the loss of the best constant outputs for these examples; None where the loss is not known."""
    if kind_of(program).guessing is None:
        return None
    trial = program.trial()
    trial.fitting_mode()
    seen = trial.run(batch)
    record = backpropagate(seen, trial.parameters())
    if record is not None:
        return record.entropy
    targets = None if program.whole else batch if isinstance(batch, Tensor) else batch[1]
    return kind_of_pass(seen, targets, program.start).guessing


def _factories(program: Program) -> Iterable[tuple[str, Factory]]:
    """Yield how the batch is fitted, each with a name for its rate."""
    own = program.optimizer
    if own is None:
        yield from ((f"Adam at {rate:g}", partial(_adam, rate)) for rate in RATES)
        return
    for factor in FACTORS:
        yield (
            ("the given optimiser" + (f" at {factor:g} times its rate" if factor != 1 else "")),
            partial(_scaled, own, factor),
        )


def _adam(rate: float, parameters: Iterable[nn.Parameter]) -> Optimizer:
    return Adam(parameters, rate)


def _scaled(factory: Factory, factor: float, parameters: Iterable[nn.Parameter]) -> Optimizer:
    optimizer = factory(parameters)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * factor
    return optimizer
