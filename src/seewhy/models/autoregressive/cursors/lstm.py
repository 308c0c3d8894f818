"""The cursor of `RowLSTM` and `DiagonalBiLSTM`: the states of earlier positions are cached, so that a position is computed once.

Direction 0 moves with the cursor. A direction that is shifted along axis a sees nothing of the slice, along that axis, in which the cursor is;
so when a slice begins, it goes over the one before.

Only the states of the current and the previous index of the first axis are ever read, so that no more are cached. Within a position the
features of a colour are computed when the values of the colours before it are there.

Letters: as in `seewhy.models.autoregressive.networks.lstm`; Q slots, the last of which stands for what lies outside and stays zero.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from seewhy.models.autoregressive.networks.lstm import LSTMLayer, LSTMNet
from seewhy.models.autoregressive.networks.masked import colours
from seewhy.models.autoregressive.networks.skew import Scan, neighbour_positions
from seewhy.models.autoregressive.raster import positions


class _Rows:
    """The rows of a masked product that belong to each colour: weights and biases."""

    def __init__(self, weight: Tensor, bias: Tensor, owner: Tensor, channels: int) -> None:
        rows = [torch.nonzero(owner == colour).flatten() for colour in range(channels)]
        self.weights = [weight[row].contiguous() for row in rows]
        self.biases = [bias[row].contiguous() for row in rows]

    def __call__(self, x: Tensor, colour: int) -> Tensor:
        """(F_in, N) -> (F_c, N)."""
        return torch.addmm(self.biases[colour], self.weights[colour], x)


class _Layer:
    """What is cached of a layer: the features below it and its states, slot by slot."""

    def __init__(self, layer: LSTMLayer, one_hot: Tensor | None, channels: int, slots: int, n: int) -> None:
        weight, bias = layer.below.masked_parameters()
        if one_hot is not None and layer.condition is not None:
            bias = bias + layer.condition @ one_hot
        self.directions, h = len(layer.state), layer.state.shape[1] // 4
        parts = zip(weight.chunk(self.directions), layer.state, strict=True)
        self.weights = [torch.cat(part, 1) for part in parts]
        self.biases = bias.chunk(self.directions)
        units = colours(h, channels)
        self.gates = _Rows(self.weights[0], self.biases[0], units.repeat(4), channels)
        self.up = _Rows(*layer.up.masked_parameters(), colours(2 * h, channels), channels)
        spans = torch.bincount(units, minlength=channels).cumsum(0).tolist()
        self.units = list(zip([0, *spans], spans, strict=False))
        self.below = weight.new_zeros(slots, 2 * h, n)
        self.state = weight.new_zeros(self.directions, slots, h, n)
        self.hidden = weight.new_zeros(self.directions, slots, h, n)


def _cell(gates: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """Return c and h of one step, from the gates' sums (4 h, N) and c of before (h, N)."""
    i, f, g, o = gates.chunk(4)
    c = f.sigmoid() * past + i.sigmoid() * g.tanh()
    return c, o.sigmoid() * c.tanh()


class LSTMCursor:
    """Gives the distributions of a raster's values one after the other.

    Args:
        net: the network.
        values: int64 or uint8 (N, C, *axes), filled from outside.
        labels: int64 (N) where there are classes.
    """

    def __init__(self, net: LSTMNet, values: Tensor, labels: Tensor | None) -> None:
        with torch.no_grad():
            self._prepare(net, values, labels)

    def _prepare(self, net: LSTMNet, values: Tensor, labels: Tensor | None) -> None:
        self.channels, *sides = net.shape
        self.sides, self.total, self.values = tuple(sides), math.prod(sides), values.flatten(2)
        self.span = 2 * math.prod(sides[1:])
        self.factor, n = 2.0 / (net.levels - 1), len(values)
        device = values.device
        scan: Scan = net.scan_of(self.sides, device)
        self.orders, self.shifts = scan.orders.tolist(), scan.shifts
        self.taps = scan.taps.tolist()
        features = len(net.first.mask)
        half = net.first.mask.shape[2:]
        centre = tuple(side // 2 for side in net.first.kernel)
        visible = [offset for offset in positions(half) if offset <= centre]
        steps = tuple(tuple(a - b for a, b in zip(offset, centre, strict=True)) for offset in visible)
        self.window = neighbour_positions(self.sides, steps, device)
        weight = net.first.masked_weight()
        cells = [number for number, offset in enumerate(positions(half)) if offset <= centre]
        visible_weight = weight.flatten(2)[:, :, cells].transpose(1, 2)
        bias = weight.new_zeros(features, 1) if net.first.bias is None else net.first.bias[:, None]
        owner = colours(features, self.channels)
        self.first = _Rows(visible_weight.flatten(1), bias, owner, self.channels)
        self.head = _Rows(*net.hidden.masked_parameters(), owner, self.channels)
        outer = torch.arange(self.channels).repeat_interleave(net.levels)
        self.last = _Rows(*net.last.masked_parameters(), outer, self.channels)
        spans = torch.bincount(owner, minlength=self.channels).cumsum(0).tolist()
        self.owned = list(zip([0, *spans], spans, strict=False))
        self.inputs = neighbour_positions(self.sides, net.steps, device).tolist()
        layers = cast("list[LSTMLayer]", list(net.layers))
        one_hot = net.one_hot(labels)
        self.layers = [_Layer(layer, one_hot, self.channels, self.span + 1, n) for layer in layers]
        self.top = weight.new_zeros(features, n)
        self.middle = weight.new_zeros(features, n)
        self.x = weight.new_zeros(self.total + 1, self.channels, n)
        self.nothing = weight.new_zeros(self.channels, n)

    def _slot(self, at: int) -> int:
        """Return where a position's features are cached."""
        return self.span if at == self.total else at % self.span

    def _read(self, at: int, colour: int) -> None:
        """Bring in the values of a position that stand before a colour."""
        if colour:
            self.x[at, :colour] = self.values[:, :colour, at].T * self.factor - 1.0

    def _gate_inputs(self, layer: _Layer, direction: int, at: int, x: Tensor) -> list[Tensor]:
        """Return the rows that the gates of a position read."""
        below = [layer.below[self._slot(position)] for position in self.inputs[at]]
        return [*below, x, *(layer.hidden[direction, self._slot(tap)] for tap in self.taps[direction][at])]

    def _catch_up(self, at: int) -> None:
        """Let the shifted directions go over the slices that are complete."""
        for direction, shift in enumerate(self.shifts):
            if shift is None:
                continue
            pitch = math.prod(self.sides[shift + 1 :])
            if at % pitch or at // pitch % self.sides[shift] == 0:
                continue
            for done in self.orders[direction][at - pitch : at]:
                for layer in self.layers:
                    inputs = torch.cat(self._gate_inputs(layer, direction, done, self.x[done]))
                    gates = torch.addmm(layer.biases[direction], layer.weights[direction], inputs)
                    past = layer.state[direction, self._slot(self.taps[direction][done][0])]
                    slot = self._slot(done)
                    layer.state[direction, slot], layer.hidden[direction, slot] = _cell(gates, past)

    def _visible_states(self, layer: _Layer, at: int) -> list[Tensor]:
        """Return h of every direction as it is visible at a position."""
        states = []
        for direction, shift in enumerate(self.shifts):
            pitch = 0 if shift is None else math.prod(self.sides[shift + 1 :])
            outside = shift is not None and at // pitch % self.sides[shift] == 0
            states.append(layer.hidden[direction, self._slot(self.total if outside else at - pitch)])
        return states

    @torch.no_grad()
    def logits(self, position: tuple[int, ...], colour: int) -> Tensor:
        """Return logits (N, L), from the features of this position and colour, which are computed now."""
        at = 0
        for index, side in zip(position, self.sides, strict=True):
            at = at * side + index
        self._read(at, colour)
        if colour == 0 and at:
            self._read(at - 1, self.channels)
            self._catch_up(at)
        slot, owned = self._slot(at), slice(*self.owned[colour])
        f = self.first(self.x[self.window[at]].flatten(0, 1), colour)
        for layer in self.layers:
            layer.below[slot, owned] = f
            gates = layer.gates(torch.cat(self._gate_inputs(layer, 0, at, self.nothing)), colour)
            units = slice(*layer.units[colour])
            past = layer.state[0, self._slot(self.taps[0][at][0]), units]
            layer.state[0, slot, units], layer.hidden[0, slot, units] = _cell(gates, past)
            f = f + layer.up(torch.cat(self._visible_states(layer, at)), colour)
        self.top[owned] = f.relu()
        self.middle[owned] = F.relu(self.head(self.top, colour))
        return self.last(self.middle, colour).T
