"""What is read from a network's outputs and the gradients that arrive there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seewhy.diagnosis.graph import made_by, only_linear
from seewhy.diagnosis.logits import read_binary, read_logits
from seewhy.diagnosis.records import LogitsRecord, OutputRecord
from seewhy.diagnosis.values import diversity, moments, rows_of

LINE = 1e-3
"""Residual of a straight line, as a share of the gradient's deviation, below which all rows lie on it."""


@dataclass
class Output:
    """An output of a pass, and the gradient that will arrive there.

    Attributes:
        values: detached.
        function, axis: that made it.
        linear: whether nothing but linear maps made it; None where it is not known.
        inputs: of the pass; None where they are no batch of numbers.
        gradients: one at most.
    """

    values: Tensor
    function: str
    axis: int | None
    linear: bool | None
    inputs: Tensor | None
    gradients: list[Tensor] = field(default_factory=list)


def seen(output: Tensor, inputs: Tensor | None, *, look_for_linear: bool) -> Output:
    """Return an output with what its graph tells."""
    function, axis = made_by(output)
    return Output(output.detach(), function, axis, only_linear(output) if look_for_linear else None, inputs)


def is_finite(output: Output) -> bool:
    """Whether all values are."""
    return bool(torch.isfinite(output.values).all())


def read(outputs: list[Output], *, diverse: bool) -> tuple[LogitsRecord | None, tuple[OutputRecord, ...]]:
    """Return what the first cross-entropy's logits tell, and the record of every output with a gradient."""
    logits, records = None, []
    for output in outputs:
        if not output.gradients or not output.values.numel() or not is_finite(output):
            continue
        gradient = output.gradients[0]
        if logits is None:
            logits = read_logits(output.values, gradient, output.inputs)
        records.append(output_record(output, gradient, diverse=diverse))
    return logits, tuple(records)


@torch.no_grad()
def output_record(output: Output, gradient: Tensor, *, diverse: bool) -> OutputRecord:
    """Return what one output and its gradient tell.

    Args:
        output: of a pass.
        gradient: that arrived there.
        diverse: whether to measure how much the rows differ.
    """
    values = output.values
    rows = len(values) if values.dim() else 1
    columns = values.numel() // rows if rows else 0
    spread, nearest = diversity(values) if diverse and values.dim() > 1 else (0.0, 0.0)
    slope, centre = _line(values, gradient) if columns == 1 and rows >= 8 else (None, None)
    scalar = values.numel() == 1 and values.dim() == 0
    some = rows_of(values) if values.dim() > 1 else values.detach().reshape(-1, 1)[:4096].float()
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
        slope=slope,
        centre=centre,
        negative=_wanted_negative(values, gradient),
        binary=None if scalar else read_binary(values, gradient),
        value=float(values) if scalar else None,
    )


def _line(values: Tensor, gradient: Tensor) -> tuple[float | None, float | None]:
    """Return slope and centre of gradient = slope (value - centre) where all rows lie on that line."""
    z, g = (t.detach().reshape(-1)[:4096].double().cpu() for t in (values, gradient))
    x, y = z - z.mean(), g - g.mean()
    size = float(x.square().sum())
    if not size > 1e-12 * len(z) or not math.isfinite(size):
        return None, None
    slope = float((x * y).sum()) / size
    residual = float((y - slope * x).square().sum().sqrt())
    if not slope > 0 or residual > LINE * float(y.square().sum().sqrt()):
        return None, None
    return slope, float(z.mean() - g.mean() / slope)


def _wanted_negative(values: Tensor, gradient: Tensor) -> float:
    """Return the share of the outputs at 0 that the gradient pushes down, where no activation may let them go."""
    at_zero = (values <= 0) & (gradient > 0)
    return float(at_zero.float().mean())
