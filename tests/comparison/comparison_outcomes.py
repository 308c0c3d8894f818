"""Planted studies: a folder with a design, and an outcome whose figures are written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from seewhy.comparison.design import Variant
from seewhy.comparison.folder import Design, StudyFolder
from seewhy.comparison.judging import Series, judge
from seewhy.comparison.results import ENDED, FAILED, WAITING, Curve, Outcome, RunRow, VariantFigures
from seewhy.core.findings import Finding, Remedy
from seewhy.spec import Metric, Request

ACCURACY = Metric("accuracy", higher=True)
NATS = Metric("nats", higher=False, unit="nats per image")

FINDING = Finding(
    code="dead_units",
    title="3 of 8 units are silent",
    severity="warning",
    step=20,
    explanation="A unit that is silent for every image learns nothing.",
    remedies=(Remedy("lower the learning rate"),),
)


def named(*names: str) -> tuple[Variant, ...]:
    """Named variants; the edits need not be applied."""
    return tuple(Variant(name, "" if k == 0 else f"optim.lr = {k / 1000}") for k, name in enumerate(names))


def folder(
    path: Path, variants: Sequence[Variant], seeds: int, metric: Metric = ACCURACY, **fields: object
) -> StudyFolder:
    """A study's folder without runs."""
    values: dict[str, object] = {
        "reference": None,
        "tune": "none",
        "halving": False,
        "command": "seewhy compare digits --vary activation=relu,elu",
        **fields,
    }
    return StudyFolder.create(
        path,
        Design(
            base=Request.make("digits", {"epochs": 2}),
            variants=tuple(variants),
            seeds=tuple(range(seeds)),
            metric=metric,
            split="test",
            fingerprint="f" * 32,
            run_seconds={each.name: 1.0 for each in variants},
            rates={},
            **values,  # type: ignore[arg-type]
        ),
    )


def curve(end: float, metric: Metric = ACCURACY) -> Curve:
    """Three points that end at a value."""
    start = end / 2 if metric.higher else 2 * end
    return Curve((1.0, 2.0, 3.0), (2.0, 4.0, 6.0), (start, (start + end) / 2, end), f"val_{metric.name}")


def outcome(
    study: StudyFolder,
    values: Mapping[str, Sequence[float | str | None]],
    *,
    rates: Mapping[str, tuple[float, bool]] | None = None,
    findings: Sequence[str] = (),
    dropped: Mapping[str, Sequence[float]] | None = None,
) -> Outcome:
    """An outcome: by variant a value a seed, None for a run to come, a text for the reason of one that failed.

    Variants with findings have the same one in every run. Dropped ones have screening values instead; those of the others are their first ones.
    """
    rates, dropped, metric = rates or {}, dropped or {}, study.design.metric
    rows = [
        _row(study, name, seed, value, name in findings)
        for name, own in values.items()
        for seed, value in enumerate(own)
    ]
    more = len(next(iter(dropped.values()), ()))
    screened = {name: own[:more] for name, own in values.items()} | dict(dropped)
    rows += [
        _row(study, name, 1_000_001 + k, value, name in findings, "screening")
        for name, own in screened.items()
        for k, value in enumerate(own)
    ]
    ends = [
        fmean(v for v in own if isinstance(v, float))
        for own in values.values()
        if any(isinstance(v, float) for v in own)
    ]
    target = None if not ends else min(ends) if metric.higher else max(ends)
    figures = tuple(_figures(each, rows, rates, dropped) for each in study.design.variants)
    whole = [seed for seed in range(len(study.design.seeds)) if all(own[seed] is not None for own in values.values())]
    verdict = None
    if whole:
        judged = {name: [own[seed] for seed in whole] for name, own in values.items()}
        series = [
            Series(each.name, [_value(v) for v in (*screened[each.name], *judged.get(each.name, [None] * len(whole)))])
            for each in study.design.variants
        ]
        verdict = judge(series, metric, base=study.design.reference, screened={name: range(more) for name in dropped})
    return Outcome(study, tuple(rows), figures, target, verdict, all(row.status != WAITING for row in rows))


def _value(value: float | str | None) -> float | None:
    return value if isinstance(value, float) else None


def _row(
    study: StudyFolder, name: str, seed: int, value: float | str | None, found: bool, kind: str = "runs"
) -> RunRow:
    home = study.folder / kind / study.variant(name).slug / str(seed)
    if value is not None:
        home.mkdir(parents=True, exist_ok=True)
        (home / "findings.json").write_text(json.dumps({"findings": [FINDING.to_json()] if found else []}))
    if isinstance(value, float):
        (home / "report.html").write_text("a run")
    if isinstance(value, str):
        home.with_name(f"{seed}.log").write_text("what it printed")
    return RunRow(
        variant=name,
        kind=kind,  # type: ignore[arg-type]
        seed=seed,
        status=WAITING if value is None else ENDED if isinstance(value, float) else FAILED,
        value=value if isinstance(value, float) else None,
        reason=value if isinstance(value, str) else "",
        rate=None,
        seconds=6.0 if isinstance(value, float) else None,
        images_per_second=100.0,
        findings=(FINDING.code,) if found and value is not None else (),
        curve=curve(value, study.design.metric) if isinstance(value, float) else Curve((), (), ()),
        folder=home,
    )


def _figures(
    variant: Variant, rows: Sequence[RunRow], rates: Mapping[str, tuple[float, bool]], dropped: Mapping[str, object]
) -> VariantFigures:
    own = [row for row in rows if row.variant == variant.name]
    ended = [row for row in own if row.status == ENDED]
    failed = [row for row in own if row.status == FAILED]
    rate, edge = rates.get(variant.name, (None, False))
    found = sum(bool(row.findings) for row in own)
    return VariantFigures(
        variant=variant,
        rate=rate,
        edge=edge,
        epochs_to_target=2.5 if ended else None,
        seconds_to_target=5.0 if ended else None,
        reached=len(ended),
        area=fmean(row.value or 0.0 for row in ended) if ended else None,
        seconds=6.0 if ended else None,
        failed=len(failed),
        diverged=sum("not finite" in row.reason for row in failed),
        findings={FINDING.code: found} if found else {},
        dropped=variant.name in dropped,
    )
