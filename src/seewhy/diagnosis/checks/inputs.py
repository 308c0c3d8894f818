"""What goes in: values of a size that the first layer can use, and rows that differ."""

from __future__ import annotations

import math

from seewhy.core.findings import Remedy
from seewhy.diagnosis.checks.base import Check, Verdict, inapplicable, passed, seen
from seewhy.diagnosis.checks.learning import learns
from seewhy.diagnosis.records import History

LARGE, SMALL = 10.0, 0.02
"""Root mean square beyond which inputs count as unscaled: standardised ones have 1, pixels from 0 to 1 about 0.5."""


def _unscaled(history: History) -> Verdict:
    inputs = history.latest[-1].inputs
    if inputs is None:
        return inapplicable("the input is no batch of floating-point values")
    sizes = [math.hypot(mean, std) for mean, std in zip(inputs.mean, inputs.std, strict=True)]
    size = math.sqrt(sum(value**2 for value in sizes) / len(sizes))
    if not math.isfinite(size):
        return inapplicable("the inputs are not finite, which another check says")
    if SMALL <= size <= LARGE or size == 0:
        return passed("inputs are of the size that layers expect")
    if learns(history):
        return passed("inputs are unscaled, but the network learns")
    return seen(
        f"inputs lie between {inputs.low:.3g} and {inputs.high:.3g}; layers are made for values of about 1",
        mean=list(inputs.mean),
        std=list(inputs.std),
    )


def _alike(history: History) -> Verdict:
    last = history.latest[-1]
    if last.inputs is None or last.inputs.rows < 2:
        return inapplicable("the input is no batch of floating-point values")
    if not last.inputs.rows_differ:
        return seen("all rows of the batch are the same image", rows=last.inputs.rows)
    return passed("the rows of the batch differ")


def _ignored(history: History) -> Verdict:
    last = history.latest[-1]
    if last.logits is None:
        return inapplicable("the loss is no cross-entropy of the outputs")
    if last.inputs is not None and not last.inputs.rows_differ:
        return inapplicable("the rows of the batch do not differ")
    if last.logits.rows_differ:
        return passed("outputs depend on inputs")
    if last.step == 1 and _head_is_zero(history):
        return passed("the last layer starts at zero")
    return seen("the outputs are the same for every row of the batch: they do not depend on the input", step=last.step)


def _head_is_zero(history: History) -> bool:
    return any(p.weight == 0 for p in history.latest[-1].parameters) or any(
        layer.std == 0 for layer in history.latest[-1].layers[-1:]
    )


CHECKS = (
    Check(
        "inputs_unscaled",
        _unscaled,
        "warning",
        1,
        "Initialisations and rates are made for inputs of about mean 0 and deviation 1. Bytes from 0 to 255 make the first layer's outputs and "
        "gradients hundreds of times too large, values near 0 as many times too small.",
        "LeCun et al. 1998, Efficient BackProp; root mean square beyond 0.02 and 10",
        (Remedy("standardise the inputs", "x = (x / 255 - mean) / std"),),
    ),
    Check(
        "inputs_constant",
        _alike,
        "critical",
        1,
        "All rows of the batch are equal, so that nothing can be told apart. An index that does not move, or a buffer that is filled "
        "again while the "
        "batch still refers to it, does this.",
        "an invariant",
        (Remedy("look at what the loader returns for different indices"),),
    ),
    Check(
        "outputs_ignore_inputs",
        _ignored,
        "warning",
        3,
        "Different images give the same outputs, so that the network can learn no more than the classes' frequencies. Somewhere the "
        "signal dies: dead "
        "units, an initialisation at zero, or a branch that is multiplied by 0.",
        "Karpathy 2019, A Recipe for Training Neural Networks",
        (
            Remedy("look for the first layer whose outputs do not differ, in the records of the layers"),
            Remedy("take the usual initialisation", edit='model.init = "he"'),
        ),
    ),
)
