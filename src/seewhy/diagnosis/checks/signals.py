"""Signals on their way through the network: units that cannot learn, and sizes that grow or vanish with depth.

A network that learns well is not ill because half of its ReLU units are silent: these are found only where learning is poor, or not known.
"""

from __future__ import annotations

import math
from itertools import pairwise

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import known, learns, shares_left, standing
from seewhy.diagnosis.history import History

BOUNDED = ("tanh", "sigmoid")
SAMPLES, FEWER = 1000, 250
"""Examples and positions that a unit must have been seen at; fewer do where nearly all units of a layer are silent."""

DEAD_SHARE = 0.5
DEAD_SHARE_UNKNOWN = 0.9
NEARLY_ALL = 0.95
SATURATED_SHARE = 0.5

VANISHED = 1e-3
"""Gradient at the first layer's outputs as a share of the last one's."""

SOON = 20
FALLS = 0.7
GROWN = 2.0
GROWTHS = 4
LARGE = 1e3


def _not_finite(history: History) -> Verdict:
    last = history.latest[-1]
    if not last.bad:
        return passed("outputs, gradients and weights are finite")
    inputs = last.inputs
    if inputs is not None and not (math.isfinite(inputs.low) and math.isfinite(inputs.high)):
        return seen("the inputs are not finite (NaN or infinite)", step=last.step, lr=last.lr)
    return seen(f"{last.bad} is not finite (NaN or infinite)", (last.bad,), step=last.step, lr=last.lr)


def first_loss(history: History) -> Verdict:
    """Judge the first loss by itself, whatever became of it."""
    first = [logits for step, logits in known(history) if step == 1]
    if not first:
        return inapplicable("the loss of the first step is not known")
    loss, chance = first[0].loss, math.log(first[0].classes)
    if loss < 2 * chance + 1:
        return passed(f"the first loss is {loss:.2f}, near ln {first[0].classes}")
    return seen(
        f"the first loss is {loss:.3g}, where a network that knows nothing has ln {first[0].classes} = {chance:.2f}",
        loss=loss,
        chance=chance,
    )


def _initial_loss(history: History) -> Verdict:
    verdict = first_loss(history)
    if verdict.status != "found":
        return verdict
    if history.loop.step < SOON:
        return skipped(f"fewer than {SOON} steps")
    shares = shares_left(history)
    if learns(history) or (len(shares) > 4 and min(shares[-2:]) < FALLS * shares[0]):
        return passed("the first loss was high, but it falls")
    return verdict


def _dead(history: History) -> Verdict:
    activations = [a for a in history.latest[-1].activations if a.function not in BOUNDED]
    if not activations:
        return inapplicable("no activation function was seen that units can be dead of")
    seen_enough = [a for a in activations if a.samples >= SAMPLES or (a.samples >= FEWER and a.silent > NEARLY_ALL)]
    if not seen_enough:
        return skipped(f"fewer than {SAMPLES:,} examples of each unit")
    state = standing(history)
    dead = [a for a in seen_enough if a.silent > (DEAD_SHARE_UNKNOWN if state == "unknown" else DEAD_SHARE)]
    if not dead:
        return passed("no layer has more than half of its units dead")
    if state in ("well", "learns"):
        return passed("units are silent, but the network learns")
    worst = max(dead, key=lambda a: a.silent)
    return seen(
        f"{worst.silent:.0%} of the {worst.units} units of {worst.layer} have not once been active in {worst.samples:,} examples",
        [a.layer for a in dead],
        share=worst.silent,
        samples=worst.samples,
    )


def _saturated(history: History) -> Verdict:
    activations = history.latest[-1].activations
    bounded = [a for a in activations if a.function in BOUNDED]
    if not bounded:
        return inapplicable("no bounded activation function was seen")
    # A last sigmoid or tanh makes the outputs, and may be as sure as it likes.
    last = activations[-1] if any(output.function in BOUNDED for output in history.latest[-1].outputs) else None
    hidden = [a for a in bounded if a is not last]
    if not hidden:
        return inapplicable("bounded activations make the outputs only")
    stuck = [a for a in hidden if a.saturated > SATURATED_SHARE]
    if not stuck:
        return passed("no layer has more than half of its units saturated")
    state = standing(history)
    worst = max(stuck, key=lambda a: a.saturated)
    if state in ("well", "learns") or (state == "unknown" and worst.saturated < DEAD_SHARE_UNKNOWN):
        return passed(
            "units are saturated, but the network learns" if state != "unknown" else "some units are saturated"
        )
    return seen(
        f"{worst.saturated:.0%} of the {worst.units} units of {worst.layer} are saturated at 95% of the examples",
        [a.layer for a in stuck],
        share=worst.saturated,
    )


def _vanishing(history: History) -> Verdict:
    last = history.latest[-1]
    graded = [layer for layer in last.layers if layer.gradient is not None]
    if len(graded) < 3:
        return inapplicable("fewer than three layers")
    if last.bad:
        return inapplicable("values are not finite")
    if last.step < SOON:  # a last layer that begins at zero lets nothing through at first
        return skipped(f"fewer than {SOON} steps")
    if any(a.silent > NEARLY_ALL for a in last.activations):
        return skipped("a layer is dead, which lets nothing through")
    begin, end = graded[0], graded[-1]
    assert begin.gradient is not None
    assert end.gradient is not None
    # Each value counts in proportion to how many there are: a convolution's outputs are many, each with a small share of the gradient.
    ratio = begin.gradient / end.gradient if end.gradient else math.nan
    if ratio == 0:
        return skipped("no gradient at all reaches the first layers, which is no matter of depth")
    if not ratio < VANISHED:
        return passed("gradients reach the first layers")
    state = standing(history)
    if state in ("well", "learns"):
        return passed("gradients are small at the first layers, but the network learns")
    if state == "unknown":
        return skipped("gradients are small at the first layers; whether the network learns is not known")
    return seen(
        f"the gradient at {begin.layer} is {ratio:.0e} of that at {end.layer}",
        (begin.layer,),
        ratio=ratio,
        first=begin.gradient,
        last=end.gradient,
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
        "not_finite",
        _not_finite,
        "critical",
        2,
        "Once a value is NaN or infinite, every weight it reaches becomes so at the next step. The usual causes are a "
        "rate that is too high, a "
        "logarithm or division at 0, and half precision without scaling.",
        "IEEE 754",
        (
            Remedy("keep logarithms, roots and divisions away from 0", "torch.log(p.clamp_min(1e-7))"),
            Remedy("lower the learning rate by 10", edit="optim.lr = {lr_tenth}"),
            Remedy("clip the gradients", "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"),
        ),
        confirm=1,
    ),
    Check(
        "exploding_gradients",
        _exploding,
        "critical",
        2,
        "The gradient grows from step to step because each step makes the next one larger. The loss then jumps, and "
        "soon nothing is finite.",
        "Pascanu et al. 2013, 1211.5063; growth as in TheDeepChecker",
        (
            Remedy("go back to the optimiser's usual rate", edit="optim.lr = 'default'"),
            Remedy("lower the learning rate by 10", edit="optim.lr = {lr_tenth}"),
            Remedy("clip the gradients", "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"),
        ),
        confirm=1,
    ),
    Check(
        "initial_loss_too_high",
        _initial_loss,
        "warning",
        2,
        "Before it has learned anything a classifier should give all classes about the same probability, a loss of ln K. A much higher "
        "one means that it is sure without reason: weights or inputs are too large. The first steps are then spent on unlearning that.",
        "Karpathy 2019, A Recipe for Training Neural Networks",
        (
            Remedy("take the usual initialisation of the activation", edit="model.init = 'default'"),
            Remedy("start the last layer at zero or small"),
            Remedy("standardise the inputs"),
        ),
        confirm=1,
        confidence=0.7,
    ),
    Check(
        "dead_units",
        _dead,
        "warning",
        2,
        "A ReLU unit that is negative at every example passes no gradient, and can never change again. It dies when a large step or a "
        "large negative bias pushes it there. What is left of the layer must do the work.",
        "Lu et al. 2019, 1903.06733; more than half of a layer, as in SageMaker Debugger",
        (
            Remedy("go back to the optimiser's usual rate", edit="optim.lr = 'default'"),
            Remedy("normalise before the activation", edit='model.norm = "batch"'),
            Remedy("take an activation with a slope everywhere", edit='model.activation = "elu"'),
        ),
        confirm=1,
        confidence=0.9,
    ),
    Check(
        "saturated_units",
        _saturated,
        "warning",
        2,
        "Far from 0 a tanh or a sigmoid is flat, and passes less than a twentieth of the gradient. Layers before it then learn very "
        "slowly. Inputs or weights that are too large drive units there.",
        "Glorot & Bengio 2010; slope below 5% of its maximum",
        (
            Remedy("normalise before the activation", edit='model.norm = "batch"'),
            Remedy("start from the usual weights", edit="model.init = 'default'"),
            Remedy("standardise the inputs"),
        ),
        confidence=0.85,
    ),
    Check(
        "vanishing_gradients",
        _vanishing,
        "warning",
        2,
        "Each layer multiplies the gradient by its weights and slopes. If these shrink it, little is left at the first layers, which then "
        "stay as they were drawn. Depth makes it worse by a power.",
        "Hochreiter 1991; Glorot & Bengio 2010; ratio of AUTOTRAINER (Zhang et al. 2021)",
        (
            Remedy("normalise", edit='model.norm = "batch"'),
            Remedy(
                "take ReLU or one of its kind with its usual initialisation",
                edit="model.activation = \"relu\", model.init = 'default'",
            ),
            Remedy("add skip connections"),
        ),
        confirm=3,
        confidence=0.85,
    ),
)
