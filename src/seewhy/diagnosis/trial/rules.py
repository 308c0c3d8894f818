"""What a check before training is, and what all of them share: the first step, the loss, the fit of a few examples."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from seewhy.diagnosis.checks import CHECKS
from seewhy.diagnosis.checks.base import Check, Verdict, skipped
from seewhy.diagnosis.history import History
from seewhy.diagnosis.nested import tensors_of
from seewhy.diagnosis.records import ProbeRecord
from seewhy.diagnosis.trial.fitting import Fit, fit_batch
from seewhy.diagnosis.trial.losses import Kind, kind_of
from seewhy.diagnosis.trial.program import Program


class Evidence:
    """What the checks look at, measured when it is first asked for."""

    def __init__(self, program: Program) -> None:
        self.program = program

    @cached_property
    def fit(self) -> Fit:
        """The fit of a few examples."""
        return fit_batch(self.program)

    @cached_property
    def kind(self) -> Kind:
        """The loss."""
        return kind_of(self.program)

    @property
    def history(self) -> History | None:
        """Of the first step; None where the network cannot be probed."""
        return self.program.start.history

    @property
    def record(self) -> ProbeRecord | None:
        """The first step's record; None where the network cannot be probed."""
        return None if self.history is None else self.history.latest[-1]

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that the network is called with."""
        seen = self.program.forward
        return list(tensors_of((seen.args, dict(seen.kwargs))))

    @cached_property
    def labels(self) -> Tensor | None:
        """The targets, where they are integers (N) or (N, ...), else None."""
        targets = self.program.targets
        whole = isinstance(targets, Tensor) and not (targets.is_floating_point() or targets.is_complex())
        return (
            targets
            if whole and isinstance(targets, Tensor) and targets.dim() and targets is not self.program.batch
            else None
        )

    @property
    def finite(self) -> bool:
        """Whether the first loss and all that the probe saw is finite."""
        loss = self.program.start.seen.loss
        return loss is not None and math.isfinite(float(loss.detach())) and not (self.record and self.record.bad)

    @property
    def inputs_finite(self) -> bool:
        """Whether the inputs are."""
        return all(bool(torch.isfinite(x).all()) for x in self.inputs if x.is_floating_point())


Rule = Check[Evidence]
"""A check before training: its code is the watcher's where the cause is the same."""


def watched(code: str, judge: Callable[[Evidence], Verdict] | None = None, *, computable: bool = True) -> Rule:
    """Return the watcher's check of a code as one of the first step; with another judge where more is known before training."""
    check = next(check for check in CHECKS if check.code == code)

    def of_first_step(evidence: Evidence) -> Verdict:
        if evidence.history is None:
            return skipped("the network cannot be probed: it is compiled, or has no parameters to train")
        return check.judge(evidence.history)

    return Rule(
        code,
        judge or of_first_step,
        check.severity,
        check.depth,
        check.explanation,
        check.source,
        check.remedies,
        computable=computable,
    )
