"""What every peer script shares: its options, and a log of JSON lines.

The clock starts when this module is imported, which each script does first, so that the start-up holds the imports of
the framework too. Evaluation is timed separately from training, so that it can be left out of the peers' times.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

START = time.perf_counter()


def cpu_seconds() -> float:
    """CPU time of this process and of its workers that have ended, in seconds."""
    return sum(os.times()[:4])


def options(recipes: tuple[str, ...]) -> argparse.Namespace:
    """Parse the options that all peers take; the first recipe is the default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and test/, each of class folders")
    parser.add_argument("--epochs", type=int, required=True, help="length of the learning-rate schedule")
    parser.add_argument("--recipe", choices=recipes, default=recipes[0])
    parser.add_argument("--steps", type=int, default=0, help="stop each epoch after so many steps, without evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True, help="file of JSON lines to write")
    return parser.parse_args()


class Recorder:
    """Times epochs, steps and evaluations, and writes them as JSON lines."""

    def __init__(self, log: Path, **facts) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._file = log.open("w", encoding="utf-8")
        self._epoch = 0
        self._steps: list[float] = []
        self._began = (0.0, 0.0)
        self._training: dict[str, float] = {}
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._write("start", python=platform.python_version(), processors=threads, **facts)

    def ready(self) -> None:
        """Mark the end of the start-up: all is built, and the first epoch follows."""
        self._write("ready", startup_seconds=time.perf_counter() - START, startup_cpu_seconds=cpu_seconds())

    def begin_epoch(self) -> None:
        """Start the clocks of an epoch."""
        self._epoch += 1
        self._steps = []
        self._began = (time.perf_counter(), cpu_seconds())

    def step(self) -> None:
        """Mark the end of a training step."""
        self._steps.append(time.perf_counter())

    def end_training(self) -> None:
        """Mark the end of an epoch's training, before its evaluation."""
        began, cpu = self._began
        first, last, count = self._steps[0], self._steps[-1], len(self._steps)
        self._training = {
            "train_seconds": time.perf_counter() - began,
            "train_cpu_seconds": cpu_seconds() - cpu,
            "steps": count,
            "first_step_seconds": first - began,
            "mean_step_seconds": (last - first) / max(count - 1, 1),
        }
        self._began = (time.perf_counter(), cpu_seconds())

    def end_epoch(self, accuracy: float | None) -> None:
        """Write the epoch's line; `accuracy` is that on the test split, or None without evaluation."""
        evaluation = time.perf_counter() - self._began[0]
        self._write(
            "epoch",
            epoch=self._epoch,
            accuracy=accuracy,
            evaluation_seconds=evaluation,
            elapsed_seconds=time.perf_counter() - START,
            **self._training,
        )

    def _write(self, event: str, **values) -> None:
        self._file.write(json.dumps({"event": event, **values}) + "\n")
        self._file.flush()
