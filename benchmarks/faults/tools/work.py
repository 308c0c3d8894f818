"""Run the programs under one tool; `run_tools.py` starts this in the tools' environment.

python benchmarks/faults/tools/work.py TOOL OUT [--set SET] [--only NAME ...] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from adapters import TOOLS, Losses, Watched
from programs import SETS, Program, chosen
from results import Result
from torch import nn
from torch.optim import Optimizer


def run(tool: str, program: Program, seed: int) -> Result:
    """Run a program under a tool; what crashes is an error, and finds nothing."""
    torch.manual_seed(seed)
    result = Result(program.name, program.set, seed, program.kind, sorted(program.causes))
    start = time.perf_counter()
    try:
        with Losses() as losses:

            def watch(model: nn.Module, optimizer: Optimizer, **more: Any) -> Watched:
                nets = [model, *(value for value in more.values() if isinstance(value, nn.Module))]
                optimizers = [optimizer, *(value for value in more.values() if isinstance(value, Optimizer))]
                return Watched(TOOLS[tool], losses, list(zip(nets, optimizers, strict=True)))

            why, result.metric = program.play(watch, seed)
        result.findings = result.told = why.findings
    except Exception as error:  # noqa: BLE001  a tool that crashes is counted, and must not end the benchmark
        result.error = f"{type(error).__name__}: {error}"
    result.seconds = time.perf_counter() - start
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=list(TOOLS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", choices=SETS)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    results = []
    for program in chosen(options.set, options.only):
        results.append(asdict(run(options.tool, program, options.seed)))
        print(".", end="", file=sys.stderr, flush=True)
        options.out.write_text(json.dumps(results), encoding="utf-8")
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
