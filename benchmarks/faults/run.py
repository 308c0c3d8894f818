"""What `seewhy.watch` finds in training programs that somebody else wrote: with planted faults, and healthy.

    python benchmarks/faults/run.py [--seeds 0 1] [--only NAME ...] [--set dev|unseen] [--jobs 2] [--records DIR] [--out results.json]

A program (`programs`) is an architecture with data, an optimiser and a style of loop, and a fault or a healthy oddity in it. Each runs for some
hundred steps under `seewhy.watch`, and what was found is compared with the fault's causes. A fault hurts if the final metric is at least
`HURTS` below that of the same program and seed without it.

Alarms are warnings and critical findings; notes are none. "Told" counts also those that had passed away at the end. Thresholds of checks may
be tuned on the architectures of the dev set only; of the unseen set the tables give totals, and names only with `--names`.

`--records DIR` keeps what was measured, a file a run: `rejudge.py DIR` applies the rules of the day to it without training.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import torch
from keeping import keep
from programs import SETS, chosen, programs
from results import Result, found, report

import seewhy
from seewhy.core.findings import Finding
from seewhy.diagnosis.history import Entry


def run(name: str, seed: int, records: Path | None = None) -> Result:
    """Run a program from its seed, and keep its records if there is a folder."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    program = programs()[name]
    result = Result(name, program.set, seed, program.kind, sorted(program.causes))
    told: list[Finding] = []
    entries: list[Entry] = []
    torch.manual_seed(seed)
    start = time.perf_counter()
    try:
        why, result.metric = program.play(
            lambda *networks, **more: seewhy.watch(*networks, tell=told.append, record=entries.append, **more), seed
        )
    except Exception as error:  # noqa: BLE001  one broken program must not end the benchmark
        result.error = f"{type(error).__name__}: {error}"
        return result
    result.seconds, result.error = time.perf_counter() - start, why.error
    result.judged(why.findings, told, why.checks)
    if records is not None:
        keep(records, result, entries, why)
    return result


def runs(tasks: list[tuple[str, int]], jobs: int, records: Path | None) -> Iterator[Result]:
    """Yield the results as they come, from `jobs` processes."""
    if jobs == 1:
        yield from (run(name, seed, records) for name, seed in tasks)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run, name, seed, records) for name, seed in tasks]):
            yield future.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--only", nargs="+", default=[], help="parts of names; the plain programs run with them")
    parser.add_argument("--set", choices=SETS)
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--records", type=Path, metavar="DIR", help="keep what is measured, for rejudge.py")
    parser.add_argument("--names", action="store_true", help="list the programs of the unseen set too")
    parser.add_argument("--out", type=Path, default=Path("faults.json"))
    options = parser.parse_args()
    tasks = [(program.name, seed) for program in chosen(options.set, options.only) for seed in options.seeds]
    results = []
    for r in runs(tasks, options.jobs, options.records):
        results.append(r)
        said = r.error[-80:] or (found([r]) if options.names or r.set != "unseen" else "")
        print(f"{r.name:<55} {r.seed} {r.metric:6.2f} {r.seconds:5.1f} s  {said}", flush=True)
    order = {task: place for place, task in enumerate(tasks)}
    results.sort(key=lambda r: order[r.name, r.seed])
    options.out.write_text(json.dumps([asdict(r) for r in results], indent=1), encoding="utf-8")
    report(results, options.names)


if __name__ == "__main__":
    main()
