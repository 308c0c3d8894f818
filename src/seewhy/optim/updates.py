"""Quasi-Newton matrices: D, an approximation of the inverse Hessian, learnt from pairs (s, y).

Letters: s = w(t+1) - w(t) a step, y = g(t+1) - g(t) the change of the gradient over it, n the number of parameters, m the number of pairs kept.
Every update fulfils the secant condition D y = s, and keeps D positive definite as long as s'y > 0.

    DFP      D <- D + s s'/(s'y) - D y y' D/(y'D y)
    BFGS     D <- (I - s y'/(s'y)) D (I - y s'/(s'y)) + s s'/(s'y)
    L-BFGS   BFGS from gamma I over the last m pairs, gamma = s'y/(y'y) of the newest; only D g is ever formed

With S and Y the pairs as rows, oldest first, R the upper triangle of S Y' and E its diagonal, L-BFGS is in closed form (Byrd, Nocedal &
Schnabel 1994, theorem 2.2)

    D g = gamma (g - Y' u) + S' p,   u = R^-1 S g,   p = R^-T (E u + gamma (Y Y' u - Y g))

so that a product is two reads of S and Y in large matrix-vector products, and the rest is work on (m, m). The two-loop recursion (Nocedal
1980) gives the same D g in 4 m small ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

BLOCK = 1 << 18
"""Numbers of D that a rank-two update touches at once, so that they stay in the processor's cache."""

Update = Callable[..., Tensor]
"""(D, s, y, in_place) -> D."""


def bfgs(D: Tensor, s: Tensor, y: Tensor, *, in_place: bool = False) -> Tensor:
    """Return the BFGS update of D (Broyden, Fletcher, Goldfarb, Shanno 1970).

    Args:
        D: symmetric, (n, n).
        s: (n).
        y: (n), with s'y > 0.
        in_place: write into D.

    Returns:
        D + s v' + v s', v = ((1 + y'Dy/(s'y)) s/2 - D y)/(s'y); symmetric to the bit if D is.
    """
    Dy, sy = D @ y, torch.dot(s, y)
    v = (0.5 * (1.0 + torch.dot(y, Dy) / sy) * s - Dy) / sy
    return _add_outer(D if in_place else D.clone(), (s, v), (v, s))


def dfp(D: Tensor, s: Tensor, y: Tensor, *, in_place: bool = False) -> Tensor:
    """Return the DFP update of D (Davidon 1959; Fletcher & Powell 1963); arguments as for `bfgs`.

    It is BFGS with s and y exchanged and D inverted.
    """
    Dy = D @ y
    p, q = s / torch.dot(s, y).sqrt(), Dy / torch.dot(y, Dy).sqrt()
    return _add_outer(D if in_place else D.clone(), (p, p), (-q, q))


def _add_outer(D: Tensor, first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> Tensor:
    """Add a b' + c d' to D, some rows at a time. Products and sums commute in floating point, so D stays symmetric to the bit."""
    (a, b), (c, d) = first, second
    rows = max(1, BLOCK // len(D))
    for start in range(0, len(D), rows):
        chosen = slice(start, start + rows)
        change = torch.outer(a[chosen], b)
        change += torch.outer(c[chosen], d)
        D[chosen] += change
    return D


def damped(y: Tensor, Bs: Tensor, sy: float, sBs: float, *, least: float = 0.2) -> Tensor:
    """Return Powell's (1978) y: as much of it as leaves s'y >= least s'Bs, and the rest from B s.

    Args:
        y: (n).
        Bs: the present Hessian's product with s, (n); with s = t d and D g = -d it is -t g.
        sy: s'y < least s'Bs.
        sBs: s'Bs > 0.
        least: the share of s'Bs that s'y shall have.
    """
    theta = (1.0 - least) * sBs / (sBs - sy)
    return theta * y + (1.0 - theta) * Bs


class Memory(Protocol):
    """D, as the step loop sees it."""

    @property
    def empty(self) -> bool:
        """Whether D is the identity since nothing has been learnt."""

    def descend(self, g: Tensor) -> Tensor:
        """Return -D g (n), a new vector."""

    def room(self) -> tuple[Tensor, Tensor]:
        """Return two vectors (n) to write the next pair into, s'y > 0; `learn` takes it from there."""

    def learn(self, *, follows: bool) -> None:
        """Learn the pair in `room`.

        `follows`: y = g(t+1) - g(t) where D was last applied to g(t), and will be next to g(t+1) unless `settle` comes before.
        """

    def settle(self) -> None:
        """Let D be applied to any vector next."""

    def clear(self) -> None:
        """Forget everything."""

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on to the bit: tensors and numbers."""

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""


class Identity:
    """D = I for ever: steepest descent."""

    empty = True

    def __init__(self, n: int, *, dtype: torch.dtype, device: torch.device) -> None:
        """Args: n: the length of the vectors."""
        self.pair = (torch.empty(n, dtype=dtype, device=device), torch.empty(n, dtype=dtype, device=device))

    def descend(self, g: Tensor) -> Tensor:
        """Return -g."""
        return -g

    def room(self) -> tuple[Tensor, Tensor]:
        """Return two vectors (n)."""
        return self.pair

    def learn(self, *, follows: bool) -> None:
        """Learn nothing."""

    def settle(self) -> None:
        """Nothing is put off."""

    def clear(self) -> None:
        """Nothing is kept."""

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over nothing."""


class Dense:
    """D as a matrix (n, n), updated in place."""

    def __init__(
        self,
        n: int,
        update: Update,
        start: Tensor | None = None,
        *,
        scaled: bool = True,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Make D.

        Args:
            n: the length of the vectors.
            update: `bfgs` or `dfp`.
            start: D before the first pair, taken as it is; None for the identity.
            scaled: the identity becomes s'y/(y'y) I before its first update (Nocedal & Wright 2006, 6.20). That is small, and an error
                that DFP mends slowly.
            dtype: of D and the vectors.
            device: of D and the vectors.
        """
        self.pair = (torch.empty(n, dtype=dtype, device=device), torch.empty(n, dtype=dtype, device=device))
        self.update, self.scaled = update, scaled
        self.start = start
        self.D: Tensor | None = None
        self.clear()

    @property
    def empty(self) -> bool:
        """Whether D is the identity since nothing has been learnt."""
        return self.D is None

    def descend(self, g: Tensor) -> Tensor:
        """Return -D g (n)."""
        return -g if self.D is None else (self.D @ g).neg_()

    def room(self) -> tuple[Tensor, Tensor]:
        """Return two vectors (n)."""
        return self.pair

    def learn(self, *, follows: bool) -> None:
        """Update D."""
        del follows
        (s, y), D = self.pair, self.D
        if D is None:
            D = torch.eye(len(s), dtype=s.dtype, device=s.device)
            if self.scaled:
                D *= torch.dot(s, y) / torch.dot(y, y)
        self.D = self.update(D, s, y, in_place=True)

    def settle(self) -> None:
        """Nothing is put off."""

    def clear(self) -> None:
        """Go back to the start."""
        self.D = None if self.start is None else self.start.clone()

    def state(self) -> dict[str, Any]:
        """Return D."""
        return {"D": self.D}

    def load(self, state: dict[str, Any]) -> None:
        """Take over D."""
        self.D = None if state["D"] is None else state["D"].clone()


class Pairs:
    """The last m pairs, in two contiguous blocks (m, n), with their products (m, m) in float64.

    The product of a new y with the older rows costs no read of the blocks: it is the difference of two products with gradients that D g needs
    anyway, W y = W g(t+1) - W g(t) (Byrd, Nocedal & Schnabel 1994, section 3.2).
    """

    def __init__(self, m: int, n: int, *, dtype: torch.dtype, device: torch.device) -> None:
        """Args: m: pairs to keep. n: length. dtype: of the blocks, which may be narrower than the vectors."""
        self.m = m
        self.small = torch.float32 if device.type == "mps" else torch.float64
        self.S = torch.zeros(m, n, dtype=dtype, device=device)
        self.Y = torch.zeros(m, n, dtype=dtype, device=device)
        self.SY = torch.zeros(m, m, dtype=self.small, device=device)
        self.YY = torch.zeros(m, m, dtype=self.small, device=device)
        ages = torch.arange(m, device=device)
        self.orders = [(ages + first) % m for first in range(m)]
        self.clear()

    def clear(self) -> None:
        """Forget all pairs."""
        self.count = 0
        self.oldest = 0
        self.products: tuple[Tensor, Tensor] | None = None
        self.awaits = False

    @property
    def empty(self) -> bool:
        """Whether there is no pair."""
        return self.count == 0

    def add(self, s: Tensor, y: Tensor) -> None:
        """Keep a pair with s'y > 0."""
        row_s, row_y = self.room()
        row_s.copy_(s)
        row_y.copy_(y)
        self.learn()

    def room(self) -> tuple[Tensor, Tensor]:
        """Return the rows of the next pair: new ones, or those of the oldest pair, which ends."""
        self.settle()
        row = self.count if self.count < self.m else self.oldest
        return self.S[row], self.Y[row]

    def learn(self, *, follows: bool = False) -> None:
        """Take the rows that `room` returned for a pair."""
        row = k = self.count
        if k == self.m:
            row, self.oldest = self.oldest, (self.oldest + 1) % self.m
            k -= 1
            for products in (self.SY, self.YY):
                products[:-1, :-1] = products[1:, 1:].clone()
            if self.products is not None:
                self.products = (self.products[0][1:], self.products[1][1:])
        self.count = k + 1
        new = self.Y[row]
        self.SY[k, k] = torch.dot(self.S[row], new)
        self.YY[k, k] = torch.dot(new, new)
        self.awaits = follows and k > 0 and self.products is not None
        if k > 0 and not self.awaits:
            self._set_newest(*(product[:k] for product in self._times(new)))

    def settle(self) -> None:
        """Multiply the newest y with the older rows, if that was put off."""
        if self.awaits:
            self.awaits = False
            newest = (self.oldest + self.count - 1) % self.m
            self._set_newest(*(product[:-1] for product in self._times(self.Y[newest])))

    def _set_newest(self, Sy: Tensor, Yy: Tensor) -> None:
        k = self.count - 1
        self.SY[:k, k] = Sy
        self.YY[:k, k] = Yy
        self.YY[k, :k] = Yy

    def _times(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Return S g and Y g, oldest first."""
        k, g = self.count, g.to(self.S.dtype)
        a, b = torch.mv(self.S[:k], g).to(self.small), torch.mv(self.Y[:k], g).to(self.small)
        if self.oldest:
            order = self.orders[self.oldest]
            return a[order], b[order]
        return a, b

    def descend(self, g: Tensor) -> Tensor:
        """Return -D g (n) in the compact form."""
        k = self.count
        if k == 0:
            return -g
        a, b = self._times(g)
        if self.awaits and self.products is not None:
            self._set_newest(a[:-1] - self.products[0], b[:-1] - self.products[1])
            self.awaits = False
        self.products = (a, b)
        R = self.SY[:k, :k]
        gamma = R[-1, -1] / self.YY[k - 1, k - 1]
        u = torch.linalg.solve_triangular(R, a[:, None], upper=True)[:, 0]
        v = torch.addmv(b, self.YY[:k, :k], u, alpha=-1.0).mul_(gamma).sub_(R.diagonal() * u)
        p = torch.linalg.solve_triangular(R.mT, v[:, None], upper=False)[:, 0]
        u = u * gamma
        if self.oldest:
            back = self.orders[-self.oldest]
            u, p = u[back], p[back]
        return self._combine(g * gamma.neg().to(g.dtype), p, u)

    def _combine(self, out: Tensor, p: Tensor, u: Tensor) -> Tensor:
        """Return out + S'p + Y'u, with p and u in the order of the rows."""
        k, kind = self.count, self.S.dtype
        p, u = p.to(kind), u.to(kind)
        if out.dtype == kind:
            return out.addmv_(self.S[:k].mT, p).addmv_(self.Y[:k].mT, u)
        return out.add_(torch.mv(self.S[:k].mT, p).addmv_(self.Y[:k].mT, u))

    def state(self) -> dict[str, Any]:
        """Return the pairs and their products."""
        return {
            "S": self.S[: self.count],
            "Y": self.Y[: self.count],
            "SY": self.SY,
            "YY": self.YY,
            "oldest": self.oldest,
            "awaits": self.awaits,
            "products": None if self.products is None else list(self.products),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over pairs and products."""
        self.count = len(state["S"])
        self.S[: self.count] = state["S"]
        self.Y[: self.count] = state["Y"]
        self.SY.copy_(state["SY"])
        self.YY.copy_(state["YY"])
        self.oldest, self.awaits = state["oldest"], state["awaits"]
        products = state["products"]
        self.products = None
        if products is not None:
            self.products = (products[0].to(self.SY), products[1].to(self.SY))


def two_loop(pairs: Pairs, g: Tensor) -> Tensor:
    """Return D g (n) by the two-loop recursion (Nocedal 1980, Mathematics of Computation 35, 773-782): the twin of `Pairs.apply`."""
    rows = [(pairs.oldest + age) % pairs.m for age in range(pairs.count)]
    q, alphas = g.to(pairs.S.dtype), {}
    for row in reversed(rows):
        s, y = pairs.S[row], pairs.Y[row]
        alphas[row] = torch.dot(s, q) / torch.dot(s, y)
        q = q - alphas[row] * y
    if rows:
        s, y = pairs.S[rows[-1]], pairs.Y[rows[-1]]
        q = q * (torch.dot(s, y) / torch.dot(y, y))
    for row in rows:
        s, y = pairs.S[row], pairs.Y[row]
        q = q + (alphas[row] - torch.dot(y, q) / torch.dot(s, y)) * s
    return q.to(g.dtype)
