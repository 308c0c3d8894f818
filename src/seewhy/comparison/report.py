"""From a study's outcome to its page, report.html: the records that the drawing needs."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from urllib.parse import quote

from seewhy.comparison.folder import StudyFolder
from seewhy.comparison.judging import LEAST
from seewhy.comparison.results import ENDED, WAITING, Outcome, RunRow, VariantFigures
from seewhy.comparison.tables import (
    axis_title,
    curve_metric,
    distinguished,
    pairs_table,
    shown,
    summary_of,
    target_text,
    to_latex,
    to_markdown,
    variants_table,
)
from seewhy.comparison.tuning import FACTORS
from seewhy.comparison.verdict import best_variant
from seewhy.core.files import write_text
from seewhy.metrics import mean_curve, time_to_target
from seewhy.reporting import (
    ComparisonRecord,
    FindingRecord,
    Interaction,
    PairRecord,
    RunRecord,
    VariantRecord,
)
from seewhy.reporting.comparison_records import Point
from seewhy.reporting.formatting import format_count, format_number
from seewhy.runs.folder import read_findings, read_json
from seewhy.runs.report import require_docstrings

REPORT = "report.html"
UNITS = ("epochs", "seconds")
POINTS = 60
"""Of a mean curve."""

COMPARISONS_UP_TO = 1000
"""Comparisons that the page has; of more it has those with the best variant."""

NAMES_UP_TO = 6
"""Variants that a sentence names."""


def write_report(outcome: Outcome) -> Path:
    """Draw report.html in the study's folder and return its path.

    Args:
        outcome: what the study has reached.

    Raises:
        InputError: Python was started with -OO; a file of a run is damaged.
    """
    require_docstrings()
    from seewhy.reporting import render_comparison  # loads the figures' library

    path = outcome.study.folder / REPORT
    write_text(path, render_comparison(record_of(outcome)))
    return path


def report_fragment(outcome: Outcome) -> str:
    """Draw variants, comparisons, curves and findings as a part of another page; see `write_report`."""
    require_docstrings()
    from seewhy.reporting import comparison_fragment

    return comparison_fragment(record_of(outcome))


def record_of(outcome: Outcome) -> ComparisonRecord:
    """Gather what the page shows; what the study has not reached is left out and said."""
    study, design = outcome.study, outcome.study.design
    form = shown(design.metric)
    verdict, pairs, left = outcome.verdict, outcome.verdict.pairs if outcome.verdict else (), ""
    if verdict is not None and len(pairs) > COMPARISONS_UP_TO:
        best = best_variant(verdict)
        pairs = tuple(pair for pair in pairs if best in (pair.a, pair.b))
        left = f" Of {len(verdict.pairs):,} comparisons those with {best} are shown; results.json has all."
    table, pair_table = variants_table(outcome), pairs_table(outcome, pairs)
    pair_table = replace(pair_table, note=pair_table.note + left)
    copies = [
        ("The table of variants in Markdown", to_markdown(table)),
        ("The table of variants in LaTeX", to_latex(table)),
    ]
    if pair_table.rows:
        copies += [
            ("The comparisons in Markdown", to_markdown(pair_table)),
            ("The comparisons in LaTeX", to_latex(pair_table)),
        ]
    return ComparisonRecord(
        title=_title(outcome),
        name=study.folder.resolve().name,
        created=_created(outcome),
        sentence=verdict.sentence() if verdict is not None else "There is nothing to compare yet.",
        notes=tuple(_notes(outcome)),
        axis=axis_title(design.metric, design.split),
        curve_axis=axis_title(curve_metric(outcome), "val"),
        higher=design.metric.higher,
        unit=form.difference,
        target=target_text(outcome),
        table=table,
        pair_table=pair_table,
        variants=tuple(_variant(outcome, figures) for figures in outcome.figures),
        pairs=tuple(
            PairRecord(
                a=pair.a,
                b=pair.b,
                word=pair.word,
                difference=None if pair.difference is None else form.factor * pair.difference,
                interval=_scaled(pair.interval, form.factor),
            )
            for pair in pairs
        ),
        findings=tuple(_findings(outcome)),
        interaction=_interaction(outcome),
        copies=tuple(copies),
        facts=tuple(_facts(outcome)),
        command=design.command,
    )


def _scaled(interval: tuple[float, float] | None, factor: float) -> tuple[float, float] | None:
    return None if interval is None else (factor * interval[0], factor * interval[1])


def _title(outcome: Outcome) -> str:
    """Return "Activation and optimizer on digits"; named variants are counted."""
    factors = list(dict.fromkeys(name for each in outcome.study.design.variants for name in each.levels))
    what = " and ".join(name.rpartition(".")[2] for name in factors)
    title = f"{what or format_count(len(outcome.study.design.variants), 'variant')} on {_data(outcome)}"
    return title[:1].upper() + title[1:]


def _data(outcome: Outcome) -> str:
    """Return the data set's name, as a run knows it."""
    for row in _with_folder(outcome):
        return str(read_json(row.folder, "data.json").get("name", outcome.study.design.base.source))
    return Path(str(outcome.study.design.base.source)).name


def _with_folder(outcome: Outcome) -> Iterator[RunRow]:
    return (row for row in outcome.rows if (row.folder / "data.json").is_file())


def _created(outcome: Outcome) -> str:
    ends = [path.stat().st_mtime for row in outcome.rows if (path := row.folder / "results.json").is_file()]
    return datetime.datetime.fromtimestamp(max(ends)).astimezone().isoformat(timespec="seconds") if ends else ""


def _notes(outcome: Outcome) -> Iterator[str]:
    """Yield what a reader must know before the figures."""
    runs = [row for row in outcome.rows if row.kind == "runs"]
    waiting, verdict = sum(row.status == WAITING for row in runs), outcome.verdict
    if not outcome.complete:
        compared = "no seed has ended in every variant, so nothing is compared"
        if verdict is not None:
            compared = (
                f"what is compared are the {format_count(_seeds(outcome), 'seed')} that have ended in every variant"
            )
        of = f"{waiting} of {format_count(len(runs), 'run')} are still to come" if waiting else "runs are still to come"
        yield f"This study is not complete: {of}; {compared}."
        silent = [
            each.variant.name
            for each in outcome.figures
            if not each.dropped and all(row.status == WAITING for row in runs if row.variant == each.variant.name)
        ]
        if silent:
            yield f"Nothing has ended yet of {_names(silent)}."
    if verdict is not None and all(pair.word in ("too few seeds", "stopped early") for pair in verdict.pairs):
        yield f"No verdict is given under {LEAST} paired seeds; the intervals are all that can be said."
    edges = [each.variant.name for each in outcome.figures if each.edge]
    if edges:
        yield f"The learning rate chosen is the smallest or largest tried, and a better one may lie beyond: {_names(edges)}."


def _names(names: Sequence[str]) -> str:
    more = len(names) - NAMES_UP_TO
    return ", ".join(names[:NAMES_UP_TO]) + (f" and {more} more" if more > 0 else "")


def _seeds(outcome: Outcome) -> int:
    """Return the seeds at which every variant that goes on has ended or failed."""
    open_ = {row.seed for row in outcome.rows if row.kind == "runs" and row.status == WAITING}
    return sum(seed not in open_ for seed in outcome.study.design.seeds)


def _variant(outcome: Outcome, figures: VariantFigures) -> VariantRecord:
    name, summary = figures.variant.name, summary_of(outcome, figures.variant.name)
    factor = shown(outcome.study.design.metric).factor
    rows = [row for row in outcome.rows if row.variant == name]
    kind = "screening" if figures.dropped else "runs"
    curves = [row.curve for row in rows if row.kind == kind and row.status == ENDED and row.curve.usable]
    scale = shown(curve_metric(outcome)).factor
    return VariantRecord(
        name=name,
        edit=figures.variant.edit,
        mean=None if summary.mean is None else factor * summary.mean,
        interval=_scaled(summary.interval, factor),
        dropped=figures.dropped,
        findings=tuple(figures.findings.items()),
        runs=tuple(_run(outcome, row) for row in rows),
        curves={
            unit: points for unit in UNITS if (points := _points([(getattr(c, unit), c.values) for c in curves], scale))
        },
    )


def _points(curves: Sequence[tuple[Sequence[float], Sequence[float]]], factor: float) -> tuple[Point, ...]:
    """Return the mean of curves with its band; () where they have no stretch in common."""
    if not curves or max(x[0] for x, _ in curves) >= min(x[-1] for x, _ in curves):
        return ()
    mean = mean_curve(curves, points=POINTS)
    columns = (mean.steps, factor * mean.mean, factor * mean.low, factor * mean.high)
    return tuple((x, y, low, high) for x, y, low, high in zip(*(column.tolist() for column in columns), strict=True))


def _run(outcome: Outcome, row: RunRow) -> RunRecord:
    metric, target = outcome.study.design.metric, outcome.target
    form = shown(metric)
    to_target = {}
    if target is not None and row.status == ENDED and row.curve.usable:
        for unit in UNITS:
            time = time_to_target(getattr(row.curve, unit), row.curve.values, target, higher=metric.higher)
            if time is not None:
                to_target[unit] = time
    value = None if row.value is None else form.factor * row.value
    return RunRecord(
        seed=row.seed,
        status=row.status,  # type: ignore[arg-type]
        value=value,
        text="" if value is None else f"{value:.2f}%" if form.unit == "%" else format_number(value),
        reason=row.reason,
        findings=len(row.findings),
        link=_link(outcome.study, row),
        screening=row.kind == "screening",
        to_target=to_target,
    )


def _link(study: StudyFolder, row: RunRow) -> str:
    """Return what a click on a run opens: its report, else what it printed; "" where there is neither."""
    log = row.folder.with_name(f"{row.folder.name}.log")
    path = next((path for path in (row.folder / REPORT, log) if row.status != WAITING and path.is_file()), None)
    return "" if path is None else quote(path.relative_to(study.folder).as_posix())


def _findings(outcome: Outcome) -> Iterator[FindingRecord]:
    """Yield what was found, the commonest first, each as the first run with it says it."""
    counts = Counter(code for row in outcome.rows for code in row.findings)
    for code, runs in counts.most_common():
        row = next(row for row in outcome.rows if code in row.findings)
        finding = next(each for each in read_findings(row.folder).findings if each.code == code)
        remedy = finding.remedies[0].text if finding.remedies else ""
        yield FindingRecord(code=code, title=finding.title, explanation=finding.explanation, remedy=remedy, runs=runs)


def _interaction(outcome: Outcome) -> Interaction | None:
    """Return the means over two crossed factors, the one with more levels along the axis; None for other designs."""
    variants = outcome.study.design.variants
    names = list(dict.fromkeys(name for each in variants for name in each.levels))
    if len(names) != 2:
        return None
    levels = {
        name: list(dict.fromkeys(each.levels[name] for each in variants if name in each.levels)) for name in names
    }
    crossed = {tuple(each.levels.get(name, "") for name in names): each.name for each in variants}
    if any(key not in crossed for key in product(*levels.values())):
        return None
    line, x = sorted(names, key=lambda name: len(levels[name]))
    factor, means = shown(outcome.study.design.metric).factor, {}
    for a, b in product(levels[line], levels[x]):
        summary = summary_of(outcome, crossed[(a, b) if names[0] == line else (b, a)])
        if summary.mean is not None:
            low, high = summary.interval or (summary.mean, summary.mean)
            means[a, b] = (factor * summary.mean, factor * low, factor * high)
    return Interaction(x=x, x_levels=tuple(levels[x]), line=line, means=means)


def _facts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    design, verdict = outcome.study.design, outcome.verdict
    yield "Data", _split_text(outcome)
    yield (
        "Judged by",
        f"{axis_title(design.metric, design.split)}, {'more' if design.metric.higher else 'less'} is better",
    )
    yield (
        "Seeds",
        f"{len(design.seeds)}: {_ranges(design.seeds)}; of each the same split and order of the data for every variant",
    )
    against = f"{design.reference} against each other variant" if design.reference else "every pair of variants"
    yield "Compared", against
    if verdict is not None:
        holm = f" (Holm over {verdict.tests} comparisons)" if verdict.tests > 1 else ""
        yield (
            "Verdict",
            f"paired over seeds, from {verdict.least} on, at a family-wise error of {verdict.alpha:.0%}{holm}; "
            f"intervals are {1 - verdict.alpha:.0%}",
        )
    best = distinguished(outcome)
    if best is not None:
        yield "Best", f"{best}, told apart from every other variant that was judged"
    yield "Learning rates", _tuning(design.tune)
    if design.halving:
        yield (
            "Early stopping",
            "the worse half of the variants was dropped after two screening seeds, again and again; those seeds are in no test and no mean of a "
            "variant that went on",
        )
    yield "Machines", "; ".join(_machines(outcome)) or "not recorded"
    yield "Images", f"fingerprint {design.fingerprint}"


def _tuning(tune: str) -> str:
    if tune == "none":
        return "each variant's own or its optimiser's default; none was tuned, so that one that suits a variant badly may decide"
    factors = ", ".join(format_number(factor, 2) for factor in FACTORS)
    return f"chosen for each variant by validation from {len(FACTORS)} short runs of another seed, at {factors} times its optimiser's default"


def _split_text(outcome: Outcome) -> str:
    for row in _with_folder(outcome):
        facts = read_json(row.folder, "data.json").get("facts", {})
        counts = [f"{facts[f'{split}_images']:,} {words}" for split, words in _SPLITS if f"{split}_images" in facts]
        return f"{_data(outcome)}: {', '.join(counts)} images"
    return _data(outcome)


_SPLITS = (("train", "training"), ("val", "validation"), ("test", "test"))


def _ranges(seeds: Sequence[int]) -> str:
    """Return seeds as "0 to 4, 7"."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][1] + 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in parts)


def _machines(outcome: Outcome) -> list[str]:
    """Return what the runs were made on, each kind with its number of runs where there are several."""
    counts = Counter(_machine(found) for row in outcome.rows if (found := read_json(row.folder, "environment.json")))
    return [
        text if len(counts) == 1 else f"{text} ({format_count(runs, 'run')})" for text, runs in counts.most_common()
    ]


def _machine(found: Mapping[str, object]) -> str:
    names = ("processor", "cores", "threads", "device", "precision", "torch", "seewhy")
    processor, cores, threads, device, precision, torch, seewhy = (found.get(name, "?") for name in names)
    where = f"{processor}, {cores} cores, {threads} {'thread' if threads == 1 else 'threads'} a run"
    return f"{where}{'' if device == 'cpu' else f', {device}'}, {precision}, torch {torch}, seewhy {seewhy}"
