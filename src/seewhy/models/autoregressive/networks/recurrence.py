"""The recurrence of a convolutional LSTM along a scan, step by step over whole lines of cells, with its backward pass written out.

Letters: R directions, h units, K taps, Q columns (`seewhy.models.autoregressive.networks.skew`), N rasters. For a cell with neighbours h_k
(taps of the step before) and c_0 (tap 0),

    (i, f, 2 g, o) = x + sum over k of U_k h_k        x is what comes from the layer below, for all steps at once
    c = s(f) c_0 + s(i) tanh(g)                       s(z) = 1 / (1 + e^-z)
    h = s(o) tanh(c)

(van den Oord et al. 2016, 1601.06759, equation 3.) What makes it fast, on processors at least: features come first and rasters last in memory,
so that a step is a stretch of columns and every gate of it is in one piece; all directions are one batched product; and since tanh(z) =
2 s(2 z) - 1 all gates are one call of the logistic function, which costs a sixth of torch's tanh.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seewhy.models.autoregressive.networks.skew import Scan

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


def recur(x: Tensor, weight: Tensor, scan: Scan) -> Tensor:
    """Return h, (R, h, Q, N).

    Args:
        x: the gates' inputs, (R, 4 h, Q, N), in the order i, f, 2 g, o.
        weight: U, (R, 4 h, K h): columns of tap 0 first, rows in the same order, those of g doubled too.
        scan: the order of positions.
    """
    with torch.autocast(
        x.device.type, enabled=False
    ):  # the state is summed over many steps: never in fewer bits than x has
        hidden: Tensor = _Recurrence.apply(x, weight, scan)
    return hidden


def of_gates(like: Tensor, h: int, *values: float) -> Tensor:
    """Return a number for each row of i, f, g and o, (4 h, 1), filled in where `like` is: copied to a GPU, it would make the host wait."""
    return torch.cat([like.new_full((h, 1), value) for value in values])


class _Recurrence(torch.autograd.Function):
    """Saved for each step: logistic gates s, G = 2 tanh(g), t = tanh(c) and, but for the first, C_0 = 2 c_0 and the taps.

    With C = 2 c the step is C = s(f) C_0 + s(i) G, G = 4 s(2 g) - 2, t = 2 s(C) - 1. Backward, with E = 2 dL/dC and s' = s (1 - s),

        E = dh s(o) (1 - t^2) + s(f') E' of the step after
        2 dL/di = E G s'(i)    2 dL/df = E C_0 s'(f)    dL/d(2 g) / 2 = E s(i) s'(2 g)    dL/do = dh t s'(o)

    so that one product with s' serves all gates; the factors are put in at the end.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scan: Scan) -> Tensor:
        sizes = list(scan.sizes)
        out = x.new_empty(x.shape[0], x.shape[1] // 4, *x.shape[2:])
        pair: tuple[Tensor, Tensor] | None = None
        saved: list[Tensor] = []
        for step, (given, end) in enumerate(zip(torch.split(x, sizes, 2), torch.split(out, sizes, 2), strict=True)):
            if pair is None:
                past, taps, gates = None, None, given.sigmoid()
            else:
                past, taps = _windows(*pair, scan, step)
                gates = torch.baddbmm(given.flatten(2), weight, taps.flatten(2)).view(given.shape).sigmoid_()
            pair, rest = _step(gates, past, scan, step)
            end.copy_(_inner(pair[1], scan, step))
            saved += [*rest, *(each for each in (past, taps) if each is not None)]
        ctx.scan = scan
        ctx.save_for_backward(weight, *saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scan: Scan = ctx.scan
        weight, *saved = ctx.saved_tensors
        sizes, h = list(scan.sizes), gradient.shape[1]
        scale = of_gates(weight, h, 0.5, 0.5, 2.0, 1.0)
        turned = (weight * scale).transpose(1, 2)
        dx = gradient.new_empty(gradient.shape[0], 4 * h, *gradient.shape[2:])
        dweight = torch.zeros_like(weight)
        after: tuple[Tensor, Tensor] | None = None
        each = zip(torch.split(gradient, sizes, 2), torch.split(dx, sizes, 2), strict=True)
        for step, (given, end) in reversed(list(enumerate(each))):
            gates, doubled, squashed, *before = saved[-5:] if step else saved
            del saved[-5:]
            i, f, _, o = gates.chunk(4, 1)
            dh, e = _incoming(given, after, o, squashed, scan, step)
            dgates = torch.empty_like(gates)
            di, df, dg, do = dgates.chunk(4, 1)
            torch.mul(dh, squashed, out=do)
            torch.mul(e, doubled, out=di)
            torch.mul(e, i, out=dg)
            if before:
                torch.mul(e, before[0], out=df)
            else:
                df.zero_()
            _sigmoid_backward(dgates, gates, grad_input=dgates)
            torch.mul(dgates, scale[..., None], out=end)
            if before:
                dweight.baddbmm_(dgates.flatten(2), before[1].flatten(2).transpose(1, 2))
                dtaps = torch.bmm(turned, dgates.flatten(2), out=torch.empty_like(before[1]).flatten(2))
                after = dtaps.view_as(before[1]), torch.mul(e, f)
        return dx, dweight.mul_(scale), None


def _inner(line: Tensor, scan: Scan, step: int) -> Tensor:
    """Return the cells of a padded line (R, h, cells, N)."""
    return line.narrow(2, scan.before, scan.sizes[step])


def _windows(c: Tensor, hidden: Tensor, scan: Scan, step: int) -> tuple[Tensor, Tensor]:
    """Return C_0 (R, h, n_s, N) and the taps (R, K h, n_s, N) out of the padded lines of the step before."""
    starts, size = scan.windows[step - 1], scan.sizes[step]
    return c.narrow(2, starts[0], size), torch.cat([hidden.narrow(2, start, size) for start in starts], 1)


def _step(
    gates: Tensor, past: Tensor | None, scan: Scan, step: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Take a step from s: return the padded lines of C and h, (R, h, cells, N), and what is saved: s, G and t."""
    i, f, g, o = gates.chunk(4, 1)
    directions, h, size, n = i.shape
    pair = gates.new_zeros(2, directions, h, scan.before + size + scan.after, n)
    c_line, h_line = pair.unbind()
    c = _inner(c_line, scan, step)
    doubled = torch.add(_MINUS_TWO, g, alpha=4)
    if past is not None:
        torch.mul(f, past, out=c)
    c.addcmul_(i, doubled)
    filled = scan.filled[step]
    if filled is not None:
        c.mul_(filled)
    squashed = torch.sigmoid(c)
    torch.add(_MINUS_ONE, squashed, alpha=2, out=squashed)
    torch.mul(o, squashed, out=_inner(h_line, scan, step))
    return (c_line, h_line), (gates, doubled, squashed)


_MINUS_ONE, _MINUS_TWO = torch.tensor(-1.0), torch.tensor(-2.0)


def _incoming(
    given: Tensor, after: tuple[Tensor, Tensor] | None, o: Tensor, squashed: Tensor, scan: Scan, step: int
) -> tuple[Tensor, Tensor]:
    """Return dL/dh and E of a step's cells, each (R, h, n_s, N), from dL/d(out) and what the step after hands back."""
    if after is None:
        dh, e = given, given * o
        _tanh_backward(e, squashed, grad_input=e)
    else:
        # Beside the cells the lines hold arbitrary numbers, which nothing reads.
        directions, h, size, n = given.shape
        lines = given.new_empty(2, directions, h, scan.before + size + scan.after, n)
        dh_line, e_line = lines.unbind()
        dh, e = _inner(dh_line, scan, step), _inner(e_line, scan, step)
        dtaps, carried = after
        starts, length = scan.windows[step], scan.sizes[step + 1]
        dh.copy_(given)
        for start, part in zip(starts, dtaps.chunk(len(starts), 1), strict=True):
            dh_line.narrow(2, start, length).add_(part)
        torch.mul(dh, o, out=e)
        _tanh_backward(e, squashed, grad_input=e)
        e_line.narrow(2, starts[0], length).add_(carried)
    filled = scan.filled[step]
    return dh, e if filled is None else e.mul_(filled)
