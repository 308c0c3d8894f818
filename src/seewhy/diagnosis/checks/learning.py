"""How learning goes: whether the loss falls, how large steps are, and what a poor network does.

The loss is known from the gradient at the outputs where it is a cross-entropy (`logits`), else where the user tells it.
"""

from __future__ import annotations

import math

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.records import History, LogitsRecord, ProbeRecord

FALLEN = 0.1
"""Share of its distance to the least possible that the loss must have fallen for a network to count as learning."""

STEPS = 100
WHOLE, HUGE_UPDATE, TINY_UPDATE = 1.0, 0.1, 1e-6
"""A step's change of a weight matrix as a share of its norm; healthy ones are about 1e-3."""


def _known(history: History) -> list[tuple[int, LogitsRecord]]:
    return [(record.step, record.logits) for record in history.records if record.logits is not None]


def losses(history: History) -> list[tuple[int, float]]:
    """Return the loss by step: what the user told, else what the logits' gradients say."""
    told = history.observed.get("loss")
    return list(told) if told else [(step, logits.loss) for step, logits in _known(history)]


def learns(history: History) -> bool | None:
    """Whether the loss has fallen clearly below where it began and below that of guessing; None where the loss is not known."""
    known = _known(history)
    if known:
        recent = [logits for _, logits in known[-3:]]
        loss = sum(logits.loss for logits in recent) / len(recent)
        return loss < (1 - FALLEN) * min(known[0][1].loss, math.log(known[0][1].classes))
    found = losses(history)
    if len(found) < 2 * 3:
        return None
    start, now = (sum(value for _, value in part) / 3 for part in (found[:3], found[-3:]))
    return now < start - FALLEN * abs(start)


def _no_learning(history: History) -> Verdict:
    known = _known(history)
    if not known:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if history.loop.step < STEPS or len(known) < 6:
        return skipped(f"fewer than {STEPS} steps")
    recent = [logits for _, logits in known[-4:]]
    loss = sum(logits.loss for logits in recent) / 4
    chance = math.log(recent[0].classes)
    if loss < 0.97 * chance or learns(history):
        return passed("the loss has fallen")
    return seen(
        f"the loss is {loss:.3f} nats after {history.loop.step:,} steps, where guessing has ln {recent[0].classes} = {chance:.3f}",
        loss=loss,
        chance=chance,
        accuracy=recent[-1].accuracy,
    )


def _updates(record: ProbeRecord) -> list[float]:
    """Return a step's relative change of each weight that has a gradient, ascending."""
    return sorted(
        p.update
        for p in record.parameters
        if p.update is not None and math.isfinite(p.update) and p.gradient and p.held and p.weight > 0
    )


def typical_update(record: ProbeRecord) -> float | None:
    """Return the median over weights of a step's relative change."""
    ratios = _updates(record)
    return ratios[len(ratios) // 2] if ratios else None


def _rate_too_high(history: History) -> Verdict:
    found, last = losses(history), history.latest[-1]
    updates = [
        (record.step, update) for record in history.records[-4:] if (update := typical_update(record)) is not None
    ]
    if not updates:
        return skipped("no update was measured")
    step, update = max(updates, key=lambda pair: pair[1])
    if learns(history) and not last.bad:
        return passed("steps are small enough for the loss to fall")
    rises = len(found) >= 4 and min(value for _, value in found[-2:]) > 1.5 * abs(found[0][1]) + 0.1
    if update > WHOLE or (update > HUGE_UPDATE and (last.bad or (rises and step > 1))):
        went = f", and the loss went from {found[0][1]:.3g} to {found[-1][1]:.3g}" if len(found) > 1 else ""
        return seen(
            f"a step changes a typical weight by {update:.0%} of its norm{went}",
            update=update,
            loss=found[-1][1] if found else None,
            first_loss=found[0][1] if found else None,
            lr=last.lr,
        )
    return passed("steps are small enough for the weights they change")


def _rate_too_low(history: History) -> Verdict:
    """Even the weights that move most do not: where only the first layers stay, the gradient has vanished on the way."""
    last = history.latest[-1]
    if last.lr == 0 or not _updates(last):
        return skipped("no update was measured")
    update = _updates(last)[-1]
    if history.loop.step < 20:
        return skipped("fewer than 20 steps")
    if update >= TINY_UPDATE or learns(history):
        return passed("steps are large enough")
    return seen(
        f"a step changes no weight by more than {update:.0e} of its norm; about 1e-3 is usual",
        update=update,
        lr=last.lr,
    )


def _initial_loss(history: History) -> Verdict:
    known = [logits for step, logits in _known(history) if step == 1]
    if not known:
        return inapplicable("the loss of the first step is not known")
    loss, chance = known[0].loss, math.log(known[0].classes)
    if loss < 2 * chance + 1:
        return passed(f"the first loss is {loss:.2f}, near ln {known[0].classes}")
    if learns(history) and history.loop.step > STEPS:
        return passed("the first loss was high, but the network learns")
    return seen(
        f"the first loss is {loss:.3g}, where a network that knows nothing has ln {known[0].classes} = {chance:.2f}",
        loss=loss,
        chance=chance,
    )


def _majority(history: History) -> Verdict:
    known = _known(history)[-4:]
    if len(known) < 4 or history.loop.step < STEPS:
        return skipped("too few steps with a known loss")
    labels = [sum(column) for column in zip(*(logits.labels for _, logits in known), strict=True)]
    predicted = [sum(column) for column in zip(*(logits.predicted for _, logits in known), strict=True)]
    share = max(labels) / sum(labels)
    if predicted[labels.index(max(labels))] < sum(predicted) or share < 1.5 / len(labels) or share == 1:
        return passed("more than one class is predicted")
    return seen(
        f"every row is predicted as the most frequent class, which {share:.0%} of the rows are",
        share=share,
    )


def _overfitting(history: History) -> Verdict:
    told = history.observed.get("val_loss")
    if not told:
        return skipped("no validation loss was told: why.observe(val_loss=...)")
    values = [value for _, value in told]
    if len(values) < 4:
        return skipped("fewer than four validation losses")
    best = min(range(len(values)), key=values.__getitem__)
    since, train = len(values) - 1 - best, losses(history)
    if since < 3 or values[-1] < 1.2 * values[best] or not train or train[-1][1] >= values[-1]:
        return passed("the validation loss does not rise while the training loss falls")
    return seen(
        f"the validation loss was least {since} evaluations ago ({values[best]:.3g}) and is {values[-1]:.3g} now, the training loss "
        f"{train[-1][1]:.3g}",
        best=values[best],
        now=values[-1],
        train=train[-1][1],
    )


CHECKS = (
    Check(
        "initial_loss_too_high",
        _initial_loss,
        "warning",
        2,
        "Before it has learned anything a classifier should give all classes about the same probability, a loss of ln K. A much higher "
        "one means that "
        "it is sure without reason: weights or inputs are too large. The first steps are then spent on unlearning that.",
        "Karpathy 2019, A Recipe for Training Neural Networks",
        (
            Remedy("take the usual initialisation of the activation", edit='model.init = "he"'),
            Remedy("start the last layer at zero or small"),
            Remedy("standardise the inputs"),
        ),
        confirm=1,
    ),
    Check(
        "learning_rate_too_high",
        _rate_too_high,
        "warning",
        1,
        "A step that changes weights by a tenth of their size jumps across the valley that it should descend. The loss then stays high, "
        "swings, or "
        "grows.",
        "updates of about 1e-3 of the weights' norm; band of TheDeepChecker (Ben Braiek & Khomh 2023, 2204.00694)",
        (Remedy("lower the learning rate by 10"), Remedy("warm up over the first steps")),
    ),
    Check(
        "learning_rate_too_low",
        _rate_too_low,
        "warning",
        1,
        "Steps are so small that the weights stay where they began. The loss falls too slowly to see.",
        "updates of about 1e-3 of the weights' norm; 1e-6",
        (Remedy("raise the learning rate by 100"),),
    ),
    Check(
        "no_learning",
        _no_learning,
        "warning",
        3,
        "The loss is that of a network that has not looked at its inputs. Either the signal or the gradient does not get through, or "
        "inputs and labels "
        "do not belong together.",
        "chance: ln K",
        (
            Remedy("try to fit a single batch: if that works, look at the data, else at the model"),
            Remedy("look at ten images with their labels as the network gets them"),
        ),
    ),
    Check(
        "majority_class_only",
        _majority,
        "warning",
        3,
        "The network predicts one class for everything, and is right as often as that class occurs. Accuracy looks fine where classes are "
        "unbalanced.",
        "Buda et al. 2018, 1710.05381",
        (
            Remedy("weight the classes in the loss, or sample them equally"),
            Remedy("look at the recall of each class, not at accuracy"),
        ),
    ),
    Check(
        "overfitting",
        _overfitting,
        "warning",
        3,
        "The training loss goes on falling while the validation loss rises: the network learns its images by heart.",
        "Prechelt 1998, Early stopping - but when?",
        (
            Remedy("keep the weights of the best validation", edit="train.patience = 5"),
            Remedy("augment the images, or add dropout", edit="reg.dropout = 0.3"),
        ),
    ),
)
