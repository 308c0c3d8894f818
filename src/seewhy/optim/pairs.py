"""The memory of L-BFGS: the last m pairs (s, y) as rows of one block, and D g as two reads of it.

L-BFGS is BFGS from gamma I over the last m pairs, gamma = s'y/(y'y) of the newest. With S and Y the pairs as rows, oldest first, R the upper
triangle of S Y' and E its diagonal, it is in closed form (Byrd, Nocedal & Schnabel 1994, theorem 2.2)

    D g = gamma (g - Y' u) + S' p,   u = R^-1 S g,   p = R^-T (E u + gamma (Y Y' u - Y g))

One read gives S g and Y g, another S'p and Y'u; between them is work on (m, m), done by the host in float64. A gradient is multiplied with
the rows when it is evaluated, so that the host waits once for the value and the products. They also spare a read for the new y, whose
products with the older rows are differences: W y = W g(t+1) - W g(t) (ibid., section 3.2). R^-1 itself is stored: a new pair adds a
column to it, and the oldest leaves with its row and column.

The two-loop recursion (Nocedal 1980) gives the same D g in 4 m small products.
"""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from seewhy.optim import vectors
from seewhy.optim.updates import Change
from seewhy.optim.vectors import EMPTY, Products


@final
class Pairs:
    """The last m pairs, in one contiguous block (2 m, n), with their products (m, m) in float64.

    Pair i lies in the rows 2 i and 2 i + 1; a new one overwrites the oldest, and nothing is moved. The small matrices have the same
    order, so that R and its inverse are triangular only with rows and columns sorted by age.
    """

    limited = True
    explores = False

    def __init__(self, m: int, n: int, *, dtype: torch.dtype, device: torch.device) -> None:
        """Args: m: the most pairs. n: length. dtype: of the block, which may be narrower than the vectors."""
        self.m = m
        self.converted = dtype != torch.float64 or device.type != "cpu"
        self.block = torch.zeros(2 * m, n, dtype=dtype, device=device)
        self.slots = list(zip(self.block[::2].unbind(), self.block[1::2].unbind(), strict=True))
        self.d = torch.empty(n, dtype=dtype, device=device)
        self.narrowed = torch.empty(0, dtype=dtype, device=device)
        self.widened = self.narrowed
        self.inverse, self.YY, self.E = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m)
        self.clear()

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the views, which a copy has to make anew."""
        return {name: value for name, value in vars(self).items() if name not in ("slots", "rows", "small")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` returned."""
        vars(self).update(state)
        self.slots = list(zip(self.block[::2].unbind(), self.block[1::2].unbind(), strict=True))
        self._hold(self.count, self.following)

    def clear(self) -> None:
        """Drop all pairs."""
        self._hold(0, 0)

    def _hold(self, count: int, following: int) -> None:
        """Use the first `count` slots; the next pair comes to the slot `following`."""
        self.count, self.following = count, following
        self.rows = self.block[: 2 * count]
        self.small = self.inverse[:count, :count], self.YY[:count, :count], self.E[:count]

    @property
    def empty(self) -> bool:
        """Whether there is no pair."""
        return self.count == 0

    @property
    def ages(self) -> list[int]:
        """The slots, oldest pair first."""
        first = self.following if self.count == self.m else 0
        return [(first + age) % self.m for age in range(self.count)]

    @property
    def S(self) -> Tensor:  # noqa: N802
        """Steps (slots in use, n)."""
        return self.rows[::2]

    @property
    def Y(self) -> Tensor:  # noqa: N802
        """Changes of the gradient (slots in use, n)."""
        return self.rows[1::2]

    def project(self, g: Tensor) -> Tensor | None:
        """Return the products of the rows with g (2 k)."""
        return vectors.times(self.rows, self._narrow(g)) if self.count else None

    def _narrow(self, g: Tensor) -> Tensor:
        if g.dtype == self.block.dtype:
            return g
        if not len(self.narrowed):
            self.narrowed = torch.empty_like(self.d)
        return self.narrowed.copy_(g)

    def direction(self, g: Tensor, projections: Products) -> Tensor:
        """Return -D g (n) in the compact form; the vector is the memory's and lives until the next call."""
        d = self.d.copy_(g)
        if not self.count:
            return self._widen(d.neg_(), g.dtype)
        inverse, YY, E = self.small
        newest = self.following - 1
        gamma = float(E[newest] / YY[newest, newest])
        u = inverse.dot(projections[::2])
        c = np.empty(len(projections))
        c[::2] = (gamma * (projections[1::2] - YY.dot(u)) - E * u).dot(inverse)
        c[1::2] = gamma * u
        weights = torch.from_numpy(c)
        if self.converted:
            weights = weights.to(d.dtype).to(d.device)
        return self._widen(vectors.add_rows(d, self.rows, weights, beta=-gamma), g.dtype)

    def _widen(self, d: Tensor, kind: torch.dtype) -> Tensor:
        if d.dtype == kind:
            return d
        if not len(self.widened):
            self.widened = torch.empty_like(d, dtype=kind)
        return self.widened.copy_(d)

    def buffers(self) -> tuple[Tensor, Tensor]:
        """Return the rows of the next pair: new ones, or those of the oldest pair, which is dropped."""
        return self.slots[self.following]

    def update(self, change: Change) -> Products | None:
        """Take in the pair that was written into `buffers`."""
        slot = self.following
        (s, y), g = self.buffers(), self._narrow(change.g)
        numbers = [torch.dot(y, y), torch.dot(y, g)]
        if change.sy is not None and change.sg is not None:
            (yy, yg), _ = vectors.fetch(numbers)
            sy, sg = change.sy, change.sg
        else:
            (yy, yg, sy, sg), _ = vectors.fetch([*numbers, torch.dot(s, y), torch.dot(s, g)])
        y_projections, projections = change.y_projections, change.projections
        if not (sy > 0.0 and yy > 0.0 and math.isfinite(yy / sy)):
            self.clear()
            return None
        if self.count < self.m:
            self._hold(self.count + 1, (slot + 1) % self.m)
            y_projections, projections = np.append(y_projections, (0.0, 0.0)), np.append(projections, (0.0, 0.0))
        else:
            self.following = (slot + 1) % self.m
        inverse, YY, E = self.small
        inverse[slot] = inverse[:, slot] = 0.0
        inverse[:, slot] = inverse.dot(y_projections[::2]) / -sy
        inverse[slot, slot] = 1.0 / sy
        YY[slot] = YY[:, slot] = y_projections[1::2]
        YY[slot, slot], E[slot] = yy, sy
        projections[2 * slot], projections[2 * slot + 1] = sg, yg
        return projections

    def add(self, s: Tensor, y: Tensor) -> None:
        """Take in a pair with s'y > 0, without projections of its gradients."""
        buffers = self.buffers()
        products = self.project(y)
        y_projections = EMPTY if products is None else products.double().cpu().numpy()
        buffers[0].copy_(s)
        buffers[1].copy_(y)
        self.update(Change(y, y_projections.copy(), y_projections))

    def state(self) -> dict[str, Any]:
        """Return the pairs and their products."""
        small = {name: torch.from_numpy(getattr(self, name).copy()) for name in ("inverse", "YY", "E")}
        return {"S": self.S, "Y": self.Y, "following": self.following, **small}

    def load(self, state: dict[str, Any]) -> None:
        """Take over pairs and products."""
        self._hold(len(state["S"]), state["following"])
        self.S.copy_(state["S"])
        self.Y.copy_(state["Y"])
        for name in ("inverse", "YY", "E"):
            getattr(self, name)[...] = state[name].cpu().numpy()


def two_loop(pairs: Pairs, g: Tensor) -> Tensor:
    """Return D g (n) by the two-loop recursion (Nocedal 1980, Mathematics of Computation 35, 773-782): the counterpart of `Pairs.direction`."""
    ages = pairs.ages
    q, alphas = g.to(pairs.S.dtype), {}
    for row in reversed(ages):
        s, y = pairs.S[row], pairs.Y[row]
        alphas[row] = torch.dot(s, q) / torch.dot(s, y)
        q = q - alphas[row] * y
    if ages:
        s, y = pairs.S[ages[-1]], pairs.Y[ages[-1]]
        q = q * (torch.dot(s, y) / torch.dot(y, y))
    for row in ages:
        s, y = pairs.S[row], pairs.Y[row]
        q = q + (alphas[row] - torch.dot(y, q) / torch.dot(s, y)) * s
    return q.to(g.dtype)
