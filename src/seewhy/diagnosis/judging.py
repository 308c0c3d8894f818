"""The rules applied to what was recorded, without a network: to judge stored records anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from seewhy.core.findings import CheckOutcome, Finding
from seewhy.diagnosis.checks import CHECKS, Judge, outcomes, ranked
from seewhy.diagnosis.history import Entry, History, LoopRecord, Told


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


def rejudge(entries: Iterable[Entry], ends: Mapping[str, tuple[LoopRecord, Told]] | None = None) -> Judged:
    """Apply the checks to entries in the order in which they came.

    Args:
        entries: of one loop, one network or several.
        ends: by network, where it is known: what was counted when watching ended, and what the user told after the last entry; for what
            is counted at every step is judged once more then.
    """
    histories: dict[str, History] = {}
    judges: dict[str, Judge] = {}
    told: list[Finding] = []
    for entry in entries:
        history = histories.setdefault(entry.network, History(entry.network, alone=entry.alone))
        history.rivals = [other for name, other in histories.items() if name != entry.network]
        judge = judges.setdefault(entry.network, Judge(CHECKS))
        _hear(history, entry.told)
        history.loop = replace(entry.loop)
        history.add(entry.record)
        told += judge.judge(history)
    for network, (loop, late) in (ends or {}).items():
        history = histories.setdefault(network, History(network, alone=len(ends or {}) == 1))
        judge = judges.setdefault(network, Judge(CHECKS))
        history.rivals = [other for name, other in histories.items() if name != network]
        _hear(history, late)
        history.loop = replace(loop)
        told += judge.judge(history, counted=True)
    every = list(judges.values())
    return Judged(
        findings=tuple(ranked(every)),
        past=tuple(finding for judge in every for finding in judge.past),
        told=tuple(told),
        checks=tuple(outcomes(every)) if every else (),
    )


def _hear(history: History, told: Told) -> None:
    for name, values in told.items():
        for step, value in values:
            history.tell(name, step, value)
