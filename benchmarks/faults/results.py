"""What was found in a run, and the tables of many runs, whoever judged them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from programs import PLAIN, SETS

from seewhy.core.findings import CheckOutcome, Finding
from seewhy.metrics import wilson_interval

HURTS = 0.03
"""Of the metric, of which 1 is perfect and 0 needs no learning: what a fault takes at least."""

BEHIND = 0.15
"""What a healthy program may fall behind the plain one."""


@dataclass
class Result:
    """What was found in one run.

    Attributes:
        name, set, kind, causes: of the program.
        findings: at the end, the likeliest cause first: code, names (the codes that it counts as), severity, step, network, title.
        told: the same of all that was told, in order of time.
        verdicts: of the checks whose code names the fault: status and reason.
        error: of the watcher, or of the program.
    """

    name: str
    set: str
    seed: int
    kind: str
    causes: list[str]
    metric: float = math.nan
    seconds: float = 0.0
    findings: list[dict[str, Any]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    error: str = ""

    def alarms(self, told: bool = False) -> list[dict[str, Any]]:
        """Return the warnings and critical findings."""
        return [finding for finding in (self.told if told else self.findings) if finding["severity"] != "note"]

    def names(self, finding: dict[str, Any]) -> bool:
        """Whether a finding names the fault."""
        return not set(self.causes).isdisjoint(finding["names"])

    @property
    def named_first(self) -> bool:
        """Whether the first finding names the fault."""
        return bool(self.findings) and self.names(self.findings[0])

    @property
    def named(self) -> bool:
        """Whether any finding names the fault."""
        return any(map(self.names, self.findings))

    def judged(self, findings: Iterable[Finding], told: Iterable[Finding], checks: Iterable[CheckOutcome]) -> None:
        """Take over what the watcher says."""
        self.findings, self.told = [short(finding) for finding in findings], [short(finding) for finding in told]
        self.verdicts = {
            check.code: f"{check.status}: {check.reason}"
            for check in checks
            if check.code in self.causes or (not self.causes and check.status == "found")
        }


def short(finding: Finding) -> dict[str, Any]:
    return told_as(finding.code, finding.severity, finding.step, finding.title, network=finding.network)


def told_as(
    code: str, severity: str, step: int, title: str, names: Iterable[str] | None = None, network: str = "model"
) -> dict[str, Any]:
    """Return a finding as the tables need it; `names` are the codes that it counts as, by default its own."""
    names = [code] if names is None else sorted(names)
    return {"code": code, "names": names, "severity": severity, "step": step, "network": network, "title": title}


def share(title: str, hits: int, n: int) -> str:
    if not n:
        return f"  {title:<44} none"
    low, high = wilson_interval(hits, n)
    return f"  {title:<44} {hits:>4} of {n:<4} {hits / n:6.1%}  [{low:.1%}, {high:.1%}]"


def show(results: list[Result], title: str) -> None:
    """Print the rates."""
    faulty, healthy = [r for r in results if r.causes], [r for r in results if not r.causes]
    steps = [min(f["step"] for f in r.alarms()) for r in faulty if r.alarms()]
    right = [next(f["step"] for f in r.findings if r.names(f)) for r in faulty if r.named]
    print(f"\n{title}: n = {len(faulty)} runs with a fault, {len(healthy)} healthy; 95% Wilson intervals")
    print(share("faults detected (any alarm)", sum(bool(r.alarms()) for r in faulty), len(faulty)))
    print(share("right cause first", sum(r.named_first for r in faulty), len(faulty)))
    print(share("right cause anywhere", sum(r.named for r in faulty), len(faulty)))
    print(share("healthy with an alarm at the end", sum(bool(r.alarms()) for r in healthy), len(healthy)))
    print(
        share("healthy with an alarm told at any time", sum(bool(r.alarms(told=True)) for r in healthy), len(healthy))
    )
    if steps:
        print(f"  median step of detection {statistics.median(steps):g} (n = {len(steps)})", end="")
        print(f", of the right cause {statistics.median(right):g} (n = {len(right)})" if right else "")
    if errors := sum(bool(r.error) for r in results):
        print(share("runs that ended in an error", errors, len(results)))


def grouped(results: list[Result]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.name, []).append(result)
    return groups


def found(results: list[Result], told: bool = False) -> str:
    """Return the codes that were found, with their runs and first steps."""
    codes: dict[str, list[int]] = {}
    for result in results:
        for finding in result.told if told else result.findings:
            code = finding["code"] + (" (note)" if finding["severity"] == "note" else "")
            codes.setdefault(code, []).append(finding["step"])
    return ", ".join(f"{code} x{len(steps)} at {min(steps)}" for code, steps in codes.items()) or "nothing"


def list_programs(results: list[Result]) -> None:
    """Print misses, false alarms, and errors, by name."""
    groups = grouped(results)
    parts: list[tuple[str, Callable[[Result], bool]]] = [
        ("not detected", lambda r: bool(r.causes) and not r.alarms()),
        ("detected, the right cause not named", lambda r: bool(r.causes) and bool(r.alarms()) and not r.named),
        ("right cause named, not first", lambda r: r.named and bool(r.alarms()) and not r.named_first),
        ("false alarms", lambda r: not r.causes and bool(r.alarms(told=True))),
        ("errors", lambda r: bool(r.error)),
    ]
    for title, chosen in parts:
        names = {name: some for name, group in groups.items() if (some := [r for r in group if chosen(r)])}
        print(f"\n{title}: {len(names)}")
        for name, some in names.items():
            causes = f"  [{' '.join(some[0].causes)}]" if some[0].causes else ""
            print(f"  {name}, seeds {', '.join(str(r.seed) for r in some)}{causes}")
            print(f"      found: {found(some, told=not some[0].causes)}")
            for r in some[:1]:
                print("".join(f"      {code} {reason}\n" for code, reason in r.verdicts.items()), end="")
            for error in {r.error.strip().splitlines()[-1] for r in some if r.error}:
                print(f"      error: {error}")


def show_kinds(results: list[Result]) -> None:
    """Print how many runs of each kind of fault are detected, and have the right cause first."""
    kinds: dict[str, list[Result]] = {}
    for r in results:
        if r.causes:
            kinds.setdefault(r.kind, []).append(r)
    print(f"\n{len(kinds)} kinds of fault: runs, detected, right cause first")
    for kind, some in sorted(kinds.items()):
        print(
            f"  {kind:<50} {len(some):>4} {sum(bool(r.alarms()) for r in some):>4} {sum(r.named_first for r in some):>4}"
        )


def show_harm(results: list[Result]) -> None:
    """Print the faults that do not hurt, and the healthy programs that do worse than their twins."""
    twins = {(base_of(r), r.seed): r.metric for r in results if r.name.endswith(f" / {PLAIN}")}
    for title, faulty in (("faults that do not hurt", True), (f"healthy programs that fall behind by {BEHIND}", False)):
        print(f"\n{title} (metric, its twin's):")
        for name, group in grouped([r for r in results if bool(r.causes) == faulty and not r.error]).items():
            pairs = [(r.metric, twin) for r in group if (twin := twins.get((base_of(r), r.seed))) is not None]
            told = " ".join(f"{metric:.2f}/{twin:.2f}" for metric, twin in pairs)
            odd = (lambda m, t: m > t - HURTS) if faulty else (lambda m, t: not m > t - BEHIND)
            if any(odd(*pair) for pair in pairs):
                print(f"  {name}: {told}")


def base_of(result: Result) -> str:
    return result.name.split(" / ")[0]


def report(results: list[Result], names: bool) -> None:
    """Print the tables of all runs and of each set; of the unseen ones totals only, unless names are asked for."""
    sets = [set_ for set_ in SETS if any(r.set == set_ for r in results)]
    if len(sets) > 1:
        show(results, "All")
    for set_ in sets:
        show([r for r in results if r.set == set_], set_)
    listed = [r for r in results if names or r.set != "unseen"]
    if listed:
        list_programs(listed)
        show_kinds(listed)
        show_harm(listed)
