"""Diagonal BiLSTM's training step beside the loop over pixels, and beside the time of its matrix products alone.

    python benchmarks/diagonal_bilstm.py [--repeats 15] [--threads 2] [--processor-time]

A step is forward and backward of the cross-entropy of one layer over binary images of 28 x 28. All rows are timed in turns in one process:

1. ours: the network as it is;
2. pixel by pixel: the same network, weights, input-to-state products (for all pixels at once) and everything else, but the state goes from
   pixel to pixel in a loop, which autograd differentiates. Before it is timed, its gradients are compared with ours;
3. products alone: every matrix product and convolution of ours with its own sizes, forward and both gradients, on memory that is there
   already. The state's part is one product for each diagonal.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from machine import hardware
from torch import Tensor
from torch.nn import functional as F

from seewhy.models.autoregressive.networks import DiagonalBiLSTM, lstm
from seewhy.models.autoregressive.networks.skew import Scan, diagonals

SIDE = 28
CASES = [(16, 16), (64, 16), (16, 32), (64, 32)]
"""Batch and units."""


def pixel_by_pixel(x: Tensor, weight: Tensor, scan: Scan) -> Tensor:
    """Compute what `recur` does in a loop over positions."""
    outputs = []
    column = torch.full(scan.reads.shape, -1).scatter(1, scan.reads, torch.arange(x.shape[2]).expand_as(scan.reads))
    for inputs, matrix, taps, order, columns in zip(x, weight, scan.taps, scan.orders, column, strict=True):
        total, h = len(order), matrix.shape[0] // 4
        zeros = inputs.new_zeros(h, inputs.shape[2])
        states, hidden = [zeros] * (total + 1), [zeros] * (total + 1)
        column_of, near = columns.tolist(), taps.tolist()
        for position in order.tolist():
            neighbours = torch.cat([hidden[tap] for tap in near[position]])
            gates = torch.addmm(inputs[:, column_of[position]], matrix, neighbours)
            i, f, g, o = gates.chunk(4)
            states[position] = torch.sigmoid(f) * states[near[position][0]] + torch.sigmoid(i) * torch.tanh(g / 2)
            hidden[position] = torch.sigmoid(o) * torch.tanh(states[position])
        by_column = torch.empty(total, dtype=torch.int64).scatter(0, columns, torch.arange(total)).tolist()
        outputs.append(torch.stack([hidden[position] for position in by_column], 1))
    return torch.stack(outputs)


def products(net: DiagonalBiLSTM, n: int) -> Callable[[], None]:
    """Return a call of the matrix products of a step, of a network of one layer, and nothing else."""
    scan, inner = diagonals((SIDE, SIDE), torch.device("cpu")), net.net
    layer = next(iter(inner.layers))
    columns, h = SIDE * SIDE * n, layer.state.shape[1] // 4
    matrices = [(*layer.below.weight[: 4 * h].shape,)] * len(scan.shifts)
    matrices += [tuple(each.weight.shape) for each in (layer.up, inner.hidden, inner.last)]
    wide = [(torch.randn(a, b), torch.randn(b, columns), torch.randn(a, columns)) for a, b in matrices]
    lines = [
        (torch.randn(len(scan.shifts), 4 * h, size * n), torch.randn(len(scan.shifts), 2 * h, size * n))
        for size in scan.sizes[1:]
    ]
    ends = [(torch.empty(a.shape), torch.empty(b.shape), torch.empty(c.shape)) for a, b, c in wide]
    state, dstate = layer.state.detach(), torch.zeros_like(layer.state)
    transposed = state.transpose(1, 2)
    image = torch.randn(n, 1, SIDE, SIDE)
    kernel = inner.first.masked_weight().detach()
    gradient = torch.randn(n, kernel.shape[0], SIDE, SIDE)
    half, whole = kernel.shape[2] - 1, kernel.shape[3] // 2
    padded = F.pad(image, (whole, whole, half, 0))

    def run() -> None:
        F.conv2d(padded, kernel)
        torch.ops.aten.convolution_backward(
            gradient, padded, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [False, True, False]
        )
        for (w, x, y), (dw, dx, z) in zip(wide, ends, strict=True):
            torch.mm(w, x, out=z)
            torch.mm(w.t(), y, out=dx)
            torch.mm(y, x.t(), out=dw)
        for gates, taps in lines:
            torch.baddbmm(gates, state, taps, beta=0, out=gates)
            torch.bmm(transposed, gates, out=taps)
            dstate.baddbmm_(gates, taps.transpose(1, 2))

    return run


def trained(net: DiagonalBiLSTM, values: Tensor, recur: Callable[[Tensor, Tensor, Scan], Tensor]) -> Callable[[], None]:
    """Return a training step without the optimiser's part."""

    def run() -> None:
        lstm.recur = recur
        net.zero_grad()
        F.cross_entropy(net(values), values).backward()

    return run


def gradient_difference(net: DiagonalBiLSTM, one: Callable[[], None], other: Callable[[], None]) -> float:
    """Return by how much two steps' gradients differ, relative to their largest."""
    gradients = []
    for run in (one, other):
        run()
        gradients.append(torch.cat([p.grad.flatten().clone() for p in net.parameters() if p.grad is not None]))
    return float((gradients[0] - gradients[1]).abs().max() / gradients[1].abs().max())


def timed(
    calls: dict[str, Callable[[], None]], repeats: int, clock: Callable[[], float]
) -> Iterator[tuple[str, list[float]]]:
    """Yield the times of each call in ms, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, run in calls.items():
            if name == "pixel by pixel" and turn > max(3, repeats // 5):
                continue
            start = clock()
            run()
            if turn:
                times[name].append(1e3 * (clock() - start))
    yield from times.items()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--processor-time", action="store_true", help="count the thread's own time, for a busy machine (one thread)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1 if options.processor_time else options.threads)
    clock = time.thread_time if options.processor_time else time.perf_counter
    print(hardware() + ("; the thread's own time" if options.processor_time else ""))
    print("ms: median (least ... greatest; n)")
    ours = lstm.recur
    for n, width in CASES:
        torch.manual_seed(0)
        net = DiagonalBiLSTM((1, SIDE, SIDE), 2, width=width, depth=1)
        values = torch.randint(0, 2, (n, 1, SIDE, SIDE))
        calls = {
            "ours": trained(net, values, ours),
            "pixel by pixel": trained(net, values, pixel_by_pixel),
            "products alone": products(net, n),
        }
        difference = gradient_difference(net, calls["ours"], calls["pixel by pixel"])
        print(f"batch {n}, {width} units; gradients differ by {difference:.1e}")
        middle = {}
        for name, times in timed(calls, options.repeats, clock):
            middle[name] = statistics.median(times)
            spread = f"({min(times):.1f} ... {max(times):.1f}; {len(times)})"
            print(f"  {name:16s}{middle[name]:9.1f}  {spread:32s}x {middle[name] / middle['ours']:.2f}")
        print(f"  ours / products alone: {middle['ours'] / middle['products alone']:.2f}", flush=True)


if __name__ == "__main__":
    main()
