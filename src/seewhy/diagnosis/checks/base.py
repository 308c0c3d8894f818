"""What a check is, and how verdicts become findings.

A check looks at a network's records and says after each probe how it stands. It is found when it was seen in `confirm` probes one after the
other, so that a single odd batch says nothing; and what was found has passed away when it passed in `GONE` probes one after the other, or in
two where these are far between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from seewhy.core.findings import CheckOutcome, Finding, Remedy, Severity, Status
from seewhy.diagnosis.history import History, peak_rate

GONE = 3
"""Probes in which what was found must have passed since it was last seen."""

LONG_AGO = 1.5
"""How many times the steps at which it was last seen there must be for one probe less to do."""

CAUSE = 1
"""Depth up to which all findings are said: one of them explains those that are deeper. One cause is said, not its six consequences."""


@dataclass(frozen=True)
class Verdict:
    """How a check stands after a probe.

    Attributes:
        status: "found" for seen now; "passed", "not applicable" or "skipped".
        reason: of the latter three.
        title: of the finding, with its numbers.
        layers, evidence: of the finding.
        severity: another one than the check's usual; None for that.
        certain: whether it needs no confirmation.
    """

    status: Status
    reason: str = ""
    title: str = ""
    layers: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity | None = None
    certain: bool = False


def seen(
    title: str, layers: Sequence[str] = (), severity: Severity | None = None, *, certain: bool = False, **evidence: Any
) -> Verdict:
    """Return a verdict of what is seen now."""
    return Verdict("found", "", title, tuple(layers), evidence, severity, certain)


def passed(reason: str = "") -> Verdict:
    """Return a verdict of what is as it should be."""
    return Verdict("passed", reason)


def inapplicable(reason: str) -> Verdict:
    """Return a verdict of what cannot be there, such as dead units without activations."""
    return Verdict("not applicable", reason)


def skipped(reason: str) -> Verdict:
    """Return a verdict of what cannot be told yet."""
    return Verdict("skipped", reason)


Evidence = TypeVar("Evidence")


@dataclass(frozen=True)
class Check(Generic[Evidence]):
    """One rule, of a watched loop by its `History`, or of a program that is tried before training.

    Attributes:
        code: of its findings.
        judge: from the records to a verdict.
        severity: of its findings.
        depth: 0 for a loop that is wrong, 1 for data and configuration, 2 for signals, 3 for how learning goes; causes stand before symptoms.
        explanation: three sentences for a student.
        source: of the rule and its threshold.
        remedies: the best first.
        confirm: probes one after the other in which it must be seen.
        counted: whether it looks only at what is counted at every step, so that it need not wait for a probe.
        confidence: how often such evidence is right, from 0 to 1.
        seconds: that must be left for it to begin, before training.
        computable: whether it needs a first loss that can be computed, and is finite, before training.
    """

    code: str
    judge: Callable[[Evidence], Verdict]
    severity: Severity
    depth: int
    explanation: str
    source: str
    remedies: tuple[Remedy, ...]
    confirm: int = 2
    counted: bool = False
    confidence: float = 1.0
    seconds: float = 0.0
    computable: bool = True

    def finding(self, verdict: Verdict, *, step: int = 0, network: str = "model", lr: float | None = None) -> Finding:
        """Return what a verdict has found; before the first step by default."""
        return Finding(
            code=self.code,
            title=verdict.title,
            severity=verdict.severity or self.severity,
            step=step,
            network=network,
            layers=verdict.layers,
            evidence=verdict.evidence,
            explanation=self.explanation,
            source=self.source,
            depth=self.depth,
            remedies=tuple(filled(remedy, lr) for remedy in self.remedies),
            confidence=self.confidence,
        )


def filled(remedy: Remedy, lr: float | None) -> Remedy:
    """Return a remedy with the learning rate that its edit speaks of; without an edit where that is not known."""
    if remedy.edit is None or "{" not in remedy.edit:
        return remedy
    if not lr:
        return replace(remedy, edit=None)
    return replace(remedy, edit=remedy.edit.format(lr_tenth=f"{lr / 10:.3g}", lr_hundredfold=f"{100 * lr:.3g}"))


class Judge:
    """How the checks of one network stand.

    Attributes:
        findings: those that last.
        past: those that have passed away.
    """

    def __init__(self, checks: Sequence[Check[History]]) -> None:
        self.checks = tuple(checks)
        self.counted = tuple(check for check in checks if check.counted)
        self.findings: list[Finding] = []
        self.past: list[Finding] = []
        self.verdicts: dict[str, Verdict] = {}
        self._streak: dict[str, int] = {}
        self._absent: dict[str, int] = {}
        self._seen_at: dict[str, int] = {}

    def judge(self, history: History, *, counted: bool = False) -> list[Finding]:
        """Let every check look at the records, or those of what is `counted`; return what is found now and was not before.

        What is a consequence of a cause that is known is kept, and not returned.
        """
        new = []
        for check in self.counted if counted else self.checks:
            if not check.counted and not history.latest:
                continue
            verdict = check.judge(history)
            self.verdicts[check.code] = verdict
            lasting = next((finding for finding in self.findings if finding.code == check.code), None)
            if verdict.status == "found":
                self._streak[check.code] = self._streak.get(check.code, 0) + 1
                self._absent[check.code], self._seen_at[check.code] = 0, history.loop.step
                if lasting is None and (verdict.certain or self._streak[check.code] >= check.confirm):
                    new.append(
                        check.finding(verdict, step=history.loop.step, network=history.network, lr=peak_rate(history))
                    )
                continue
            self._streak[check.code] = 0
            # What cannot be told any more, since nothing is finite now, has not passed away.
            fit = not (history.latest and history.latest[-1].bad)
            self._absent[check.code] = self._absent.get(check.code, 0) + (verdict.status == "passed" and fit)
            long_ago = history.loop.step >= LONG_AGO * self._seen_at.get(check.code, 0)
            if lasting is not None and self._absent[check.code] >= GONE - long_ago:
                self.findings.remove(lasting)
                self.past.append(replace(lasting, ended=history.loop.step))
        self.findings += new
        return [finding for finding in new if finding in self.causes]

    @property
    def causes(self) -> list[Finding]:
        """The findings that last, without what follows from a cause among them: what is deeper than the least deep one, or than `CAUSE`."""
        depths = [finding.depth for finding in self.findings if finding.severity != "note"]
        deepest = max(CAUSE, min(depths)) if depths else max((finding.depth for finding in self.findings), default=0)
        return [finding for finding in self.findings if finding.depth <= deepest]

    def outcome(self, check: Check[History]) -> CheckOutcome:
        """Return how a check stands: found only once it is confirmed."""
        verdict = self.verdicts.get(check.code)
        if any(finding.code == check.code for finding in self.findings):
            return CheckOutcome(check.code, "found", next(f.title for f in self.findings if f.code == check.code))
        if verdict is None:
            return CheckOutcome(check.code, "skipped", "no step has been probed yet")
        if verdict.status == "found":
            return CheckOutcome(check.code, "skipped", "seen once, and to be confirmed")
        return CheckOutcome(check.code, verdict.status, verdict.reason)


def outcomes(judges: Sequence[Judge]) -> list[CheckOutcome]:
    """Return how each check has ended over several networks: the worst of theirs, each check once."""
    rank = {"found": 0, "passed": 1, "skipped": 2, "not applicable": 3}
    return [
        min((judge.outcome(check) for judge in judges), key=lambda outcome: rank[outcome.status])
        for check in judges[0].checks
    ]


def ranked(judges: Sequence[Judge]) -> list[Finding]:
    """Return what lasts over several networks, the likeliest cause first, without what follows from it."""
    found = [finding for judge in judges for finding in judge.causes]
    place = {check.code: place for judge in judges for place, check in enumerate(judge.checks)}
    return sorted(found, key=lambda finding: (finding.severity == "note", finding.depth, place[finding.code]))
