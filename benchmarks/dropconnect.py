"""DropConnect with a mask for each example, beside the obvious PyTorch spelling, forward and backward.

    python benchmarks/dropconnect.py [--repeats 15] [--threads 2] [--processor-time]

The obvious spelling samples `bernoulli` masks of shape (N, out, in), multiplies the weights by them and contracts with `einsum`; for a
convolution it does the same with filters and one grouped convolution. Both are timed in turns in one process, float32, on random data. Peak
memory is the most that the step's tensors held at one time (`torch.profiler`).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from machine import hardware
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from seewhy.nn import DropConnectConv2d, DropConnectLinear

Call = Callable[[], object]


def linear_obvious(x: Tensor, weight: Tensor, bias: Tensor, keep: float) -> Tensor:
    """Return the layer's output with whole masks in memory."""
    mask = torch.bernoulli(torch.full((len(x), *weight.shape), keep))
    bias_mask = torch.bernoulli(torch.full((len(x), len(bias)), keep))
    return torch.einsum("noi,ni->no", mask * weight, x) + bias_mask * bias


def conv_obvious(x: Tensor, weight: Tensor, bias: Tensor, keep: float) -> Tensor:
    """Return the convolution's output with whole masks in memory."""
    mask = torch.bernoulli(torch.full((len(x), *weight.shape), keep))
    filters = (mask * weight).flatten(0, 1)
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), filters, padding=1, groups=len(x))
    return y.view(len(x), -1, *x.shape[2:]) + bias[:, None, None]


def cases() -> dict[str, tuple[Call, Call]]:
    """Return (obvious, seewhy) for each case."""
    pairs: dict[str, tuple[Call, Call]] = {}
    for count, features_in, features_out, drop in ((100, 784, 800, 0.5), (100, 800, 800, 0.5), (100, 800, 800, 0.3)):
        layer = DropConnectLinear(features_in, features_out, drop=drop)
        x, g = torch.randn(count, features_in, requires_grad=True), torch.randn(count, features_out)
        name = f"linear {features_in} -> {features_out}, batch {count}, drop {drop:g}"
        pairs[name] = pair(linear_obvious, layer, x, g, drop)
    for channels, side in ((32, 16), (64, 8)):
        conv = DropConnectConv2d(channels, channels, 3, padding=1, drop=0.5)
        x, g = torch.randn(64, channels, side, side, requires_grad=True), torch.randn(64, channels, side, side)
        pairs[f"convolution 3x3, {channels} channels, {side} px, batch 64, drop 0.5"] = pair(
            conv_obvious, conv, x, g, 0.5
        )
    return pairs


def pair(
    obvious: Callable[..., Tensor], layer: torch.nn.Module, x: Tensor, g: Tensor, drop: float
) -> tuple[Call, Call]:
    def clear() -> None:
        x.grad = None
        layer.zero_grad()

    def theirs() -> None:
        clear()
        obvious(x, layer.weight, layer.bias, 1 - drop).backward(g)

    def ours() -> None:
        clear()
        layer(x).backward(g)

    return theirs, ours


def peak_megabytes(call: Call) -> float:
    """Return the most memory that the call's tensors held at one time beyond what was there before, in MB."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        call()
    held = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--processor-time", action="store_true", help="count the thread's own time, for a busy machine (one thread)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1 if options.processor_time else options.threads)
    clock = time.thread_time if options.processor_time else time.perf_counter
    torch.manual_seed(0)
    print(f"n = {options.repeats}; {hardware()}; {clock.__name__}")
    print(
        "| case | obvious ms | seewhy ms | times as fast (quartiles) | peak memory, MB: obvious, seewhy |\n|---|---|---|---|---|"
    )
    for name, calls in cases().items():
        times: list[list[float]] = [[], []]
        for turn in range(options.repeats + 2):
            for call, into in zip(calls, times, strict=True):
                start = clock()
                call()
                if turn >= 2:
                    into.append(1e3 * (clock() - start))
        low, ratio, high = statistics.quantiles([a / b for a, b in zip(*times, strict=True)], n=4)
        theirs, ours = (statistics.median(values) for values in times)
        memory = ", ".join(f"{peak_megabytes(call):.0f}" for call in calls)
        print(f"| {name} | {theirs:.1f} | {ours:.1f} | {ratio:.2f} ({low:.2f} to {high:.2f}) | {memory} |", flush=True)


if __name__ == "__main__":
    main()
