"""The measured series that show a finding, each with the threshold of its rule; and the measure of the layers in which it is seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from seewhy.core.findings import Finding
from seewhy.diagnosis.checks import generative, signals, steps
from seewhy.diagnosis.checks.progress import TINY_UPDATE, typical_update
from seewhy.diagnosis.records import ProbeRecord
from seewhy.reporting.records import LinePlot

Points: TypeAlias = list[tuple[int, float]]
Told: TypeAlias = Mapping[str, Sequence[tuple[int, float]]]
Draw: TypeAlias = Callable[[Finding, Sequence[ProbeRecord], Told], LinePlot]

LINES = 3
"""Layers of a finding whose series are drawn."""


def finding_plot(finding: Finding, records: Sequence[ProbeRecord], told: Told) -> LinePlot | None:
    """Return the series that a finding was made from; None where no series tells more than its numbers."""
    draw = PLOTS.get(finding.code)
    return draw(finding, records, told) if draw is not None and records else None


def losses(records: Sequence[ProbeRecord]) -> Points:
    """Return the loss by step, as far as the gradients tell it."""
    return [(record.step, record.loss) for record in records if record.loss is not None]


def _plotted(
    title: str,
    value: Callable[[ProbeRecord], float | None],
    *,
    threshold: float | None = None,
    log: bool = False,
    percent: bool = False,
) -> Draw:
    """Return what draws one number of each record."""

    def draw(finding: Finding, records: Sequence[ProbeRecord], _: Told) -> LinePlot:
        points = [(record.step, found) for record in records if (found := value(record)) is not None]
        return LinePlot(title, {title: points}, log=log, percent=percent, threshold=threshold, step=finding.step)

    return draw


def _units(title: str, field: str, threshold: float) -> Draw:
    """Return what draws a share of the units of the finding's layers."""

    def draw(finding: Finding, records: Sequence[ProbeRecord], _: Told) -> LinePlot:
        lines: dict[str, Points] = {layer: [] for layer in finding.layers[:LINES]}
        for record in records:
            for activation in record.activations:
                if activation.layer in lines:
                    lines[activation.layer].append((record.step, getattr(activation, field)))
        return LinePlot(title, lines, percent=True, threshold=threshold, step=finding.step)

    return draw


def _loss(finding: Finding, records: Sequence[ProbeRecord], told: Told) -> LinePlot:
    chance = finding.evidence.get("chance")
    lines = {"loss": told.get("loss") or losses(records)}
    return LinePlot("Loss", lines, threshold=chance, limit="guessing", step=finding.step)


def _overfitting(finding: Finding, records: Sequence[ProbeRecord], told: Told) -> LinePlot:
    lines = {"training": told.get("loss") or losses(records), "validation": told.get("val_loss", ())}
    return LinePlot("Loss", lines, step=finding.step)


def _decay(finding: Finding, records: Sequence[ProbeRecord], _: Told) -> LinePlot:
    began = {p.name: p.weight for p in records[0].parameters if p.matrix and p.weight > 0}
    kept = [
        (record.step, [p.weight / began[p.name] for p in record.parameters if p.name in began]) for record in records
    ]
    points = [(step, statistics.median(shares)) for step, shares in kept if shares]
    title = "Norm of a typical weight, as a share of the first"
    return LinePlot(title, {"share": points}, log=True, threshold=steps.SHRUNK, step=finding.step)


def _through(record: ProbeRecord) -> float | None:
    graded = [layer.gradient for layer in record.layers if layer.gradient is not None]
    return graded[0] / graded[-1] if len(graded) > 1 and graded[-1] else None


def _norm(record: ProbeRecord) -> float:
    return math.hypot(*(p.gradient for p in record.parameters if p.gradient is not None))


def _kl(record: ProbeRecord) -> float | None:
    return None if record.latent is None else sum(record.latent.kl)


def _confidence(record: ProbeRecord) -> float | None:
    return max((o.binary.confidence for o in record.outputs if o.binary is not None), default=None)


_GRADIENT = "Norm of the gradient"
_UPDATE = "What a step changes of a typical weight, as a share of its norm"

PLOTS: dict[str, Draw] = {
    "dead_units": _units("Share of units that are never active", "silent", signals.DEAD_SHARE),
    "saturated_units": _units("Share of units that are saturated", "saturated", signals.SATURATED_SHARE),
    "vanishing_gradients": _plotted(
        "Gradient at the first layer as a share of that at the last", _through, threshold=signals.VANISHED, log=True
    ),
    "exploding_gradients": _plotted(_GRADIENT, _norm, threshold=signals.LARGE, log=True),
    "gradients_clipped_away": _plotted(_GRADIENT, _norm, log=True),
    "learning_rate_too_high": _plotted(_UPDATE, typical_update, threshold=steps.HUGE_UPDATE, log=True),
    "learning_rate_too_low": _plotted(_UPDATE, typical_update, threshold=TINY_UPDATE, log=True),
    "weight_decay_too_large": _decay,
    "loss_oscillates": _plotted("Cosine of successive gradients", lambda record: record.alignment),
    "posterior_collapse": _plotted("KL of all latent dimensions (nats)", _kl, log=True),
    "discriminator_wins": _plotted(
        "Probability that the discriminator is right", _confidence, threshold=generative.SURE, percent=True
    ),
    "initial_loss_too_high": _loss,
    "no_learning": _loss,
    "underfitting": _loss,
    "not_finite": _loss,
    "overfitting": _overfitting,
}
"""The drawing of a finding, by its code."""

MEASURES = {
    "dead_units": "silent",
    "saturated_units": "saturated",
    "vanishing_gradients": "gradient",
    "exploding_gradients": "gradient",
    "gradients_clipped_away": "update",
    "learning_rate_too_high": "update",
    "learning_rate_too_low": "update",
    "loss_oscillates": "update",
    "parameters_frozen": "update",
    "parameters_not_in_optimizer": "update",
    "parameters_unused": "update",
    "weight_decay_too_large": "update",
    "weights_do_not_move": "update",
    "initialisation_too_large": "spread",
    "initialisation_too_small": "spread",
    "inputs_unscaled": "spread",
    "not_finite": "spread",
    "outputs_ignore_inputs": "spread",
}
"""The measure of the layers in which a finding is seen, by its code."""
