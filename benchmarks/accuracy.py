"""Test accuracy and wall time of `seewhy train DATA` with defaults, over seeds.

    python benchmarks/accuracy.py FOLDER|mnist|digits [--seeds 3] [-- OPTIONS OF seewhy train]

The wall time is that of the whole command: start, decoding, training, evaluation, report. Before each run the cache is emptied, so decoding is
paid every time. The convolution speed of the machine is printed beside, since it differs by factors between processors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from machine import processor

from seewhy.spec import RunSpec


def convolution_gflops(dtype: torch.dtype) -> float:
    """Return the forward speed of a 3 x 3 convolution 64 -> 64 on 32 x 32, batch 64, channels last: the reference for the machine."""
    x = torch.randn(64, 64, 32, 32, dtype=dtype).contiguous(memory_format=torch.channels_last)
    conv = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False, dtype=dtype).to(memory_format=torch.channels_last)
    best = float("inf")
    with torch.no_grad():
        for _ in range(8):
            start = time.perf_counter()
            conv(x)
            best = min(best, time.perf_counter() - start)
    return 2 * 64 * 32 * 32 * 64 * 64 * 9 / best / 1e9


def one_run(data: str, seed: int, options: list[str]) -> dict[str, float]:
    """Train once in a fresh folder with an empty cache."""
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        command = [sys.executable, "-m", "seewhy", "train", data, "--seed", str(seed), "--out", str(run), *options]
        start = time.perf_counter()
        subprocess.run(
            command, check=True, env={**os.environ, "SEEWHY_CACHE": f"{scratch}/cache"}, stdout=subprocess.DEVNULL
        )
        wall = time.perf_counter() - start
        results = json.loads((run / "results.json").read_text())
        lines = (run / "metrics.csv").read_text().strip().split("\n")
        row = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
        epochs = RunSpec.from_toml(run / "spec.toml").train.epochs
    return {
        "accuracy": results["test"]["accuracy"],
        "n": results["test"]["n"],
        "wall": wall,
        "epochs": float(epochs or 0),
        "speed": float(row["images_per_second"]),
    }


def main() -> None:
    """Run the seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments, train_options = sys.argv[1:], []
    if "--" in arguments:
        position = arguments.index("--")
        arguments, train_options = arguments[:position], arguments[position + 1 :]
    options = parser.parse_args(arguments)
    bf16, fp32 = convolution_gflops(torch.bfloat16), convolution_gflops(torch.float32)
    print(f"{processor()}, {os.cpu_count()} cores; convolution 64->64: {bf16:.0f} GFLOP/s bf16, {fp32:.0f} fp32")
    print(f"{'seed':>5} {'test accuracy':>14} {'wall s':>8} {'epochs':>7} {'images/s':>9}", flush=True)
    rows = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        row = one_run(options.data, seed, train_options)
        rows.append(row)
        print(
            f"{seed:>5} {row['accuracy']:>14.2%} {row['wall']:>8.0f} {row['epochs']:>7.4g} {row['speed']:>9.0f}",
            flush=True,
        )
    accuracies = [row["accuracy"] for row in rows]
    deviation = statistics.stdev(accuracies) if len(rows) > 1 else float("nan")
    print(
        f"mean {statistics.mean(accuracies):.2%}, standard deviation over seeds {deviation:.2%}, n = {len(rows)}, "
        f"slowest {max(row['wall'] for row in rows):.0f} s, {rows[0]['n']:.0f} test images"
    )


if __name__ == "__main__":
    main()
