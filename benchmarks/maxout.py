"""Maxout beside the obvious PyTorch spelling, forward and backward.

    python benchmarks/maxout.py [--repeats 25] [--threads 2] [--processor-time]

The obvious spelling is one layer that gives k times the outputs, a reshape to (N, C, k, ...), and `max` over the pieces. Both are timed in
turns in one process, on random data in float32:

1. the maximum alone, on pre-activations that are there already: the part that this package writes. Its memory limit is the time in which the
   bytes that any implementation must move (forward: read k values of each output, write one and one byte for the choice; backward: read one
   and the byte, write k) pass at the bandwidth of a copy of the same pre-activations, measured in the same turns;
2. the whole layer, whose products and convolutions are the same kernels in both, and the time of those alone, below which neither spelling
   can go.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from machine import hardware
from torch import Tensor, nn

from seewhy.nn import MaxoutConv2d, MaxoutLinear
from seewhy.nn.maxout import maxout

Call = Callable[[], object]


@dataclass
class Case:
    """A layer: a name, an input, channels that come out, pieces; convolutions are 3 x 3."""

    name: str
    shape: tuple[int, ...]
    features: int
    pieces: int
    channels_last: bool = False

    def laid_out(self, x: Tensor) -> Tensor:
        """Return x in the case's memory format."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x

    def calls(self) -> dict[str, Call]:
        """Return what is timed."""
        dense = len(self.shape) == 2
        wide = self.pieces * self.features
        x = self.laid_out(torch.randn(self.shape))
        if dense:
            plain: nn.Module = nn.Linear(self.shape[1], wide)
            own: nn.Module = MaxoutLinear(self.shape[1], self.features, self.pieces)
        else:
            plain = nn.Conv2d(self.shape[1], wide, 3, padding=1)
            own = MaxoutConv2d(self.shape[1], self.features, 3, self.pieces, padding=1)
        if self.channels_last:
            plain, own = (layer.to(memory_format=torch.channels_last) for layer in (plain, own))
        with torch.no_grad():
            z = plain(x)
        by_pieces = torch.randn_like(z)
        by_output = self.laid_out(torch.randn(z.shape[0], self.features, *z.shape[2:]))
        blank = torch.empty_like(z)
        return {
            "copy": lambda: blank.copy_(z),
            "maximum, obvious": differentiated(self.obvious, z, by_output),
            "maximum, seewhy": differentiated(lambda z: maxout(z, self.pieces), z, by_output),
            "layer, obvious": trained(plain, self.obvious, x, by_output),
            "layer, seewhy": trained(own, lambda y: y, x, by_output),
            "its kernels alone": trained(plain, lambda y: y, x, by_pieces),
        }

    def obvious(self, z: Tensor) -> Tensor:
        """Return the maximum over pieces that are neighbours, as most people write it."""
        return z.unflatten(1, (self.features, self.pieces)).max(2)[0]

    def traffic(self, copied: int) -> tuple[int, int]:
        """Return the bytes that a copy and the maximum must move."""
        outputs = copied // (4 * self.pieces)
        return 2 * copied, outputs * 2 * (4 * self.pieces + 4 + 1)


def differentiated(f: Callable[[Tensor], Tensor], pre_activations: Tensor, gradient: Tensor) -> Call:
    z = pre_activations.clone().requires_grad_()

    def call() -> None:
        z.grad = None
        f(z).backward(gradient)

    return call


def trained(layer: nn.Module, f: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor) -> Call:
    inputs = x.clone().requires_grad_()

    def call() -> None:
        layer.zero_grad()
        inputs.grad = None
        f(layer(inputs)).backward(gradient)

    return call


CASES = (
    Case("linear, batch 100, 784 -> 240 x 5", (100, 784), 240, 5),
    Case("convolution, batch 64, 32 x 32, 3 -> 32 x 2", (64, 3, 32, 32), 32, 2),
    Case("the same, channels last", (64, 3, 32, 32), 32, 2, channels_last=True),
    Case("convolution, batch 64, 32 x 32, 64 -> 64 x 2", (64, 64, 32, 32), 64, 2),
    Case("the same, channels last", (64, 64, 32, 32), 64, 2, channels_last=True),
)


def measure(calls: dict[str, Call], repeats: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Return milliseconds of each call, taken in turns; two turns warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 2):
        for name, call in calls.items():
            start = clock()
            call()
            if turn >= 2:
                times[name].append(1e3 * (clock() - start))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--processor-time", action="store_true", help="count the thread's own time, for a busy machine (one thread)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1 if options.processor_time else options.threads)
    clock = time.thread_time if options.processor_time else time.perf_counter
    torch.manual_seed(0)
    print(f"n = {options.repeats}; {hardware()}; {clock.__name__}")
    for case in CASES:
        calls = case.calls()
        times = measure(calls, options.repeats, clock)
        middle = {name: statistics.median(values) for name, values in times.items()}
        outputs = case.shape[0] * case.features * (1 if len(case.shape) == 2 else case.shape[2] * case.shape[3])
        by_copy, by_maximum = case.traffic(4 * case.pieces * outputs)
        limit = middle["copy"] * by_maximum / by_copy
        print(f"\n{case.name}\n{'':<22} {'median ms':>10} {'quartiles':>19}")
        for name, values in times.items():
            low, _, high = statistics.quantiles(values, n=4)
            print(f"  {name:<20} {middle[name]:10.3f} {low:9.3f} - {high:<9.3f}")
        print(f"  copy: {by_copy / middle['copy'] / 1e6:.1f} GB/s; memory limit of the maximum {limit:.3f} ms", end="")
        print(f", of which seewhy reaches {limit / middle['maximum, seewhy']:.0%}")
        for part in ("maximum", "layer"):
            ratios = [a / b for a, b in zip(times[f"{part}, obvious"], times[f"{part}, seewhy"], strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            print(f"  {part}: {ratio:.2f} times as fast as the obvious spelling (quartiles {low:.2f} - {high:.2f})")


if __name__ == "__main__":
    main()
