"""What stands between the outputs and the loss: a function too many, targets of another shape, a sum instead of a mean."""

from __future__ import annotations

import math
import statistics

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.checks.progress import learns, poor, regression_targets, squared, typical_update
from seewhy.diagnosis.history import History
from seewhy.diagnosis.records import OutputRecord

SOME = 50
SMALL_TARGET, LARGE_TARGET = 1e-3, 20.0
RANGES = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "hardtanh": (-1.0, 1.0),
    "softmax": (0.0, 1.0),
}
SPREAD = 0.6
"""Deviation as a share of a range: one of values within it is a half at most."""

LARGE_UPDATE = 0.1
"""A step's change of a typical weight, as a share of its norm, from which a sum over the batch is too much."""

DIVIDED = 25.0
"""By which logits are divided where no distillation does it: its temperatures are 2 to 10 (Hinton et al. 2015)."""

SMOOTHED = 0.5
RUNNING, OUTWARDS, GROWN = 6, 0.95, 5.0
"""Probes in which outputs run away; the share of them that is pushed outwards; how many times their deviation grows meanwhile."""

FOLLOWED = 0.5
"""Share of the variance of all rows' target from batch to batch that outputs leave which follow it."""

OUT_OF_REACH = 0.1
"""Share of outputs at 0 that are pushed further down, from which a ReLU at the end is in the way."""

BOUNDED = ("relu", "sigmoid", "tanh", "hardtanh", "softplus", "elu", "threshold", "clamp", "clamp_min", "hardsigmoid")
PROBABILITIES = ("sigmoid", "hardsigmoid", "softmax")
NO_LOSS = "no gradient has arrived at an output"


def _of_kind(history: History, kind: str) -> OutputRecord | None:
    return next((output for output in history.latest[-1].outputs if output.kind == kind), None)


def _double_softmax(history: History) -> Verdict:
    logits, output = history.latest[-1].logits, _of_kind(history, "cross-entropy")
    if logits is None or output is None:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if not logits.probabilities and output.function != "softmax":
        return passed("the loss takes logits")
    return seen(
        "the outputs are probabilities already, and the loss takes their softmax again",
        loss=logits.loss,
        least_possible_loss=math.log(1 + (logits.classes - 1) / math.e),
    )


def _no_logarithm(history: History) -> Verdict:
    outputs = history.latest[-1].outputs
    if any(output.pushes and output.log_probabilities for output in outputs):
        return seen("the loss pushes the label's log-probability down: a sign or a logarithm too many")
    picks = [output for output in outputs if output.picks]
    if not picks:
        return inapplicable("the loss is no likelihood of one column")
    wrong = next(
        (output for output in picks if output.function != "log_softmax" and not output.log_probabilities), None
    )
    if wrong is None:
        return passed("the likelihood is of logarithms of probabilities")
    what = "probabilities" if wrong.function in ("softmax", "sigmoid") else "outputs"
    return seen(
        f"the loss is the mean of the labels' {what}, without a logarithm: nll_loss expects log_softmax",
        gradient=wrong.gradient,
    )


def _activation(history: History) -> Verdict:
    outputs = history.latest[-1].outputs
    output = _of_kind(history, "cross-entropy") or _of_kind(history, "binary")
    if output is not None:
        if output.function not in BOUNDED or (output.kind == "binary" and output.function in PROBABILITIES):
            return passed("the logits may take any value")
        return seen(
            f"the logits come out of a {output.function}: the loss takes numbers of any sign and size",
            share=output.below,
        )
    if len(outputs) != 1 or not history.alone:
        return (
            inapplicable("the loss is no cross-entropy, and there is no single output") if outputs else skipped(NO_LOSS)
        )
    if outputs[0].function == "relu" and outputs[0].below >= OUT_OF_REACH:
        return seen(
            f"a ReLU makes the outputs, and {outputs[0].below:.0%} of them are at 0 and pulled below it, where it lets none go",
            share=outputs[0].below,
        )
    return _out_of_range(history, outputs[0].function)


def _out_of_range(history: History, function: str) -> Verdict:
    """Compare the targets of a squared error with what a bounded function can give."""
    if function not in RANGES:
        return passed("outputs may take the values of the targets")
    found = regression_targets(history)
    if found is None:
        return skipped("the targets are not known")
    low, high = RANGES[function]
    for mean, std in found:
        if not low <= mean <= high or std > SPREAD * (high - low):
            return seen(
                f"a {function} makes the outputs, between {low:g} and {high:g}; the targets have a mean of {mean:.3g} and a deviation "
                f"of {std:.3g}",
                mean=mean,
                std=std,
            )
    return passed("the targets are within what the last function can give")


def _sigmoid(history: History) -> Verdict:
    if (twice := _of_kind(history, "twice")) is not None:
        return seen(
            "a sigmoid is taken of the outputs, and the loss takes the sigmoid of that again",
            loss=twice.binary.loss if twice.binary else None,
        )
    output = _of_kind(history, "binary")
    if output is None:
        return inapplicable("the loss is no binary cross-entropy of logits")
    if output.function not in PROBABILITIES:
        return passed("the loss takes logits")
    return seen(
        f"a {output.function} makes the outputs, and the loss takes them for logits: it applies a sigmoid itself",
        loss=output.binary.loss if output.binary else None,
    )


def _broadcast(history: History) -> Verdict:
    records = history.records[-6:]
    outputs = [next((o for o in record.outputs if o.columns == 1 and o.rows > 1), None) for record in records]
    ones = [output for output in outputs if output is not None and output.kind != "binary"]
    if not history.alone or not ones:
        return inapplicable("the output is no single number a row")
    if len(ones) < 3:
        return skipped("fewer than three probes")
    centres = [output.centre for output in ones if output.follows and output.centre is not None]
    if len(centres) < len(ones) or statistics.pstdev(centres) < 1e-5 * (abs(statistics.fmean(centres)) + 1e-9):
        return passed("rows have targets of their own")
    if _follow(ones):
        return passed("the rows of a batch have one target, and the outputs follow it from batch to batch")
    return seen(
        "every row is pulled to the mean of the batch's targets: outputs (N, 1) and targets (N) are broadcast to (N, N)",
        centre=centres[-1],
    )


def _follow(outputs: list[OutputRecord]) -> bool:
    """Whether the mean output goes along with the point to which all rows are pulled: of targets that are mixed up it hardly can."""
    pairs = [(o.moments[0][0], o.centre) for o in outputs if o.moments and o.centre is not None]
    if len(pairs) < len(outputs) or len(pairs) < 4:
        return False
    apart = statistics.pvariance([mean - centre for mean, centre in pairs])
    return apart < FOLLOWED * statistics.pvariance([centre for _, centre in pairs])


def _flipped(history: History) -> Verdict:
    logits = next((record.logits for record in history.records if record.logits is not None), None)
    if logits is None:
        return _without_bound(history)
    if logits.scale > 0:
        return passed("the loss is minimised")
    return seen("the cross-entropy is maximised: its gradient arrives with the wrong sign", scale=logits.scale)


def _without_bound(history: History) -> Verdict:
    """Look for a binary cross-entropy that is maximised, and for outputs that run away from 0 without an end, each the way that it is on."""
    outputs = [record.outputs[0] for record in history.records[-RUNNING:] if len(record.outputs) == 1]
    if not history.alone or len(outputs) < min(RUNNING, len(history.records)) or any(output.kind for output in outputs):
        return inapplicable(
            "the loss is no cross-entropy of the outputs, and there is no single output of an unknown one"
        )
    if len(outputs) >= 2 and all(output.flipped for output in outputs):
        return seen("the binary cross-entropy is maximised: its gradient arrives with the wrong sign")
    first, last = outputs[0], outputs[-1]
    grown = last.std / first.std if first.std > 0 else 0.0
    pushed = statistics.fmean(output.outwards for output in outputs[-4:])
    runs = pushed >= OUTWARDS and grown >= GROWN and last.std >= LARGE_TARGET and last.gradient > first.gradient / 2
    if len(outputs) < RUNNING or not runs:
        return passed("no output is known to run away")
    return seen(
        f"nearly every output is pushed further from 0, whatever its sign: their deviation has grown {grown:.3g} times in {RUNNING} probes, to "
        f"{last.std:.3g}, and what pushes them has not become less: the loss has no lower bound",
        grown=grown,
        std=last.std,
    )


def _targets_unscaled(history: History) -> Verdict:
    found = regression_targets(history) if history.alone else None
    if found is None:
        return inapplicable("the loss is no squared error of the outputs")
    size = max(math.hypot(mean, std) for mean, std in found)
    if SMALL_TARGET < size < LARGE_TARGET or history.loop.step < SOME or not poor(history):
        return passed("targets are of the size of outputs, or learned all the same")
    mean, std = max(found, key=lambda target: math.hypot(*target))
    return seen(
        f"targets have a mean of {mean:.3g} and a deviation of {std:.3g}, where outputs begin at about 1",
        mean=mean,
        std=std,
    )


def _reduction(history: History) -> Verdict:
    last = history.latest[-1]
    logits = next((record.logits for record in history.records if record.logits is not None), None)
    if logits is None and (regression := squared(history)) is not None:
        rows, total = last.outputs[0].rows if last.outputs else 0, "sum" in regression[0]
    elif logits is None and (rows := _absolute_sum(history)):
        total = True
    elif logits is None or logits.rows < 8:
        return inapplicable("the loss is neither a cross-entropy nor a squared error of the outputs")
    else:
        rows, total = logits.rows, math.isclose(abs(logits.scale), 1.0, rel_tol=0.02)
    if not total:
        return passed("the loss is a mean over the batch")
    moved = [update for record in history.records if (update := typical_update(record)) is not None]
    if not moved or max(moved) < LARGE_UPDATE or learns(history):
        return passed("the loss is a sum over the batch, and steps are small enough for it")
    return seen(
        f"the loss is a sum over the {rows} rows of the batch, so gradients are {rows} times those of a mean",
        rows=rows,
        update=max(moved),
    )


def _absolute_sum(history: History) -> int:
    """Return the rows of the batch if the loss is a sum of absolute errors, whose gradient is 1 or -1 everywhere; else 0."""
    if any(len(record.outputs) != 1 for record in history.records):
        return 0
    outputs = [record.outputs[0] for record in history.records]
    sums = outputs[0].axes == 2 and all(math.isclose(o.gradient, 1.0, rel_tol=1e-3) and not o.kind for o in outputs)
    return outputs[0].rows if sums and outputs[0].rows >= 8 else 0


def _scaled(history: History) -> Verdict:
    """Look for logits that are divided by so much that they are all alike, in the loss or behind the last layer."""
    last = history.latest[-1]
    output = _of_kind(history, "cross-entropy")
    if last.logits is None or output is None:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if history.loop.step < SOME:
        return skipped(f"fewer than {SOME} steps")
    made = last.layers[-1].std if last.layers and last.layers[-1].units == last.logits.classes else 0.0
    divided = last.logits.temperature * max(1.0, made / output.std if output.std > 0 else 1.0)
    if divided < DIVIDED:
        return passed("the logits are those that the last layer makes, or divided by little")
    if learns(history):
        return passed(f"the logits are divided by {divided:.3g}, but the network learns")
    return seen(
        f"the logits are divided by {divided:.3g} before the softmax: all classes are nearly alike, and so are their gradients",
        divided=divided,
        loss=last.logits.loss,
    )


def _smoothed(history: History) -> Verdict:
    logits = history.latest[-1].logits
    if logits is None:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if logits.smoothing < SMOOTHED:
        return passed("labels are smoothed a little" if logits.smoothing else "labels are not smoothed")
    return seen(
        f"labels are smoothed by {logits.smoothing:.2f}: that share of each is spread over all classes",
        smoothing=logits.smoothing,
    )


CHECKS = (
    Check(
        "softmax_before_softmax_loss",
        _double_softmax,
        "critical",
        0,
        "Cross-entropy in torch takes logits and does the softmax itself. Of probabilities it takes the softmax of numbers between 0 and "
        "1, so that no class can get far beyond the others. The loss cannot fall below ln(1 + (K - 1) / e), and gradients are small.",
        "torch.nn.CrossEntropyLoss",
        (Remedy("return logits: leave the softmax out of forward()"),),
    ),
    Check(
        "nll_without_log",
        _no_logarithm,
        "critical",
        0,
        "nll_loss picks the label's column and takes its mean with a minus; the logarithm must have been taken before. "
        "Of probabilities it gives "
        "gradients that are smallest where the network is most wrong, of raw outputs a loss without a lower bound. Learning is slow, or "
        "runs away.",
        "torch.nn.NLLLoss",
        (Remedy("take cross_entropy of the logits", "torch.nn.functional.cross_entropy(logits, labels)"),),
    ),
    Check(
        "sigmoid_before_logits_loss",
        _sigmoid,
        "critical",
        0,
        "binary_cross_entropy_with_logits applies a sigmoid itself. Of a sigmoid's outputs, between 0 and 1, it makes "
        "probabilities between 0.5 "
        "and 0.73. Nothing can be called negative, and the loss cannot fall below 0.31.",
        "torch.nn.BCEWithLogitsLoss",
        (Remedy("return logits: leave the sigmoid out of forward()"),),
    ),
    Check(
        "activation_before_loss",
        _activation,
        "critical",
        0,
        "The last layer's outputs must reach every value that the targets ask for. A ReLU lets no logit or prediction "
        "go below 0, a sigmoid or "
        "tanh keeps them within a small interval, and where they are flat no gradient passes. Classes then tie at 0, "
        "or predictions stick at the "
        "edge.",
        "an invariant: targets must be within the range of the last function",
        (Remedy("leave the activation after the last layer out"),),
    ),
    Check(
        "loss_sign_flipped",
        _flipped,
        "critical",
        0,
        "The optimiser goes down the loss, and this loss is smallest where the network is most wrong. A minus too many does it, or a "
        "log-likelihood that is taken for a loss. Accuracy falls below chance, and the loss without bound.",
        "measured: the gradient at the logits is (q - p) / N instead of (p - q) / N",
        (Remedy("minimise the cross-entropy", "loss = F.cross_entropy(logits, labels)"),),
    ),
    Check(
        "shapes_broadcast",
        _broadcast,
        "warning",
        0,
        "Of outputs (N, 1) and targets (N) torch makes a table (N, N): each output is compared with the targets of all "
        "rows. The best that the "
        "network can do is to predict their mean everywhere. torch warns once about it for its own losses, and not at "
        "all for `(z - y) ** 2`.",
        "an invariant: a row's gradient depends on its own target",
        (Remedy("give both the same shape", "loss = F.mse_loss(outputs.squeeze(1), targets)"),),
    ),
    Check(
        "loss_is_a_sum",
        _reduction,
        "warning",
        1,
        "A sum over the batch makes gradients as many times larger as there are images. The learning rate then depends on the batch size, "
        "and is usually too high.",
        "measured: the gradient at the logits is p - q instead of (p - q) / N",
        (Remedy("take the mean", 'torch.nn.CrossEntropyLoss(reduction="mean")'),),
        confirm=1,
    ),
    Check(
        "label_smoothing_too_large",
        _smoothed,
        "warning",
        1,
        "Label smoothing moves a share of each label to all classes alike; a tenth is usual. With half or more the "
        "target says hardly more of "
        "the right class than of the others. Logits stay small, and so do the gradients that tell classes apart.",
        "Szegedy et al. 2016, 1512.00567: 0.1; Mueller et al. 2019, 1906.02629",
        (Remedy("smooth by a tenth at most", "label_smoothing=0.1", edit="reg.label_smoothing = 'default'"),),
        confidence=0.9,
    ),
    Check(
        "targets_unscaled",
        _targets_unscaled,
        "warning",
        1,
        "A network's first outputs are about 1 in size. Targets of thousands need weights a thousand times larger, "
        "which steps of a usual size "
        "do not reach, and give gradients that swing; tiny ones drown in the outputs' noise.",
        "LeCun et al. 1998, Efficient BackProp; mean and deviation beyond 20",
        (Remedy("standardise the targets", "y = (y - y.mean()) / y.std()"),),
        confidence=0.8,
    ),
    Check(
        "logits_divided",
        _scaled,
        "warning",
        1,
        "A temperature divides the logits before the softmax. With one of a hundred the probabilities of all classes are nearly the same "
        "whatever the network says, and the gradients are as many times smaller as well. Steps of a usual rate then change nothing.",
        "Hinton et al. 2015, 1503.02531: temperatures of 2 to 10; beyond 25",
        (Remedy("leave the division out, or take a temperature of about 1"),),
        confidence=0.9,
    ),
)
