"""The network as it begins: its loss, the sizes of activations and gradients along depth, units that are dead or alike."""

from __future__ import annotations

import torch
from torch import nn

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.signals import DEAD_SHARE, DEAD_SHARE_UNKNOWN, VANISHED, first_loss
from seewhy.diagnosis.trial.program import Trial
from seewhy.diagnosis.trial.rules import Evidence, Rule, watched

SMALLEST, LARGEST = 1e-4, 1e3
"""Ratio of the deviations of the last hidden layers' outputs to the first ones', beyond which no network is healthy."""

GROWN, SHRUNK = 10.0, 0.1
"""The same where the batch could not be fitted."""

SAMPLES = 64
"""Examples and positions at which a unit must have been seen."""

EXCESS = 100.0
"""A regression's first loss as a multiple of that of the best constant."""

STEPS = 5
"""Steps after which rows that began equal must differ."""

EQUAL = 1e-4


def _initial_loss(evidence: Evidence) -> Verdict:
    kind = evidence.kind
    if kind.chance is None:
        return inapplicable("the loss is none of which the level of guessing is known")
    if kind.name == "cross-entropy" and evidence.history is not None:
        return first_loss(evidence.history)
    assert kind.guessing is not None
    what = f"{kind.name} is {kind.value:.3g} at the start, where the best constant has {kind.guessing:.3g}"
    regression = kind.name == "mean squared error"
    limit = EXCESS * max(kind.guessing, 1e-6) if regression else 2 * kind.chance + 1
    if kind.value <= limit or (regression and kind.value < 1):
        return passed(what)
    return seen(f"the {what}", loss=kind.value, guessing=kind.guessing, chance=kind.chance)


def _spread(evidence: Evidence) -> Verdict:
    if evidence.record is None:
        return skipped("the network cannot be probed")
    layers = [layer for layer in evidence.record.layers if layer.std > 0][:-1]
    if len(layers) < 3:
        return inapplicable("fewer than three hidden layers with outputs")
    first, last = layers[0], layers[-1]
    ratio = last.std / first.std
    graded = [layer for layer in evidence.record.layers if layer.gradient]
    back = (
        graded[0].gradient / graded[-1].gradient
        if len(graded) > 2 and graded[0].gradient and graded[-1].gradient
        else None
    )
    what = f"deviations of outputs go from {first.std:.2g} ({first.layer}) to {last.std:.2g} ({last.layer})"
    failed = evidence.fit.failed
    extreme = not SMALLEST < ratio < LARGEST
    poor = failed and (not SHRUNK < ratio < GROWN or (back is not None and back < VANISHED))
    if not extreme and not poor:
        return passed(what)
    gradient = (
        f", and gradients from {graded[-1].gradient:.1g} at the last layer to {graded[0].gradient:.1g} at the first"
        if back
        else ""
    )
    return seen(
        f"{what}, a factor of {ratio:.1g}{gradient}",
        (first.layer, last.layer),
        ratio=ratio,
        gradient_ratio=back,
        deviations={layer.layer: layer.std for layer in layers},
    )


def _dead(evidence: Evidence) -> Verdict:
    if evidence.record is None:
        return skipped("the network cannot be probed")
    activations = evidence.record.activations
    if not activations:
        return inapplicable("no activation function was seen")
    known = [a for a in activations if a.samples >= SAMPLES]
    if not known:
        return skipped(f"fewer than {SAMPLES} examples of each unit")
    worst = max(known, key=lambda a: a.silent)
    what = f"{worst.silent:.0%} of the {worst.units} units of {worst.layer} are active at none of {worst.samples:,} examples"
    limit = DEAD_SHARE_UNKNOWN if not evidence.fit.failed else DEAD_SHARE
    if worst.silent <= limit:
        return passed(what)
    dead = [a.layer for a in known if a.silent > limit]
    return seen(what, dead, share=worst.silent, samples=worst.samples)


def _symmetric(evidence: Evidence) -> Verdict:
    alike = _equal_rows(evidence.program.trial())
    if not alike:
        return passed("the units of every layer begin with unequal weights")
    attempt = evidence.fit.best
    if attempt is None or len(attempt.losses) < STEPS:
        return skipped(f"the units of {alike[0]} begin with equal weights; whether they stay equal was not tried")
    still = [name for name in _equal_rows(attempt.trial) if name in alike]
    if not still:
        return passed("units that begin with equal weights become unequal")
    return seen(
        f"all units of {still[0]} begin with the same weights, and still have them after {len(attempt.losses)} steps",
        still,
        steps=len(attempt.losses),
    )


def _equal_rows(trial: Trial) -> list[str]:
    """Return the trained layers whose units all have the same weights and biases."""
    found = []
    for name, module in trial.model.named_modules():
        if not isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)) or not isinstance(module.weight, nn.Parameter):
            continue
        w = module.weight.detach()
        w = w.transpose(0, 1) if isinstance(module, nn.modules.conv._ConvTransposeNd) else w
        if len(w) < 2 or not module.weight.requires_grad or getattr(module, "groups", 1) > 1:
            continue
        same = bool((w - w[:1]).abs().max() <= EQUAL * w.abs().max())
        bias = module.bias
        if same and (
            bias is None
            or bool((bias - bias[:1]).abs().max() <= EQUAL * bias.abs().max() + torch.finfo(bias.dtype).tiny)
        ):
            found.append(name or "the model")
    return found


RULES = (
    watched("not_finite", computable=False),
    watched("initial_loss_too_high", _initial_loss),
    Rule(
        "symmetric_initialisation",
        _symmetric,
        "critical",
        1,
        "Units that begin with the same weights get the same gradient at every step, and stay one unit for ever. A hidden layer at zero "
        "or at a constant has no more to it than a single unit. Random initial weights set them apart; zeros are right for the last "
        "layer and for biases only.",
        "Goodfellow et al. 2016, Deep Learning, 8.4; seen again after the steps of a fit",
        (
            Remedy("take the usual initialisation", "nn.init.kaiming_normal_(layer.weight)", 'model.init = "he"'),
            Remedy("start at zero only the last layer of the network or of a residual branch"),
        ),
    ),
    Rule(
        "initial_spread",
        _spread,
        "warning",
        2,
        "Each layer multiplies the size of its inputs, and over many layers a factor that is not 1 makes outputs vanish or explode. "
        "Gradients do the same on the way back. The usual initialisations keep the size, and normalisation restores it.",
        "Glorot & Bengio 2010; He et al. 2015, 1502.01852",
        (
            Remedy(
                "take the initialisation of the activation",
                "nn.init.kaiming_normal_(layer.weight)",
                'model.init = "he"',
            ),
            Remedy("normalise between layers", "nn.BatchNorm2d(C)", 'model.norm = "batch"'),
            Remedy("add residual connections"),
        ),
    ),
    watched("dead_units", _dead),
)
