"""What goes in: finite values of a size that layers are made for, and rows that differ."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.inputs import LARGE, SMALL
from seewhy.diagnosis.checks.signals import SATURATED_SHARE
from seewhy.diagnosis.nested import tensors_of
from seewhy.diagnosis.records import InputRecord
from seewhy.diagnosis.trial.rules import Evidence, Rule, watched
from seewhy.diagnosis.trial.structures import fingerprints, mapped
from seewhy.diagnosis.values import input_record

CHANGED = 3.0
"""Ratio of what differs between outputs with the inputs as they are and standardised, beyond which the network does not normalise them."""

OFF_CENTRE = 10.0
"""Deviations that a channel's mean may be from 0."""

ROWS = 8


def _not_finite(evidence: Evidence) -> Verdict:
    floating = [x for x in evidence.inputs if x.is_floating_point()]
    if not floating:
        return inapplicable("no input has floating-point values")
    bad = [int((~torch.isfinite(x)).sum()) for x in floating]
    if not any(bad):
        return passed("all inputs are finite")
    total = sum(x.numel() for x in floating)
    return seen(f"{sum(bad):,} of {total:,} input values are NaN or infinite", values=sum(bad), total=total)


def _constant(evidence: Evidence) -> Verdict:
    rows = evidence.program.rows
    if rows is None or rows.count < 2:
        return inapplicable("there are no two examples")
    different = len(set(fingerprints(rows, evidence.inputs)))
    if different > 1:
        return passed(f"{different:,} of {rows.count:,} examples differ")
    return seen(f"all {rows.count:,} rows of the batch are the same", rows=rows.count)


def _first(evidence: Evidence) -> InputRecord | None:
    return next((record for x in evidence.inputs if (record := input_record(x)) is not None), None)


def _unscaled(evidence: Evidence) -> Verdict:
    inputs = _first(evidence)
    if inputs is None:
        return inapplicable("the input is no batch of floating-point values")
    size = math.sqrt(sum(m**2 + s**2 for m, s in zip(inputs.mean, inputs.std, strict=True)) / len(inputs.mean))
    if SMALL <= size <= LARGE or size == 0:
        return passed(f"inputs have a root mean square of {size:.2g}")
    if evidence.record is None or not evidence.record.layers:
        return skipped("no layer could be probed, of which to tell whether the network scales the inputs itself")
    first = evidence.record.layers[0]
    if size > LARGE and math.hypot(first.mean, first.std) <= LARGE:
        return passed("inputs are large, but the network scales them")
    raw, standard = _deviation(evidence, standardised=False), _deviation(evidence, standardised=True)
    ratio = raw / standard if standard > 0 else 1.0
    bounded = [a.saturated for a in evidence.record.activations if a.function in ("tanh", "sigmoid")]
    saturated = max(bounded, default=0.0)
    if 1 / CHANGED < ratio < CHANGED and saturated <= SATURATED_SHARE:
        return passed("inputs are unscaled, but the network normalises what it makes of them")
    return seen(
        f"inputs lie between {inputs.low:.3g} and {inputs.high:.3g}; layers are made for values of about 1; what differs "
        f"between outputs is {ratio:.2g} times that of standardised inputs",
        mean=list(inputs.mean),
        std=list(inputs.std),
        low=inputs.low,
        high=inputs.high,
        ratio=ratio,
        saturated=saturated,
    )


def _deviation(evidence: Evidence, *, standardised: bool) -> float:
    """Return the deviation of outputs between rows, at most over the outputs; weights that start at zero are filled."""
    program, call = evidence.program, evidence.program.forward

    def standard(x: Tensor) -> Tensor:
        if not standardised or input_record(x) is None:
            return x
        axes = (0, 2, 3) if x.dim() == 4 else tuple(range(x.dim()))
        std, mean = torch.std_mean(x.float(), axes, correction=0, keepdim=True)
        return ((x - mean) / std.clamp(min=1e-12)).to(x.dtype)

    trial = program.trial()
    trial.fitting_mode()
    trial.fill_zeros()
    with torch.no_grad():
        outputs = list(tensors_of(trial.call(mapped(standard, call.args), mapped(standard, dict(call.kwargs)))))
    return max((float(x.float().std(0).mean()) for x in outputs if x.is_floating_point() and x.dim()), default=0.0)


def _off_centre(evidence: Evidence) -> Verdict:
    inputs = _first(evidence)
    if inputs is None or inputs.rows < ROWS:
        return inapplicable(f"the input is no batch of {ROWS} examples or more with floating-point values")
    if not inputs.rows_differ:
        return inapplicable("the rows of the batch do not differ")
    channels = list(zip(inputs.mean, inputs.std, strict=True))
    far = [i for i, (mean, std) in enumerate(channels) if 0 < OFF_CENTRE * std < abs(mean)]
    flat = [i for i, (_, std) in enumerate(channels) if std == 0]
    if flat and len(flat) < len(channels):
        return seen(
            f"channel {flat[0]} has the same value {channels[flat[0]][0]:.3g} everywhere",
            channels=flat,
            mean=list(inputs.mean),
        )
    if not far:
        return passed("no channel's mean is far from 0")
    mean, std = channels[far[0]]
    return seen(
        f"inputs have a mean of {mean:.3g} and a deviation of {std:.2g}: what differs is {abs(mean) / std:.0f} times smaller than "
        "what is common",
        channels=far,
        mean=list(inputs.mean),
        std=list(inputs.std),
    )


RULES = (
    Rule(
        "inputs_not_finite",
        _not_finite,
        "critical",
        0,
        "A single NaN in an image makes every output of its row NaN, and through the loss every weight. Decoding, a division by a "
        "deviation of 0, or a missing value in a table brings them in. The network is not to blame.",
        "an invariant",
        (
            Remedy("look for it where the inputs are made", "assert torch.isfinite(x).all()"),
            Remedy("divide by a deviation that cannot be 0", "x = (x - mean) / std.clamp(min=1e-6)"),
        ),
        computable=False,
    ),
    watched("inputs_constant", _constant, computable=False),
    watched("inputs_unscaled", _unscaled),
    Rule(
        "inputs_off_centre",
        _off_centre,
        "note",
        1,
        "Layers see the values themselves, not how they differ from their mean. Where the mean is many times the deviation, or a channel "
        "never changes, the weights' gradients have one sign and steps zig-zag. Subtract the mean of each channel.",
        "LeCun et al. 1998, Efficient BackProp; a mean of 10 deviations",
        (
            Remedy("standardise each channel with its own mean and deviation", "x = (x - mean) / std"),
            Remedy("look at how the channels are filled"),
        ),
        computable=False,
    ),
)
