"""A long tail of classes with and without balance: what it does to balanced accuracy on a balanced test split, by a study.

    python benchmarks/long_tail.py --data FOLDER_OR_TAR [--out results.json] [--quick]

`--data` is `cifar10-jpeg` (default: the tar in SEEWHY_DATA). Of class i of K, n_i = n_max 100^(-i / (K - 1)) training images are kept (an
imbalance of 100:1, Cui et al. 2019, 1901.05555); the test split is balanced. Variants are compared by `seewhy.compare`, paired by seed;
`--study` names its folder, which `seewhy compare --resume` goes on with. One run at a time, one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from machine import basis
from pretrained import interval, unpacked

import seewhy

RATIO = 100.0

BASE = "base"
"""The variant of which nothing is asked: no balance."""

VARIANTS = {
    "sampled by sqrt": "data.balance = 'sqrt'",
    "sampled equally": "data.balance = 'equal'",
    "weighted by sqrt": "reg.class_weights = 'sqrt'",
    "weighted equally": "reg.class_weights = 'equal'",
}


def long_tail(data: Path, place: Path, most: int, tested: int) -> dict[str, int]:
    """Make a folder of links with a long tail of training images; returns how many each class has."""
    homes = sorted((data / "train").iterdir())
    sizes = {home.name: round(most * RATIO ** (-i / (len(homes) - 1))) for i, home in enumerate(homes)}
    for split, counts in (("train", sizes), ("test", dict.fromkeys(sizes, tested))):
        for name, count in counts.items():
            (place / split / name).mkdir(parents=True)
            for file in sorted((data / split / name).iterdir())[:count]:
                (place / split / name / file.name).symlink_to(file.resolve())
    return sizes


def row_of(run: seewhy.Run, sizes: dict[str, int]) -> dict[str, float]:
    """Return what a run has reached: on all classes alike, and on the three largest and the three smallest."""
    figures = run.results["test"]
    recall = figures["class_recall"]
    ordered = sorted(sizes, key=lambda name: -sizes[name])
    ends = {"head": ordered[:3], "tail": ordered[-3:]}
    found = {name: float(figures[name]) for name in ("balanced_accuracy", "macro_f1")}
    return {**found, **{part: sum(recall[name] for name in names) / len(names) for part, names in ends.items()}}


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return the figures, and the differences from the first variant by seed, as Markdown."""
    lines = [
        "| variant | balanced accuracy | beside base, by seed | macro F1 | recall of the 3 largest | of the 3 smallest |"
    ]
    lines.append("|---|---|---|---|---|---|")
    base = rows[BASE]
    for variant, runs in rows.items():
        differences = [
            one["balanced_accuracy"] - other["balanced_accuracy"] for one, other in zip(runs, base, strict=True)
        ]
        beside = "" if variant == BASE else interval(differences)
        cells = [interval([run["balanced_accuracy"] for run in runs]), beside]
        cells += [f"{statistics.mean(run[name] for run in runs):.1%}" for name in ("macro_f1", "head", "tail")]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(held: dict[str, Any]) -> str:
    """Return what `--out` has written as Markdown."""
    sizes, tested = held["sizes"], held.get("tested")
    images = f"{sum(sizes.values()):,} training images ({', '.join(map(str, sizes.values()))})"
    test = f", {len(sizes) * tested:,} test images" if tested is not None else ""
    return f"n = {len(held['rows'][BASE])} seeds; {images}{test}, {held['epochs']:g} epochs\n\n{table(held['rows'])}"


def main() -> None:
    """Make the folder, run the study, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("SEEWHY_DATA", ".")) / "cifar10-jpeg.tar.gz"
    parser.add_argument("--data", type=Path, default=default, help=f"default: {default}")
    parser.add_argument("--most", type=int, default=5000, help="training images of the largest class")
    parser.add_argument("--tested", type=int, default=500, help="test images a class")
    parser.add_argument("--epochs", type=float, default=2.5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--study", type=Path, help="folder of the study (default: thrown away)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--quick", action="store_true", help="500 images of the largest class, 1 epoch, 2 seeds")
    options = parser.parse_args()
    if options.quick:
        options.most, options.tested, options.epochs, options.seeds = 500, 50, 1.0, 2
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        sizes = long_tail(
            unpacked(options.data, Path(scratch) / "data"), Path(scratch) / "tail", options.most, options.tested
        )
        study = seewhy.compare(
            Path(scratch) / "tail",
            variants=VARIANTS,
            seeds=options.seeds,
            metric="balanced_accuracy",
            tune="none",
            jobs=1,
            out=options.study or Path(scratch) / "study",
            epochs=options.epochs,
            **{"train.threads": 1},
        )
        rows = {name: [row_of(run, sizes) for run in study.runs(name)] for name in (BASE, *VARIANTS)}
        held = basis() | {"sizes": sizes, "tested": options.tested, "epochs": options.epochs, "rows": rows}
        print(f"{held['hardware']}\n\n{summary(held)}\n\n{study.verdict().sentence()}")
    if options.out is not None:
        options.out.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
