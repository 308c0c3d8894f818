"""What `seewhy.watch` finds in training programs that somebody else wrote: with planted faults, and healthy.

    python benchmarks/faults/run.py [--seeds 0 1] [--only NAME ...] [--half dev|held-out] [--out results.json]

A program is an architecture with data, an optimiser and a style of loop (`bases`); a fault (`faults`) or a healthy oddity (`healthy`) changes
it. Each runs for some hundred steps under `seewhy.watch`, and what was found is compared with the fault's causes. A fault hurts if the final
metric is at least `HURTS` below that of the same program and seed without it.

Alarms are warnings and critical findings; notes are none. "Told" counts also those that had passed away at the end. Thresholds of checks may
be tuned on the architectures of the dev half only.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from bases import BASES, HALVES
from changes import Change
from faults import FAULTS
from healthy import VARIANTS

import seewhy
from seewhy.core.findings import Finding
from seewhy.metrics import wilson_interval

HURTS = 0.03
"""Of the metric, of which 1 is perfect and 0 needs no learning."""


@dataclass
class Program:
    """A named program.

    Attributes:
        name: base and change.
        causes: the codes that name its fault; empty for a healthy program.
    """

    name: str
    base: str
    change: Change
    causes: frozenset[str] = frozenset()


@dataclass
class Result:
    """What was found in one run.

    Attributes:
        findings: at the end, the likeliest cause first: code, severity, step, title.
        told: the same of all that was told, in order of time.
        verdicts: of the checks whose code names the fault: status and reason.
        error: of the watcher, or of the program.
    """

    name: str
    half: str
    seed: int
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

    @property
    def named_first(self) -> bool:
        """Whether the first finding names the fault."""
        return bool(self.findings) and self.findings[0]["code"] in self.causes

    @property
    def named(self) -> bool:
        """Whether any finding names the fault."""
        return any(finding["code"] in self.causes for finding in self.findings)


def programs() -> Iterator[Program]:
    """Yield every program, the plain ones first."""
    for name, (bases, change) in VARIANTS.items():
        for base in bases.split():
            yield Program(f"{base} / {name}", base, change)
    for fault in FAULTS:
        for base in fault.bases:
            yield Program(f"{base} / {fault.name}", base, fault.change, fault.causes)


def short(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "step": finding.step,
        "network": finding.network,
        "title": finding.title,
    }


def run(program: Program, seed: int) -> Result:
    """Run a program from its seed."""
    torch.manual_seed(seed)
    result = Result(program.name, HALVES[program.base], seed, sorted(program.causes))
    told: list[Finding] = []
    start = time.perf_counter()
    try:
        setup = BASES[program.base](seed)
        program.change(setup)
        why = setup.loop(setup, lambda *networks, **more: seewhy.watch(*networks, tell=told.append, **more))
        result.metric = setup.metric(setup)
    except Exception as error:  # noqa: BLE001  one broken program must not end the benchmark
        result.error = f"{type(error).__name__}: {error}"
        return result
    result.seconds = time.perf_counter() - start
    result.findings, result.told = [short(finding) for finding in why.findings], [short(finding) for finding in told]
    result.verdicts = {
        check.code: f"{check.status}: {check.reason}"
        for check in why.checks
        if check.code in program.causes or (not program.causes and check.status == "found")
    }
    result.error = why.error
    return result


def share(title: str, hits: int, n: int) -> str:
    if not n:
        return f"  {title:<44} none"
    low, high = wilson_interval(hits, n)
    return f"  {title:<44} {hits:>4} of {n:<4} {hits / n:6.1%}  [{low:.1%}, {high:.1%}]"


def show(results: list[Result], title: str) -> None:
    """Print the rates."""
    faulty, healthy = [r for r in results if r.causes], [r for r in results if not r.causes]
    steps = [min(f["step"] for f in r.alarms()) for r in faulty if r.alarms()]
    right = [next(f["step"] for f in r.findings if f["code"] in r.causes) for r in faulty if r.named]
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
    """Print misses, false alarms, faults that do not hurt, and errors, by name."""
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


def show_harm(results: list[Result]) -> None:
    """Print the faults that do not hurt, and the healthy programs that do worse than their twins."""
    plain = {(r.name.split(" / ")[0], r.seed): r.metric for r in results if r.name.endswith(" / plain")}
    for title, faulty in (("faults that do not hurt", True), ("healthy programs that fall behind by 0.15", False)):
        print(f"\n{title} (metric, its twin's):")
        for name, group in grouped([r for r in results if bool(r.causes) == faulty and not r.error]).items():
            pairs = [(r.metric, twin) for r in group if (twin := plain.get((name.split(" / ")[0], r.seed))) is not None]
            told = " ".join(f"{metric:.2f}/{twin:.2f}" for metric, twin in pairs)
            odd = (lambda m, t: m > t - HURTS) if faulty else (lambda m, t: not m > t - 0.15)
            if any(odd(*pair) for pair in pairs):
                print(f"  {name}: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[], help="parts of names; the plain programs run with them")
    parser.add_argument("--half", choices=["dev", "held-out"])
    parser.add_argument("--out", type=Path, default=Path("faults.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = [program for program in programs() if options.half in (None, HALVES[program.base])]
    if options.only:
        named = [p for p in chosen if any(part in p.name for part in options.only)]
        bases = {p.base for p in named}
        chosen = [p for p in chosen if p in named or (p.name.endswith(" / plain") and p.base in bases)]
    results = []
    for program in chosen:
        for seed in options.seeds:
            results.append(run(program, seed))
            r = results[-1]
            print(f"{r.name:<55} {seed} {r.metric:6.2f} {r.seconds:5.1f} s  {r.error[-80:] or found([r])}", flush=True)
    options.out.write_text(json.dumps([asdict(r) for r in results], indent=1), encoding="utf-8")
    show(results, "All")
    for half in ("dev", "held-out"):
        if options.half is None:
            show([r for r in results if r.half == half], half)
    list_programs(results)
    show_harm(results)


if __name__ == "__main__":
    main()
