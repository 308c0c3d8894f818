"""What a claim is, what an experiment gives, and the rule by which a verdict follows.

A claim is cut into criteria. Each is about one number, measured once per seed (a paired difference or ratio where two techniques are compared),
and names a region in which the claim says that the number lies.

THE RULE. A criterion

    holds    where the 95% interval of its number lies wholly within the region,
    fails    where it lies wholly outside,
    is open  where it lies across a bound.

A claim is

    supported        where all its criteria hold,
    not supported    where none holds: the contrary was shown where one fails; nothing can be told at this number of seeds where all are open,
    depends          where some hold and some do not.

No verdict is written by hand. The interval is Student's over the seeds, of the logarithms for a ratio; of an exact fact, which admits no
exception, it is the range from the least to the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from seewhy.core.errors import bad_value
from seewhy.reporting.claim_records import Figure
from seewhy.reporting.formatting import format_number

if TYPE_CHECKING:
    from seewhy.comparison.claims.setting import Setting

State = Literal["holds", "fails", "open"]
Name = Literal["supported", "not supported", "depends"]
Kind = Literal["value", "ratio", "exact"]


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """One number that a claim speaks of, and where it says that the number lies.

    Attributes:
        text: what the claim says, as a clause, such as "tanh takes longer than ReLU".
        measure: what the number is, such as "time of tanh / time of ReLU".
        values: one per seed, at least two.
        low: the region begins here; None for no lower bound.
        high: the region ends here; None for no upper bound.
        unit: of the number, written after it.
        kind: "value", whose mean is taken; "ratio", positive, whose geometric mean is taken; "exact", of which no value may leave the region.

    Raises:
        InputError: there are fewer than two values, one is not finite, or a ratio is not positive; no bound is given.
    """

    text: str
    measure: str
    values: tuple[float, ...]
    low: float | None = None
    high: float | None = None
    unit: str = ""
    kind: Kind = "value"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if len(self.values) < 2:
            raise bad_value("values", len(self.values), "at least 2, one per seed")
        least = 0.0 if self.kind == "ratio" else -math.inf
        for value in self.values:
            if not least < value < math.inf:
                raise bad_value("values", value, "finite and positive" if self.kind == "ratio" else "finite")
        if self.low is None and self.high is None:
            raise bad_value("low, high", None, "a region with at least one bound")

    @property
    def estimate(self) -> float:
        """The mean over seeds; the geometric mean of a ratio; of an exact fact the value that is farthest out."""
        if self.kind == "exact":
            return max(self.values, key=self._beyond)
        mean = math.fsum(map(self._scaled, self.values)) / len(self.values)
        return math.exp(mean) if self.kind == "ratio" else mean

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval."""
        if self.kind == "exact":
            return min(self.values), max(self.values)
        import torch

        from seewhy.metrics import t_interval

        low, high = t_interval(torch.tensor([self._scaled(value) for value in self.values], dtype=torch.float64))
        return (_exp(low), _exp(high)) if self.kind == "ratio" else (low, high)

    @property
    def state(self) -> State:
        """Whether it holds, fails or is open."""
        if self.kind == "exact":
            return "holds" if all(self._beyond(value) <= 0 for value in self.values) else "fails"
        low, high = self.interval
        if max(self._beyond(low), self._beyond(high)) < 0:  # a tie is no win
            return "holds"
        below = self.low is not None and high < self.low
        above = self.high is not None and low > self.high
        return "fails" if below or above else "open"

    def region(self) -> str:
        """Return where the claim says that the number lies, in words."""
        below, above = ("at most", "at least") if self.kind == "exact" else ("below", "above")
        if self.low is None:
            return f"{below} {self.written(self.high)}"
        if self.high is None:
            return f"{above} {self.written(self.low)}"
        return f"from {self.written(self.low)} to {self.written(self.high)}"

    def line(self) -> str:
        """Return the state, what the claim says, the number with its interval, and where the claim says that it lies."""
        low, high = self.interval
        number = f"{self.written(self.estimate)} [{self.written(low)}, {self.written(high)}]"
        return f"{self.state:<5}  {self.text}: {number} ({self.measure}; claimed: {self.region()})"

    def written(self, value: float | None) -> str:
        """Return a value of this number as text."""
        number = format_number(value, 3)
        return f"{number}{'' if self.unit in ('', '%') else ' '}{self.unit}"

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.kind == "ratio" else value

    def _beyond(self, value: float) -> float:
        """Return how far a value is towards the outside of the region."""
        return max(
            -math.inf if self.low is None else self.low - value, -math.inf if self.high is None else value - self.high
        )


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


@dataclass(frozen=True)
class Verdict:
    """What the rule says of a claim.

    Attributes:
        name: supported, not supported, or depends.
        text: the verdict as a sentence, which says on what it depends.
    """

    name: Name
    text: str


def judge(criteria: Sequence[Criterion]) -> Verdict:
    """Apply the rule (see the module's text) to the criteria of a claim; there is at least one."""
    parts: dict[State, list[str]] = {"holds": [], "fails": [], "open": []}
    for criterion in criteria:
        parts[criterion.state].append(criterion.text)
    n = min(len(criterion.values) for criterion in criteria)
    holds, fails, undecided = parts["holds"], parts["fails"], parts["open"]
    if not fails and not undecided:
        return Verdict("supported", f"Supported at {n} seeds: {'; '.join(holds)}.")
    clauses = [f"does not hold: {'; '.join(fails)}"] if fails else []
    clauses += [f"cannot be told at {n} seeds: {'; '.join(undecided)}"] if undecided else []
    if holds:
        return Verdict("depends", ". ".join(["Depends. Holds: " + "; ".join(holds), *map(_capital, clauses)]) + ".")
    if not fails:
        return Verdict("not supported", f"Not supported: nothing can be told at {n} seeds ({'; '.join(undecided)}).")
    return Verdict("not supported", f"Not supported: the contrary was shown. {'. '.join(map(_capital, clauses))}.")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What an experiment gives.

    Attributes:
        criteria: at least one.
        experiment: what was run, in a few sentences: network, images, steps, tuned rates.
        figure: what is drawn.
        remarks: further figures worth knowing, as (name, text).
    """

    criteria: tuple[Criterion, ...]
    experiment: str
    figure: Figure
    remarks: tuple[tuple[str, str], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the rule says."""
        return judge(self.criteria)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim of the canon.

    Attributes:
        code: C01 ...
        title: a few words.
        sentence: the claim.
        source: what the source says, in our words, with the paper and its number where it has one.
        measure: the experiment.
        timed: whether it measures processor time, so that nothing else is to run beside it; its verdict is of this machine.
    """

    code: str
    title: str
    sentence: str
    source: str
    measure: Callable[[Setting], Measured] = field(repr=False)
    timed: bool = False


def paired(first: Mapping[str, Sequence[float]], over: str, under: str) -> tuple[float, ...]:
    """Return the ratio of two conditions' numbers, seed by seed."""
    return tuple(a / b for a, b in zip(first[over], first[under], strict=True))


def differences(first: Mapping[str, Sequence[float]], of: str, minus: str) -> tuple[float, ...]:
    """Return the difference of two conditions' numbers, seed by seed."""
    return tuple(a - b for a, b in zip(first[of], first[minus], strict=True))
