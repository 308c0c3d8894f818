"""What goes in: values of a size that the first layer can use, rows that differ, and no label among them."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import known, standing
from seewhy.diagnosis.history import History

LARGE, SMALL = 10.0, 0.02
"""Root mean square beyond which inputs count as unscaled: standardised ones have 1, pixels from 0 to 1 about 0.5."""

ONE_SIGNED = 3.0
"""Mean as a multiple of the deviation from which inputs of one sign count as far from centred."""

SOON = 10

LEAK, TYPICAL, EXACT = 0.97, 0.6, 0.9995
"""Share of a column's variance between the classes; at most that of the columns' upper quartile, for where
many columns tell the label it is easy; and where only a column that follows from the label counts."""

EVALUATED, IMAGE = 64, 32
OTHER_SCALE, OTHER_MEAN, FAR_SCALE, FAR_MEAN = 1.7, 0.7, 3.0, 3.0
"""How many times the deviation of what evaluations are given is that of what steps are, or the other way round, and by how many deviations the
mean is moved, where that is no augmentation; and for rows of a few numbers, whose distribution may drift."""

NO_BATCH = "the input is no batch of floating-point values"


def _unscaled(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if inputs is None:
        return inapplicable(NO_BATCH)
    sizes = [math.hypot(mean, std) for mean, std in zip(inputs.mean, inputs.std, strict=True)]
    size = math.sqrt(sum(value**2 for value in sizes) / len(sizes))
    if not math.isfinite(size):
        return inapplicable("the inputs are not finite, which another check says")
    if SMALL <= size <= LARGE or size == 0:
        return passed("inputs are of the size that layers expect")
    if history.loop.step < SOON:
        return skipped(f"fewer than {SOON} steps")
    if standing(history) in (("well",) if size > LARGE else ("well", "learns", "unknown")):
        return passed("inputs are unscaled, but the network learns")
    return seen(
        f"inputs lie between {inputs.low:.3g} and {inputs.high:.3g}; layers are made for values of about 1",
        mean=list(inputs.mean),
        std=list(inputs.std),
        size=size,
    )


def _one_signed(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if inputs is None:
        return inapplicable(NO_BATCH)
    if inputs.low < 0 < inputs.high or inputs.low == inputs.high:
        return passed("inputs are of both signs")
    mean, std = (sum(abs(value) for value in part) / len(part) for part in (inputs.mean, inputs.std))
    if mean < ONE_SIGNED * std or not math.isfinite(mean):
        return passed("inputs are of one sign, and vary as much as they are large")
    if standing(history) != "poor":
        return passed("inputs are of one sign; the network learns, as far as that is known")
    first = next((p for p in history.latest[-1].parameters if p.agreement is not None), None)
    return seen(
        f"inputs lie between {inputs.low:.3g} and {inputs.high:.3g}: their mean is {mean / max(std, 1e-12):.1f} times their deviation",
        mean=list(inputs.mean),
        std=list(inputs.std),
        agreement=None if first is None else first.agreement,
    )


def _leak(history: History) -> Verdict:
    found = [logits.leak for _, logits in known(history) if logits.leak is not None][-4:]
    if not found:
        return inapplicable("there are no class labels, or fewer than three rows a class")
    if len(found) < 3:
        return skipped("fewer than three probes")
    columns = {column for column, *_ in found}
    least, typical = min(share for _, share, _ in found), max(share for *_, share in found)
    if least < LEAK or len(columns) > 2 or (typical > TYPICAL and least < EXACT):
        return passed("no single input tells the label")
    return seen(
        f"one number of the input tells the label: {least:.1%} of the variance of column {found[-1][0]} lies between the classes",
        column=found[-1][0],
        share=least,
    )


def _evaluated(history: History) -> Verdict:
    """Compare what evaluations are given with what steps are: it should come from the same transforms."""
    loop = history.loop
    records = [record for record in history.records if record.given_moments is not None]
    if not history.alone or len(records) < 4:
        return skipped("fewer than four batches of floating-point values were seen")
    if loop.looked_rows < EVALUATED:
        return skipped(f"fewer than {EVALUATED} rows were seen in evaluations")
    if not any(output.rows == records[-1].given_rows and output.axes == 2 for output in records[-1].outputs):
        return inapplicable("the network gives no row of numbers for each of its inputs")
    given = [record.given_moments for record in records if record.given_moments is not None]
    mean = statistics.fmean(m for m, _ in given)
    std = math.sqrt(statistics.fmean(s * s + m * m for m, s in given) - mean * mean)
    other = math.sqrt(max(0.0, loop.looked_square - loop.looked_mean**2))
    least, most = sorted((std, other))
    channels = (
        records[-1].inputs is not None and len(records[-1].inputs.mean) > 0 and records[-1].inputs.columns >= IMAGE
    )
    ratio, moved = (OTHER_SCALE, OTHER_MEAN) if channels else (FAR_SCALE, FAR_MEAN)
    shift = abs(loop.looked_mean - mean)
    if not math.isfinite(most) or most == 0 or (most <= ratio * least and shift <= moved * most):
        return passed("evaluations are given values of the same size as steps")
    return seen(
        f"steps are given values with a mean of {mean:.3g} and a deviation of {std:.3g}, evaluations {loop.looked_mean:.3g} and {other:.3g}: "
        "they are not prepared alike",
        mean=mean,
        std=std,
        evaluated_mean=loop.looked_mean,
        evaluated_std=other,
    )


CHECKS = (
    Check(
        "inputs_unscaled",
        _unscaled,
        "warning",
        1,
        "Initialisations and rates are made for inputs of about mean 0 and deviation 1. Bytes from 0 to 255 make the "
        "first layer's outputs and "
        "gradients hundreds of times too large, values near 0 as many times too small.",
        "LeCun et al. 1998, Efficient BackProp; root mean square beyond 0.02 and 10",
        (
            Remedy("standardise the inputs", "x = (x / 255 - mean) / std", edit="model.inputs = 'default'"),
            Remedy("normalise after the first layer", edit='model.norm = "batch"'),
        ),
    ),
    Check(
        "label_leakage",
        _leak,
        "warning",
        1,
        "A number that is written into the input together with the label, such as an index, a file's border or a "
        "column that was made from it, "
        "tells the label without any look at the image. Training and validation then look perfect. On images without that mark the network "
        "knows nothing.",
        "Kaufman et al. 2012, Leakage in data mining; share of a column's variance between the classes (epsilon squared)",
        (Remedy("look at that column of the inputs beside the labels, and take it out"),),
        confirm=2,
        confidence=0.8,
    ),
    Check(
        "inputs_one_signed",
        _one_signed,
        "warning",
        1,
        "Where all inputs are of one sign, all weight gradients of a unit share the sign of its error: its weights can only rise or fall "
        "together, and the way to the minimum zigzags. The mean also dominates the variation that tells images apart.",
        "LeCun et al. 1998, Efficient BackProp; mean beyond 3 deviations",
        (
            Remedy("subtract the mean", "x = (x - mean) / std", edit="model.inputs = 'default'"),
            Remedy("normalise after the first layer", edit='model.norm = "batch"'),
        ),
        confidence=0.7,
    ),
    Check(
        "evaluation_inputs_differ",
        _evaluated,
        "warning",
        1,
        "Validation images must be prepared as training images are: the same scale, mean and size. A network that was trained on standardised "
        "images and is evaluated on bytes, or on values between 0 and 1, sees things that it has never seen. Its figures are bad though it "
        "has learned well.",
        "an invariant: both come from one distribution; deviations 1.7 times apart, means 0.7 deviations",
        (Remedy("prepare both with the same normalisation; leave augmentation out of evaluation"),),
        counted=True,
        confirm=1,
        confidence=0.9,
    ),
)
