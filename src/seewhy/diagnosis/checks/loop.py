"""Invariants of every correct loop: they need no threshold, and have their evidence after a few steps."""

from __future__ import annotations

import math

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.learning import learns, typical_update
from seewhy.diagnosis.records import History

MOST = 0.9

NO_RATE = 1e-7
"""Below it no step is to be expected: a warm-up's start, or a rate that another check calls too low."""

LARGE_UPDATE = 0.1
"""A step's change of a typical weight, as a share of its norm, from which a sum over the batch is too much."""

TRAINCHECK = "an invariant; Jiang et al. 2025 (TrainCheck), 2506.14813"


def _zero_grad(history: History) -> Verdict:
    loop = history.loop
    if loop.closure:
        return inapplicable("the optimiser evaluates the loss itself")
    if loop.stale >= 2:
        return seen(
            f"gradients are never cleared: at each of the last {loop.stale:,} steps the backward pass began with those of the step before",
            steps=loop.stale,
        )
    return passed("gradients are cleared between steps") if loop.cleared else skipped("no second step yet")


def _not_held(history: History) -> Verdict:
    """Parameters that get gradients, are in no watched optimiser, and do not move between probes: no other optimiser moves them."""
    records = history.records
    if len(records) < 3:
        return skipped("fewer than three probes")
    last = records[-1]
    weights = [{p.name: p.weight for p in record.parameters} for record in records[-3:]]
    lost = [
        p.name
        for p in last.parameters
        if not p.held and p.gradient and len({values.get(p.name) for values in weights}) == 1
    ]
    if not lost:
        return passed("every parameter that gets a gradient is moved by an optimiser")
    share = len(lost) / len(last.parameters)
    return seen(
        f"{len(lost)} of {len(last.parameters)} parameters that require gradients are in no optimiser, and do not move",
        lost,
        "critical" if share > 0.5 else None,
        parameters=len(lost),
    )


def _unmoved(history: History) -> Verdict:
    last = history.latest[-1]
    held = [p for p in last.parameters if p.held and p.gradient and p.moved is not None]
    if not held:
        return skipped("no parameter of an optimiser had a gradient")
    if last.bad:
        return inapplicable("values are not finite")
    if last.lr is not None and last.lr < NO_RATE:
        return skipped(f"the learning rate is {last.lr:g} at this step")
    still = [p.name for p in held if not p.moved]
    if len(still) < max(1, MOST * len(held)):  # single ones may have gradients that are too small for their precision
        return passed("a step moves what has a gradient")
    return seen(
        f"the optimiser's step does not move {len(still)} of {len(held)} parameters, though they have gradients",
        still,
        parameters=len(still),
        lr=last.lr,
    )


def _unused(history: History) -> Verdict:
    records = history.records[-3:]
    if len(records) < 3:
        return skipped("fewer than three probes")
    idle = [{p.name for p in record.parameters if p.gradient is None} for record in records]
    always = [p.name for p in records[-1].parameters if all(p.name in names for names in idle)]
    if not always or len(always) == len(records[-1].parameters):
        return passed("every parameter that requires a gradient gets one")
    return seen(
        f"the loss does not reach {len(always)} parameters that require gradients", always, parameters=len(always)
    )


def _eval_training(history: History) -> Verdict:
    loop = history.loop
    if not loop.mode_matters:
        return inapplicable("there is neither dropout nor batch norm")
    if loop.eval_steps < 3 or loop.train_steps:
        return passed("steps are taken in training mode")
    return seen(
        f"all {loop.eval_steps:,} steps were taken in evaluation mode: dropout is off, and batch norm uses statistics that never change",
        steps=loop.eval_steps,
    )


def _train_evaluation(history: History) -> Verdict:
    loop = history.loop
    if not loop.mode_matters:
        return inapplicable("there is neither dropout nor batch norm")
    if not history.alone:
        return inapplicable("networks of one loop look at one another without gradients")
    if loop.train_evaluations < 2:
        return passed("evaluations are in evaluation mode") if loop.evaluations else skipped("no evaluation was seen")
    if loop.evaluations:
        return passed("most evaluations are in evaluation mode")
    return seen(
        f"all {loop.train_evaluations:,} evaluations were in training mode: dropout was live, or batch norm took the batch's statistics",
        passes=loop.train_evaluations,
    )


def _not_finite(history: History) -> Verdict:
    last = history.latest[-1]
    if not last.bad:
        return passed("outputs, gradients and weights are finite")
    return seen(f"{last.bad} is not finite (NaN or infinite)", (last.bad,), step=last.step, lr=last.lr)


def _double_softmax(history: History) -> Verdict:
    logits = history.latest[-1].logits
    if logits is None:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if not logits.probabilities:
        return passed("the loss takes logits")
    return seen(
        "the outputs are probabilities already, and the loss takes their softmax again",
        loss=logits.loss,
        least_possible_loss=math.log(1 + (logits.classes - 1) / math.e),
    )


def _reduction(history: History) -> Verdict:
    logits = history.latest[-1].logits
    if logits is None or logits.rows < 8:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if not math.isclose(logits.scale, 1.0, rel_tol=0.02):
        return passed("the loss is a mean over the batch")
    moved = typical_update(history.latest[-1])
    if moved is None or moved < LARGE_UPDATE or learns(history):
        return passed("the loss is a sum over the batch, and steps are small enough for it")
    return seen(
        f"the loss is a sum over the {logits.rows} rows of the batch, so gradients are {logits.rows} times those of a mean",
        rows=logits.rows,
        update=moved,
    )


CHECKS = (
    Check(
        "zero_grad_missing",
        _zero_grad,
        "critical",
        0,
        "backward() adds to the gradients that are there. Without zero_grad() every step goes along the sum of all gradients since the "
        "start, which "
        "acts like a huge momentum. The loss then swings or diverges, and a lower rate only hides it.",
        TRAINCHECK,
        (Remedy("clear the gradients before each backward pass", "optimizer.zero_grad()"),),
        confirm=1,
        counted=True,
    ),
    Check(
        "parameters_not_in_optimizer",
        _not_held,
        "warning",
        0,
        "An optimiser moves the parameters that it was given when it was made. A layer that was replaced or added afterwards gets "
        "gradients, but "
        "nobody moves it. It stays at its random initialisation while the rest adapts around it.",
        TRAINCHECK,
        (Remedy("make the optimiser after the model is whole", "optimizer = torch.optim.AdamW(model.parameters())"),),
    ),
    Check(
        "weights_do_not_move",
        _unmoved,
        "critical",
        0,
        "A step must change what has a gradient. Where it does not, the rate is 0, an update is too small for the weights' precision, or "
        "something "
        "writes the old weights back. Nothing is learned, whatever the loss says.",
        TRAINCHECK,
        (Remedy("look at the learning rate, and at the weights' dtype: bfloat16 drops updates below 1 in 256"),),
    ),
    Check(
        "parameters_unused",
        _unused,
        "note",
        0,
        "Some parameters require gradients, but no path leads from them to the loss. A layer is left out of forward(), or a result is "
        "thrown away. "
        "They cost memory, and under data-parallel training they stop the run.",
        TRAINCHECK,
        (Remedy("use the layers in forward(), or remove them"),),
    ),
    Check(
        "training_in_eval_mode",
        _eval_training,
        "warning",
        0,
        "model.eval() switches dropout off and lets batch norm use its running statistics. Training so regularises nothing, and the "
        "statistics never "
        "become those of the data. Often a validation at the start forgot to switch back.",
        TRAINCHECK,
        (Remedy("switch to training mode before each epoch", "model.train()"),),
        confirm=1,
        counted=True,
    ),
    Check(
        "evaluation_in_train_mode",
        _train_evaluation,
        "warning",
        0,
        "Evaluation must be in evaluation mode. In training mode dropout blurs the predictions, and batch norm both depends on the batch "
        "and learns "
        "from the validation data. The figures are wrong, usually too low, and differ from batch to batch.",
        TRAINCHECK,
        (Remedy("switch the mode around evaluation", "model.eval(); ...; model.train()"),),
        confirm=1,
        counted=True,
    ),
    Check(
        "not_finite",
        _not_finite,
        "critical",
        2,
        "Once a value is NaN or infinite, every weight it reaches becomes so at the next step. The usual causes are a rate that is too high, a "
        "logarithm or division at 0, and half precision without scaling.",
        "IEEE 754",
        (
            Remedy("lower the learning rate by 10"),
            Remedy("clip the gradients", "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"),
        ),
        confirm=1,
    ),
    Check(
        "softmax_before_softmax_loss",
        _double_softmax,
        "critical",
        0,
        "Cross-entropy in torch takes logits and does the softmax itself. Of probabilities it takes the softmax of numbers between 0 and "
        "1, so that "
        "no class can get far beyond the others. The loss cannot fall below ln(1 + (K - 1) / e), and gradients are small.",
        "torch.nn.CrossEntropyLoss",
        (Remedy("return logits: leave the softmax out of forward()"),),
    ),
    Check(
        "loss_is_a_sum",
        _reduction,
        "warning",
        1,
        "A sum over the batch makes gradients as many times larger as there are images. The learning rate then depends on the batch size, "
        "and is "
        "usually too high.",
        "measured: the gradient at the logits is p - q instead of (p - q) / N",
        (Remedy("take the mean", 'torch.nn.CrossEntropyLoss(reduction="mean")'),),
        confirm=1,
    ),
)
