"""Long vectors at the speed of memory.

On a processor torch computes a matrix-vector product on one core, but a batch of them on all; here each core takes a chunk of the columns.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Products = npt.NDArray[np.float64]
"""The products of a memory's rows with a gradient; empty where it needs none."""
EMPTY: Products = np.empty(0)

CHUNK = 1 << 17
"""Numbers that are converted at once, so that intermediate values stay in the cache."""
PARALLEL_FROM = 1 << 18
"""Numbers of a block from which on several cores share it."""


def times(rows: Tensor, g: Tensor) -> Tensor:
    """Return the products (k) of k rows (k, n) with g (n), all of one precision."""
    cores = _cores(rows)
    if cores == 1:
        return torch.mv(rows, g)
    (k, n), width = rows.shape, rows.shape[1] // cores
    even = width * cores
    chunks = rows[:, :even].view(k, cores, width).permute(1, 2, 0)
    products = torch.bmm(g[:even].view(cores, 1, width), chunks).sum(0).view(k)
    return products if even == n else products.addmv_(rows[:, even:], g[even:])


def add_rows(out: Tensor, rows: Tensor, c: Tensor, *, beta: float = 1.0) -> Tensor:
    """Return beta out (n) + the rows (k, n) times c (k), in place; all of one precision."""
    cores = _cores(rows)
    if cores == 1:
        return out.addmv_(rows.mT, c, beta=beta)
    (k, n), width = rows.shape, rows.shape[1] // cores
    even = width * cores
    chunks = rows[:, :even].view(k, cores, width).transpose(0, 1)
    out[:even].view(cores, 1, width).baddbmm_(c.expand(cores, 1, k), chunks, beta=beta)
    if even < n:
        out[even:].addmv_(rows[:, even:].mT, c, beta=beta)
    return out


def subtract(a: Tensor, b: Tensor, *, out: Tensor) -> Tensor:
    """Return a - b in `out`, which may be narrower."""
    if a.dtype == out.dtype or len(a) <= CHUNK:
        return torch.sub(a, b, out=out)
    for p, q, r in zip(torch.split(a, CHUNK), torch.split(b, CHUNK), torch.split(out, CHUNK), strict=True):
        torch.sub(p, q, out=r)
    return out


def fetch(numbers: list[Tensor], vector: Tensor | None = None) -> tuple[list[float], Products]:
    """Return the numbers, and a vector in float64, waiting once for their device."""
    if numbers[0].is_cpu:
        return [number.item() for number in numbers], EMPTY if vector is None else vector.double().numpy()
    kind = torch.float32 if numbers[0].device.type == "mps" else torch.float64
    together = torch.stack([number.to(kind) for number in numbers])
    count = len(numbers)
    fetched = (together if vector is None else torch.cat([together, vector.to(kind)])).cpu().double().numpy()
    return fetched[:count].tolist(), fetched[count:]


def _cores(rows: Tensor) -> int:
    if rows.numel() < PARALLEL_FROM or not rows.is_cpu:
        return 1
    return min(torch.get_num_threads(), rows.shape[1])
