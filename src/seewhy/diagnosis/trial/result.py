"""Sanity before training: what can be known of a program from one batch, in a few seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from seewhy.core.errors import InputError
from seewhy.core.findings import SEVERITIES, CheckOutcome, Finding
from seewhy.diagnosis.checks.base import CAUSE, Verdict, skipped
from seewhy.diagnosis.trial import independence, initialisation, inputs, learning, targets
from seewhy.diagnosis.trial.program import Clock, Program, undisturbed
from seewhy.diagnosis.trial.rules import Evidence, Rule

RULES: tuple[Rule, ...] = (
    *inputs.RULES[:1],
    *targets.RULES,
    *initialisation.RULES[:1],
    *inputs.RULES[1:],
    *independence.RULES,
    *initialisation.RULES[1:],
    *learning.RULES,
)
"""In the order in which they are looked at, the quick ones first."""


@dataclass(frozen=True)
class Sanity:
    """What was found before training.

    Attributes:
        findings: the likeliest cause first, without what follows from it.
        checks: how each check has ended, each once.
    """

    findings: tuple[Finding, ...]
    checks: tuple[CheckOutcome, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found but notes."""
        return all(finding.severity == "note" for finding in self.findings)

    def __str__(self) -> str:
        count = {
            status: sum(check.status == status for check in self.checks)
            for status in ("passed", "not applicable", "skipped")
        }
        rest = "".join(f", {count[status]} {status}" for status in ("not applicable", "skipped") if count[status])
        tally = f"{count['passed']} of {len(self.checks)} checks passed{rest}"
        if not self.findings:
            return f"nothing wrong was found before training; {tally}"
        lines = []
        for finding in self.findings:
            where = (
                f" ({', '.join(finding.layers[:3])}{', ...' if len(finding.layers) > 3 else ''})"
                if finding.layers
                else ""
            )
            lines += [f"{finding.severity}: {finding.title}{where}", f"    {finding.explanation}"]
            lines += [
                f"    - {remedy.text}" + (f": {remedy.code}" if remedy.code else "") for remedy in finding.remedies
            ]
        return "\n".join([*lines, tally])


def sanity(
    model: nn.Module,
    batch: Any,
    loss: Callable[..., Tensor] | None = None,
    *,
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None,
    seconds: float = 5.0,
    seed: int = 0,
) -> Sanity:
    """Try a program on one batch before it is trained.

    All is done on deep copies: the model, its modes, gradients and buffers, the batch, and the states of all sources of random numbers are the
    same afterwards, to the bit.

    Args:
        model: any module.
        batch: (inputs, targets), or a tensor that is its own target. Inputs in a tuple are several arguments, in a mapping arguments by name.
        loss: `loss(outputs, targets)`; or `loss(model, batch)`, with a batch of any kind, where its first parameter is named `model`, `net`,
            `network` or `module`, or annotated as a module. None is the cross-entropy for integer class labels, and the mean squared error
            for a tensor that is its own target.
        optimizer: makes an optimiser from parameters, such as `lambda p: torch.optim.SGD(p, 0.1)`, to fit the batch with; None for Adam.
        seconds: that it may take; what does not fit is skipped, and says so. A pass that has begun is not broken off.
        seed: of its random numbers.

    Returns:
        a `Sanity`; `print(result)` shows what was found.

    Raises:
        InputError: an argument is not of its kind, or the model cannot be copied.
        Exception: what the user's own forward pass or loss raises, as it is, with a note of where it came from.

    Source: Karpathy 2019, A Recipe for Training Neural Networks; each check names its own.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"sanity: model: must be a module, got {type(model).__name__}")
    if isinstance(optimizer, Optimizer):
        raise InputError(
            "sanity: optimizer: must be a function that makes an optimiser from parameters, got an optimiser; "
            "write optimizer=lambda parameters: ..."
        )
    for name, value in (("loss", loss), ("optimizer", optimizer)):
        if value is not None and not callable(value):
            raise InputError(f"sanity: {name}: must be callable, got {type(value).__name__}")
    if not seconds > 0:
        raise InputError(f"sanity: seconds: must be above 0, got {seconds!r}")
    with undisturbed(model, loss if isinstance(loss, nn.Module) else None):
        evidence = Evidence(Program(model, batch, loss, optimizer, Clock(seconds), seed))
        verdicts = {rule.code: (rule, Verdict("skipped")) for rule in RULES}
        for rule in RULES:
            verdicts[rule.code] = (rule, _judge(rule, evidence, {code: v for code, (_, v) in verdicts.items()}))
    found = [rule.finding(verdict) for rule, verdict in verdicts.values() if verdict.status == "found"]
    known = any(finding.depth <= CAUSE and finding.severity != "note" for finding in found)
    causes = [finding for finding in found if finding.depth <= CAUSE or not known]
    causes.sort(key=lambda finding: (finding.depth, -SEVERITIES.index(finding.severity)))
    checks = (CheckOutcome(code, v.status, v.title or v.reason) for code, (_, v) in verdicts.items())
    return Sanity(tuple(causes), tuple(checks))


def _judge(rule: Rule, evidence: Evidence, so_far: dict[str, Verdict]) -> Verdict:
    """Return how a check ends; those that need what is not there are skipped."""
    if rule.code != "inputs_not_finite" and so_far["inputs_not_finite"].status == "found":
        return skipped("the inputs are not finite")
    if rule.code != "targets_do_not_fit" and "error" in so_far["targets_do_not_fit"].evidence:
        if rule.computable or rule.code == "not_finite":
            return skipped("the loss cannot be computed of these targets")
    elif rule.computable and not evidence.finite:
        return skipped("the first loss, or what it is made of, is not finite")
    if evidence.program.clock.left <= rule.seconds and rule.code not in ("inputs_not_finite", "targets_do_not_fit"):
        return skipped("no time was left; give more seconds")
    return rule.judge(evidence)
