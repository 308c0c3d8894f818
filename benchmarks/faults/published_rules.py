"""The published rules of SageMaker Debugger, AUTOTRAINER and UMLAUT, as functions over the records of a run.

Each takes a kept run and returns what it would say. The thresholds are theirs:

- SageMaker Debugger: docs.aws.amazon.com/sagemaker/latest/dg/debugger-built-in-rules.html, the defaults.
- AUTOTRAINER (Zhang et al., ICSE 2021): `AutoTrainer/utils/monitor.py` and `reproduce.py` of github.com/shiningrain/AUTOTRAINER. It judges
  classifiers only, once 30% of the epochs are over, and only those that are not accurate by then.
- UMLAUT (Schoop, Huang & Hartmann, CHI 2021): `umlaut/heuristics.py` of github.com/BerkeleyHCI/umlaut.

What the records hold in another form is taken in its nearest form: a mean absolute value as 0.8 times the root mean square, percentiles of
gradients as 3.3 deviations, shares of saturated nodes by a normal distribution of the pre-activations. Rules over epochs see probes and
what the loop tells. A rule whose measure is not there says nothing. Each rule's finding counts as every code that its text could mean.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from keeping import Kept
from results import told_as

from seewhy.diagnosis.records import ParameterRecord, ProbeRecord

Said = dict[str, Any]

UNMOVED = frozenset(
    ("weights_do_not_move", "step_missing", "parameters_frozen", "parameters_not_in_optimizer", "learning_rate_too_low")
)
NOT_LEARNING = UNMOVED | {
    "no_learning",
    "labels_unrelated_to_inputs",
    "underfitting",
    "capacity_too_small",
    "rate_decays_too_fast",
    "outputs_ignore_inputs",
}
VANISHING = frozenset(
    (
        "vanishing_gradients",
        "initialisation_too_small",
        "gradients_clipped_away",
        "parameters_frozen",
        "parameters_unused",
    )
)
EXPLODING = frozenset(("exploding_gradients", "initialisation_too_large", "learning_rate_too_high", "not_finite"))
INITIALISATION = frozenset(("initialisation_symmetric", "initialisation_too_small", "initialisation_too_large"))
INPUTS = frozenset(("inputs_unscaled", "inputs_one_signed"))


def said(code: str, step: int, title: str, names: frozenset[str] | set[str] = frozenset()) -> Said:
    return told_as(code, "warning", step, title, {code, *names})


def once(findings: Iterator[Said]) -> list[Said]:
    """Keep the first finding of each code."""
    kept: dict[str, Said] = {}
    for finding in findings:
        kept.setdefault(finding["code"], finding)
    return list(kept.values())


def by_network(kept: Kept) -> list[list[ProbeRecord]]:
    networks: dict[str, list[ProbeRecord]] = {}
    for entry in kept.entries:
        networks.setdefault(entry.network, []).append(entry.record)
    return list(networks.values())


def told(kept: Kept, *names: str) -> list[tuple[int, float]]:
    """Return what the loop told under the first of some names that it knows, in order."""
    values: dict[str, list[tuple[int, float]]] = {}
    for source in [*(entry.told for entry in kept.entries), *(late for _, late in kept.ends.values())]:
        for name, pairs in source.items():
            values.setdefault(name, []).extend((step, value) for step, value in pairs)
    return next((sorted(set(values[name])) for name in names if name in values), [])


def matrices(record: ProbeRecord) -> list[ParameterRecord]:
    return [p for p in record.parameters if p.matrix]


def rms(p: ParameterRecord) -> float | None:
    """Return the root mean square of a parameter's gradient."""
    return None if p.gradient is None or not p.size else p.gradient / math.sqrt(p.size)


def outside(mean: float, std: float, low: float, high: float) -> float:
    """Return the share of a normal distribution outside an interval."""
    if not (std > 0 and math.isfinite(mean) and math.isfinite(std)):
        return float(not low <= mean <= high)
    return 1 - 0.5 * (math.erf((high - mean) / (std * math.sqrt(2))) - math.erf((low - mean) / (std * math.sqrt(2))))


# SageMaker Debugger.

LIMITS = {"tanh": (-9.4999, 9.4999), "sigmoid": (-23.0, 16.99999)}


def sagemaker(kept: Kept) -> list[Said]:
    """Return what SageMaker Debugger's built-in rules say."""

    def every() -> Iterator[Said]:
        for records in by_network(kept):
            for place, record in enumerate(records):
                yield from _sagemaker_signals(record)
                yield from _sagemaker_weights(records, place)
            yield from _sagemaker_loss(records)
            yield from _sagemaker_classes(records)
        yield from _sagemaker_overfit(kept)

    return once(every())


def _sagemaker_signals(record: ProbeRecord) -> Iterator[Said]:
    step = record.step
    if record.bad:
        yield said("not_finite", step, "ExplodingTensor: NaN or Inf", EXPLODING)
    for activation in record.activations:
        if "relu" in activation.function and activation.silent > 0.5:
            yield said("dead_units", step, "DeadRelu: more than half of a layer's units inactive")
        limits = LIMITS.get(activation.function)
        if limits and outside(activation.mean, activation.std, *limits) > 0.5:
            yield said(
                "saturated_units",
                step,
                "SaturatedActivation: more than half of the nodes",
                {"inputs_unscaled", *INITIALISATION},
            )
    if any(0.8 * value < 1e-7 for p in record.parameters if (value := rms(p)) is not None):
        yield said("vanishing_gradients", step, "VanishingGradient: mean absolute gradient below 1e-7", VANISHING)
    if record.inputs is not None and any(abs(mean) > 0.2 for mean in record.inputs.mean):
        yield said("inputs_unscaled", step, "NotNormalizedData: absolute mean above 0.2", INPUTS)


def _sagemaker_weights(records: list[ProbeRecord], place: int) -> Iterator[Said]:
    record = records[place]
    updates = [p.update for p in record.parameters if p.update is not None and p.weight > 0]
    if any(update > 10 for update in updates):
        yield said("learning_rate_too_high", record.step, "WeightUpdateRatio above 10", EXPLODING)
    if any(update < 1e-8 for update in updates):
        yield said("learning_rate_too_low", record.step, "WeightUpdateRatio below 1e-8", UNMOVED | VANISHING)
    if place >= 2 and all(
        update is not None and update < 1e-5
        for r in records[place - 2 : place + 1]
        for update in [p.update for p in matrices(r)]
    ):
        yield said("weights_do_not_move", record.step, "UnchangedTensor: three times", UNMOVED)
    if record.step <= 10:
        variances = [p.weight**2 / min(p.size, 256) for p in matrices(record) if p.size]
        spreads = [3.3 * value for p in matrices(record) if (value := rms(p)) is not None]
        if variances and max(variances) > 10 * min(variances):
            yield said(
                "initialisation_too_large",
                record.step,
                "PoorWeightInitialization: variance ratio above 10",
                INITIALISATION,
            )
        elif spreads and min(spreads) < 1e-3:
            yield said(
                "initialisation_too_small",
                record.step,
                "PoorWeightInitialization: narrow gradients",
                INITIALISATION | VANISHING,
            )


def _sagemaker_loss(records: list[ProbeRecord]) -> Iterator[Said]:
    losses = [(record.step, record.loss) for record in records if record.loss is not None]
    for place, (step, loss) in enumerate(losses):
        before = [value for earlier, value in losses[:place] if earlier <= step - 10]
        if before and not loss < before[-1] * (1 - 0.001):
            yield said(
                "no_learning", step, "LossNotDecreasing: less than 0.1% in 10 steps", NOT_LEARNING | {"loss_oscillates"}
            )


def _sagemaker_classes(records: list[ProbeRecord], rows: int = 500) -> Iterator[Said]:
    """Judge the labels of all probed batches once there are `rows` of them."""
    total: Counter[int] = Counter()
    for record in records:
        if record.logits is not None:
            total.update(dict(enumerate(record.logits.labels)))
            if sum(total.values()) >= rows and max(total.values()) > 10 * max(1, min(total.values())):
                yield said("class_imbalance", record.step, "ClassImbalance: ratio above 10", {"majority_class_only"})


def _sagemaker_overfit(kept: Kept) -> Iterator[Said]:
    losses = [
        (record.step, record.loss) for records in by_network(kept)[:1] for record in records if record.loss is not None
    ]
    for step, value in told(kept, "val_loss"):
        train = [loss for at, loss in losses if at <= step]
        if train and train[-1] > 0 and (value - train[-1]) / train[-1] > 0.1:
            yield said("overfitting", step, "Overfit: validation loss 10% above the training loss")


# AUTOTRAINER.

THETA = 0.6


def autotrainer(kept: Kept) -> list[Said]:
    """Return what AUTOTRAINER says of a classifier that is not accurate after 30% of the budget."""
    records = [record for record in next(iter(by_network(kept)), []) if record.logits is not None]
    steps = max((loop.step for loop, _ in kept.ends.values()), default=0)
    late = [record for record in records if record.step >= 0.3 * steps]

    def every() -> Iterator[Said]:
        accuracies = [record.logits.accuracy for record in records if record.logits is not None]
        for place, record in enumerate(records):
            if record.bad:
                yield said("not_finite", record.step, "NaN", EXPLODING)
            if record not in late:
                continue
            before = accuracies[: place + 1]
            if _oscillates(before):
                yield said("loss_oscillates", record.step, "oscillating loss", {"learning_rate_too_high"})
            if max(before) >= THETA:
                continue
            yield from _autotrainer_gradients(record)
            if max((b - a for a, b in pairwise(before)), default=0.0) < 0.01:
                yield said("no_learning", record.step, "slow convergence: no gain of 0.01", NOT_LEARNING)

    return once(every())


def _oscillates(accuracies: list[float], swing: float = 0.03, rate: float = 0.2) -> bool:
    """Whether a maximum stands `swing` above the minimum of the same order, at a share of the times of at least `rate`."""
    inner = list(zip(accuracies, accuracies[1:], accuracies[2:], strict=False))
    highest = [b for a, b, c in inner if b >= a and b >= c]
    lowest = [b for a, b, c in inner if b <= a and b <= c]
    count = sum(high - low >= swing for high, low in zip(highest, lowest, strict=False))
    return count > 0 and count >= rate * len(accuracies)


def _autotrainer_gradients(record: ProbeRecord) -> Iterator[Said]:
    norms = [p.gradient for p in matrices(record) if p.gradient is not None]
    if len(norms) > 1 and norms[-1] > 0:
        ratio = norms[0] / norms[-1]
        if ratio < 1e-3 and norms[0] < 1e-4:
            yield said(
                "vanishing_gradients", record.step, "vanishing: first kernel's gradient below a thousandth", VANISHING
            )
        if ratio > 70:
            yield said(
                "exploding_gradients", record.step, "exploding: first kernel's gradient 70 times the last's", EXPLODING
            )
    units = sum(a.units for a in record.activations)
    zero = sum(p.size for p in record.parameters if p.gradient == 0) / max(1, sum(p.size for p in record.parameters))
    if zero >= 0.7 or (
        units and sum(a.silent * a.units for a in record.activations if "relu" in a.function) / units >= 0.7
    ):
        yield said(
            "dead_units",
            record.step,
            "dying ReLU: 70% of the gradients are 0",
            {"parameters_unused", "outputs_ignore_inputs"},
        )


# UMLAUT.


def umlaut(kept: Kept) -> list[Said]:
    """Return what UMLAUT's heuristics say."""

    def every() -> Iterator[Said]:
        for records in by_network(kept):
            for record in records:
                yield from _umlaut_step(record)
        losses = told(kept, "val_loss")
        trained = [
            (record.step, record.loss)
            for records in by_network(kept)[:1]
            for record in records
            if record.loss is not None
        ]
        for (step, old), (now, new) in pairwise(losses):
            train = [([v for at, v in trained if at <= until] or [None])[-1] for until in (step, now)]
            if new > old and train[0] is not None and train[1] is not None and train[1] <= train[0]:
                yield said("overfitting", now, "possible overfitting: validation loss up, training loss not")
        for epoch, (step, value) in enumerate(told(kept, "val_accuracy")):
            if epoch >= 3 and value > 0.95:
                yield said("label_leakage", step, "validation accuracy above 95%")

    return once(every())


def _umlaut_step(record: ProbeRecord) -> Iterator[Said]:
    step = record.step
    if record.inputs is not None and (record.inputs.low < -1 or record.inputs.high > 1):
        yield said("inputs_unscaled", step, "inputs exceed -1 to 1", INPUTS)
    if record.bad:
        yield said("not_finite", step, "NaN in the loss", EXPLODING)
    if record.lr is not None and record.lr > 0.01:
        yield said("learning_rate_too_high", step, "rate above 0.01", {"loss_oscillates"})
    if record.lr is not None and record.lr < 1e-7:
        yield said("learning_rate_too_low", step, "rate below 1e-7", {"rate_decays_too_fast"})
    if record.dropout > 0.5:
        yield said("dropout_too_large", step, "dropout above a half")
    if record.linear:
        yield said("no_nonlinearity", step, "missing activation functions", {"capacity_too_small"})
    functions = {output.function for output in record.outputs}
    if record.logits is not None and record.logits.probabilities:
        yield said("softmax_before_softmax_loss", step, "the last layer has an activation", {"activation_before_loss"})
    elif functions - {"", "softmax", "log_softmax"} and record.logits is not None:
        yield said("activation_before_loss", step, "the last layer has an activation", {"sigmoid_before_logits_loss"})


RULES: dict[str, Callable[[Kept], list[Said]]] = {"sagemaker": sagemaker, "autotrainer": autotrainer, "umlaut": umlaut}
