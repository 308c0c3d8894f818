"""From what is asked of a study to its design: every variant resolved and built once, its speed measured, and the budget shared out."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from seewhy.comparison.asked import Asked
from seewhy.comparison.design import BASE, Variant
from seewhy.comparison.folder import Design, Tune
from seewhy.comparison.progress import SCREENING_SEEDS, SURVIVORS
from seewhy.comparison.quality import FIGURES, Sampling, validate_extractor
from seewhy.comparison.tuning import FACTORS, SHARE, short
from seewhy.core.errors import InputError, RunError, unknown_name
from seewhy.spec import Metric, Request, estimate_seconds, resolve
from seewhy.training import state
from seewhy.training.build import Prepared, prepare
from seewhy.training.events import Emit
from seewhy.training.plan import format_duration, format_epochs

START_SECONDS = 6.0
"""What a run takes beside its training: its process, the data, the final figures and the report."""

LEAST_SEEDS = 5
"""Seeds below which no verdict is given."""


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
    metric, selection, split = _metrics(asked, first, variants, prepared)
    sampling = None
    if metric.name in FIGURES:
        extractor = "" if asked.extractor is None else validate_extractor(asked.extractor, first.facts.shape)
        sampling = Sampling(extractor=extractor)
    tune: Tune = asked.tune or ("none" if selection is None else "lr")
    rates = _rates(variants, prepared) if tune == "lr" else {}
    reference = asked.reference or (BASE if variants[0].name == BASE else None)
    if reference is not None and reference not in [each.name for each in variants]:
        raise InputError(f"reference: {reference!r} is what the base does already, and so is left out; name the base")
    seeds = tuple(range(first.spec.train.seed, first.spec.train.seed + asked.seeds))
    if asked.minutes is not None:
        base = base.with_changes({"train.epochs": _epochs_within(asked, variants, prepared, rates, reference)})
    prints = {each.name: prepared[each.name].dataset.fingerprint for each in variants}
    return Design(
        base=base,
        variants=variants,
        seeds=seeds,
        metric=metric,
        split=split,
        reference=reference,
        tune=tune,
        halving=asked.halving,
        fingerprint=first.dataset.fingerprint,
        command=asked.command,
        run_seconds={each.name: run_seconds(prepared[each.name], each.applied(base)) for each in variants},
        rates=rates,
        selection=selection,
        sampling=sampling,
        fingerprints={name: found for name, found in prints.items() if found != first.dataset.fingerprint},
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


def _metrics(
    asked: Asked, first: Prepared, variants: Sequence[Variant], prepared: Mapping[str, Prepared]
) -> tuple[Metric, Metric | None, str]:
    """Return by what the variants are judged, by which metric of validation rates and survivors are chosen, and the split that is judged."""
    specs = [prepared[each.name].spec for each in variants]
    families = {spec.family.name: spec.family for spec in specs}
    split = "test" if first.facts.test_images else "val" if first.facts.val_images else ""
    if not split:
        raise InputError("data: there are no test or validation images to compare on; raise data.test_fraction")
    own, *others = [family.metrics for family in families.values()]
    common = {metric.name: metric for metric in own if all(metric in other for other in others)}
    samples = all("sample_quality" in spec.model_record.verbs for spec in specs)
    known = {**common, **({name: metric for name, (metric, _) in FIGURES.items()} if samples else {})}
    if not known:
        raise InputError(f"variants: {' and '.join(families)} have no metric in common, and so cannot be compared")
    name = asked.metric or next(iter(common), None)
    if name is None:
        raise InputError(
            f"metric: {' and '.join(families)} have no usual one in common; give --metric {', '.join(known)}"
        )
    if name not in known:
        raise unknown_name("metric", name, list(known))
    selection = known[name] if name in common else next(iter(common.values()), None)
    if selection is None and (asked.tune == "lr" or asked.halving):
        option, what = ("tune", "a rate") if asked.tune == "lr" else ("halving", "who goes on")
        raise InputError(
            f"{option}: {' and '.join(families)} have no metric of validation by which {what} could be chosen; leave --{option} out"
        )
    return known[name], selection, split


def _rates(variants: Sequence[Variant], prepared: Mapping[str, Prepared]) -> dict[str, float]:
    """Return the rate about which each variant's is looked for: none where a line search finds it, or the variant names its own."""
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
    asked: Asked,
    variants: Sequence[Variant],
    prepared: Mapping[str, Prepared],
    rates: Mapping[str, float],
    reference: str | None,
) -> float:
    """Return the epochs of each run with which the whole study keeps its budget."""
    assert asked.minutes is not None
    judged, tuned, fixed = 0.0, 0.0, 0.0
    # Of halving it is not known who takes part; the mean over the variants stands for each.
    runs = runs_at_most(len(variants), asked.seeds, asked.halving, reference is not None) / len(variants)
    for variant in variants:
        each, tuning = prepared[variant.name], len(FACTORS) if variant.name in rates else 0
        start = estimate_seconds(each.spec, each.facts, each.images_per_second, 0)
        epoch = estimate_seconds(each.spec, each.facts, each.images_per_second, 1) - start
        judged, tuned, fixed = (
            judged + epoch * runs,
            tuned + epoch * tuning,
            fixed + (start + START_SECONDS) * (runs + tuning),
        )

    def cost(epochs: float) -> float:
        return fixed + judged * epochs + tuned * short(epochs)

    seconds = 60 * asked.minutes * asked.at_once
    least = max(prepared[each.name].spec.train.batch_size / prepared[each.name].facts.train_images for each in variants)
    if cost(least) > seconds:
        raise InputError(
            f"budget: {asked.minutes:g} minutes do not even pay for one step of each run; "
            f"one epoch of each takes about {math.ceil(cost(max(1.0, least)) / (60 * asked.at_once))}"
        )
    low, high = least, seconds / judged
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) <= seconds else (low, middle)
    scale = 10.0 ** (2 - math.floor(math.log10(low)))
    return max(least, math.floor(low * scale) / scale)  # rounded down, to keep within


def runs_at_most(variants: int, seeds: int, halving: bool, referenced: bool) -> int:
    """Return how many runs there will be beside tuning, at most."""
    if not halving:
        return variants * seeds
    alive, runs = variants, 0
    while alive > SURVIVORS:
        runs += alive * SCREENING_SEEDS
        # The reference goes on in any case, where it is not in the better half.
        kept = min(alive, max(SURVIVORS, math.ceil(alive / 2)) + referenced)
        if kept == alive:
            break
        alive = kept
    return runs + alive * seeds


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
    if design.sampling is not None:
        features = f"features of {design.sampling.extractor}" if design.sampling.extractor else "pixels"
        yield "samples", f"{design.sampling.generated:,} of each run, compared with held-out images by {features}"
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
        share = short(epochs) / epochs if epochs else SHARE
        yield (
            "tuning",
            f"learning rate, {len(FACTORS)} runs of {share:.0%} of the length for each of {len(tuned)} variants{note}",
        )
    elif design.selection is None:
        yield (
            "tuning",
            "none: there is no metric of validation by which a rate could be chosen; each variant keeps its own",
        )
    if design.halving:
        yield (
            "halving",
            "the worse half is dropped after two seeds of their own, which are not judged; the cost is at most what is said",
        )
    runs = runs_at_most(len(design.variants), len(seeds), design.halving, design.reference is not None)
    total = fmean(design.run_seconds[each.name] for each in design.variants) * runs
    share = short(epochs) / epochs if epochs else SHARE
    tuning = sum(START_SECONDS + share * (design.run_seconds[each.name] - START_SECONDS) for each in tuned) * len(
        FACTORS
    )
    more = f" and {len(tuned) * len(FACTORS)} short ones" if tuned else ""
    ended = f", of which {done} have ended" if done else ""
    seconds = (total + tuning) / min(at_once, max(1, runs)) * (1 - done / max(1, runs))
    yield "cost", f"{runs} runs{more}, {at_once} at a time{ended}; about {format_duration(seconds)}"
