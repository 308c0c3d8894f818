"""Invariants of every correct loop: they need no threshold, and have their evidence after a few steps."""

from __future__ import annotations

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.history import History
from seewhy.diagnosis.records import ProbeRecord

MOST, NOTHING, MANY, LONG = 0.9, 0.01, 10, 100

NO_RATE = 1e-7
"""Below it no step is to be expected: a warm-up's start, or a rate that another check calls too low."""

WITHOUT_STEP = 200
"""Backward passes without a step, from which nobody accumulates on purpose at the very start."""

FORGOTTEN = 30
"""Steps in evaluation mode after others in training mode, from which it is no accident."""

AT_THE_END = 8
"""Backward passes that no step has used when the loop is over."""

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


def _no_step(history: History) -> Verdict:
    loop = history.loop
    if loop.step:
        return passed("the optimiser takes steps")
    if loop.backwards < (AT_THE_END if loop.closed else WITHOUT_STEP):
        return skipped(f"fewer than {WITHOUT_STEP} backward passes")
    return seen(
        f"{loop.backwards:,} backward passes, and not one step of the watched optimiser",
        backwards=loop.backwards,
    )


def _not_held(history: History) -> Verdict:
    """Parameters that get gradients, are in no watched optimiser, and do not move: no other optimiser moves them."""
    records = history.records[-4:]
    if len(records) < 4:
        return skipped("fewer than four probes")
    last = records[-1]
    weights = [{p.name: p.weight for p in record.parameters} for record in records]
    lost = [
        p for p in last.parameters if not p.held and p.gradient and len({values.get(p.name) for values in weights}) == 1
    ]
    if not lost or (not any(p.matrix for p in lost) and len(lost) < len(last.parameters) / 2):
        return passed("every parameter that gets a gradient is moved by an optimiser")
    share = sum(p.size for p in lost) / max(1, sum(p.size for p in last.parameters))
    return seen(
        f"{len(lost)} of {len(last.parameters)} parameters that get gradients are in no optimiser, and do not move",
        [p.name for p in lost],
        "critical" if share > 0.5 else None,
        parameters=len(lost),
        share=share,
    )


def _unmoved(history: History) -> Verdict:
    last = history.latest[-1]
    held = [p for p in last.parameters if p.held and p.gradient and p.moved is not None]
    if not held:
        return skipped("no parameter of an optimiser had a gradient")
    if last.bad:
        return inapplicable("values are not finite")
    rates = {record.lr for record in history.records}
    if last.lr is not None and last.lr < NO_RATE and (rates != {0.0} or len(history.records) < MANY):
        return skipped(f"the learning rate is {last.lr:g} at this step")
    matrices = [p for p in held if p.matrix]
    held = matrices or held
    still = [p.name for p in held if not p.moved]
    norms = [sum(p.gradient or 0.0 for p in record.parameters) for record in history.records]
    if norms[-1] < NOTHING * max(norms):
        return passed("hardly a gradient is left to move along")
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
    last = records[-1]
    # What changes all the same had its step within the backward pass, or follows another network.
    moving = {p.name for p in last.parameters if len({_weight(record, p.name) for record in records}) > 1}
    always = [p for p in last.parameters if p.name not in moving and all(p.name in names for names in idle)]
    if not always:
        return _without_weight(history) or passed("every parameter that requires a gradient gets one")
    if len(always) == len(last.parameters) and any(layer.gradient for layer in last.layers):
        return inapplicable("gradients are cleared before the step, which another check says")
    if len(always) == len(last.parameters):
        return seen(
            f"not one of {len(always)} parameters gets a gradient, and yet steps are taken: the loss does not come from the network",
            severity="critical",
            parameters=len(always),
            share=1.0,
        )
    names = [p.name for p in always]
    graded = [place for place, layer in enumerate(last.layers) if layer.gradient is not None]
    cut = [layer.layer for layer in last.layers[: graded[0] if graded else 0] if layer.wanted]
    share = sum(p.size for p in always) / max(1, sum(p.size for p in last.parameters))
    before = last.layers[: graded[0] if graded else 0]
    unseen = [layer.layer for layer in before if not layer.wanted and f"{layer.layer}.weight" in names]
    if unseen and len(unseen) == len([layer for layer in before if not layer.wanted]):
        return seen(
            f"{unseen[0]} and {len(always) - 1} parameters more are computed without gradients, as under torch.no_grad()",
            names,
            "critical",
            parameters=len(always),
            share=share,
        )
    if cut and len(always) > 1:
        return seen(
            f"no gradient comes back behind {cut[-1]}: {len(always)} parameters before it get none, as after .detach() or .data",
            names,
            "critical",
            parameters=len(always),
            share=share,
        )
    computed = {layer.layer for layer in last.layers if layer.wanted and layer.gradient is None}
    heads = [p.name for p in always if p.held and p.name.rpartition(".")[0] in computed]
    return seen(
        f"the loss does not reach {len(always)} parameters that require gradients"
        + (f"; {heads[0]} is computed with at each step, and its result has no part in the loss" if heads else ""),
        names,
        "warning" if heads else None,
        parameters=len(always),
        share=share,
    )


def _without_weight(history: History) -> Verdict | None:
    """Return what there is to say of one of several outputs whose gradient is 0 at every probe; None if there is none."""
    records = history.records
    count = len(records[-1].outputs)
    if history.loop.step < LONG or len(records) < MANY or count < 2 or any(len(r.outputs) != count for r in records):
        return None
    still = [place for place in range(count) if all(record.outputs[place].gradient == 0 for record in records)]
    if not still or len(still) == count:
        return None
    names = [p.name for p in records[-1].parameters if all(_gradient(r, p.name) == 0 for r in records)]
    if not names:
        return None
    return seen(
        f"output {still[0] + 1} of {count} has a gradient of exactly 0 at every step: its loss counts nothing, and {names[0]} learns nothing",
        names,
        "warning",
        parameters=len(names),
        output=still[0],
    )


def _weight(record: ProbeRecord, name: str) -> float | None:
    return next((p.weight for p in record.parameters if p.name == name), None)


def _gradient(record: ProbeRecord, name: str) -> float | None:
    return next((p.gradient for p in record.parameters if p.name == name), None)


def _eval_training(history: History) -> Verdict:
    loop = history.loop
    if not loop.mode_matters:
        return inapplicable("there is neither dropout nor batch norm")
    if loop.train_steps and loop.eval_run >= FORGOTTEN and loop.evaluations:
        return seen(
            f"the last {loop.eval_run:,} steps were taken in evaluation mode: it was not left after an evaluation",
            steps=loop.eval_run,
        )
    if loop.eval_steps < 3 or loop.train_steps:
        return passed("steps are taken in training mode")
    return seen(
        f"all {loop.eval_steps:,} steps were taken in evaluation mode: dropout is off, and batch norm uses statistics that never change",
        steps=loop.eval_steps,
    )


def _train_evaluation(history: History) -> Verdict:
    loop = history.loop
    if loop.live_dropout >= 2 and history.alone:
        return seen(
            f"dropout was live in {loop.live_dropout:,} evaluations though the network was in evaluation mode: F.dropout(x) drops always, "
            "unless it is told training=self.training",
            passes=loop.live_dropout,
        )
    if not loop.mode_matters:
        return inapplicable("there is neither dropout nor batch norm")
    if not history.alone:
        return inapplicable("networks of one loop look at one another without gradients")
    if loop.train_evaluations < 2:
        return passed("evaluations are in evaluation mode") if loop.evaluations else skipped("no evaluation was seen")
    if loop.evaluations:
        return passed("most evaluations are in evaluation mode")
    if 3 * loop.evaluated > loop.step:
        return passed("passes without gradients belong to the steps")
    return seen(
        f"all {loop.train_evaluations:,} evaluations were in training mode: dropout was live, or batch norm took the batch's statistics",
        passes=loop.train_evaluations,
    )


def _cleared_early(history: History) -> Verdict:
    last = history.latest[-1]
    held = [p for p in last.parameters if p.held]
    if history.loop.closure or not held or last.bad:
        return inapplicable("no parameter of an optimiser is seen between backward() and step()")
    arrives = any(layer.gradient for layer in last.layers)
    # Of a network that has died later the gradients are 0 too, but were there before.
    if not arrives or any(p.gradient for record in history.records for p in record.parameters if p.held):
        return passed("gradients are there when the step is taken")
    return seen("gradients reach the layers, and are cleared again before the step is taken", parameters=len(held))


def _unregistered(history: History) -> Verdict:
    last = history.latest[-1]
    if not last.unregistered:
        return passed("every layer's parameters are the network's")
    return seen(
        f"{len(last.unregistered)} layers compute with parameters that the network does not hold: kept in a list or "
        "dictionary they are not "
        "registered, and no optimiser gets them",
        last.unregistered,
    )


CHECKS = (
    Check(
        "step_missing",
        _no_step,
        "critical",
        0,
        "Gradients are computed again and again, and nothing uses them: the optimiser that is watched never steps. "
        "Either optimizer.step() is "
        "missing, or the loop steps another optimiser than the one that is watched. The weights stay as they were drawn.",
        "an invariant",
        (Remedy("take a step after each backward pass", "optimizer.step()"),),
        confirm=1,
        counted=True,
    ),
    Check(
        "zero_grad_missing",
        _zero_grad,
        "critical",
        0,
        "backward() adds to the gradients that are there. Without zero_grad() every step goes along the sum of all gradients since the "
        "start, which acts like a huge momentum. The loss then swings or diverges, and a lower rate only hides it.",
        TRAINCHECK,
        (Remedy("clear the gradients before each backward pass", "optimizer.zero_grad()"),),
        confirm=1,
        counted=True,
    ),
    Check(
        "gradients_cleared_too_early",
        _cleared_early,
        "critical",
        0,
        "zero_grad() between backward() and step() throws away what backward() has just computed. The optimiser steps "
        "along nothing, or along "
        "what its momentum remembers. The weights stay as they were drawn.",
        TRAINCHECK,
        (
            Remedy(
                "clear the gradients before the backward pass",
                "optimizer.zero_grad(); loss.backward(); optimizer.step()",
            ),
        ),
    ),
    Check(
        "parameters_not_in_optimizer",
        _not_held,
        "warning",
        0,
        "An optimiser moves the parameters that it was given when it was made. A layer that was replaced or added afterwards gets "
        "gradients, but nobody moves it. It stays at its random initialisation while the rest adapts around it.",
        TRAINCHECK,
        (Remedy("make the optimiser after the model is whole", "optimizer = torch.optim.AdamW(model.parameters())"),),
    ),
    Check(
        "parameters_not_registered",
        _unregistered,
        "warning",
        0,
        "A module knows the layers that are its attributes, or in a ModuleList. Those in a plain Python list are used in forward(), but "
        "model.parameters() leaves them out: they are not trained, not moved to the device, and not saved. Nothing says so.",
        "torch.nn.ModuleList",
        (Remedy("register the layers", "self.layers = torch.nn.ModuleList(layers)"),),
    ),
    Check(
        "weights_do_not_move",
        _unmoved,
        "critical",
        0,
        "A step must change what has a gradient. Where it does not, the rate is 0, an update is too small for the weights' precision, or "
        "something writes the old weights back. Nothing is learned, whatever the loss says.",
        TRAINCHECK,
        (Remedy("look at the learning rate, and at the weights' dtype: bfloat16 drops updates below 1 in 256"),),
    ),
    Check(
        "parameters_unused",
        _unused,
        "note",
        0,
        "Some parameters require gradients, but no path leads from them to the loss. A layer is left out of forward(), a result is "
        "thrown away, or the graph is cut by .detach(), .data or numpy. They stay as they were drawn, and under data-parallel training "
        "they stop the run.",
        TRAINCHECK,
        (
            Remedy(
                "use the layers in forward(), or remove them; look for .detach(), .data, .item() between them and the loss"
            ),
        ),
    ),
    Check(
        "training_in_eval_mode",
        _eval_training,
        "warning",
        0,
        "model.eval() switches dropout off and lets batch norm use its running statistics. Training so regularises nothing, and the "
        "statistics never become those of the data. Often a validation at the start forgot to switch back.",
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
        "and learns from the validation data. The figures are wrong, usually too low, and differ from batch to batch.",
        TRAINCHECK,
        (
            Remedy("switch the mode around evaluation", "model.eval(); ...; model.train()"),
            Remedy("let dropout that a function makes follow the mode", "F.dropout(x, 0.5, training=self.training)"),
        ),
        confirm=1,
        counted=True,
    ),
)
