"""What the page of a study is drawn from: texts for its tables, numbers for its figures. Values are in the unit that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from seewhy.core.errors import InputError

Point = tuple[float, float, float, float]
"""(x, mean, low, high)."""


@dataclass(frozen=True)
class TableCell:
    """A cell.

    Attributes:
        text: what it says.
        detail: said smaller beside it; "" for nothing.
        sort: by which rows are sorted; None for text.
        best: whether it is set in bold.
    """

    text: str
    detail: str = ""
    sort: float | None = None
    best: bool = False


@dataclass(frozen=True)
class StudyTable:
    """A table of a study, whatever it is written as.

    Attributes:
        head: the columns' names.
        rows: their cells; the first names the row.
        note: what the reader must know of it, in a sentence or two.

    Raises:
        InputError: a row has another number of cells than the head.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.head):
                raise InputError(f"rows of a study's table: must have {len(self.head)} cells, got {len(row)}")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run.

    Attributes:
        seed: of it.
        status: "waiting", "ended" or "failed".
        value: its final metric, None unless it has ended; and how that is written.
        text: see value.
        reason: why it failed; "" otherwise.
        findings: how many there are.
        link: to its report, relative to the page; "" where there is nothing to open.
        screening: whether variants were dropped by it.
        to_target: epochs and seconds until it reached the target, by "epochs" and "seconds"; absent where it did not.
    """

    seed: int
    status: Literal["waiting", "ended", "failed"]
    value: float | None = None
    text: str = ""
    reason: str = ""
    findings: int = 0
    link: str = ""
    screening: bool = False
    to_target: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VariantRecord:
    """One variant.

    Attributes:
        name: of it.
        edit: what it changes in the base; "" for the base itself.
        mean: of the final metric; None without values.
        interval: of the mean; None below two values.
        dropped: whether it was dropped early.
        findings: (code, runs that have it), the commonest first.
        runs: in the order of the seeds.
        curves: the validation metric through training, by "epochs" and "seconds"; absent without curves.
    """

    name: str
    edit: str = ""
    mean: float | None = None
    interval: tuple[float, float] | None = None
    dropped: bool = False
    findings: tuple[tuple[str, int], ...] = ()
    runs: tuple[RunRecord, ...] = ()
    curves: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PairRecord:
    """Two variants.

    Attributes:
        a, b: names.
        word: of the verdict.
        difference: positive where a is better; None without a pair of runs.
        interval: of it; None below two pairs.
    """

    a: str
    b: str
    word: str
    difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class FindingRecord:
    """What watching has found in runs of the study.

    Attributes:
        code: of the check.
        title: what a run's finding said, with its numbers.
        explanation: what it is and why it matters.
        remedy: what helps best; "" where nothing is known.
        runs: how many have it.
    """

    code: str
    title: str
    explanation: str
    remedy: str
    runs: int


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """Means over two crossed factors.

    Attributes:
        x: the factor along the axis, and its levels in order.
        x_levels: see x.
        line: the factor with a line for each level.
        means: by (level of line, level of x): mean, low, high; pairs that have no value are absent.
    """

    x: str
    x_levels: tuple[str, ...]
    line: str
    means: Mapping[tuple[str, str], tuple[float, float, float]]


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord:
    """Everything the page of a study shows.

    Attributes:
        title: the heading.
        name: of the study's folder.
        created: when its last run ended, ISO 8601; "" where none has.
        sentence: the verdict in words.
        notes: sentences to show first, such as what is missing.
        axis: the metric with its split and unit, such as "Test accuracy (%)".
        curve_axis: likewise of the validation metric through training.
        higher: whether more is better.
        unit: of a difference, such as "points".
        target: what the target of the validation metric is, in words; "" without one.
        table: of the variants, a row each.
        pair_table: of the comparisons; without rows where there are none.
        variants: in the order of the table.
        pairs: in the order of their table.
        findings: the commonest first.
        interaction: of two factors; None for other designs.
        copies: (what it is, text) to copy, such as LaTeX.
        facts: (name, text) of what the study rests on.
        command: that made the study; "" where it is not known.
    """

    title: str
    name: str
    created: str
    sentence: str
    notes: tuple[str, ...] = ()
    axis: str
    curve_axis: str
    higher: bool
    unit: str
    target: str = ""
    table: StudyTable
    pair_table: StudyTable
    variants: tuple[VariantRecord, ...]
    pairs: tuple[PairRecord, ...] = ()
    findings: tuple[FindingRecord, ...] = ()
    interaction: Interaction | None = None
    copies: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    command: str = ""
