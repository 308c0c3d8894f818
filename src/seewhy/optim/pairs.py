"""The memory of L-BFGS: the last m pairs (s, y) as rows of one block, and D g as two reads of it.

L-BFGS is BFGS from gamma I over the last m pairs, gamma = s'y/(y'y) of the newest. With S and Y the pairs as rows, oldest first, R the upper
triangle of S Y' and E its diagonal, it is in closed form (Byrd, Nocedal & Schnabel 1994, theorem 2.2)

    D g = gamma (g - Y' u) + S' p,   u = R^-1 S g,   p = R^-T (E u + gamma (Y Y' u - Y g))

One read gives S g and Y g, another S'p and Y'u; what is between is work on (m, m), done by the host in float64. A gradient is multiplied with
the rows when it is evaluated, so that the host waits once for the value and the products. They also spare a read for the new y, whose
products with the older rows are differences: W y = W g(t+1) - W g(t) (ibid., section 3.2). R^-1 itself is kept: a new pair adds a
column to it, and the oldest leaves with its first row and column.

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
    """The last m pairs, in one contiguous block (2 m, n), with their products (m, m) in float64."""

    def __init__(self, m: int, n: int, *, dtype: torch.dtype, device: torch.device) -> None:
        """Args: m: pairs to keep. n: length. dtype: of the block, which may be narrower than the vectors."""
        self.m = m
        self.block = torch.zeros(2 * m, n, dtype=dtype, device=device)
        self.d = torch.empty(n, dtype=dtype, device=device)
        self.narrowed = torch.empty(0, dtype=dtype, device=device)
        self.inverse, self.YY, self.E = np.zeros((m, m)), np.zeros((m, m)), np.zeros(m)
        self.clear()

    def clear(self) -> None:
        """Forget all pairs."""
        self.count = self.oldest = 0
        self._arrange()

    def _arrange(self) -> None:
        k = self.count
        self.rows = self.block[: 2 * k]
        self.ages = (self.oldest + np.arange(k)) % self.m
        self.of_s, self.of_y = 2 * self.ages, 2 * self.ages + 1

    @property
    def empty(self) -> bool:
        """Whether there is no pair."""
        return self.count == 0

    @property
    def S(self) -> Tensor:  # noqa: N802
        """Steps (rows in use, n), as they lie; `ages` has the oldest first."""
        return self.rows[::2]

    @property
    def Y(self) -> Tensor:  # noqa: N802
        """Changes of the gradient (rows in use, n), as they lie."""
        return self.rows[1::2]

    def look(self, g: Tensor) -> Tensor | None:
        """Return the products of the rows with g (2 k), as the rows lie."""
        return vectors.times(self.rows, self._narrow(g)) if self.count else None

    def _narrow(self, g: Tensor) -> Tensor:
        if g.dtype == self.block.dtype:
            return g
        if not len(self.narrowed):
            self.narrowed = torch.empty_like(self.d)
        return self.narrowed.copy_(g)

    def descend(self, g: Tensor, looked: Products) -> Tensor:
        """Return -D g (n) in the compact form; the vector is the memory's and lives until the next call."""
        k, d = self.count, self.d
        if k == 0:
            return torch.neg(g, out=d) if g.dtype == d.dtype else d.copy_(g).neg_()
        a, b, E, inverse = looked[self.of_s], looked[self.of_y], self.E[:k], self.inverse[:k, :k]
        gamma = float(E[-1] / self.YY[k - 1, k - 1])
        u = inverse @ a
        c = np.empty(2 * k)
        c[self.of_s] = (gamma * (b - self.YY[:k, :k] @ u) - E * u) @ inverse
        c[self.of_y] = gamma * u
        torch.mul(g, -gamma, out=d) if g.dtype == d.dtype else d.copy_(g).mul_(-gamma)
        return vectors.add_rows(d, self.rows, torch.from_numpy(c).to(d.dtype).to(d.device))

    def room(self) -> tuple[Tensor, Tensor]:
        """Return the rows of the next pair: new ones, or those of the oldest pair, which ends."""
        self.slot = self.count if self.count < self.m else self.oldest
        return self.block[2 * self.slot], self.block[2 * self.slot + 1]

    def learn(self, change: Change) -> Products | None:
        """Take the pair that was written into `room`."""
        k, at = self.count, 2 * self.slot
        s, y, g, of_y = self.block[at], self.block[at + 1], self._narrow(change.g), change.of_y
        numbers = [torch.dot(y, y), torch.dot(y, g)]
        if change.sy is not None and change.sg is not None and self.block.dtype == torch.float64:
            (yy, yg), _ = vectors.fetch(numbers)
            sy, sg = change.sy, change.sg
        else:
            (yy, yg, sy, sg), _ = vectors.fetch([*numbers, torch.dot(s, y), torch.dot(s, g)])
        if not (sy > 0.0 and math.isfinite(yy / sy) and yy > 0.0 and np.isfinite(of_y).all()):
            self.clear()
            return None
        if k == self.m:
            k -= 1
            self.oldest = (self.oldest + 1) % self.m
            for small in (self.inverse, self.YY):
                small[:-1, :-1] = small[1:, 1:]
            self.E[:-1] = self.E[1:]
            self.inverse[k, :k] = 0.0
            older = self.ages[1:]
        else:
            older = self.ages
        self.count = k + 1
        self.inverse[:k, k] = self.inverse[:k, :k] @ of_y[2 * older] / -sy
        self.inverse[k, k] = 1.0 / sy
        self.YY[:k, k] = self.YY[k, :k] = of_y[2 * older + 1]
        self.YY[k, k], self.E[k] = yy, sy
        self._arrange()
        now = np.empty(2 * self.count)
        now[: len(change.looked)] = change.looked
        now[at], now[at + 1] = sg, yg
        return now

    def add(self, s: Tensor, y: Tensor) -> None:
        """Keep a pair with s'y > 0, whatever was looked at before."""
        rows = self.room()
        look = self.look(y)
        of_y = EMPTY if look is None else look.double().cpu().numpy()
        rows[0].copy_(s)
        rows[1].copy_(y)
        self.learn(Change(y, of_y, of_y))

    def state(self) -> dict[str, Any]:
        """Return the pairs and their products."""
        small = {name: torch.from_numpy(getattr(self, name).copy()) for name in ("inverse", "YY", "E")}
        return {"S": self.S, "Y": self.Y, "oldest": self.oldest, **small}

    def load(self, state: dict[str, Any]) -> None:
        """Take over pairs and products."""
        self.count, self.oldest = len(state["S"]), state["oldest"]
        self._arrange()
        self.S.copy_(state["S"])
        self.Y.copy_(state["Y"])
        for name in ("inverse", "YY", "E"):
            getattr(self, name)[...] = state[name].cpu().numpy()


def two_loop(pairs: Pairs, g: Tensor) -> Tensor:
    """Return D g (n) by the two-loop recursion (Nocedal 1980, Mathematics of Computation 35, 773-782): the twin of `Pairs.descend`."""
    ages = [int(row) for row in pairs.ages]
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
