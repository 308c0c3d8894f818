"""What stochastic depth saves: training steps of a stack of residual blocks with p_L = 1/2 beside the same stack without.

    python benchmarks/stochastic_depth.py [--blocks 24] [--steps 120] [--threads 2] [--processor-time]

A skipped block costs nothing, so of the blocks' time a share 1 - mean of p_l should be saved: (1 - p_L) (L + 1) / (2 L), a quarter for many
blocks. Steps of both stacks alternate. "Expected" counts the blocks that were skipped, "by design" is the formula.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from machine import hardware
from torch import nn

from seewhy.nn import Parts, ResidualBlock, survival_rates


def stack(blocks: int, last: float) -> nn.Sequential:
    """Return blocks of 32 channels whose survival decays to `last`."""
    torch.manual_seed(0)
    parts = Parts("relu", "batch")
    rates = survival_rates(blocks, last)
    net = nn.Sequential(*(ResidualBlock(32, 32, parts, survival=rate) for rate in rates))
    return net.to(memory_format=torch.channels_last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--processor-time", action="store_true", help="count the thread's own time, for a busy machine (one thread)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1 if options.processor_time else options.threads)
    clock = time.thread_time if options.processor_time else time.perf_counter
    nets = {"all blocks": stack(options.blocks, 1.0), "p_L = 1/2": stack(options.blocks, 0.5)}
    x = torch.randn(32, 32, 16, 16).contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {name: [] for name in nets}
    computed = []
    for block in nets["p_L = 1/2"]:
        block.conv2.register_forward_hook(lambda *_: computed.append(1))
    for step in range(options.steps + 2):
        if step == 2:
            computed.clear()
        for name, net in nets.items():
            start = clock()
            net.zero_grad(set_to_none=True)
            net(x).square().mean().backward()
            if step >= 2:
                times[name].append(1e3 * (clock() - start))
    print(f"{hardware()}; {clock.__name__}")
    full, shallow = (statistics.mean(values) for values in times.values())
    error = statistics.stdev(times["p_L = 1/2"]) / options.steps**0.5 / full
    skipped = 1 - len(computed) / (options.blocks * options.steps)
    design = 1 - sum(survival_rates(options.blocks, 0.5)) / options.blocks
    print(
        f"{options.blocks} blocks, n = {options.steps} steps: {full:.1f} ms with all blocks, {shallow:.1f} ms with p_L = 1/2"
    )
    print(
        f"saved {1 - shallow / full:.1%} (standard error {error:.1%}); expected {skipped:.1%}, by design {design:.1%}"
    )


if __name__ == "__main__":
    main()
