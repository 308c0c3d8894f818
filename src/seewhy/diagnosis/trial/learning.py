"""What a few steps on copies show: the batch can be fitted, its labels belong to its inputs, and both modes agree."""

from __future__ import annotations

import math
import time

import torch

from seewhy.core.findings import Remedy
from seewhy.core.seeding import rng
from seewhy.diagnosis.checks.base import Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.trial.fitting import FITTED, _factories, attempt
from seewhy.diagnosis.trial.losses import are_probabilities
from seewhy.diagnosis.trial.program import parts
from seewhy.diagnosis.trial.rules import Evidence, Rule

SETTLE = 60
"""Passes in training mode after which running statistics are those of the fitted weights."""

FAR = 0.5
"""Of the loss of guessing, that evaluation mode may lose against training mode."""

SHUFFLES, SHUFFLED_STEPS = 7, 30
ROWS, EACH = 256, 8
"""Examples in all, and of each class on average, from which one batch can tell: of 128 CIFAR-10 images
it cannot, of 256 the true labels lie 2.8 deviations or more below the shuffled ones (an MLP, four batches)."""

CLEARLY = 1.0
"""Deviations of the shuffled losses that the true one must lie below their mean."""


def _fitted(evidence: Evidence) -> Verdict:
    fit = evidence.fit
    best = fit.best
    if best is None:
        return inapplicable(fit.reason)
    tried = ", ".join(
        f"{a.rate}: {a.losses[0]:.3g} to {a.losses[-1]:.3g} in {len(a.losses)} steps" for a in fit.attempts
    )
    if best.share < FITTED:
        return passed(f"{fit.examples} examples can be fitted ({tried})")
    if fit.failed is None:
        return skipped(f"too few steps fit in the time to say so ({tried})")
    if not fit.failed:
        return passed(f"the loss of {fit.examples} examples falls ({tried})")
    level = f"that of guessing, {fit.guessing:.3g}" if fit.known else "where it began"
    return seen(
        f"{fit.examples} examples cannot be fitted: the loss stays at {level} ({tried})",
        examples=fit.examples,
        guessing=fit.guessing,
        losses={a.rate: list(a.losses[:: max(1, len(a.losses) // 20)]) for a in fit.attempts},
    )


def _modes(evidence: Evidence) -> Verdict:
    best, program = evidence.fit.best, evidence.program
    if best is None:
        return inapplicable(evidence.fit.reason)
    if best.share >= FITTED:
        return inapplicable("the batch was not fitted")
    trial = best.trial
    with torch.no_grad():
        for _ in range(SETTLE):
            if program.clock.left <= 0:
                return skipped("no time was left")
            trained = trial.run(best.batch)
        trial.model.eval()
        try:
            evaluated = trial.run(best.batch)
        except Exception as error:  # noqa: BLE001  many networks return something else in evaluation mode
            return skipped(f"the loss cannot be computed of the outputs in evaluation mode: {error}")
    assert trained.loss is not None
    assert evaluated.loss is not None
    train, test = float(trained.loss), float(evaluated.loss)
    what = f"after fitting {evidence.fit.examples} examples the loss is {train:.3g} in training mode and {test:.3g} in evaluation mode"
    scores = evaluated.scores
    if scores is not None and scores.dim() > 1 and are_probabilities(scores):
        return passed("in evaluation mode the outputs are probabilities")
    if math.isfinite(test) and test - train <= FAR * max(abs(evidence.fit.guessing), train):
        return passed(what)
    return seen(what, train=train, evaluation=test, guessing=evidence.fit.guessing)


def _shuffled(evidence: Evidence) -> Verdict:
    labels, rows, program = evidence.labels, evidence.program.rows, evidence.program
    if labels is None or labels.dim() != 1 or rows is None or program.whole:
        return inapplicable("the targets are not one class label an example")
    if not program.trial().parameters():
        return inapplicable("no parameter requires a gradient")
    count, classes = len(labels), len(torch.unique(labels))
    if classes < 2:
        return inapplicable("the labels do not differ")
    if count < ROWS or count / classes < EACH:
        return skipped(f"{count} examples of {classes} classes cannot tell; {ROWS}, and {EACH} of each, can")
    inputs, _ = parts(program.batch)
    best = evidence.fit.best
    factories = dict(_factories(program))
    rate = best.rate if best is not None else next(iter(factories))
    source = rng(program.seed, "sanity", "shuffle")
    orders = [torch.arange(count), *(torch.randperm(count, generator=source) for _ in range(SHUFFLES))]
    losses: list[float] = []
    began = time.perf_counter()
    for order in orders:
        spent = time.perf_counter() - began
        if (
            spent / max(len(losses), 1) > program.clock.left
            or program.clock.left < SHUFFLED_STEPS * program.start.seconds * 0.5
        ):
            break
        batch = (inputs, labels[order.to(labels.device)])
        run = attempt(
            program, batch, rate, factories[rate], None, seconds=program.clock.left, steps=SHUFFLED_STEPS, stop=False
        )
        if len(run.losses) < SHUFFLED_STEPS:
            break
        losses.append(sum(run.losses[1:]) / (len(run.losses) - 1))
    if len(losses) < 4:
        return skipped("too little time for three shuffles")
    others = torch.tensor(losses[1:], dtype=torch.float64)
    mean, deviation = float(others.mean()), max(float(others.std()), 1e-6)
    sure = (mean - losses[0]) / deviation
    what = (
        f"over {SHUFFLED_STEPS} steps the loss is {losses[0]:.4g} on average, and with shuffled labels {mean:.4g} +- {deviation:.2g} "
        f"({len(others)} shuffles)"
    )
    if sure > CLEARLY or not math.isfinite(sure):
        return passed(what)
    return seen(
        f"{what}: no clear difference, {sure:.1f} deviations", loss=losses[0], shuffled=others.tolist(), deviations=sure
    )


RULES = (
    Rule(
        "batch_not_fitted",
        _fitted,
        "warning",
        3,
        "Any network that can learn at all memorises a handful of examples within some steps. Where it does not at any of several "
        "rates, the loss does not reach the weights, or what reaches the outputs has nothing of the inputs. Size of data and "
        "regularisation have no part in it.",
        "Karpathy 2019, A Recipe for Training Neural Networks (overfit one batch); judged against the loss of the best constant",
        (
            Remedy("look for what cuts the graph: detach, no_grad, argmax, .data, a new tensor made of values"),
            Remedy("print the gradient's norm of each parameter after one backward pass"),
            Remedy("take the usual initialisation, without saturated activations"),
        ),
    ),
    Rule(
        "modes_disagree",
        _modes,
        "warning",
        1,
        "On the examples that it has memorised the network is good in training mode and poor in evaluation mode. Batch norm's "
        "running statistics then do not follow, or something is done in one of the modes only. Validation will look like noise.",
        "TheDeepChecker (Ben Braiek & Khomh 2023, 2204.00694); a difference of half the loss of guessing",
        (
            Remedy("take the usual momentum of batch norm", "nn.BatchNorm2d(C, momentum=0.1)"),
            Remedy("with batches of a few images take group norm", "nn.GroupNorm(8, C)"),
            Remedy("look at what depends on self.training"),
        ),
    ),
    Rule(
        "shuffled_labels_as_easy",
        _shuffled,
        "note",
        3,
        "Labels that belong to their images are learned faster than the same labels in another order. Here they are not, as far as one "
        "batch can tell. Images and labels may have been shuffled apart, or read in different orders.",
        "Zhang et al. 2017, 1611.03530; the loss over the same first steps",
        (
            Remedy("look at ten images with their labels as the network gets them"),
            Remedy("try a larger batch, which can tell more surely"),
        ),
        seconds=0.5,
    ),
)
