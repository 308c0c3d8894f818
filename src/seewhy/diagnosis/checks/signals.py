"""Signals on their way through the network: units that cannot learn, and sizes that grow or vanish with depth.

A network that learns well is not ill because half of its ReLU units are silent: these are found only where learning is poor, or not known.
"""

from __future__ import annotations

import math
from itertools import pairwise

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.learning import learns
from seewhy.diagnosis.records import History

SAMPLES = 1000
"""Examples and positions that a unit must have been seen at."""

DEAD_SHARE = 0.5
DEAD_SHARE_UNKNOWN = 0.9
SATURATED_SHARE = 0.5

VANISHED = 1e-3
"""Gradient at the first layer's outputs as a share of the last one's."""

GROWN = 2.0
GROWTHS = 4
LARGE = 1e3


def _dead(history: History) -> Verdict:
    last = history.latest[-1]
    known = [a for a in last.activations if a.samples >= SAMPLES]
    if not last.activations:
        return inapplicable("no activation function was seen")
    if not known:
        return skipped(f"fewer than {SAMPLES:,} examples of each unit")
    limit = DEAD_SHARE if learns(history) is not None else DEAD_SHARE_UNKNOWN
    dead = [a for a in known if a.silent > limit]
    if not dead:
        return passed("no layer has more than half of its units dead")
    if learns(history):
        return passed("units are silent, but the network learns")
    worst = max(dead, key=lambda a: a.silent)
    return seen(
        f"{worst.silent:.0%} of the {worst.units} units of {worst.layer} have not once been active in {worst.samples:,} examples",
        [a.layer for a in dead],
        share=worst.silent,
        samples=worst.samples,
    )


def _saturated(history: History) -> Verdict:
    bounded = [a for a in history.latest[-1].activations if a.function in ("tanh", "sigmoid")]
    if not bounded:
        return inapplicable("no bounded activation function was seen")
    # A last sigmoid or tanh makes the outputs, and may be as sure as it likes.
    hidden = [a for a in bounded if a is not history.latest[-1].activations[-1]] or []
    if not hidden:
        return inapplicable("bounded activations make the outputs only")
    stuck = [a for a in hidden if a.saturated > SATURATED_SHARE]
    if not stuck:
        return passed("no layer has more than half of its units saturated")
    if learns(history):
        return passed("units are saturated, but the network learns")
    worst = max(stuck, key=lambda a: a.saturated)
    return seen(
        f"{worst.saturated:.0%} of the {worst.units} units of {worst.layer} are saturated at 95% of the examples",
        [a.layer for a in stuck],
        share=worst.saturated,
    )


def _vanishing(history: History) -> Verdict:
    graded = [layer for layer in history.latest[-1].layers if layer.gradient is not None]
    if len(graded) < 3:
        return inapplicable("fewer than three layers")
    if history.latest[-1].bad:
        return inapplicable("values are not finite")
    first, last = graded[0], graded[-1]
    assert first.gradient is not None
    assert last.gradient is not None
    # Each value counts in proportion to how many there are: a convolution's outputs are many, each with a small share of the gradient.
    ratio = first.gradient / last.gradient if last.gradient else math.nan
    weights = [p.update for p in history.latest[-1].parameters if p.update is not None and p.gradient is not None]
    if not ratio < VANISHED or not weights:
        return passed("gradients reach the first layers")
    if learns(history):
        return passed("gradients are small at the first layers, but the network learns")
    if learns(history) is None:
        return skipped("gradients are small at the first layers; whether the network learns is not known")
    return seen(
        f"the gradient at {first.layer} is {ratio:.0e} of that at {last.layer}",
        (first.layer,),
        ratio=ratio,
        first=first.gradient,
        last=last.gradient,
    )


def _exploding(history: History) -> Verdict:
    norms = [
        (record.step, math.sqrt(sum(p.gradient**2 for p in record.parameters if p.gradient is not None)))
        for record in history.records
        if not record.bad
    ]
    if len(norms) <= GROWTHS:
        return skipped(f"fewer than {GROWTHS + 1} probes")
    last = [norm for _, norm in norms[-GROWTHS - 1 :]]
    grows = all(later > GROWN * earlier for earlier, later in pairwise(last))
    if not grows or last[-1] < LARGE:
        return passed("gradients do not grow without bound")
    return seen(
        f"the gradient's norm has grown {last[-1] / max(last[0], 1e-30):,.0f} times in {norms[-1][0] - norms[-GROWTHS - 1][0]:,} steps, "
        f"to {last[-1]:.2g}",
        norm=last[-1],
        before=last[0],
    )


CHECKS = (
    Check(
        "dead_units",
        _dead,
        "warning",
        2,
        "A ReLU unit that is negative at every example passes no gradient, and can never change again. It dies when a large step or a "
        "large negative "
        "bias pushes it there. What is left of the layer must do the work.",
        "Lu et al. 2019, 1903.06733; more than half of a layer, as in SageMaker Debugger",
        (
            Remedy("lower the learning rate"),
            Remedy("normalise before the activation", edit='model.norm = "batch"'),
            Remedy("take an activation with a slope everywhere", edit='model.activation = "elu"'),
        ),
        confirm=1,
    ),
    Check(
        "saturated_units",
        _saturated,
        "warning",
        2,
        "Far from 0 a tanh or a sigmoid is flat, and passes less than a twentieth of the gradient. Layers before it then learn very "
        "slowly. Inputs or "
        "weights that are too large drive units there.",
        "Glorot & Bengio 2010; slope below 5% of its maximum",
        (
            Remedy("normalise before the activation", edit='model.norm = "batch"'),
            Remedy("start from smaller weights", edit='model.init = "xavier"'),
            Remedy("standardise the inputs"),
        ),
    ),
    Check(
        "vanishing_gradients",
        _vanishing,
        "warning",
        2,
        "Each layer multiplies the gradient by its weights and slopes. If these shrink it, little is left at the first layers, which then "
        "stay as they "
        "were drawn. Depth makes it worse by a power.",
        "Hochreiter 1991; Glorot & Bengio 2010; ratio of AUTOTRAINER (Zhang et al. 2021)",
        (
            Remedy("normalise", edit='model.norm = "batch"'),
            Remedy("take ReLU or one of its kind with He's initialisation", edit='model.activation = "relu"'),
            Remedy("add skip connections"),
        ),
    ),
    Check(
        "exploding_gradients",
        _exploding,
        "critical",
        2,
        "The gradient grows from step to step because each step makes the next one larger. The loss then jumps, and soon nothing is finite.",
        "Pascanu et al. 2013, 1211.5063; growth as in TheDeepChecker",
        (
            Remedy("lower the learning rate by 10"),
            Remedy("clip the gradients", "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"),
        ),
        confirm=1,
    ),
)
