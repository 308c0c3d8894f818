"""The recurrence of a convolutional LSTM along a scan, step by step over whole lines of cells, with its backward pass written out.

Letters: R directions, h units, K taps, P positions, N rasters. For a cell with neighbours h_k (taps of the step before) and c_0 (tap 0),

    (i, f, g, o) = x + sum over k of U_k h_k          x is what comes from the layer below, for all steps at once
    c = s(f) c_0 + s(i) tanh(g)                       s(z) = 1 / (1 + e^-z)
    h = s(o) tanh(c)

(van den Oord et al. 2016, 1601.06759, equation 3.) What makes it fast, on processors at least: features come first and rasters last in memory,
so that every gate of a step is one stretch; all directions are one batched product; nothing is allocated within the loop; tanh(z) =
2 s(2 z) - 1 so that all gates are one call of the logistic function, which costs a sixth of torch's tanh; and the gradient of the weights is
added up as products over whole steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seewhy.models.autoregressive.skew import Scan

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


def recur(x: Tensor, weight: Tensor, scan: Scan) -> Tensor:
    """Return h at each position, (R, h, P, N), zero where a shifted direction has nothing to say.

    Args:
        x: the gates' inputs, (R, 4 h, P, N), in the order i, f, g, o.
        weight: U, (R, 4 h, K h): columns of tap 0 first.
        scan: the order of positions.
    """
    found: Tensor = _Recurrence.apply(x, weight, scan)
    return found[:, :, :-1]


class _Recurrence(torch.autograd.Function):
    """Kept for each step: logistic gates s, G = 2 tanh(g), t = tanh(c) and, but for the first, C_0 = 2 c_0 and the taps.

    With C = 2 c the step is C = s(f) C_0 + s(i) G, G = 4 s(2 g) - 2, t = 2 s(C) - 1. Backward, with E = 2 dL/dC and s' = s (1 - s),

        E = dh s(o) (1 - t^2) + s(f') E' of the step after
        2 dL/di = E G s'(i)    2 dL/df = E C_0 s'(f)    dL/dg / 4 = E s(i) s'(2 g)    dL/do = dh t s'(o)

    so that one product with s' serves all gates; the factors go into the weights.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scan: Scan) -> Tensor:
        doubled = weight * _per_gate(weight, 1.0, 1.0, 2.0, 1.0)
        out = x.new_zeros(x.shape[0], x.shape[1] // 4, x.shape[2] + 1, x.shape[3])
        lines: Tensor | None = None
        kept: list[Tensor] = []
        for step in range(len(scan.sizes)):
            gates = _gathered(x, scan, step)
            before = None
            if lines is not None:
                before = _windows(lines, scan, step)
                torch.baddbmm(gates.flatten(2), doubled, before[1].flatten(2), out=gates.flatten(2))
            lines, rest = _step(gates, None if before is None else before[0], scan, step)
            kept += [*rest, *(before or ())]
            for end, shown, places in zip(out, _inner(lines[1], scan, step), scan.outlets[step], strict=True):
                end.index_copy_(1, places, shown)
        ctx.scan = scan
        ctx.save_for_backward(weight, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scan: Scan = ctx.scan
        weight, *kept = ctx.saved_tensors
        scale = _per_gate(weight, 0.5, 0.5, 4.0, 1.0)
        turned = (weight * scale).transpose(1, 2)
        directions, h, places, n = gradient.shape
        dx = gradient.new_empty(directions, 4 * h, places, n)
        dweight = torch.zeros_like(weight)
        after: tuple[Tensor, Tensor] | None = None
        for step in reversed(range(len(scan.sizes))):
            gates, doubled, bent, *before = kept[-5:] if step else kept
            del kept[-5:]
            dh, e = _incoming(gradient, after, scan, step)
            dgates = _step_back(gates, doubled, bent, before, dh, e, after is not None, scan.filled[step])
            for end, found, where in zip(dx, dgates, scan.places[step], strict=True):
                end.index_copy_(1, where, found)
            if before:
                dweight.baddbmm_(dgates.flatten(2), before[1].flatten(2).transpose(1, 2))
                dtaps = torch.bmm(turned, dgates.flatten(2)).view_as(before[1])
                after = dtaps, e.mul_(gates[:, h : 2 * h])
        return dx[:, :, :-1].mul_(scale[..., None]), dweight.mul_(scale), None


def _per_gate(weight: Tensor, *factors: float) -> Tensor:
    """Return a factor for each row of a weight whose rows are those of i, f, g, o: (4 h, 1)."""
    return weight.new_tensor(factors).repeat_interleave(weight.shape[1] // 4)[:, None]


def _inner(line: Tensor, scan: Scan, step: int) -> Tensor:
    """Return the cells of a padded line (..., cells, N)."""
    return line.narrow(-2, scan.before, scan.sizes[step])


def _gathered(x: Tensor, scan: Scan, step: int) -> Tensor:
    """Return what the cells of a step read of x (R, F, P, N): (R, F, n_s, N). The gates' third is doubled."""
    places, filled = scan.places[step], scan.filled[step]
    if filled is not None:
        places = places.clamp_max(x.shape[2] - 1)  # an empty cell reads anything: it is set to zero after
    found = x.new_empty(*x.shape[:2], scan.sizes[step], x.shape[3])
    for end, start, where in zip(found, x, places, strict=True):
        torch.index_select(start, 1, where, out=end)
    found.chunk(4, 1)[2].mul_(2.0)
    return found


def _windows(lines: Tensor, scan: Scan, step: int) -> tuple[Tensor, Tensor]:
    """Return C_0 (R, h, n_s, N) and the taps (R, K h, n_s, N) out of the padded lines of the step before."""
    starts, size = scan.windows[step - 1], scan.sizes[step]
    past, shown = lines.unbind()
    return past.narrow(2, starts[0], size), torch.cat([shown.narrow(2, start, size) for start in starts], 1)


def _step(gates: Tensor, past: Tensor | None, scan: Scan, step: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Take a step from the gates' sums, which become s in place.

    Returns:
        The padded lines of C and h, (2, R, h, cells, N), and what is kept: s, G and t.
    """
    directions, rows, size, n = gates.shape
    i, f, g, o = gates.sigmoid_().chunk(4, 1)
    lines = gates.new_zeros(2, directions, rows // 4, scan.before + size + scan.after, n)
    c, shown = _inner(lines, scan, step).unbind()
    doubled = torch.add(gates.new_tensor(-2.0), g, alpha=4)
    if past is not None:
        torch.mul(f, past, out=c)
    c.addcmul_(i, doubled)
    filled = scan.filled[step]
    if filled is not None:
        c.mul_(filled)
    bent = torch.sigmoid(c)
    torch.add(gates.new_tensor(-1.0), bent, alpha=2, out=bent)
    torch.mul(o, bent, out=shown)
    return lines, (gates, doubled, bent)


def _incoming(gradient: Tensor, after: tuple[Tensor, Tensor] | None, scan: Scan, step: int) -> tuple[Tensor, Tensor]:
    """Return dL/dh of a step's cells and what comes to their E from the step after, each (R, h, n_s, N)."""
    directions, h, _, n = gradient.shape
    # Beside the cells the lines hold anything: nobody reads it.
    lines = gradient.new_empty(2, directions, h, scan.before + scan.sizes[step] + scan.after, n)
    dh, e = _inner(lines, scan, step).unbind()
    for end, start, where in zip(dh, gradient, scan.outlets[step], strict=True):
        torch.index_select(start, 1, where, out=end)
    if after is not None:
        starts, size = scan.windows[step], scan.sizes[step + 1]
        dtaps, carried = after
        for start, part in zip(starts, dtaps.chunk(len(starts), 1), strict=True):
            lines[0].narrow(2, start, size).add_(part)
        lines[1].zero_()
        lines[1].narrow(2, starts[0], size).copy_(carried)
    return dh, e


def _step_back(
    gates: Tensor,
    doubled: Tensor,
    bent: Tensor,
    before: list[Tensor],
    dh: Tensor,
    e: Tensor,
    carried: bool,
    filled: Tensor | None,
) -> Tensor:
    """Return dL/d(sums of the gates) but for the factors; `e` becomes E in place."""
    i, _, _, o = gates.chunk(4, 1)
    found = torch.empty_like(gates)
    di, df, dg, do = found.chunk(4, 1)
    torch.mul(dh, bent, out=do)
    own = torch.mul(dh, o)
    _tanh_backward(own, bent, grad_input=own)
    if carried:
        e.add_(own)
    else:
        e.copy_(own)
    if filled is not None:
        e.mul_(filled)
    torch.mul(e, doubled, out=di)
    if before:
        torch.mul(e, before[0], out=df)
    else:
        df.zero_()
    torch.mul(e, i, out=dg)
    _sigmoid_backward(found, gates, grad_input=found)
    return found
