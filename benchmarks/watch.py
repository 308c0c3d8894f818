"""What `seewhy.watch` costs: plain PyTorch loops, with and without it, in turns.

    python benchmarks/watch.py [--repeats 7] [--threads 1] [--only mlp,convnet] [--out results.json]

mlp        3 layers of 100 units, 784 inputs, batch 64, SGD: steps of about a millisecond, so that every call of a hook shows
convnet    the default convnet of `seewhy train` for 32 x 32 colour images, batch 500, Muon

Both watch from the first step on, so that the dense probes at the start count; the loop is long enough for about as many later ones. Printed are
the medians of the seconds (of processor time, which another program disturbs less), and the median, least and greatest of the ratios by turn.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from machine import basis, hardware
from tables import markdown
from torch import nn

import seewhy
from seewhy.models.classifiers import build_classifier
from seewhy.optim import build

Loop = tuple[nn.Module, torch.optim.Optimizer, torch.Tensor, torch.Tensor, int]


def mlp(steps: int) -> Loop:
    """Return the small network, its optimiser, a batch and how many steps to take."""
    model = nn.Sequential(
        nn.Linear(784, 100),
        nn.ReLU(),
        nn.Linear(100, 100),
        nn.ReLU(),
        nn.Linear(100, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    return model, torch.optim.SGD(model.parameters(), 0.01), torch.randn(64, 784), torch.randint(10, (64,)), steps


def convnet(steps: int) -> Loop:
    """Return the default convnet, its optimiser, a batch and how many steps to take."""
    model = build_classifier("convnet", in_shape=(3, 32, 32), classes=10, rng=torch.Generator().manual_seed(0))
    optimizer = build("muon", model.named_parameters(), lr=0.24)
    return model, optimizer, torch.randn(500, 3, 32, 32), torch.randint(10, (500,)), steps


LOOPS: dict[str, tuple[Callable[[int], Loop], int, bool]] = {"mlp": (mlp, 6000, False), "convnet": (convnet, 180, True)}
"""How a loop is made, its steps, and whether it computes in bfloat16."""


def seconds(name: str, *, watched: bool) -> float:
    """Train, and return the processor seconds."""
    torch.manual_seed(0)
    make, steps, half = LOOPS[name]
    model, optimizer, x, y, steps = make(steps)
    start = time.process_time()
    why = seewhy.watch(model, optimizer, tell=None) if watched else None
    for _ in range(steps):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = F.cross_entropy(model(x).float(), y)
        loss.backward()
        optimizer.step()
    took = time.process_time() - start
    if why is not None:
        why.close()
    return took


def ratios_of(watched: Sequence[float], unwatched: Sequence[float]) -> list[float]:
    """Return the ratios by turn."""
    return [a / b for a, b in zip(watched, unwatched, strict=True)]


def summary(held: Mapping[str, Any]) -> str:
    """Return what `--out` has written as Markdown."""
    rows = []
    for name, times in held["times"].items():
        ratios = ratios_of(times["watched"], times["unwatched"])
        cells = [name, f"{LOOPS[name][1]:,}", str(len(ratios))]
        rows.append([*cells, f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"])
    return markdown(["", "steps", "n", "ratio of watched to unwatched, median [least, greatest]"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(LOOPS), help=", ".join(LOOPS))
    parser.add_argument("--out", type=Path, help="JSON file for all times")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{hardware()}; n = {options.repeats} turns; processor seconds\n")
    print(f"{'':<10}{'unwatched':>11}{'watched':>10}{'ratio':>8}{'least':>8}{'greatest':>10}")
    results = {}
    for name in options.only:
        times: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(options.repeats):
            for watched in (False, True) if turn % 2 else (True, False):
                times[watched].append(seconds(name, watched=watched))
        ratios = ratios_of(times[True], times[False])
        plain, seen = (statistics.median(times[watched]) for watched in (False, True))
        print(
            f"{name:<10}{plain:>11.3f}{seen:>10.3f}{statistics.median(ratios):>8.3f}{min(ratios):>8.3f}{max(ratios):>10.3f}"
        )
        results[name] = {"unwatched": times[False], "watched": times[True]}
    print(f"\npeak memory of both: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")
    if options.out:
        held = basis() | {"n": f"{options.repeats} turns", "times": results}
        options.out.write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
