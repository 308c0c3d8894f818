"""Quasi-Newton matrices: D, an approximation of the inverse Hessian, estimated from pairs (s, y).

Letters: s = w(t+1) - w(t) a step, y = g(t+1) - g(t) the change of the gradient over it, n the number of parameters, B the inverse of D.
Every update fulfils the secant condition D y = s, and keeps D positive definite as long as s'y > 0.

    DFP      D <- D + s s'/(s'y) - D y y' D/(y'D y)
    BFGS     D <- (I - s y'/(s'y)) D (I - y s'/(s'y)) + s s'/(s'y)

D is a matrix in `seewhy.optim.dense`; L-BFGS keeps pairs in its place (`seewhy.optim.pairs`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from seewhy.optim.vectors import Products

BLOCK = 1 << 18
"""Numbers of D that a rank-two update touches at once, so that they stay in the processor's cache."""

Update = Callable[..., Tensor]
"""(D, s, y, Dy, in_place, further) -> D."""

Outer = tuple[Tensor, Tensor]
"""a (n), b (n): the matrix a b'."""


def bfgs(
    D: Tensor,
    s: Tensor,
    y: Tensor,
    *,
    Dy: Tensor | None = None,
    in_place: bool = False,
    further: tuple[Outer, ...] = (),
) -> Tensor:
    """Return the BFGS update of D (Broyden, Fletcher, Goldfarb, Shanno 1970).

    Args:
        D: symmetric, (n, n).
        s: (n).
        y: (n), with s'y > 0.
        Dy: D y (n), where it is known, or where a part of D is kept elsewhere.
        in_place: write into D.
        further: matrices to add in the same pass.

    Returns:
        D + s v' + v s', v = ((1 + y'Dy/(s'y)) s/2 - D y)/(s'y); symmetric to the bit if D is.
    """
    Dy, sy = D @ y if Dy is None else Dy, torch.dot(s, y)
    v = (0.5 * (1.0 + torch.dot(y, Dy) / sy) * s - Dy) / sy
    return _add_outer(D if in_place else D.clone(), (s, v), (v, s), *further)


def dfp(
    D: Tensor,
    s: Tensor,
    y: Tensor,
    *,
    Dy: Tensor | None = None,
    in_place: bool = False,
    further: tuple[Outer, ...] = (),
) -> Tensor:
    """Return the DFP update of D (Davidon 1959; Fletcher & Powell 1963); arguments as for `bfgs`.

    It is BFGS with s and y exchanged and D inverted.
    """
    Dy = D @ y if Dy is None else Dy
    p, q = s / torch.dot(s, y).sqrt(), Dy / torch.dot(y, Dy).sqrt()
    return _add_outer(D if in_place else D.clone(), (p, p), (-q, q), *further)


def _add_outer(D: Tensor, *pairs: Outer) -> Tensor:
    """Add the a b' of all pairs to D, some rows at a time. Products and sums commute in floating point, so D stays symmetric to the bit."""
    rows = max(1, BLOCK // len(D))
    (a, b), *others = pairs
    for start in range(0, len(D), rows):
        block = slice(start, start + rows)
        change = torch.outer(a[block], b)
        for c, d in others:
            change += torch.outer(c[block], d)
        D[block] += change
    return D


def damping(sy: float, sBs: float, *, least: float = 0.2) -> float:
    """Return theta in Powell's (1978) theta y + (1 - theta) B s, which leaves s'y = least s'Bs of a smaller s'y."""
    return (1.0 - least) * sBs / (sBs - sy)


def damped(y: Tensor, Bs: Tensor, sy: float, sBs: float, *, least: float = 0.2) -> Tensor:
    """Return Powell's (1978) y: as much of it as leaves s'y >= least s'Bs, and the rest from B s.

    Args:
        y: (n).
        Bs: the present Hessian's product with s, (n); with s = t d and D g = -d it is -t g.
        sy: s'y < least s'Bs.
        sBs: s'Bs > 0.
        least: the share of s'Bs that s'y shall have.
    """
    theta = damping(sy, sBs, least=least)
    return theta * y + (1.0 - theta) * Bs


class Change(NamedTuple):
    """What is known of a step, beside its pair.

    Attributes:
        g: the gradient where it ended, (n).
        projections: what the memory's `project` returned of g.
        y_projections: the same of y, by differences.
        sy: s'y; None where s or y was rounded since it was measured.
        sg: s'g, likewise.
        excess: s'Bs / s'y, by how much D predicted too much curvature; None where the pair is noisy: of batches, or without a search.
    """

    g: Tensor
    projections: Products
    y_projections: Products
    sy: float | None = None
    sg: float | None = None
    excess: float | None = None


class Memory(Protocol):
    """D, as the step loop sees it.

    Attributes:
        limited: whether it drops old pairs in any case, so that a restart costs little.
        explores: whether D may be far too large in directions that no pair has shown, so that a search begins where the last decrease
            suggests.
    """

    limited: bool
    explores: bool

    @property
    def empty(self) -> bool:
        """Whether D is the identity, since no pair has come in."""

    def project(self, g: Tensor) -> Tensor | None:
        """Return the products with g that `direction` and `update` need, for the host to fetch together with the value; None for none."""

    def direction(self, g: Tensor, projections: Products) -> Tensor:
        """Return -D g (n), given the projections of g. The vector is the memory's, and lives until the next call."""

    def buffers(self) -> tuple[Tensor, Tensor]:
        """Return two vectors (n) to write the next pair into; `update` takes it from there."""

    def update(self, change: Change) -> Products | None:
        """Take in the pair that was written into `buffers`.

        Returns:
            The projections of the gradient where the step ended, as they are now; None if the pair cannot be used, and the memory was cleared.
        """

    def clear(self) -> None:
        """Drop all pairs."""

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on to the bit: tensors and numbers."""

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""


class Identity:
    """D = I always: steepest descent."""

    empty = True
    limited = False
    explores = False

    def __init__(self, n: int, *, dtype: torch.dtype, device: torch.device) -> None:
        """Args: n: the length of the vectors."""
        self.pair = (torch.empty(n, dtype=dtype, device=device), torch.empty(n, dtype=dtype, device=device))

    def project(self, g: Tensor) -> None:
        """Need nothing."""

    def direction(self, g: Tensor, projections: Products) -> Tensor:
        """Return -g."""
        del projections
        return -g

    def buffers(self) -> tuple[Tensor, Tensor]:
        """Return two vectors (n)."""
        return self.pair

    def update(self, change: Change) -> Products:
        """Leave D as it is."""
        return change.projections

    def clear(self) -> None:
        """There is nothing to drop."""

    def state(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over nothing."""
