"""Outputs depend on their own input, and in evaluation mode on no other example of the batch.

Both are seen in two ways: other companions must leave a row's outputs as they are, and the gradient of a row's outputs at other rows' inputs
must be 0. Companions are exchanged within a batch of the same size and with the same random numbers, so that a network that samples is compared
with itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seewhy.core.findings import Remedy
from seewhy.core.seeding import rng
from seewhy.diagnosis.checks.base import Verdict, inapplicable, passed, seen, skipped
from seewhy.diagnosis.nested import tensors_of
from seewhy.diagnosis.trial.program import Program, Trial
from seewhy.diagnosis.trial.rules import Evidence, Rule, watched
from seewhy.diagnosis.trial.structures import Rows, fingerprints, mapped

TOLERANCE = 1e-3
"""Of the outputs' size: kernels for other sizes of a batch add in another order."""

ALIKE = 1e-6
"""Difference between rows as a share of the outputs, below which they are the same."""

LEAK = 1e-5
"""Gradient at other rows' inputs as a share of that at its own: it is exactly 0 where rows are apart."""

ROWS = 32

Call = tuple[tuple[Any, ...], dict[str, Any]]


def _inputs(program: Program) -> Call:
    """Return what the network is called with, cut to `ROWS` examples."""
    rows, seen_ = program.rows, program.forward
    assert rows is not None
    args, kwargs = rows.taken((seen_.args, dict(seen_.kwargs)), torch.arange(min(rows.count, ROWS)))
    return args, kwargs


def _outputs(trial: Trial, program: Program, call: Call, count: int) -> list[Tensor]:
    """Return the floating-point outputs that have a row for each of `count` examples, which is moved to axis 0."""
    assert program.rows is not None
    where = Rows(count, program.rows.axis, sure=True)
    with torch.no_grad():
        found = list(tensors_of(trial.call(*call)))
    floating = [(x, where.axis_of(x)) for x in found if x.is_floating_point()]
    return [x.movedim(axis, 0).float() for x, axis in floating if axis is not None]


def _unusable(evidence: Evidence) -> str:
    rows = evidence.program.rows
    if evidence.program.forward.outputs is None:
        return "the loss does not call the model"
    if rows is None or not rows.sure:
        return "where the examples of the batch lie cannot be told"
    if rows.count < 2:
        return "there is one example only"
    return "" if len(set(fingerprints(rows, evidence.inputs))) > 1 else "the rows of the batch do not differ"


def _mixed(evidence: Evidence) -> Verdict:
    reason = _unusable(evidence)
    if reason:
        return inapplicable(reason)
    program = evidence.program
    args, kwargs = _inputs(program)
    assert program.rows is not None
    count, trial = min(program.rows.count, ROWS), program.trial()
    trial.model.eval()
    full, again = (_outputs(trial, program, (args, kwargs), count) for _ in range(2))
    if not full:
        return inapplicable("no output has a row for each example")
    if not all(bool(torch.isfinite(x).all()) for x in full):
        return inapplicable("the outputs are not finite")
    if any(a.shape != b.shape or _distance(a, b) > TOLERANCE for a, b in zip(full, again, strict=True)):
        return inapplicable("outputs in evaluation mode change from call to call")
    where, kept = Rows(count, program.rows.axis, sure=True), (count + 1) // 2
    # The second half takes the places of other examples, in which nothing is in common with before.
    index = torch.cat((torch.arange(kept), torch.arange(kept).flip(0)[: count - kept]))
    other = _outputs(trial, program, where.taken((args, kwargs), index), count)
    pairwise = [x.dim() == 2 and x.shape[1] == count for x in full]
    changes = [_distance(a[:kept], b[:kept]) for a, b, pair in zip(full, other, pairwise, strict=True) if not pair]
    if not changes:
        return inapplicable("outputs compare the examples of the batch with one another")
    leak = _gradient_share(trial, args, kwargs, where, [not pair for pair in pairwise])
    if max(changes) <= TOLERANCE and (leak is None or leak <= LEAK):
        return passed("in evaluation mode a row's outputs depend on its own input only")
    return seen(
        f"in evaluation mode the outputs for an image change by {max(changes):.1%} of their size when other images stand beside it in "
        "the batch" + (f", and {leak:.1%} of their gradient is at other images" if leak is not None else ""),
        change=max(changes),
        gradient_share=leak,
        rows=count,
    )


def _distance(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / a.abs().max().clamp(min=1e-12)) if a.numel() else 0.0


def _gradient_share(trial: Trial, args: Any, kwargs: Any, where: Rows, wanted: list[bool]) -> float | None:
    """Return how much of the gradient of row 0's outputs is at other rows' inputs; None where inputs have no gradient."""
    args, kwargs = mapped(lambda x: x.detach().clone().requires_grad_(x.is_floating_point()), (args, kwargs))
    inputs = [x for x in tensors_of((args, kwargs)) if x.is_floating_point() and where.axis_of(x) is not None]
    if not inputs:
        return None
    trial._seeded(None)
    found = [
        x
        for x in tensors_of(trial.model(*mapped(torch.clone, args), **mapped(torch.clone, kwargs)))
        if x.is_floating_point()
    ]
    outputs = [x.movedim(axis, 0) for x in found if (axis := where.axis_of(x)) is not None]
    chosen = [x[0] for x, want in zip(outputs, wanted, strict=True) if want and x.requires_grad]
    if not chosen:
        return None
    source = rng(trial.seed, "sanity", "direction")
    weighed = torch.stack([(x * torch.randn(x.shape, generator=source).to(x)).sum().float() for x in chosen]).sum()
    own = others = 0.0
    for x, gradient in zip(inputs, torch.autograd.grad(weighed, inputs, allow_unused=True), strict=True):
        if gradient is not None:
            rows = gradient.movedim(where.axis_of(x) or 0, 0).abs().float()
            own, others = own + float(rows[0].sum()), others + float(rows[1:].sum())
    return others / (own + others) if own + others > 0 else None


def _batch_size(evidence: Evidence) -> Verdict:
    reason = _unusable(evidence)
    if reason:
        return inapplicable(reason)
    program = evidence.program
    args, kwargs = _inputs(program)
    assert program.rows is not None
    count = min(program.rows.count, ROWS)
    half = max(1, count // 2)
    trial = program.trial()
    trial.model.eval()
    _outputs(trial, program, (args, kwargs), count)
    try:
        _outputs(
            trial, program, Rows(count, program.rows.axis, sure=True).taken((args, kwargs), torch.arange(half)), half
        )
    except Exception as error:  # noqa: BLE001  whatever a network says of a batch that the user did not give
        return seen(
            f"the network runs with {count} examples, and fails with {half}: {str(error).splitlines()[0] if str(error) else error!r}",
            rows=count,
            fewer=half,
        )
    return passed(f"the network runs with {half} examples as with {count}")


def _ignored(evidence: Evidence) -> Verdict:
    reason = _unusable(evidence)
    if reason:
        return inapplicable(reason)
    program = evidence.program
    args, kwargs = _inputs(program)
    assert program.rows is not None
    count = min(program.rows.count, ROWS)
    if len(set(fingerprints(Rows(count, program.rows.axis, sure=True), (args, kwargs)))) < 2:
        return skipped(f"the first {count} examples do not differ")
    spread = _spread(program.trial(), program, args, kwargs, count)
    if spread is None:
        return inapplicable("no finite output has a row for each example")
    if spread > ALIKE:
        return passed(f"outputs of different inputs differ by {spread:.1g} of their size")
    trial = program.trial()
    trial.fill_zeros()
    filled = _spread(trial, program, args, kwargs, count)
    if filled is not None and filled > ALIKE:
        return passed("outputs are the same for all inputs because weights start at zero, and differ where they do not")
    return seen(
        f"outputs are the same for all inputs: they differ by {spread:.1g} of their size, though the inputs do",
        spread=spread,
        rows=count,
    )


def _spread(trial: Trial, program: Program, args: Any, kwargs: Any, count: int) -> float | None:
    """Return how much outputs differ between rows as a share of their size, at most over the outputs."""
    trial.fitting_mode()
    outputs = _outputs(trial, program, (args, kwargs), count)
    finite = [x for x in outputs if bool(torch.isfinite(x).all())]
    return max((_distance(x, x[:1].expand_as(x)) for x in finite), default=None)


RULES = (
    Rule(
        "examples_mixed",
        _mixed,
        "critical",
        0,
        "The answer for an image must not depend on which others stand beside it. A reshape that takes the batch's axis for another, a "
        "softmax or attention over axis 0, or batch norm without running statistics mixes examples. Training may look well, and the "
        "network fails on images one by one.",
        "an invariant; Karpathy 2019, A Recipe for Training Neural Networks (use backprop to chart dependencies)",
        (
            Remedy("look at every view, reshape, permute and softmax for the axis of the batch"),
            Remedy("attention: say where the batch is", "nn.MultiheadAttention(..., batch_first=True)"),
            Remedy("keep running statistics in batch norm", "nn.BatchNorm2d(C, track_running_stats=True)"),
        ),
        computable=False,
    ),
    Rule(
        "batch_size_fixed",
        _batch_size,
        "note",
        1,
        "The network has the size of the batch written into it. The last batch of an epoch is smaller, and a single image is a batch of "
        "one. Take the size from the input.",
        "an invariant",
        (Remedy("take the size from the input", "x = x.view(x.shape[0], -1)"),),
        computable=False,
    ),
    watched("outputs_ignore_inputs", _ignored, computable=False),
)
