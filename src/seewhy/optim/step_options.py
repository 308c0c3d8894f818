"""The options of the quasi-Newton step loop, and the line searches by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from seewhy.core.errors import bad_value, unknown_name
from seewhy.optim.line_search import Search, backtracking, exact, strong_wolfe

LineSearch = Callable[..., Search]
LINE_SEARCHES: dict[str, LineSearch | None] = {
    "strong_wolfe": strong_wolfe,
    "exact": exact,
    "backtracking": backtracking,
    "none": None,
}


@dataclass(frozen=True)
class StepOptions:
    """The options of the step loop, as in `seewhy.optim.BFGS`.

    Raises:
        InputError: an option is out of range.
    """

    lr: float
    line_search: str | LineSearch
    c1: float
    c2: float
    max_iter: int
    max_eval: int | None
    gtol: float
    maximize: bool

    def __post_init__(self) -> None:
        if isinstance(self.line_search, str) and self.line_search not in LINE_SEARCHES:
            raise unknown_name("line_search", self.line_search, LINE_SEARCHES)
        if not 0.0 < self.lr < math.inf:
            raise bad_value("lr", self.lr, "more than 0 and finite", "1 is right for a line search")
        if not 0.0 < self.c1 < 1.0:
            raise bad_value("c1", self.c1, "more than 0 and less than 1")
        if not self.c1 < self.c2 < 1.0:
            raise bad_value("c2", self.c2, f"more than c1, {self.c1:g}, and less than 1")
        for name, value in (("max_iter", self.max_iter), ("max_eval", self.max_eval)):
            if value is not None and value < 1:
                raise bad_value(name, value, "at least 1")
        if not self.gtol >= 0.0:
            raise bad_value("gtol", self.gtol, "at least 0")


@dataclass
class Counts:
    """Of iterations, pairs and restarts, as `seewhy.optim.status.Status` has them."""

    iterations: int = 0
    skipped_pairs: int = 0
    damped_pairs: int = 0
    restarts: int = 0


class Line(NamedTuple):
    """phi'(0), d'Bd, and the cosine of d with -g."""

    slope: float
    curvature: float
    cosine: float


def search_along(
    search: LineSearch,
    phi: Callable[[float], tuple[float, float]],
    value: float,
    slope: float,
    *,
    step: float,
    noise: float,
    max_eval: int,
    c1: float,
    c2: float,
) -> Search:
    """Call a search with the constants that it knows."""
    constants = {backtracking: {"c1": c1}, exact: {}}.get(search, {"c1": c1, "c2": c2})
    return search(phi, value, slope, step=step, noise=noise, max_eval=max_eval, **constants)
