"""From what is asked of a study to its design: every variant resolved and built once, its speed measured, and the budget shared out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from seewhy.comparison.design import BASE, Variant
from seewhy.comparison.folder import TUNES, Design, Tune
from seewhy.comparison.tuning import FACTORS, SHARE
from seewhy.core.errors import InputError, RunError, bad_value, unknown_name
from seewhy.spec import Metric, Request, estimate_seconds, resolve
from seewhy.training import state
from seewhy.training.build import Prepared, prepare
from seewhy.training.events import Emit
from seewhy.training.plan import format_duration, format_epochs

START_SECONDS = 6.0
"""What a run takes beside its training: its process, the data, the final figures and the report."""

LEAST_SEEDS = 5
"""Seeds below which no verdict is given."""


@dataclass(frozen=True)
class Asked:
    """What is asked of a study.

    Attributes:
        base: the request that the variants edit.
        variants: the choices.
        seeds: how many runs each.
        metric: its name among the results of a split; None for the family's own.
        reference: the variant with which all are compared; None: the base where there is one, else all pairs.
        tune: how each variant's learning rate is chosen.
        halving: whether hopeless variants are dropped early.
        minutes: the budget of the whole study; None for that of the base's runs.
        at_once: runs at the same time on this machine.
        command: that asks for it.
    """

    base: Request
    variants: tuple[Variant, ...]
    seeds: int = 5
    metric: str | None = None
    reference: str | None = None
    tune: Tune = "lr"
    halving: bool = False
    minutes: float | None = None
    at_once: int = 1
    command: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.seeds, int) or self.seeds < 1:
            raise bad_value("seeds", self.seeds, "at least 1")
        if self.at_once < 1:
            raise bad_value("jobs", self.at_once, "at least 1")
        if self.tune not in TUNES:
            raise bad_value("tune", self.tune, " or ".join(map(repr, TUNES)))
        if self.minutes is not None and not (self.minutes > 0 and math.isfinite(self.minutes)):
            raise bad_value("budget", self.minutes, "minutes above 0")
        names = [each.name for each in self.variants]
        if self.reference is not None and self.reference not in names:
            raise unknown_name("reference", self.reference, names)
        if self.base.view()["ensemble.members"] not in (None, 1):
            raise InputError(
                "ensemble.members: a study's runs are single networks; compare an ensemble by evaluating it"
            )
        if self.minutes is not None and (self.base.get("train.epochs") or self.base.get("train.minutes")):
            raise InputError("budget: is for the whole study, but epochs or minutes of a run are given too; give one")


def plan_study(asked: Asked, emit: Emit) -> Design:
    """Resolve, build and time every variant, and share out the budget; nothing is written.

    Raises:
        InputError: a variant does not fit the data, two resolve to the same, there is no such metric, or the budget is too small.
    """
    base = asked.base
    if base.get("train.threads") is None:
        base = base.with_changes({"train.threads": max(1, (os.cpu_count() or 1) // asked.at_once)})
    with state.training():
        first = prepare(base, emit)
        base = base.with_changes({"source": first.spec.source})
        if base.get("train.minutes") is None and asked.minutes is None:
            base = base.with_changes({"train.epochs": first.spec.train.epochs})
        prepared = {each.name: _prepared(each, base, first, emit) for each in asked.variants}
    variants = _distinct(asked.variants, prepared)
    rates = _rates(asked, variants, prepared)
    if asked.minutes is not None:
        base = base.with_changes({"train.epochs": _epochs_within(asked, variants, prepared, rates)})
    metric, split = _metric(asked, first, variants, prepared)
    reference = asked.reference or (BASE if variants[0].name == BASE else None)
    return Design(
        base=base,
        variants=variants,
        seeds=tuple(range(first.spec.train.seed, first.spec.train.seed + asked.seeds)),
        metric=metric,
        split=split,
        reference=reference,
        tune=asked.tune,
        halving=asked.halving,
        fingerprint=first.dataset.fingerprint,
        command=asked.command,
        run_seconds={each.name: run_seconds(prepared[each.name], each.applied(base)) for each in variants},
        rates=rates,
    )


def _prepared(variant: Variant, base: Request, first: Prepared, emit: Emit) -> Prepared:
    if not variant.edit:
        return first
    try:
        return prepare(variant.applied(base), emit)
    except (InputError, RunError) as error:
        raise type(error)(f"variant {variant.name!r}: {error}") from None


def _distinct(variants: Sequence[Variant], prepared: Mapping[str, Prepared]) -> tuple[Variant, ...]:
    """Leave out changes that resolve to the base itself; refuse two variants that resolve to the same run."""
    kept: list[Variant] = []
    for variant in variants:
        spec = prepared[variant.name].spec
        twin = next((each for each in kept if prepared[each.name].spec == spec), None)
        if twin is None:
            kept.append(variant)
        elif twin.name != BASE or not variant.levels:
            raise InputError(
                f"variants {twin.name!r} and {variant.name!r} resolve to the same run, since a default is what the other asks for; leave one out"
            )
    if len(kept) < 2:
        raise InputError("nothing to compare: every change is what the base does already")
    return tuple(kept)


def _metric(
    asked: Asked, first: Prepared, variants: Sequence[Variant], prepared: Mapping[str, Prepared]
) -> tuple[Metric, str]:
    """Return by what the variants are compared, and on which images."""
    families = {prepared[each.name].spec.family.name: prepared[each.name].spec.family for each in variants}
    if len(families) > 1 and len({family.metric for family in families.values()}) > 1:
        raise InputError(f"variants: {' and '.join(families)} have no metric in common, and so cannot be compared")
    family = first.spec.family
    split = "test" if first.facts.test_images else "val" if first.facts.val_images else ""
    if not split:
        raise InputError("data: there are no test or validation images to compare on; raise data.test_fraction")
    known = {metric.name: metric for metric in family.metrics}
    name = asked.metric or next(iter(known), None)
    if name is None or name not in known:
        raise unknown_name("metric", name, list(known))
    if asked.tune == "lr" and family.metric is None:
        raise InputError(
            f"tune: {family.name} have no metric of validation by which a rate could be chosen; use tune none"
        )
    return known[name], split


def _rates(asked: Asked, variants: Sequence[Variant], prepared: Mapping[str, Prepared]) -> dict[str, float]:
    """Return the rate about which each variant's is looked for: none where a line search finds it, or the variant names its own."""
    if asked.tune == "none":
        return {}
    specs = {each.name: prepared[each.name].spec for each in variants if "optim.lr" not in each.changes}
    return {name: float(spec.optim.settings()["lr"]) for name, spec in specs.items() if not spec.optim.closure}


def run_seconds(prepared: Prepared, request: Request) -> float:
    """Return what one run is expected to take, at the speed that was measured."""
    minutes = request.get("train.minutes")
    if minutes is not None:
        return float(minutes) * 60 + START_SECONDS
    spec = resolve(request, prepared.facts).spec
    return estimate_seconds(spec, prepared.facts, prepared.images_per_second, spec.train.epochs) + START_SECONDS


def _epochs_within(
    asked: Asked, variants: Sequence[Variant], prepared: Mapping[str, Prepared], rates: Mapping[str, float]
) -> float:
    """Return the epochs of each run with which the whole study keeps its budget."""
    assert asked.minutes is not None
    epoch, fixed = 0.0, 0.0
    for variant in variants:
        each = prepared[variant.name]
        start = estimate_seconds(each.spec, each.facts, each.images_per_second, 0)
        one = estimate_seconds(each.spec, each.facts, each.images_per_second, 1) - start
        tuning = len(FACTORS) if variant.name in rates else 0
        epoch += one * (asked.seeds + SHARE * tuning)
        fixed += (start + START_SECONDS) * (asked.seeds + tuning)
    seconds = 60 * asked.minutes * asked.at_once
    epochs = (seconds - fixed) / epoch
    least = max(prepared[each.name].spec.train.batch_size / prepared[each.name].facts.train_images for each in variants)
    if epochs < least:
        needed = (fixed + epoch * max(1.0, least)) / (60 * asked.at_once)
        raise InputError(
            f"budget: {asked.minutes:g} minutes do not even pay for one epoch of each run; about {needed:.0f} would"
        )
    return float(f"{epochs:.3g}")


def plan_lines(design: Design, *, at_once: int, done: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the plan for people, as (name, text)."""
    shown = [each.name for each in design.variants]
    yield "variants", f"{len(shown)}: {'; '.join(shown)}"
    seeds = design.seeds
    yield (
        "seeds",
        f"{len(seeds)}: {seeds[0]} to {seeds[-1]}"
        + ("" if len(seeds) >= LEAST_SEEDS else f" (no verdict below {LEAST_SEEDS}, only intervals)"),
    )
    against = f"each against {design.reference!r}" if design.reference else "all pairs"
    images = "test images" if design.split == "test" else "validation images, by which the best epoch was chosen too"
    yield "metric", f"{design.metric.name} of the {images}, paired by seed, {against}"
    epochs, minutes = design.base.get("train.epochs"), design.base.get("train.minutes")
    yield (
        "each run",
        f"{format_epochs(epochs) if epochs else f'{minutes:g} minutes'}, {design.base.get('train.threads')} thread(s)",
    )
    tuned = [each for each in design.variants if each.name in design.rates]
    if design.tune == "lr":
        left = [each.name for each in design.variants if each not in tuned]
        note = f"; has no rate of its own to tune: {', '.join(left)}" if left else ""
        yield (
            "tuning",
            f"learning rate, {len(FACTORS)} runs of {SHARE:.0%} of the length for each of {len(tuned)} variants{note}",
        )
    if design.halving:
        yield (
            "halving",
            "the worse half is dropped after two seeds of their own, which are not judged; the cost is at most what is said",
        )
    runs = len(seeds) * len(design.variants)
    total = sum(design.run_seconds[each.name] for each in design.variants) * len(seeds)
    tuning = sum(START_SECONDS + SHARE * (design.run_seconds[each.name] - START_SECONDS) for each in tuned) * len(
        FACTORS
    )
    more = f" and {len(tuned) * len(FACTORS)} short ones" if tuned else ""
    ended = f", of which {done} have ended" if done else ""
    seconds = (total + tuning) / min(at_once, max(1, runs)) * (1 - done / max(1, runs))
    yield "cost", f"{runs} runs{more}, {at_once} at a time{ended}; about {format_duration(seconds)}"
