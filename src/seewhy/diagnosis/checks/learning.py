"""How learning goes: outputs that ignore inputs, a loss that stays, one class for everything, images learned one by one."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import (
    chance_of,
    known,
    left,
    losses,
    poor,
    shares_left,
    standing,
    typical_update,
)
from seewhy.diagnosis.history import History

SOON = 20
STEPS = 100
LATE = 100
BEGUN, TURNS, AGREE = 4, 6, 0.18
"""Of successive gradients at the steps after the first ones, so many: their median cosine above which a network that has not learned yet is
about to. In the benchmark it is 0.21 to 0.64 for networks that learn late, at most 0.14 where labels are shuffled."""

NEAR_CHANCE, NO_SIGNAL = 0.9, 0.97
"""Share of chance that is left to who has learned nothing; of a squared error, which may have little to be learned."""

COMPARED, BY_CHANCE, UNLEARNED = 220, 2.0, 0.6
"""Rows that are compared with their neighbours; deviations beyond what chance gives; what is left while little is learned."""

MOVES = 1e-4
MINORITY = 4.0
RECALL = 0.3


def _ignored(history: History) -> Verdict:
    last = history.latest[-1]
    outputs = [output for output in last.outputs if output.rows > 1 and output.columns > 0]
    if not outputs:
        return inapplicable("no output has rows")
    if last.inputs is not None and not last.inputs.rows_differ:
        return inapplicable("the rows of the batch do not differ")
    if any(output.rows_differ for output in outputs):
        return passed("outputs depend on inputs")
    if last.step < SOON:  # a last layer that starts at zero needs some steps, and so does a codebook
        return skipped(f"fewer than {SOON} steps")
    return seen("the outputs are the same for every row of the batch: they do not depend on the input", step=last.step)


def _no_learning(history: History) -> Verdict:
    shares = shares_left(history)
    if not shares:
        return inapplicable("neither a cross-entropy nor a squared error of the outputs is known")
    if history.loop.step < STEPS or len(shares) < 8:
        return skipped(f"fewer than {STEPS} steps")
    now = statistics.fmean(shares[-4:])
    most = NEAR_CHANCE if known(history) else NO_SIGNAL
    if now < most or max(shares[-2:]) < most or not poor(history):
        return passed("the loss has fallen")
    turns = [record.alignment for record in history.records if record.alignment is not None and record.step > BEGUN]
    alignment = statistics.median(turns) if len(turns) >= TURNS else None
    if alignment is not None and alignment > AGREE:
        return skipped("successive gradients agree on a direction: learning may begin yet")
    typical = [update for record in history.records[-4:] if (update := typical_update(record)) is not None]
    moves = bool(typical) and statistics.median(typical) > MOVES
    return seen(
        f"after {history.loop.step:,} steps the loss is {now:.0%} of what guessing has"
        + (", though the weights move: inputs and labels may not belong together" if moves else ""),
        left=now,
        alignment=alignment,
        update=statistics.median(typical) if typical else None,
    )


def _unrelated(history: History) -> Verdict:
    """Images that are alike have other labels as often as any two have, and no step helped the next one, and yet they are learned."""
    found = [logits.neighbours for _, logits in known(history) if logits.neighbours is not None]
    rows = sum(n for _, n, _ in found)
    if rows < COMPARED:
        return skipped(f"fewer than {COMPARED} rows with known labels were compared with their neighbours")
    alike, expected = sum(same for same, *_ in found), sum(chance for *_, chance in found)
    share = expected / rows
    if alike > expected + BY_CHANCE * math.sqrt(rows * share * (1 - share)):
        return passed("images that are alike have the same label more often than others")
    chance = chance_of(history)
    late = [
        r.alignment
        for r in history.records
        if r.step > BEGUN and (left(r, chance) or 0.0) > UNLEARNED and r.alignment is not None
    ]
    if len(late) < TURNS or poor(history):
        return skipped("it was learned at once, or is not learned at all")
    if statistics.median(late) > AGREE:
        return passed("a step helped the next one, before anything was learned")
    return seen(
        f"of {rows:,} images {alike / rows:.0%} have the label of the image that is most like them, as by chance ({share:.0%}), and steps on "
        "some images did not help with others: they are learned one by one",
        alike=alike / rows,
        chance=share,
        alignment=statistics.median(late),
    )


def _majority(history: History) -> Verdict:
    found = [logits for _, logits in known(history)[-6:]]
    if len(found) < 6 or history.loop.step < LATE:
        return skipped("too few steps with a known loss")
    inputs = history.latest[-1].inputs
    if len({logits.classes for logits in found}) > 1 or inputs is None or found[-1].rows > inputs.rows:
        return inapplicable("there is no one label for each of the inputs")
    labels = [sum(column) for column in zip(*(logits.labels for logits in found), strict=True)]
    right = [sum(column) for column in zip(*(logits.right for logits in found), strict=True)]
    predicted = [sum(column) for column in zip(*(logits.predicted for logits in found), strict=True)]
    most = labels.index(max(labels))
    share = labels[most] / sum(labels)
    others = sum(labels) - labels[most]
    if share < 1.5 / len(labels) or others == 0:
        return passed("no class is much more frequent than the others" if others else "there is one class only")
    recall = (sum(right) - right[most]) / others
    said = predicted[most] / sum(predicted)
    few = [c for c, n in enumerate(labels) if n * MINORITY < labels[most]]
    if others < 8 or recall > RECALL or said < 1 - (1 - share) / 2:
        return passed("the rarer classes are recognised too")
    return seen(
        f"{said:.0%} of the rows are predicted as class {most}, the most frequent one, which {share:.0%} are; of the other classes' rows "
        f"{recall:.0%} are recognised",
        share=share,
        recall=recall,
        rare=few,
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


def _underfitting(history: History) -> Verdict:
    found = known(history)
    if len(found) < 16 or history.loop.step < 2 * LATE:
        return skipped(f"fewer than {2 * LATE} steps with a known loss")
    if standing(history) != "poor":
        return passed("the loss falls, or has fallen far")
    recent = [logits for _, logits in found[-6:]]
    loss, accuracy = (statistics.fmean(getattr(one, name) for one in recent) for name in ("loss", "accuracy"))
    return seen(
        f"the training loss stays at {loss:.3g} nats ({accuracy:.0%} right on training data), and no cause of it was found",
        loss=loss,
        accuracy=accuracy,
    )


def _noisy(history: History) -> Verdict:
    found = [logits for _, logits in known(history)[-8:]]
    if len(found) < 8 or history.loop.step < 2 * LATE:
        return skipped(f"fewer than {2 * LATE} steps with a known loss")
    wrong = statistics.fmean(logits.sure_wrong for logits in found)
    accuracy = statistics.fmean(logits.accuracy for logits in found)
    if wrong < 0.05 or accuracy < 0.5:
        return passed("few rows are predicted with certainty as another class than their label")
    return seen(
        f"{wrong:.0%} of the rows are predicted with more than 90% certainty as another class than their label says, "
        f"{accuracy:.0%} as it says: "
        "labels may be wrong",
        share=wrong,
        accuracy=accuracy,
    )


CHECKS = (
    Check(
        "outputs_ignore_inputs",
        _ignored,
        "warning",
        3,
        "Different images give the same outputs, so that the network can learn no more than the classes' frequencies. Somewhere the "
        "signal dies: dead units, an initialisation at zero, or a branch that is multiplied by 0.",
        "Karpathy 2019, A Recipe for Training Neural Networks",
        (
            Remedy("look for the first layer whose outputs do not differ, in the records of the layers"),
            Remedy("take the usual initialisation", edit="model.init = 'default'"),
        ),
        confirm=3,
    ),
    Check(
        "majority_class_only",
        _majority,
        "warning",
        3,
        "The network predicts the most frequent class for nearly everything, and is right as often as that class "
        "occurs. Accuracy looks fine "
        "where classes are unbalanced.",
        "Buda et al. 2018, 1710.05381",
        (
            Remedy("weight the classes in the loss, or sample them equally"),
            Remedy("look at the recall of each class, not at accuracy"),
        ),
    ),
    Check(
        "labels_unrelated_to_inputs",
        _unrelated,
        "warning",
        3,
        "A network that is large for its data learns any labels, also shuffled ones, by learning image for image. The training loss then "
        "falls to 0, late, and on other images the network is no better than guessing. Images and labels that were shuffled, sorted or "
        "filtered apart from one another do this.",
        "Zhang et al. 2017, Understanding deep learning requires rethinking generalization, 1611.03530",
        (Remedy("look at ten images with their labels as the network gets them"),),
        confirm=1,
        confidence=0.7,
    ),
    Check(
        "no_learning",
        _no_learning,
        "warning",
        3,
        "The loss is that of a network that has not looked at its inputs. Either the signal or the gradient does not get through, or "
        "inputs and labels do not belong together.",
        "chance: the entropy of the labels",
        (
            Remedy("look at ten images with their labels as the network gets them"),
            Remedy("try to fit a single batch: if that works, look at the data, else at the model"),
        ),
        confirm=3,
    ),
    Check(
        "overfitting",
        _overfitting,
        "warning",
        2,
        "The training loss goes on falling while the validation loss rises: the network learns its images one by one "
        "instead of what they have "
        "in common.",
        "Prechelt 1998, Early stopping - but when?",
        (
            Remedy("keep the weights of the best validation", edit="train.patience = 5"),
            Remedy("drop units", edit="reg.dropout = 0.3"),
            Remedy("augment the images, or take more of them"),
        ),
    ),
    Check(
        "labels_noisy",
        _noisy,
        "note",
        3,
        "The network is sure of one class where the label says another, for many images at once. Labels may be wrong, "
        "or belong to other images. "
        "Learning on, it will fit them one by one.",
        "Northcutt et al. 2021, Confident learning, 1911.00068",
        (Remedy("look at the images that are predicted with certainty as another class"),),
        confidence=0.5,
    ),
    Check(
        "underfitting",
        _underfitting,
        "note",
        3,
        "The training loss stays far above what is possible. The network is too small or too simple, regularised too "
        "much, or its optimiser is "
        "stuck.",
        "Goodfellow et al. 2016, Deep Learning, 5.2",
        (
            Remedy("make the network wider or deeper", edit="model.width = 'default', model.depth = 'default'"),
            Remedy("regularise less", edit="reg.dropout = 'default'"),
        ),
        confidence=0.6,
    ),
)
