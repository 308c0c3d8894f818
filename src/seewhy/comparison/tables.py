"""The tables of a study, and how they are written: Markdown and LaTeX (booktabs); the page draws the same cells."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median, stdev
from typing import Generic, NamedTuple, TypeVar

from seewhy.comparison.judging import LEAST
from seewhy.comparison.results import WAITING, Outcome, VariantFigures
from seewhy.comparison.verdict import PairComparison, VariantSummary, best_variant, mean_interval
from seewhy.metrics import wilson_interval
from seewhy.reporting.comparison_records import StudyTable, TableCell
from seewhy.reporting.formatting import format_number, format_term
from seewhy.spec import Metric

NONE = "–"
ALPHA = 0.05
"""1 - confidence of the intervals while there is no verdict."""

EDGE = "edge of the grid"

SPLITS = {"test": "Test", "val": "Validation"}

_MARKDOWN = re.compile(r"([\\`*<>|]|\](?=[(\[:])|_(?![A-Za-z0-9])|(?<![A-Za-z0-9])_)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "–": "--",
    **{letter: f"\\{letter}" for letter in "{}$&#_%"},
}


class Shown(NamedTuple):
    """How values of a metric are shown: shares as percentages, differences of them in points.

    Attributes:
        factor: by which they are multiplied.
        unit: of a value.
        difference: of a difference.
    """

    factor: float
    unit: str
    difference: str


def shown(metric: Metric) -> Shown:
    """Return how values of a metric are shown."""
    return Shown(1.0, metric.unit, metric.unit) if metric.unit else Shown(100.0, "%", "points")


def axis_title(metric: Metric, split: str) -> str:
    """Return a metric with its split and unit: "Test accuracy (%)"."""
    unit = shown(metric).unit
    if unit.split()[0] == metric.name:
        return f"{SPLITS[split]} {unit}"
    return f"{SPLITS[split]} {format_term(metric.name)} ({unit})"


def digits_for(widths: Iterable[float]) -> int:
    """Return the decimals that suit intervals of such widths: two digits of the middle one, one decimal at least."""
    known = [width for width in widths if width > 0 and math.isfinite(width)]
    return max(1, min(6, 1 - math.floor(math.log10(median(known))))) if known else 2


def summary_of(outcome: Outcome, name: str) -> VariantSummary:
    """Return a variant alone, as the verdict has it; while there is no verdict, over the runs that have ended or failed."""
    if outcome.verdict is not None:
        return outcome.verdict.variant(name)
    done = [row for row in outcome.rows if row.variant == name and row.kind == "runs" and row.status != WAITING]
    values = [row.value for row in done if row.value is not None]
    failed, z = len(done) - len(values), NormalDist().inv_cdf(1 - ALPHA / 2)
    return VariantSummary(
        name=name,
        runs=len(done),
        failed=failed,
        failure_interval=wilson_interval(failed, len(done), z) if done else (0.0, 1.0),
        n=len(values),
        mean=fmean(values) if values else None,
        sd=stdev(values) if len(values) > 1 else None,
        interval=mean_interval(values, outcome.study.design.metric, ALPHA),
        stopped=False,
    )


def distinguished(outcome: Outcome) -> str | None:
    """Return the best variant where every other that is judged was found worse; None otherwise."""
    verdict = outcome.verdict
    if verdict is None:
        return None
    best, beaten = best_variant(verdict), set[str]()
    for pair in verdict.pairs:
        if pair.word == ("better" if pair.a == best else "worse") and best in (pair.a, pair.b):
            beaten.add(pair.b if pair.a == best else pair.a)
    others = {each.name for each in verdict.variants if each.n and not each.stopped and each.name != best}
    return best if others and others <= beaten else None


Row = TypeVar("Row")


@dataclass(frozen=True)
class _Column(Generic[Row]):
    """A column; one without a text in any row is left out where it may be."""

    head: str
    cell: Callable[[Row], TableCell]
    needed: bool = False


def _table(columns: Sequence[_Column[Row]], rows: Sequence[Row], note: str = "") -> StudyTable:
    cells = [[column.cell(row) for column in columns] for row in rows]
    kept = [k for k, column in enumerate(columns) if column.needed or any(row[k].text != NONE for row in cells)]
    return StudyTable(tuple(columns[k].head for k in kept), tuple(tuple(row[k] for k in kept) for row in cells), note)


def _number(value: float | None, digits: int | None = None, factor: float = 1.0, detail: str = "") -> TableCell:
    """Return a number with so many decimals, or with three significant digits; a dash for none."""
    if value is None or not math.isfinite(value):
        return TableCell(NONE)
    scaled = factor * value
    text = format_number(scaled, 3) if digits is None else _fixed(scaled, digits)
    return TableCell(text, detail, scaled)


def format_interval(interval: tuple[float, float] | None, digits: int, factor: float = 1.0) -> str:
    """Return an interval as "[0.5, 1.9]"; a dash where there is none, or it is infinite."""
    if interval is None or not all(map(math.isfinite, interval)):
        return NONE
    return f"[{', '.join(_fixed(factor * end, digits) for end in interval)}]"


def _fixed(value: float, digits: int) -> str:
    """Return a number with so many decimals, zero without a sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def variants_table(outcome: Outcome) -> StudyTable:
    """Return the table of variants, a row each in the order of the design; the best mean is marked only where it is told from all others."""
    metric, split = outcome.study.design.metric, outcome.study.design.split
    summaries = {each.variant.name: summary_of(outcome, each.variant.name) for each in outcome.figures}
    factor = shown(metric).factor
    digits = digits_for(factor * (s.interval[1] - s.interval[0]) for s in summaries.values() if s.interval)
    best, alpha = distinguished(outcome), outcome.verdict.alpha if outcome.verdict else ALPHA

    def of(row: VariantFigures) -> VariantSummary:
        return summaries[row.variant.name]

    def mean(row: VariantFigures) -> TableCell:
        cell = _number(of(row).mean, digits, factor)
        return TableCell(cell.text, sort=cell.sort, best=row.variant.name == best)

    def interval(row: VariantFigures) -> TableCell:
        return TableCell(format_interval(of(row).interval, digits, factor))

    same = _judged_as_learnt(outcome)
    columns = [
        _Column[VariantFigures](
            "Variant", lambda row: TableCell(row.variant.name, "dropped early" if row.dropped else ""), needed=True
        ),
        _Column(axis_title(metric, split), mean, needed=True),
        _Column(f"{1 - alpha:.0%} interval", interval),
        _Column("sd", lambda row: _number(of(row).sd, digits + 1, factor)),
        _Column("n", lambda row: _number(of(row).n, 0), needed=True),
        _Column("Learning rate", lambda row: _number(row.rate, detail=EDGE if row.edge else "")),
        _Column("Epochs to target", lambda row: _number(row.epochs_to_target, detail=_reached(row, of(row)))),
        _Column("Seconds to target", lambda row: _number(row.seconds_to_target, detail=_reached(row, of(row)))),
        _Column("Area under curve", lambda row: _number(row.area, digits if same else None, factor if same else 1.0)),
        _Column("Failed", lambda row: _failures(row, of(row)), needed=True),
        _Column("Seconds a run", lambda row: _number(row.seconds)),
    ]
    return _table(columns, outcome.figures, _note(outcome))


def _judged_as_learnt(outcome: Outcome) -> bool:
    """Whether the curves are of the metric that is judged."""
    name = f"val_{outcome.study.design.metric.name}"
    return all(row.curve.name == name for row in outcome.rows if row.curve.usable)


def curve_metric(outcome: Outcome) -> Metric:
    """Return the validation metric that the curves are of: the one that is judged, else the loss."""
    metric = outcome.study.design.metric
    return metric if _judged_as_learnt(outcome) else Metric("loss", higher=False, unit="nats")


def target_text(outcome: Outcome) -> str:
    """Return what the target is, in words; "" where there is none."""
    if outcome.target is None:
        return ""
    metric = curve_metric(outcome)
    form = shown(metric)
    gap = "" if form.unit == "%" else " "
    value = f"{format_number(form.factor * outcome.target)}{gap}{form.unit}"
    return f"a validation {format_term(metric.name)} of {value}, which every variant reaches at its end on average"


def _note(outcome: Outcome) -> str:
    target = target_text(outcome)
    bold = "The best mean is in bold only where it is told apart from every other."
    return f"{bold} The target is {target}." if target else bold


def _reached(row: VariantFigures, summary: VariantSummary) -> str:
    return f"{row.reached} of {summary.n} runs" if 0 < row.reached < summary.n else ""


def _failures(row: VariantFigures, summary: VariantSummary) -> TableCell:
    if not summary.runs:
        return TableCell(NONE)
    low, high = summary.failure_interval
    text = f"{summary.failed} of {summary.runs}"
    detail = f"[{low:.0%}, {high:.0%}]" + (f", {row.diverged} diverged" if row.diverged else "")
    return TableCell(text, detail, summary.failed / summary.runs)


def format_p(p: float | None) -> str:
    """Return a p-value: two digits, "< 0.001" below; a dash for none."""
    if p is None or not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


TESTS = {"sign-flip": "permutation", "t": "t", "": NONE}
"""The paired tests, in a word."""


def pairs_table(outcome: Outcome, pairs: Sequence[PairComparison] | None = None) -> StudyTable:
    """Return the table of comparisons, a row each; without rows while there is no verdict.

    Args:
        outcome: whose.
        pairs: some of its comparisons; None for all.
    """
    verdict, metric = outcome.verdict, outcome.study.design.metric
    if verdict is None:
        return StudyTable(("Variant", "Against"), ())
    form = shown(metric)
    digits = digits_for(form.factor * (pair.interval[1] - pair.interval[0]) for pair in verdict.pairs if pair.interval)
    head = f"{1 - verdict.alpha:.0%} interval"

    def source(name: str) -> Callable[[PairComparison], TableCell]:
        def cell(pair: PairComparison) -> TableCell:
            doubt = None if pair.images is None else getattr(pair.images.accuracy, name)
            return TableCell(NONE if doubt is None else format_interval(doubt.interval, 2, 100))

        return cell

    columns = [
        _Column[PairComparison]("Variant", lambda pair: TableCell(pair.a), needed=True),
        _Column("Against", lambda pair: TableCell(pair.b), needed=True),
        _Column("Verdict", lambda pair: TableCell(pair.word), needed=True),
        _Column(f"Difference ({form.difference})", lambda pair: _number(pair.difference, digits, form.factor)),
        _Column(head, lambda pair: TableCell(format_interval(pair.interval, digits, form.factor))),
        _Column("Seeds", lambda pair: _number(pair.n, 0), needed=True),
        _Column("Seeds needed", _needed),
        _Column("p", lambda pair: TableCell(format_p(pair.p_value), sort=pair.p_value)),
        _Column("p (Holm)", lambda pair: TableCell(format_p(pair.p_holm), sort=pair.p_holm)),
        _Column("Test", lambda pair: TableCell(TESTS[pair.test])),
        _Column("P(better)", _improvement),
        _Column("Accuracy, seeds alone", source("over_seeds")),
        _Column("Accuracy, images alone", source("over_images")),
        _Column("Accuracy, both", source("over_both")),
        _Column("McNemar", lambda pair: _mcnemar(pair, verdict.alpha)),
    ]
    return _table(columns, verdict.pairs if pairs is None else pairs, _pair_note(outcome))


def _improvement(pair: PairComparison) -> TableCell:
    if pair.improvement is None:
        return TableCell(NONE)
    value = pair.improvement.value
    return TableCell(f"{value:.2f}", format_interval(pair.improvement.interval, 2), value)


def _mcnemar(pair: PairComparison, alpha: float) -> TableCell:
    """Return the images that only one of the two gets right, over all seeds, and at how many seeds they tell the two apart."""
    if pair.images is None:
        return TableCell(NONE)
    tests = pair.images.mcnemar
    a, b = sum(test.only_a for test in tests), sum(test.only_b for test in tests)
    told = sum(test.p_value <= alpha for test in tests)
    return TableCell(f"{a} : {b}", f"{told} of {len(tests)} seeds told apart", a - b)


def _needed(pair: PairComparison) -> TableCell:
    if pair.word == "not distinguishable" and pair.seeds_needed is None:
        return TableCell("out of reach")
    return _number(pair.seeds_needed, 0)


def _pair_note(outcome: Outcome) -> str:
    verdict = outcome.verdict
    assert verdict is not None
    text = "A difference is positive where the variant is better than the one it is held against."
    if verdict.tests > 1:
        text += f" p is adjusted by Holm's procedure over {verdict.tests} comparisons; intervals are of one comparison alone."
    if any(pair.n < LEAST for pair in verdict.pairs):
        text += f" No verdict is given under {LEAST} paired seeds."
    return text


def to_markdown(table: StudyTable) -> str:
    """Return a table as Markdown; the first column is text, all others stand on the right."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def cell(one: TableCell) -> str:
        text = _markdown(one.text)
        text = f"**{text}**" if one.best else text
        return text + _beside(_markdown(one.detail))

    rows = [line(map(cell, row)) for row in table.rows]
    rule = line(["---", *("---:" for _ in table.head[1:])])
    note = ["", _markdown(table.note)] if table.note else []
    return "\n".join([line(map(_markdown, table.head)), rule, *rows, *note]) + "\n"


def _beside(detail: str) -> str:
    """Return what stands behind a cell's text: in parentheses, unless it has brackets of its own."""
    return "" if not detail else f" {detail}" if detail.startswith("[") else f" ({detail})"


def _markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def to_latex(table: StudyTable) -> str:
    r"""Return a table as a LaTeX tabular with the rules of booktabs (`\usepackage{booktabs}`)."""

    def cell(one: TableCell) -> str:
        text = _latex(one.text)
        text = rf"\textbf{{{text}}}" if one.best else text
        return text + _beside(_latex(one.detail))

    def line(cells: Iterable[str]) -> str:
        return rf"{' & '.join(cells)} \\"

    return "\n".join(
        [
            *([f"% {' '.join(table.note.split())}"] if table.note else []),
            rf"\begin{{tabular}}{{l{'r' * (len(table.head) - 1)}}}",
            r"\toprule",
            line(map(_latex, table.head)),
            r"\midrule",
            *(line(map(cell, row)) for row in table.rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
