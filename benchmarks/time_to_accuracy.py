"""Time to a test accuracy, from a folder of JPEGs: seewhy beside fastai, timm and Keras, one after the other.

Each peer trains by the recipe that its ecosystem recommends for small images (see `peers/`), in an environment of its own
under `benchmarks/.peers/`, which the first run makes. A schedule anneals to its end, so the time to an accuracy is that of
the shortest schedule that reaches it. That length is found by trying some with `--epochs`; `EPOCHS` holds a first guess.

What is counted: for the peers start-up, decoding and training, up to the end of the first epoch whose test accuracy
reaches the target; their evaluations are left out, in their favour. For seewhy the wall time of the whole command
from an empty cache: start-up, decoding, training, evaluation and report.

    python benchmarks/time_to_accuracy.py --data SEEWHY_DATA/cifar10-jpeg.tar.gz --target 0.85 --out results.json
    python benchmarks/time_to_accuracy.py ... --only fastai,seewhy --epochs seewhy=4,fastai=6 --seeds 3
    python benchmarks/time_to_accuracy.py ... --epoch-seconds     time 2 x 100 steps of each peer, and multiply
    python benchmarks/time_to_accuracy.py ... --table             run nothing; the table of the logs that are there

`--table --epoch-seconds` puts both together again: accuracies of the whole trainings, times of the timed steps.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

from machine import processor

HERE = Path(__file__).resolve().parent
HOME = HERE / ".peers"

# peers/<peer>_run.py describes the recipes.
RECIPES = {"fastai": "small", "timm": "pool", "keras": "bf16", "seewhy": "defaults"}
EPOCHS: dict[str, float] = {"fastai": 5, "timm": 10, "keras": 15, "seewhy": 2.7}
ENVIRONMENTS = {"fastai": "torch", "timm": "torch", "keras": "keras"}
TIMED_STEPS = 100


@dataclass
class Run:
    """One training, as its log has it. Times are in seconds."""

    peer: str
    version: str
    recipe: str
    description: str
    epochs: float
    seed: int
    accuracies: list[float] = field(default_factory=list)
    seconds: float | None = None  # to the target, or None if it was not reached
    images_per_second: float = 0.0
    steps: int = 0  # of an epoch
    projected: bool = False  # seconds are steps times the time of a step, not one measured run

    @property
    def key(self) -> tuple[str, str, int]:
        """What runs with different seeds have in common."""
        return self.peer, self.recipe, self.epochs


def main() -> int:
    options = parse()
    options.logs.mkdir(parents=True, exist_ok=True)
    if not options.table:
        data = unpack(options.data)
        for seed in range(1 if options.epoch_seconds else options.seeds):
            for peer in options.only:
                train_one(peer, seed, data, options)
    runs = read_logs(options)
    if not runs:
        say("no logs of whole trainings found")
        return 1
    print_table(runs, options.target)
    if options.out:
        facts = {"target": options.target, "hardware": hardware(), "runs": [asdict(run) for run in runs]}
        options.out.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("SEEWHY_DATA", ".")) / "cifar10-jpeg.tar.gz"
    parser.add_argument("--data", type=Path, default=default, help="folder with train/ and test/, or its .tar.gz")
    parser.add_argument("--target", type=float, default=0.85, help="test accuracy to reach")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(RECIPES), metavar="PEER,PEER")
    parser.add_argument("--epochs", type=pairs, default={}, metavar="PEER=N,...", help=f"default: {EPOCHS}")
    parser.add_argument("--recipes", type=pairs, default={}, metavar="PEER=NAME,...", help=f"default: {RECIPES}")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each, with seeds 0, 1, ...")
    parser.add_argument(
        "--epoch-seconds", action="store_true", help=f"time 2 x {TIMED_STEPS} steps of each peer instead"
    )
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of the logs")
    parser.add_argument("--logs", type=Path, default=HOME / "logs", help="folder of the trainings' logs")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    options = parser.parse_args()
    for name in {*options.only, *options.epochs, *options.recipes} - set(RECIPES):
        parser.error(f"unknown peer {name!r}; known are {', '.join(RECIPES)}")
    options.epochs = EPOCHS | {peer: float(number) for peer, number in options.epochs.items()}
    options.recipes = RECIPES | options.recipes
    return options


def pairs(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(","))


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def unpack(source: Path) -> Path:
    """Return the folder that holds train/ and test/, unpacking an archive once."""
    if source.is_dir():
        if not (source / "train").is_dir() or not (source / "test").is_dir():
            raise SystemExit(f"--data: must hold train/ and test/, got {source}")
        return source.resolve()
    if not source.is_file():
        raise SystemExit(f"--data: no such folder or archive: {source}")
    folder = HOME / "data" / source.name.removesuffix(".tar.gz")
    if not folder.exists():
        say(f"unpacking {source}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, tarfile.open(source) as archive:
            archive.extractall(temporary, filter="data")
            inside = next(path.parent for path in sorted(Path(temporary).rglob("train")) if path.is_dir())
            inside.rename(folder)
    return folder


def environment(name: str) -> Path:
    """Return the Python of a peers' environment, made or brought up to date when its requirements changed."""
    folder = HOME / {"torch": "venv"}.get(name, name)
    python, requirements = folder / "bin" / "python", HERE / "peers" / f"{name}-requirements.txt"
    mark, wanted = folder / ".requirements", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if not mark.exists() or mark.read_text() != wanted:
        say(f"installing {requirements.name} into {folder}")
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True, stdout=sys.stderr)
        mark.write_text(wanted)
    return python


def train_one(peer: str, seed: int, data: Path, options: argparse.Namespace) -> None:
    """Train once and leave the log; a peer that fails is reported and does not stop the others."""
    recipe, epochs = options.recipes[peer], options.epochs[peer]
    if peer == "seewhy":
        if not options.epoch_seconds:
            train_seewhy(seed, epochs, data, options)
        return
    python = environment(ENVIRONMENTS[peer])
    command = [python, HERE / "peers" / f"{peer}_run.py", "--data", data, "--recipe", recipe, "--seed", str(seed)]
    if options.epoch_seconds:
        log = options.logs / f"{peer}-{recipe}-steps.jsonl"
        command += ["--epochs", "2", "--steps", str(TIMED_STEPS), "--log", log]
    else:
        log = options.logs / f"{peer}-{recipe}-{epochs:g}-{seed}.jsonl"
        command += ["--epochs", f"{epochs:g}", "--log", log]
    log.unlink(missing_ok=True)
    say(f"{peer}: {log.stem}")
    with log.with_suffix(".txt").open("w") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        say(f"{peer} failed with exit code {done.returncode}; see {log.with_suffix('.txt')}")


def train_seewhy(seed: int, epochs: float, data: Path, options: argparse.Namespace) -> None:
    """Time the whole command, with an empty cache folder, and log it in the peers' form."""
    program = Path(sys.executable).with_name("seewhy")
    log = options.logs / f"seewhy-defaults-{epochs:g}-{seed}.jsonl"
    log.unlink(missing_ok=True)
    say(f"seewhy: {log.stem}")
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        command = [program, "train", data, "--epochs", str(epochs), "--seed", str(seed), "--out", run]
        caches = os.environ | {"SEEWHY_CACHE": str(Path(temporary) / "cache")}
        began = time.perf_counter()
        with log.with_suffix(".txt").open("w") as output:
            done = subprocess.run(command, env=caches, stdout=output, stderr=subprocess.STDOUT, check=False)
        seconds = time.perf_counter() - began
        if done.returncode:
            say(f"seewhy failed with exit code {done.returncode}; see {log.with_suffix('.txt')}")
            return
        accuracy = json.loads((run / "results.json").read_text(encoding="utf-8"))["test"]["accuracy"]
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    start = {"peer": "seewhy", "version": version[-1] if version else "?", "recipe": "defaults", "seed": seed}
    start |= {"epochs": epochs, "description": "defaults; start-up, decoding, evaluation and report included"}
    lines = [{"event": "start", **start}, {"event": "whole", "seconds": seconds, "accuracy": accuracy}]
    images = sum(1 for path in (data / "train").rglob("*") if path.is_file())
    lines[1]["images_per_second"] = epochs * images / seconds
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_logs(options: argparse.Namespace) -> list[Run]:
    """Read all whole trainings of the selected peers; with `--epoch-seconds` replace their times by timed steps."""
    runs, timings = [], {}
    for path in sorted(options.logs.glob("*.jsonl")):
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        start = next((event for event in events if event["event"] == "start"), None)
        if start is None or start["peer"] not in options.only:
            continue
        if any(event["event"] == "epoch" and event["accuracy"] is None for event in events):
            timings[start["peer"], start["recipe"]] = events
        elif (run := read_run(start, events, options.target)) and (options.table or is_selected(run, options)):
            runs.append(run)
    if options.epoch_seconds:
        for run in runs:
            if (run.peer, run.recipe) in timings:
                project(run, timings[run.peer, run.recipe], options.target)
    return runs


def is_selected(run: Run, options: argparse.Namespace) -> bool:
    """Return whether the options name this training: its recipe and its schedule's length."""
    return (run.recipe, run.epochs) == (options.recipes[run.peer], options.epochs[run.peer])


def read_run(start: dict, events: list[dict], target: float) -> Run | None:
    """Return the run, or None if it did not come to its end."""
    names = ("peer", "version", "recipe", "description", "epochs", "seed")
    run = Run(**{name: start[name] for name in names})
    for event in events:
        if event["event"] == "whole":
            run.accuracies = [event["accuracy"]]
            run.seconds = event["seconds"] if event["accuracy"] >= target else None
            run.images_per_second = event["images_per_second"]
            return run
    epochs = [event for event in events if event["event"] == "epoch"]
    if len(epochs) < run.epochs:
        return None
    run.accuracies, run.steps = [event["accuracy"] for event in epochs], epochs[0]["steps"]
    needed = epochs_needed(run, target)
    if needed:
        startup = next(event["startup_seconds"] for event in events if event["event"] == "ready")
        run.seconds = startup + sum(event["train_seconds"] for event in epochs[:needed])
    images = run.epochs * run.steps * start["batch_size"]
    run.images_per_second = images / sum(event["train_seconds"] for event in epochs)
    return run


def epochs_needed(run: Run, target: float) -> int | None:
    """Return the number of the first epoch that reaches the target."""
    return next((epoch for epoch, accuracy in enumerate(run.accuracies, 1) if accuracy >= target), None)


def project(run: Run, events: list[dict], target: float) -> None:
    """Replace the run's times by start-up + epochs x steps x seconds of a step, from a timing of few steps.

    The mean step is taken, not the median: batches come from two workers in turns, so that intervals alternate. The
    first of the two timed epochs holds what happens once (decoding into Keras' cache, tracing of the graph).
    """
    start = next(event for event in events if event["event"] == "start")
    startup = next(event["startup_seconds"] for event in events if event["event"] == "ready")
    timed = [event for event in events if event["event"] == "epoch"]
    first, later = (event["first_step_seconds"] + (run.steps - 1) * event["mean_step_seconds"] for event in timed[:2])
    run.projected, run.images_per_second = True, run.steps * start["batch_size"] / later
    needed = epochs_needed(run, target)
    run.seconds = startup + first + (needed - 1) * later if needed else None
    say(f"{run.peer} {run.recipe}: start-up {startup:.1f} s, first epoch {first:.1f} s, later epochs {later:.1f} s")


def hardware() -> str:
    """Return the processor's name and the number of cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {processor()}"


def print_table(runs: list[Run], target: float) -> None:
    """Print a row for each recipe and schedule length, and how many times sooner seewhy is than the best peer."""
    groups = defaultdict(list)
    for run in runs:
        groups[run.key].append(run)
    heading = ("peer", "version", "recipe", "epochs", f"seconds to {target:.0%}", "final accuracy", "images/s", "n")
    rows, best = [heading], {}
    for (peer, _, epochs), members in groups.items():
        times = [run.seconds for run in members if run.seconds is not None]
        reached = len(times) == len(members)
        seconds = f"{statistics.mean(times):.0f}{spread(times, '.0f')}" if reached else "not reached"
        seconds += " (projected)" if reached and members[0].projected else ""
        finals = [100 * run.accuracies[-1] for run in members]
        rate = statistics.mean(run.images_per_second for run in members)
        accuracy = f"{statistics.mean(finals):.2f}%{spread(finals, '.2f')}"
        row = (peer, members[0].version, members[0].description, epochs, seconds, accuracy, f"{rate:.0f}", len(members))
        rows.append(tuple(str(cell) for cell in row))
        if reached:
            best[peer] = min(best.get(peer, float("inf")), statistics.mean(times))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for number, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    print(f"\n{hardware()}; the peers' evaluations are not counted, seewhy's whole command is.")
    peers = {name: seconds for name, seconds in best.items() if name != "seewhy"}
    if "seewhy" in best and peers:
        name = min(peers, key=peers.__getitem__)
        print(
            f"seewhy reaches {target:.0%} {peers[name] / best['seewhy']:.1f} times sooner than the best peer, {name}."
        )


def spread(values: list[float], form: str) -> str:
    """Return the range of several values, or nothing for one."""
    return f" [{min(values):{form}}, {max(values):{form}}]" if len(values) > 1 else ""


if __name__ == "__main__":
    sys.exit(main())
