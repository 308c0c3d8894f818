"""What is read from a network's outputs and the gradients that arrive there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from seewhy.diagnosis.graph import made_by, only_linear
from seewhy.diagnosis.logits import FIRST, read_binary, read_logits
from seewhy.diagnosis.records import LogitsRecord, Moments, OutputRecord
from seewhy.diagnosis.values import diversity, moments, rows_of

ROWS = 4096
"""Rows that are looked at."""

MOST_COLUMNS = 8
"""Of outputs that may be compared with targets by squares: an embedding has more, or other losses."""

EQUAL = 0.05
"""Relative deviation of the gradients' sizes below which they are one size."""

ENOUGH = 12
"""Rows from which a gradient that follows the outputs does so by no accident."""

MOSTLY = 0.95
OTHER_SIGN = 0.1
"""Share of the values that are of the rarer sign where values spread both ways."""

SURE = 5.0
"""Mean size of logits beyond which all losses of two classes look alike."""

WHOLE, MOST_TARGETS = 1e-3, 128
"""Largest deviation of a whole number; different ones that are kept."""

SUM = 1e-3
"""How far a sum of probabilities may be from 1."""


@dataclass
class Output:
    """An output of a pass, and the gradient that will arrive there.

    Attributes:
        values: detached.
        function, axis: that made it.
        linear: whether nothing but linear maps made it; None where it is not known.
        inputs: of the pass; None where they are no batch of numbers.
        number: of the pass within the probe, from 1.
        gradients: one at most.
    """

    values: Tensor
    function: str
    axis: int | None
    linear: bool | None
    inputs: Tensor | None
    number: int
    gradients: list[Tensor] = field(default_factory=list)


def seen(output: Tensor, inputs: Tensor | None, number: int, *, look_for_linear: bool) -> Output:
    """Return an output with what its graph tells."""
    function, axis = made_by(output)
    return Output(output.detach(), function, axis, only_linear(output) if look_for_linear else None, inputs, number)


def is_finite(output: Output) -> bool:
    """Whether all values are."""
    return bool(torch.isfinite(output.values).all())


def is_broken(output: Output) -> bool:
    """Whether a value is NaN or plus infinity; minus infinity masks what may not be chosen."""
    return bool((output.values.isnan() | (output.values == torch.inf)).any())


def read(outputs: list[Output], *, diverse: bool, deep: bool) -> tuple[LogitsRecord | None, tuple[OutputRecord, ...]]:
    """Return what the first cross-entropy's logits tell, and the record of every output with a gradient."""
    logits: LogitsRecord | None = None
    records = []
    for output in outputs:
        if not output.gradients or not output.values.numel() or not is_finite(output):
            continue
        gradient = output.gradients[0]
        told = read_logits(output.values, gradient, output.inputs if deep else None)
        logits = logits or told
        records.append(output_record(output, gradient, "cross-entropy" if told else "", diverse=diverse))
    if len(records) > 1:  # of several outputs not all can be compared with targets
        records = [replace(record, moments=()) for record in records]
    return logits, tuple(records)


@torch.no_grad()
def output_record(output: Output, gradient: Tensor, kind: str, *, diverse: bool) -> OutputRecord:
    """Return what one output and its gradient tell.

    Args:
        output: of a pass.
        gradient: that arrived there.
        kind: of the loss, as far as it is known.
        diverse: whether to measure how much the rows differ.
    """
    values = output.values
    rows = len(values) if values.dim() else 1
    columns = values.numel() // rows
    spread, nearest = diversity(values) if diverse and values.dim() > 1 else (0.0, 0.0)
    scalar = values.dim() == 0
    told = None if scalar or kind else read_binary(values, gradient)
    kind, binary = told or (kind, None)
    if not kind and output.function == "sigmoid" and _takes_for_logits(values, gradient):
        kind = "binary"
    unknown = not scalar and not kind and binary is None
    follows, centre = _follows(values, gradient) if columns == 1 and rows >= ENOUGH else (False, None)
    several = values.dim() == 2 and columns > 1
    picks, pushes, log_probabilities = _likelihood(values, gradient) if several else (False, False, False)
    some = rows_of(values) if values.dim() > 1 else values.detach().reshape(-1, 1)[:ROWS].float()
    return OutputRecord(
        rows=rows,
        columns=columns,
        function=output.function,
        axis=output.axis,
        gradient=float(gradient.detach().float().square().mean().sqrt()),
        std=moments(values)[1],
        spread=spread,
        nearest=nearest,
        rows_differ=len(some) < 2 or bool((some - some[0]).abs().max() > 1e-6 * some.abs().max()),
        kind=kind,
        follows=follows,
        centre=centre,
        below=float(((values <= 0) & (gradient > 0)).float().mean()),
        picks=picks,
        pushes=pushes,
        log_probabilities=log_probabilities,
        moments=() if not unknown or picks else _moments(values, gradient, _is_image_of(output)),
        binary=binary,
        value=float(values) if scalar else None,
        axes=values.dim(),
        flipped=unknown and read_binary(values, -gradient) is not None and float(values.abs().mean()) < SURE,
        outwards=_outwards(values, gradient) if unknown else 0.0,
        whole=_whole(values, gradient) if unknown and columns == 1 and rows >= ENOUGH else None,
    )


def _outwards(values: Tensor, gradient: Tensor) -> float:
    """Return the share of values that are pushed further from 0; 0 where hardly any is of the other sign, as on the way to far targets."""
    z, g = (t.detach().reshape(-1)[:ROWS] for t in (values, gradient))
    pushed, above = torch.stack([z * g < 0, z > 0]).float().mean(1).tolist()
    return pushed if OTHER_SIGN <= above <= 1 - OTHER_SIGN else 0.0


def _whole(values: Tensor, gradient: Tensor) -> tuple[int, ...] | None:
    """Return the different targets of a squared error, ascending, if they are whole numbers; None if they are not, or it is none."""
    z, g = (t.detach().reshape(-1)[:ROWS] for t in (values, gradient))
    few = list(zip(z[:FIRST].tolist(), g[:FIRST].tolist(), strict=True))
    for c in (2 / len(values), 1 / len(values), 2.0, 1.0):
        if any(abs((y := at - pull / c) - round(y)) >= WHOLE for at, pull in few):
            continue
        targets = z.double().cpu() - g.double().cpu() / c
        if bool(((targets - targets.round()).abs() < WHOLE).all()):
            return tuple(torch.unique(targets.round().long())[:MOST_TARGETS].tolist())
    return None


def _takes_for_logits(values: Tensor, gradient: Tensor) -> bool:
    """Whether a binary cross-entropy of soft targets takes probabilities for logits.

    Of logits z the targets are y = sigmoid(z) - g / c, of probabilities y = z - z (1 - z) g / c: these are within 0 and 1 for the loss
    that it is, with c 1 / N, 1 over all outputs or 1.
    """
    z, g = (t.detach().reshape(-1)[:ROWS].double().cpu() for t in (values, gradient))
    if not bool(((z > 0) & (z < 1)).all()):
        return False
    for scale in (1 / values.numel(), 1 / len(values), 1.0):
        as_logits, as_chances = torch.sigmoid(z) - g / scale, z - z * (1 - z) * g / scale
        fits, other = (float(((y > -SUM) & (y < 1 + SUM)).double().mean()) for y in (as_logits, as_chances))
        if fits == 1 and other < MOSTLY and float(as_logits.std()) > EQUAL:
            return True
    return False


def _follows(values: Tensor, gradient: Tensor) -> tuple[bool, float | None]:
    """Return whether the gradient rises with the output without exception, and where it is 0."""
    z, g = (t.detach().reshape(-1)[:ROWS].double().cpu() for t in (values, gradient))
    order = z.argsort()
    z, g = z[order], g[order]
    tolerance = 1e-6 * float(g.abs().max())
    if not (g[-1] - g[0] > 10 * tolerance and z[-1] > z[0]) or bool((g[1:] < g[:-1] - tolerance).any()):
        return False, None
    x, y = z - z.mean(), g - g.mean()
    return True, float(z.mean() - g.mean() * x.square().sum() / (x * y).sum())


def _is_image_of(output: Output) -> bool:
    """Whether an output has as many values as the input, as that of an autoencoder has."""
    return output.inputs is not None and output.inputs.numel() == output.values.numel()


def _moments(values: Tensor, gradient: Tensor, pooled: bool) -> tuple[Moments, ...]:
    """Return means, variances and covariance of outputs and gradients, of each column, or `pooled` over all.

    Empty where no squared error can be known by them.
    """
    rows = len(values) if values.dim() else 0
    columns = values.numel() // rows if rows else 0
    if rows < ENOUGH or (columns > MOST_COLUMNS and not pooled):
        return ()
    z, g = (t.detach().reshape(rows, -1)[:ROWS].double().cpu() for t in (values, gradient))
    if columns > MOST_COLUMNS:
        z, g = z.reshape(-1, 1), g.reshape(-1, 1)
    sizes = g.abs()
    if float(sizes.std()) < EQUAL * float(sizes.mean()):
        return ()  # a gradient of one size is that of an absolute error
    dz, dg = z - z.mean(0), g - g.mean(0)
    table = torch.stack([z.mean(0), g.mean(0), dz.square().mean(0), dg.square().mean(0), (dz * dg).mean(0)], 1)
    return tuple((a, b, c, d, e) for a, b, c, d, e in table.tolist())


def _likelihood(values: Tensor, gradient: Tensor) -> tuple[bool, bool, bool]:
    """Return whether the gradient is that of a mean of one column of each row, upwards or down, and whether rows are log-probabilities."""
    z, g = (t.detach()[:ROWS].float().cpu() for t in (values, gradient))
    least = g.amin(1)
    single = bool(((g != 0).sum(1) == 1).all())
    alike = float(least.amax() - least.amin()) <= 1e-3 * float(least.abs().amax())
    picks = single and alike and bool((least < 0).all())
    pushes = single and bool((g.amax(1) > 0).all())
    return picks, pushes, bool(((z.exp().sum(1) - 1).abs() < SUM).all())
