"""What later epochs of a linear head on a pretrained backbone cost, whose features are computed once, beside the first epoch.

    python benchmarks/linear_epoch.py IMAGES [--epochs 5] [--out RUN]

IMAGES is a folder of class folders. The first epoch is measured from the first image of the features on; every epoch with its validation, its
checkpoint and its watching, as users have it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from machine import hardware

import seewhy
from seewhy.training.events import EpochEnded, FeatureProgress, RunStarted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    begun: list[tuple[float, float]] = []
    ends: list[tuple[float, float]] = []
    counts: list[int] = []

    def observe(event: object) -> None:
        now = (time.perf_counter(), time.process_time())
        if isinstance(event, FeatureProgress) and not begun:
            begun.append(now)  # after the first chunk, in favour of the first epoch
            counts.append(event.total)
        elif isinstance(event, EpochEnded):
            ends.append(now)
        elif isinstance(event, RunStarted):
            print(f"features {now[0] - begun[0][0]:.2f} s")

    with tempfile.TemporaryDirectory() as place:
        choices = {"model": "pretrained", "model.regime": "linear", "epochs": float(options.epochs)}
        seewhy.train(options.images, out=options.out or Path(place) / "run", observers=[observe], **choices)
    print(f"{counts[0]:,} images, features of tf_efficientnet_lite0; {hardware()}")
    for kind, name in enumerate(("by the clock", "of the processor")):
        first = ends[0][kind] - begun[0][kind]
        later = [after[kind] - before[kind] for before, after in pairwise(ends)]
        middle = statistics.median(later)
        print(
            f"{name:17} first epoch {first:8.2f} s; later ones {middle:.3f} s (median of {len(later)}, "
            f"{min(later):.3f} to {max(later):.3f}), {middle / first:.2%} of the first"
        )


if __name__ == "__main__":
    main()
