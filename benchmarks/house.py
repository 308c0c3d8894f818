"""This checkout beside another one of seewhy, such as the commit before a change of structure: the time of what users wait for.

    python benchmarks/house.py --old PATH_TO_OTHER_CHECKOUT [--repeats 7] [--threads 2] [--only help,colour] [--scale 1] [--out results.json]

Every measurement is a subprocess of this Python with the `src` of one of the two checkouts on PYTHONPATH; the two take turns, and who begins
alternates, so that a drift of the machine meets both. All options are such that both accept them. Data and runs lie in a temporary folder.

help       `seewhy --help`, wall time
import     `import seewhy`, wall time with Python's own start
digits     the default network on the embedded digits: the whole `seewhy train`, and its training steps alone (from images_per_second of
           metrics.csv, without the first epoch)
colour     the same on random colour images of 32 x 32 in an .npz
mlp        the same of 3 layers of 100 units at batch size 64 on random grey images of 28 x 28: steps so small that their overhead shows
predict    `seewhy predict` of 2,000 image files by the run of `colour` (one of each checkout), wall time
evaluate   `seewhy evaluate` of the same run, wall time

Printed are the medians of both, and the median, least and greatest of the ratios this / other of each turn; below 1 this checkout is faster.
`--old .` compares this checkout with itself, which shows how much of a ratio is noise. Wants an idle machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import hardware
from PIL import Image

THIS = Path(__file__).resolve().parent.parent
CLASSES = 10
TRAININGS: dict[str, tuple[str, float, tuple[str, ...]]] = {
    "digits": ("digits", 12, ()),
    "colour": ("colour.npz", 3, ()),
    "mlp": ("grey.npz", 8, ("--model", "mlp", "--width", "100", "--depth", "3", "--batch-size", "64")),
}
"""Data, epochs, options."""

NAMES = ("help", "import", *TRAININGS, "predict", "evaluate")

Times = dict[str, float]
"""Seconds by what was timed."""


@dataclass(frozen=True)
class Checkout:
    """A checkout, and how to run it.

    Attributes:
        name: "this" or "other".
        root: its folder.
        scratch: where data and runs lie.
        threads: of torch.
    """

    name: str
    root: Path
    scratch: Path
    threads: int

    def run(self, *arguments: str) -> float:
        """Run Python with arguments and return the wall time in seconds; exits with the output of a command that fails."""
        environment = os.environ | {
            "PYTHONPATH": str(self.root / "src"),
            "OMP_NUM_THREADS": str(self.threads),
            "SEEWHY_CACHE": str(self.scratch / f"cache-{self.name}"),
        }
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.scratch, env=environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{self.root}: {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        return seconds

    def seewhy(self, *arguments: str) -> float:
        """Run the command line and return the wall time in seconds."""
        return self.run("-m", "seewhy", *arguments)

    def train(self, name: str, scale: float, out: Path) -> Times:
        """Train one of `TRAININGS` and return the seconds of the command, and those of 1,000 images in its steps."""
        data, epochs, options = TRAININGS[name]
        budget = ["--epochs", f"{epochs * scale:g}", "--train.threads", str(self.threads), "--quiet"]
        whole = self.seewhy("train", data, *options, *budget, "--out", str(out))
        with (out / "metrics.csv").open(encoding="utf-8") as lines:
            speeds = [float(row["images_per_second"]) for row in csv.DictReader(lines)]
        later = speeds[1:] or speeds
        steps = statistics.mean(1e3 / speed for speed in later)
        return {f"{name}: the command": whole, f"{name}: 1,000 images of its steps": steps}

    def measure(self, name: str, scale: float, turn: int) -> Times:
        """Return the seconds of one of `NAMES`."""
        if name == "help":
            return {"seewhy --help": self.seewhy("--help")}
        if name == "import":
            return {"import seewhy": self.run("-c", "import seewhy")}
        if name == "predict":
            return {"predict 2,000 images": self.seewhy("predict", str(self.trained), "images", "--csv")}
        if name == "evaluate":
            return {"evaluate": self.seewhy("evaluate", str(self.trained), "--json")}
        return self.train(name, scale, self.scratch / f"{self.name}-{name}-{turn}")

    @property
    def trained(self) -> Path:
        """The run that predicts and is evaluated."""
        return self.scratch / f"{self.name}-trained"

    def prepare(self, names: list[str]) -> None:
        """See that the checkout's own package runs, compiled, and train the run that predicts."""
        self.run("-c", f"import seewhy; assert seewhy.__file__.startswith({str(self.root / 'src')!r}), seewhy.__file__")
        self.seewhy("--help")
        if {"predict", "evaluate"} & set(names):
            self.train("colour", 1 / 3, self.trained)


def make_data(scratch: Path, scale: float) -> None:
    """Write random images: two .npz files and a folder of 2,000 PNGs."""
    random = np.random.default_rng(0)
    for name, shape, count in (("colour", (32, 32, 3), 4000), ("grey", (28, 28), 6400)):
        arrays = {}
        for split, images in (("train", max(100, round(count * scale))), ("test", 1000)):
            arrays[f"x_{split}"] = random.integers(0, 256, (images, *shape), dtype=np.uint8)
            arrays[f"y_{split}"] = np.arange(images) % CLASSES
        np.savez(scratch / f"{name}.npz", **arrays)
    (scratch / "images").mkdir()
    for number in range(2000):
        pixels = random.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(scratch / "images" / f"{number:04}.png", compress_level=0)


def compare(this: Checkout, other: Checkout, options: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Return the seconds of both checkouts, a value each turn, by what was timed."""
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"this": [], "other": []})
    for turn in range(options.repeats):
        for name in options.only:
            for checkout in (this, other) if turn % 2 else (other, this):
                for what, seconds in checkout.measure(name, options.scale, turn).items():
                    times[what][checkout.name].append(seconds)
    return times


def summary(times: dict[str, list[float]]) -> dict[str, float]:
    """Return the medians of both checkouts, and median, least and greatest of the ratios."""
    ratios = [a / b for a, b in zip(times["this"], times["other"], strict=True)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {**medians, "ratio": statistics.median(ratios), "least": min(ratios), "greatest": max(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, required=True, help="the other checkout")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(NAMES), help=", ".join(NAMES))
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor of the epochs and of the random training images"
    )
    parser.add_argument("--out", type=Path, help="JSON file for all times")
    options = parser.parse_args()
    for name in options.only:
        if name not in NAMES:
            parser.error(f"--only: must be of {', '.join(NAMES)}, got {name!r}")
    if not (options.old / "src" / "seewhy").is_dir():
        parser.error(f"--old: must be a checkout that holds src/seewhy, got {options.old}")
    torch.set_num_threads(options.threads)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(f"{hardware()}; load before: {load}")
    with tempfile.TemporaryDirectory(prefix="seewhy-house-") as folder:
        scratch = Path(folder)
        make_data(scratch, options.scale)
        this = Checkout("this", THIS, scratch, options.threads)
        other = Checkout("other", options.old.resolve(), scratch, options.threads)
        for checkout in (this, other):
            checkout.prepare(options.only)
        times = compare(this, other, options)
    print(f"n = {options.repeats} turns; seconds; other: {options.old}\n")
    print(f"{'':<36}{'this':>9}{'other':>9}{'this / other':>14}{'least':>8}{'greatest':>10}")
    summaries = {what: summary(values) for what, values in times.items()}
    for what, row in summaries.items():
        print(
            f"{what:<36}{row['this']:>9.3f}{row['other']:>9.3f}{row['ratio']:>14.3f}{row['least']:>8.3f}{row['greatest']:>10.3f}"
        )
    if options.out:
        facts = {"hardware": hardware(), "repeats": options.repeats, "scale": options.scale}
        rows = {what: {**summaries[what], "seconds": values} for what, values in times.items()}
        options.out.write_text(json.dumps(facts | {"times": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
