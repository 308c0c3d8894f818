"""Apply the rules of the day to the records that `run.py --records DIR` kept, without training, and print the same tables.

    python benchmarks/faults/rejudge.py DIR [--rules seewhy|sagemaker|autotrainer|umlaut ...] [--set dev|unseen] [--only NAME ...]

`--rules` are seewhy's checks, or the published rules of others as functions over the same records (`published_rules`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from keeping import Kept, files, read
from programs import SETS
from published_rules import RULES
from results import Result, report, show

from seewhy.diagnosis import rejudge

SEEWHY = "seewhy"


def by_seewhy(kept: Kept) -> Result:
    """Judge a run by seewhy's checks."""
    result = replace(kept.result)
    judged = rejudge(kept.entries, kept.ends)
    result.judged(judged.findings, judged.told, judged.checks)
    return result


def by_others(rules: str, kept: Kept) -> Result:
    """Judge a run by published rules, whose findings last."""
    found = sorted(RULES[rules](kept), key=lambda finding: finding["step"])
    return replace(kept.result, findings=found, told=found, verdicts={})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path)
    parser.add_argument("--rules", nargs="+", choices=[SEEWHY, *RULES], default=[SEEWHY])
    parser.add_argument("--set", choices=SETS)
    parser.add_argument("--only", nargs="+", default=[], help="parts of names")
    parser.add_argument("--names", action="store_true", help="list the programs of the unseen set too")
    options = parser.parse_args()
    judges: dict[str, Callable[[Kept], Result]] = {
        rules: by_seewhy if rules == SEEWHY else lambda kept, rules=rules: by_others(rules, kept)
        for rules in options.rules
    }
    results: dict[str, list[Result]] = {rules: [] for rules in judges}
    for path in files(options.records):
        kept = read(path)
        if options.set not in (None, kept.result.set):
            continue
        if options.only and not any(part in kept.result.name for part in options.only):
            continue
        for rules, judge in judges.items():
            results[rules].append(judge(kept))
    for rules, some in results.items():
        print(f"\n=== {rules}")
        if rules == SEEWHY:
            report(some, options.names)
        else:
            for set_ in SETS:
                if chosen := [r for r in some if r.set == set_]:
                    show(chosen, set_)


if __name__ == "__main__":
    main()
