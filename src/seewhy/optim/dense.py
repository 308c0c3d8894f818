"""D as a matrix, and the scale of what no pair has shown of it.

Letters as in `seewhy.optim.updates`; Q (n, k) an orthonormal basis of all y so far, P = I - Q Q' the projector on the rest, gamma a number.

A first pair says how large D is along one direction, and nothing of the n - 1 others. Too small a D there costs many short steps, for BFGS
enlarges it slowly; too large a D is corrected within a step, at the price of a shorter step in the search (Powell 1986; Byrd, Liu & Nocedal
1992).
Where no start is given, `Dense` therefore errs on the large side, at any scale of f:

    start       D = 3 s's/(s'y) I: three times the step to the minimum along the first line
    explored    D = D~ + gamma P. A new y adds the direction q, its part outside Q, to Q; gamma becomes s'q/(q'q) where that is larger: what is
                still unseen is taken to be as flat as what was seen last. D y = s of all earlier pairs is left as it is, for P y = 0
    scaling     D is multiplied by s'Bs/(s'y) before an update where that is more than 1: it predicted too much curvature (Al-Baali 1998)

D~ is the matrix in memory; P is held as Q, k columns after k pairs, so that a change of gamma costs nothing. After n directions P is nothing,
and Q is dropped.
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor

from seewhy.optim.updates import Change, Update
from seewhy.optim.vectors import Products

FIRST = 3.0
"""Of the start. From 1 to 10 the evaluations of the 54 runs of benchmarks/problems.py differ little; with more they grow."""

BASIS_LIMIT = 1000
"""The most columns of Q: P stays as it is from there on."""


@final
class Dense:
    """D as a matrix (n, n), updated in place."""

    limited = False

    def __init__(
        self,
        n: int,
        rule: Update,
        start: Tensor | None = None,
        *,
        explores: bool = True,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        """Make D.

        Args:
            n: the length of the vectors.
            rule: `bfgs` or `dfp`.
            start: D before the first pair, taken as it is; None for the identity.
            explores: scale D as the module says, unless there is a start. DFP's errors are the other way round: it corrects a small D
                slowly, and a large one too.
            dtype: of D and the vectors.
            device: of D and the vectors.
        """
        self.pair = (torch.empty(n, dtype=dtype, device=device), torch.empty(n, dtype=dtype, device=device))
        self.rule, self.explores = rule, explores and start is None
        self.start = start
        self.D: Tensor | None = None
        self.basis: Tensor | None = None
        self.columns, self.gamma = 0, 0.0
        self.clear()

    @property
    def empty(self) -> bool:
        """Whether D is the identity, since no pair has come in."""
        return self.D is None

    def project(self, g: Tensor) -> None:
        """Need nothing."""

    def direction(self, g: Tensor, projections: Products) -> Tensor:
        """Return -D g (n)."""
        del projections
        return self.product(g).neg_()

    def product(self, v: Tensor) -> Tensor:
        """Return D v (n)."""
        if self.D is None:
            return v.clone()
        Dv = self.D @ v
        return Dv if self.basis is None else Dv.add_(self._unexplored(v), alpha=self.gamma)

    def _unexplored(self, v: Tensor) -> Tensor:
        """Return P v (n)."""
        assert self.basis is not None, "all is explored"
        Q = self.basis[: self.columns]
        return torch.addmv(v, Q.mT, Q @ v, alpha=-1.0)

    def buffers(self) -> tuple[Tensor, Tensor]:
        """Return two vectors (n)."""
        return self.pair

    def update(self, change: Change) -> Products:
        """Update D."""
        (s, y), D = self.pair, self.D
        if D is None:
            D = self.D = self._first(s, y, exact=change.excess is not None)
        elif self.explores and change.excess is not None and change.excess > 1.0:
            D *= change.excess
            self.gamma *= change.excess
        unseen = self._unseen(y)
        further = () if unseen is None else ((half := unseen * self.gamma**0.5, half),)
        self.D = self.rule(D, s, y, Dy=self.product(y), in_place=True, further=further)
        if unseen is not None:
            self._explore(unseen, s, y, exact=change.excess is not None)
        return change.projections

    def _first(self, s: Tensor, y: Tensor, *, exact: bool) -> Tensor:
        """Return the matrix before the first pair; a noisy one says nothing of what it does not show."""
        D = torch.eye(len(s), dtype=s.dtype, device=s.device)
        if self.explores and not exact:
            D *= torch.dot(s, y) / torch.dot(y, y)  # Nocedal & Wright 2006, 6.20
        elif self.explores:
            D.zero_()
            self.basis = torch.empty(min(8, len(s)), len(s), dtype=s.dtype, device=s.device)
            self.columns, self.gamma = 0, FIRST * float(torch.dot(s, s) / torch.dot(s, y))
        return D

    def _unseen(self, y: Tensor) -> Tensor | None:
        """Return the direction of y outside Q, of length 1; None where there is none, or no basis."""
        if self.basis is None or self.columns == BASIS_LIMIT:
            return None
        q = self._unexplored(self._unexplored(y))  # once more, against rounding
        square, whole = torch.stack([torch.dot(q, q), torch.dot(y, y)]).tolist()
        return q / square**0.5 if square > torch.finfo(q.dtype).eps * whole else None

    def _explore(self, unseen: Tensor, s: Tensor, y: Tensor, *, exact: bool) -> None:
        """Take a direction of y out of P, and adapt gamma."""
        assert self.basis is not None, "there is something to explore"
        n = len(unseen)
        if self.columns == len(self.basis):
            larger = self.basis.new_empty(min(n, BASIS_LIMIT, 2 * self.columns), n)
            larger[: self.columns] = self.basis
            self.basis = larger
        self.basis[self.columns] = unseen
        self.columns += 1
        if exact:
            along, size = torch.stack([torch.dot(s, unseen), torch.dot(y, unseen)]).tolist()
            self.gamma = max(self.gamma, along / size)
        if self.columns == n:
            self.basis = None

    def clear(self) -> None:
        """Go back to the start."""
        self.D = None if self.start is None else self.start.clone()
        self.basis, self.columns, self.gamma = None, 0, 0.0

    def state(self) -> dict[str, Any]:
        """Return D."""
        basis = None if self.basis is None else self.basis[: self.columns]
        return {"D": self.D, "basis": basis, "gamma": self.gamma}

    def load(self, state: dict[str, Any]) -> None:
        """Take over D."""
        self.D, self.basis = (None if state[name] is None else state[name].clone() for name in ("D", "basis"))
        self.columns, self.gamma = 0 if self.basis is None else len(self.basis), state["gamma"]
