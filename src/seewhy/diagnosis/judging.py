"""The rules applied to what was recorded, without a network: to judge stored records anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from seewhy.core.findings import CheckOutcome, Finding
from seewhy.diagnosis.checks import CHECKS, Judge, outcomes, ranked
from seewhy.diagnosis.records import Entry, History


@dataclass(frozen=True)
class Judged:
    """What the rules say of records.

    Attributes:
        findings: those that last, the likeliest cause first.
        past: those that have passed away.
        told: those that were new when they were found, in order of time.
        checks: how each check ended.
    """

    findings: tuple[Finding, ...]
    past: tuple[Finding, ...]
    told: tuple[Finding, ...]
    checks: tuple[CheckOutcome, ...]


def rejudge(entries: Iterable[Entry]) -> Judged:
    """Apply the checks to entries in the order in which they came.

    Args:
        entries: of one loop, one network or several.
    """
    histories: dict[str, History] = {}
    judges: dict[str, Judge] = {}
    told: list[Finding] = []
    for entry in entries:
        history = histories.setdefault(entry.network, History(entry.network, alone=entry.alone))
        history.rivals = [other for name, other in histories.items() if name != entry.network]
        judge = judges.setdefault(entry.network, Judge(CHECKS))
        for name, values in entry.told.items():
            for step, value in values:
                history.tell(name, step, value)
        history.loop = replace(entry.loop)
        history.add(entry.record)
        told += judge.judge(history)
    every = list(judges.values())
    return Judged(
        findings=tuple(ranked(every)),
        past=tuple(finding for judge in every for finding in judge.past),
        told=tuple(told),
        checks=tuple(outcomes(every)) if every else (),
    )
