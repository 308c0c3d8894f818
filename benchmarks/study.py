"""Studies: runs per minute beside one run after another, the engine's own cost, and what SIGKILL at random moments loses.

    python benchmarks/study.py [speed|kill] [--quick] [--out results.json]

speed    3 activations x 2 optimisers on the digits, 10 seeds and 10 epochs each (2 and 2 with --quick), as many runs at a time as there are
         processors, a thread each; then the same requests as `seewhy train`, one after another, with a thread a processor. Both are timed from
         start to end, so that a study pays for its planning and its own start. Its own cost is the share of its slots' time, each to its last
         run's end, in which no run's process was there: with the start of the process that forks them, paid once a study, and without.
kill     200 short runs (40 with --quick); the whole group is killed at ten random moments, at every other one the runs' processes too, and the
         study resumed. Counted are finished runs that are lost, or trained again, and runs that are called failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from machine import basis, hardware

CORES = os.cpu_count() or 1
KILLS = 10
SHORT = ["--model", "mlp", "--width", "8", "--epochs", "0.05", "--tune", "none"]
SEEWHY = [sys.executable, "-m", "seewhy"]


class Slots:
    """Times the processes of a study's runs, by slot: a thread of this process."""

    def __init__(self) -> None:
        self.spans: dict[int, list[tuple[float, float]]] = {}

    def watching(self, start: Callable[..., Any]) -> Callable[..., Any]:
        """Return `launch._start`, with the process that it starts timed."""

        def started(job: Any) -> Any:
            process, slot = start(job), threading.get_ident()
            threading.Thread(target=self._time, args=(process, slot), daemon=True).start()
            return process

        return started

    def _time(self, process: Any, slot: int) -> None:
        if hasattr(process, "started"):
            process.started.wait()
        begun = time.monotonic()
        process.wait()
        self.spans.setdefault(slot, []).append((begun, time.monotonic()))

    def own_cost(self, begun: float) -> tuple[float, float]:
        """Return the share of the slots' time, each to its last run's end, without a run's process: in all, and from the first run on."""
        busy = sum(end - start for spans in self.spans.values() for start, end in spans)
        ends = [max(end for _, end in spans) for spans in self.spans.values()]
        first = min(start for spans in self.spans.values() for start, _ in spans)
        return 1 - busy / sum(end - begun for end in ends), 1 - busy / sum(end - first for end in ends)


def study(place: Path, seeds: int, epochs: float) -> tuple[float, tuple[float, float], Any]:
    """Run the study; returns its seconds, its own cost with and without the start, and what it is."""
    begun, slots = time.monotonic(), Slots()
    import seewhy
    from seewhy.comparison import study as module
    from seewhy.runs import launch

    launch._start = slots.watching(launch._start)
    working: list[float] = []
    work = module.work

    def worked(*arguments: Any, **options: Any) -> None:
        working.append(time.monotonic())
        work(*arguments, **options)

    module.work = worked
    vary = {"activation": ["relu", "elu", "silu"], "optimizer": ["muon", "adamw"]}
    made = seewhy.compare("digits", vary=vary, seeds=seeds, tune="none", jobs=CORES, epochs=epochs, out=place)
    return time.monotonic() - begun, slots.own_cost(working[0]), made


def one_after_another(made: Any, place: Path) -> float:
    """Train the same as `seewhy train`; returns the seconds."""
    begun = time.monotonic()
    for request in sorted(made.folder.glob("runs/*/*.toml")):
        run = place / request.parent.name / request.stem
        run.parent.mkdir(parents=True, exist_ok=True)
        words = ["train", "--spec", str(request), "--train.threads", str(CORES), "--out", str(run), "--quiet"]
        subprocess.run([*SEEWHY, *words], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def speed(quick: bool) -> dict[str, Any]:
    """Compare a study with one run after another."""
    seeds = 2 if quick else 10
    runs = 6 * seeds
    with tempfile.TemporaryDirectory() as folder:
        together, own, made = study(Path(folder) / "study", seeds, 2 if quick else 10)
        assert all(row["status"] == "ended" for row in made.rows())
        print(f"{runs} runs: study {together:.1f} s ({60 * runs / together:.1f} a minute)")
        print(f"its own cost {own[0]:.1%}, after its start {own[1]:.1%}", flush=True)
        alone = one_after_another(made, Path(folder) / "alone")
    print(f"one after another {alone:.1f} s ({60 * runs / alone:.1f} a minute): ratio {alone / together:.2f}")
    return {
        "runs": runs,
        "study_seconds": together,
        "alone_seconds": alone,
        "ratio": alone / together,
        "own_cost": own[0],
        "own_cost_after_start": own[1],
    }


def descendants(pid: int) -> list[int]:
    """Return the processes that one has started, and theirs."""
    shown = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in shown.splitlines()]
    found = [pid]
    for parent in found:
        found += [child for child, of in pairs if of == parent]
    return found[1:]


def finished(place: Path) -> dict[str, tuple[int, int]]:
    """Return the runs that have ended, each with what a second training would change."""
    files = place.glob("runs/*/*/results.json")
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_ino) for file in files}


def kill(quick: bool) -> dict[str, Any]:
    """Kill a study at random moments, and count what is lost and repeated."""
    rng, runs = random.Random(0), 40 if quick else 200
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "study"
        widths = ",".join(str(8 + number) for number in range(4))
        begin = [
            "compare",
            "digits",
            *SHORT,
            "--vary",
            f"model.width={widths}",
            "--seeds",
            str(runs // 4),
            "--out",
            str(place),
        ]
        known: dict[str, tuple[int, int]] = {}
        ends: list[int] = []
        for number in range(KILLS):
            words = ["compare", "--work", str(place)] if place.exists() else begin
            _killed(words, place, rng, everything=bool(number % 2))
            known = {**finished(place), **known}
            ends.append(len(known))
        subprocess.run(
            [*SEEWHY, "compare", "--work", str(place)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        now = finished(place)
        lost = [run for run in known if run not in now]
        repeated = [run for run in known if run in now and now[run] != known[run]]
        failed = list(place.rglob("*.failed.json"))
    print(
        f"{runs} runs, finished at each of {KILLS} kills: {', '.join(map(str, ends))}; finished at the end {len(now)}"
    )
    print(f"finished runs lost {len(lost)}, repeated {len(repeated)}; attempts that failed {len(failed)}")
    return {
        "runs": runs,
        "at_kills": ends,
        "ended": len(now),
        "lost": lost,
        "repeated": repeated,
        "failed": len(failed),
    }


def _killed(words: Sequence[str], place: Path, rng: random.Random, *, everything: bool) -> None:
    """Start a study, or go on with it, and kill it at a random moment after something has moved."""
    before, quiet = len(finished(place)), subprocess.DEVNULL
    process = subprocess.Popen([*SEEWHY, *words], start_new_session=True, stdout=quiet, stderr=quiet)
    while process.poll() is None and len(finished(place)) == before:
        time.sleep(0.05)
    time.sleep(rng.uniform(0, 4))
    others = descendants(process.pid) if everything else []
    os.killpg(process.pid, signal.SIGKILL)
    for pid in others:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="?", choices=("speed", "kill"), help="default: both")
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    found = {
        name: {"speed": speed, "kill": kill}[name](options.quick)
        for name in ("speed", "kill")
        if options.only in (None, name)
    }
    print(hardware())
    if options.out is not None:
        options.out.write_text(json.dumps(basis() | found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
