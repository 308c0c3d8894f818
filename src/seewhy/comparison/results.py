"""What the runs of a study have reached: a row a run, figures a variant, and the verdict, all read from the folder."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.comparison.design import Variant
from seewhy.comparison.folder import Cell, Kind, StudyFolder
from seewhy.comparison.judging import Series, judge
from seewhy.comparison.progress import Progress
from seewhy.comparison.verdict import VariantSummary, Verdict
from seewhy.core.errors import InputError
from seewhy.core.files import write_json, write_text
from seewhy.metrics import area_under_curve, time_to_target
from seewhy.runs.folder import read_findings, read_metrics
from seewhy.spec import Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray

WAITING, ENDED, FAILED = "waiting", "ended", "failed"

DIVERGED = "not finite"
"""What the reason of a run says whose loss has left the numbers."""


@dataclass(frozen=True)
class Curve:
    """A run's validation metric through training.

    Attributes:
        epochs, seconds: of each point, rising.
        values: of the metric.
        name: of the metric, such as "val_accuracy"; "" without points.
    """

    epochs: tuple[float, ...]
    seconds: tuple[float, ...]
    values: tuple[float, ...]
    name: str = ""

    @property
    def usable(self) -> bool:
        """Whether there are two points at least."""
        return len(self.values) > 1


@dataclass(frozen=True)
class RunRow:
    """One run of a study.

    Attributes:
        variant: its name.
        kind: "runs" for one that is judged, "screening" for one by which variants were dropped.
        seed: of it.
        status: "waiting", "ended" or "failed".
        value: the metric; None unless it has ended.
        reason: why it failed; "" otherwise.
        rate: the learning rate that was chosen for its variant; None where that keeps its own.
        seconds: of its training.
        images_per_second: of its training.
        findings: codes of what watching has found that lasts, the likeliest cause first.
        curve: its validation metric.
        folder: of the run.
    """

    variant: str
    kind: Kind
    seed: int
    status: str
    value: float | None
    reason: str
    rate: float | None
    seconds: float | None
    images_per_second: float | None
    findings: tuple[str, ...]
    curve: Curve
    folder: Path

    def flat(self) -> dict[str, Any]:
        """Return the row as plain values, one a column."""
        names = ("variant", "kind", "seed", "status", "value", "rate", "seconds", "images_per_second")
        values = {name: getattr(self, name) for name in names}
        return {**values, "findings": " ".join(self.findings), "reason": self.reason, "run": str(self.folder)}


@dataclass(frozen=True)
class VariantFigures:
    """What is said of a variant beside its final metric.

    Attributes:
        variant: which.
        rate: the learning rate that was chosen for it, None where it keeps its own; and whether it is the smallest or largest tried.
        edge: see rate.
        epochs_to_target, seconds_to_target: mean over the runs that reach the target; None where none does.
        reached: runs that reach it.
        area: mean area under the validation metric's curve over epochs, as a mean height.
        seconds: mean of a run's training.
        failed: runs that could not go on; of them those whose loss was not finite.
        diverged: see failed.
        findings: how many runs have each finding that lasts, the commonest first.
        dropped: whether it was dropped early.
    """

    variant: Variant
    rate: float | None
    edge: bool
    epochs_to_target: float | None
    seconds_to_target: float | None
    reached: int
    area: float | None
    seconds: float | None
    failed: int
    diverged: int
    findings: Mapping[str, int]
    dropped: bool

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**vars(self), "variant": self.variant.name, "edit": self.variant.edit, "findings": dict(self.findings)}


@dataclass(frozen=True)
class Outcome:
    """A study as it stands.

    Attributes:
        study: which.
        rows: its judged and screening runs.
        figures: by variant, in the order of the design.
        target: of the validation metric: what every variant that ended reaches at its end on average; None without curves.
        verdict: over the seeds at which every variant that goes on has ended or failed; None where there is no such seed yet.
        complete: whether every run has ended.
    """

    study: StudyFolder
    rows: tuple[RunRow, ...]
    figures: tuple[VariantFigures, ...]
    target: float | None
    verdict: Verdict | None
    complete: bool

    def to_json(self) -> dict[str, Any]:
        """Return what results.json holds."""
        return {
            "complete": self.complete,
            "metric": self.study.design.metric._asdict(),
            "split": self.study.design.split,
            "target": self.target,
            "variants": [each.to_json() for each in self.figures],
            "verdict": self.verdict.to_json() if self.verdict is not None else None,
        }

    def table(self) -> str:
        """Return the variants as a table for a terminal."""
        judged = {each.name: each for each in self.verdict.variants} if self.verdict is not None else {}
        metric = self.study.design.metric
        rows = [("variant", metric.name, "n", "failed", "rate", "seconds")]
        for each in self.figures:
            one = judged.get(each.variant.name)
            shown = "none ended" if one is None or one.mean is None else format_mean(one, metric)
            rate = "" if each.rate is None else f"{each.rate:g}{' (edge)' * each.edge}"
            seconds = "" if each.seconds is None else f"{each.seconds:.1f}"
            name = f"{each.variant.name} (dropped)" if each.dropped else each.variant.name
            rows.append((name, shown, str(one.n if one is not None else 0), str(each.failed or ""), rate, seconds))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def save(self) -> None:
        """Write results.json and results.csv."""
        write_json(self.study.folder / "results.json", self.to_json())
        write_text(self.study.folder / "results.csv", to_csv(self.rows))


def format_mean(summary: VariantSummary, metric: Metric) -> str:
    """Return a variant's mean with its interval: "97.3% [96.9, 97.7]"."""
    assert summary.mean is not None
    factor, digits, sign = (1, 3, "") if metric.unit else (100, 2, "%")
    within = ""
    if summary.interval is not None:
        within = f" [{', '.join(f'{factor * end:.{digits}f}' for end in summary.interval)}]"
    return f"{factor * summary.mean:.{digits}f}{sign}{within}"


def to_csv(rows: Sequence[RunRow]) -> str:
    """Return rows as CSV, a line a run."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0].flat()) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.flat() for row in rows)
    return text.getvalue()


def read_outcome(study: StudyFolder, progress: Progress | None = None) -> Outcome:
    """Read what the runs have reached, and judge.

    Raises:
        InputError: a run was trained on other images, or a file is damaged.
    """
    progress = progress or Progress(study)
    rounds = progress.rounds()
    alive = {variant.name for variant in progress.screening()[0]}
    screening = [cell for cells in rounds for cell in cells]
    judged = [cell for cell in study.cells() if cell.variant.name in alive]
    rows = tuple(_row(study, progress, cell) for cell in [*judged, *screening])
    target = _target(rows, study)
    figures = tuple(_figures(each, rows, target, progress, alive) for each in study.design.variants)
    return Outcome(study, rows, figures, target, _verdict(study, rows, alive), progress.complete)


def _row(study: StudyFolder, progress: Progress, cell: Cell) -> RunRow:
    ended, folder = progress.ended(cell), study.job(cell).folder
    value, curve, last = None, Curve((), (), ()), dict[str, float]()
    findings: tuple[str, ...] = ()
    if ended is not None and folder.is_dir():
        metrics = read_metrics(folder)
        curve, last = _curve(metrics, study.design.metric.name), metrics[-1] if metrics else {}
        findings = tuple(dict.fromkeys(finding.code for finding in read_findings(folder).findings))
    if ended is not None and not ended.reason:
        value = finite(ended.results.get(study.design.split, {}).get(study.design.metric.name))
    lost = ended is not None and value is None
    return RunRow(
        variant=cell.variant.name,
        kind=cell.kind,
        seed=cell.seed,
        status=WAITING if ended is None else FAILED if lost else ENDED,
        value=value,
        reason=""
        if ended is None
        else ended.reason or (f"its {study.design.metric.name} is {DIVERGED}" if lost else ""),
        rate=progress.rate(cell.variant) if progress.tuned(cell.variant) else None,
        seconds=last.get("seconds"),
        images_per_second=last.get("images_per_second"),
        findings=findings,
        curve=curve,
        folder=folder,
    )


def finite(value: Any) -> float | None:
    """Return a number, None for anything else."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _curve(metrics: Sequence[Mapping[str, float]], name: str) -> Curve:
    """Return the validation metric through training: the one that is judged, else the loss."""
    column = next((each for each in (f"val_{name}", "val_loss") if metrics and each in metrics[-1]), None)
    points = [row for row in metrics if column is not None and math.isfinite(row.get(column, math.nan))]
    return Curve(
        tuple(row["epoch"] for row in points),
        tuple(row["seconds"] for row in points),
        tuple(row[column] for row in points if column is not None),
        column or "",
    )


def _target(rows: Sequence[RunRow], study: StudyFolder) -> float | None:
    """Return the level that every variant reaches at its end on average: the worst of the means."""
    ends: dict[str, list[float]] = {}
    for row in rows:
        if row.status == ENDED and row.kind == "runs" and row.curve.usable:
            ends.setdefault(row.variant, []).append(row.curve.values[-1])
    means = [fmean(values) for values in ends.values()]
    if not means:
        return None
    return min(means) if study.design.metric.higher else max(means)


def _figures(
    variant: Variant, rows: Sequence[RunRow], target: float | None, progress: Progress, alive: set[str]
) -> VariantFigures:
    kind = "runs" if variant.name in alive else "screening"
    own = [row for row in rows if row.variant == variant.name and row.kind == kind]
    ended = [row for row in own if row.status == ENDED]
    curves = [row.curve for row in ended if row.curve.usable]
    higher = progress.study.design.metric.higher
    epochs, seconds = (
        [] if target is None else [time_to_target(getattr(c, unit), c.values, target, higher=higher) for c in curves]
        for unit in ("epochs", "seconds")
    )
    rate, scores = progress.rate(variant) if progress.tuned(variant) else None, progress.scores(variant)
    failed = [row for row in own if row.status == FAILED]
    return VariantFigures(
        variant=variant,
        rate=rate,
        edge=rate is not None and rate in (min(scores), max(scores)),
        epochs_to_target=_mean(epochs),
        seconds_to_target=_mean(seconds),
        reached=sum(value is not None for value in epochs),
        area=_mean([area_under_curve(curve.epochs, curve.values) for curve in curves]),
        seconds=_mean([row.seconds for row in ended]),
        failed=len(failed),
        diverged=sum(DIVERGED in row.reason for row in failed),
        findings=dict(Counter(code for row in own for code in row.findings).most_common()),
        dropped=variant.name not in alive,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _verdict(study: StudyFolder, rows: Sequence[RunRow], alive: set[str]) -> Verdict | None:
    """Judge over the seeds at which every variant that goes on has ended or failed; screening seeds come first, and are in no test."""
    design = study.design
    judged = {(row.variant, row.seed): row for row in rows if row.kind == "runs"}
    screened = {(row.variant, row.seed): row for row in rows if row.kind == "screening"}
    first = sorted({seed for _, seed in screened})
    whole = [seed for seed in design.seeds if all(judged[name, seed].status != WAITING for name in alive)]
    if not whole:
        return None
    found, dropped = list[tuple[str, list[float | None], _Correct | None]](), dict[str, list[int]]()
    for variant in design.variants:
        own = [screened.get((variant.name, seed)) for seed in first]
        own += [judged.get((variant.name, seed)) for seed in whole]
        if variant.name not in alive:
            dropped[variant.name] = [
                position for position, row in enumerate(own) if row is not None
            ]  # judged ones have none
        values = [None if row is None else row.value for row in own]
        found.append((variant.name, values, _correct(own)))
    names = [right.names for _, _, right in found if right is not None]
    same = all(np.array_equal(names[0], other) for other in names[1:])
    series = [
        Series(name, values, right.values if same and right is not None else None) for name, values, right in found
    ]
    return judge(series, design.metric, base=design.reference, screened=dropped)


@dataclass(frozen=True)
class _Correct:
    """Whether runs were right: of which images (N), and bool (seeds, N)."""

    names: NDArray[Any]
    values: NDArray[Any]


def _correct(rows: Sequence[RunRow | None]) -> _Correct | None:
    """Return whether each run was right at each test image; None where runs have no predictions, or of other images."""
    names: NDArray[Any] | None = None
    found: list[NDArray[Any] | None] = []
    for row in rows:
        arrays = None if row is None or row.status != ENDED else _predictions(row.folder)
        if row is not None and row.status == ENDED and arrays is None:
            return None
        if arrays is not None:
            if names is not None and not np.array_equal(names, arrays["names"]):
                return None
            names = arrays["names"]
        found.append(None if arrays is None else arrays["probabilities"].argmax(1) == arrays["labels"])
    if names is None:
        return None
    return _Correct(names, np.stack([np.zeros(len(names), dtype=bool) if right is None else right for right in found]))


def _predictions(folder: Path) -> dict[str, NDArray[Any]] | None:
    path = folder / "predictions" / "test.npz"
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            if "probabilities" not in arrays or "labels" not in arrays:
                return None
            return {name: arrays[name] for name in ("names", "probabilities", "labels")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is damaged ({error}); restore it, or remove the run and go on") from None
