"""The network that Row LSTM and Diagonal BiLSTM share: all but the order in which the state goes over the raster.

    values   v / (L - 1) * 2 - 1
    below    masked convolution of type A, F = 2 h features
    layer    f <- f + up(h_1, ..., h_R), the LSTM's states in each direction; its gates' inputs are a masked product of f, type B
    logits   two masked 1 x 1 products behind a ReLU each

(van den Oord et al. 2016, 1601.06759, figure 5 and table 1.) Between the layers features come first and rasters last, (F, P, N): then every
product is one of matrices, and the recurrence reads whole stretches.

Colours stay causal because the rows of i, f, g and o are shared out among them alike, and masked products never look at a later colour at
their own position. The state comes from earlier positions, whose values are all before, so its product needs no mask; neither do
directions that are shifted.

Letters: N rasters, C colours, P positions, L levels, F features, h units of each direction, R directions, K taps of the state, J of the input.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import bad_value
from seewhy.models.autoregressive.lstm_cursor import LSTMCursor
from seewhy.models.autoregressive.masked import MaskedConv, colours
from seewhy.models.autoregressive.raster import by_level, check_values, scaled
from seewhy.models.autoregressive.recurrence import recur
from seewhy.models.autoregressive.skew import Scan, looks

Order = Callable[[tuple[int, ...], torch.device], Scan]


@dataclasses.dataclass(frozen=True)
class Way:
    """How a kind of network goes over a raster.

    Attributes:
        order: gives the scan of a raster's sides.
        steps: where the gates look in the layer below, as steps from their own position, itself last; each earlier in raster order.
    """

    order: Order
    steps: tuple[tuple[int, ...], ...]


class MaskedProduct(nn.Module):
    """A product over features, (F_in, M) -> (F_out, M), with some of its weights held at zero.

    Args:
        seen: 1 where a weight may be other than zero, (F_out, F_in).
    """

    seen: Tensor

    def __init__(self, seen: Tensor) -> None:
        super().__init__()
        self.register_buffer("seen", seen, persistent=False)
        bound = 1.0 / math.sqrt(max(1.0, seen[-1].sum().item()))
        self.weight = nn.Parameter(torch.empty_like(seen).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(len(seen), 1))

    def forward(self, x: Tensor) -> Tensor:
        """(F_in, M) -> (F_out, M)."""
        weight, bias = self.masked()
        return torch.addmm(bias, weight, x)

    def masked(self) -> tuple[Tensor, Tensor]:
        """Return the weights with zeros where nothing may be seen, (F_out, F_in), and the biases (F_out, 1)."""
        return self.weight * self.seen, self.bias


def _before(inner: Tensor, outer: Tensor) -> Tensor:
    """Return the mask (F_out, F_in) of type B within a position."""
    return (inner[None] <= outer[:, None]).float()


class LSTMLayer(nn.Module):
    """A layer of the network: f -> f + up(states), (F, P, N) -> (F, P, N).

    Args:
        features: F.
        width: h.
        channels: C.
        classes: how many classes the gates' biases depend on; None for none.
        directions: R.
        taps: K.
        steps: J.
    """

    def __init__(
        self, features: int, width: int, channels: int, classes: int | None, *, directions: int, taps: int, steps: int
    ) -> None:
        super().__init__()
        inner, units = colours(features, channels), colours(width, channels)
        own = _before(inner, units.repeat(4))
        first = torch.cat([torch.ones(4 * width, (steps - 1) * features), own, torch.zeros(4 * width, channels)], 1)
        seen = torch.cat([first, torch.ones((directions - 1) * 4 * width, first.shape[1])])
        self.below = MaskedProduct(seen)
        bound = 1.0 / math.sqrt(taps * width)
        self.state = nn.Parameter(torch.empty(directions, 4 * width, taps * width).uniform_(-bound, bound))
        free = torch.ones(features, (directions - 1) * width)
        self.up = MaskedProduct(torch.cat([_before(units, inner), free], 1))
        self.condition = None if classes is None else nn.Parameter(torch.zeros(directions * 4 * width, classes))
        with torch.no_grad():  # the cells remember at first (Gers et al. 2000)
            self.below.bias.view(directions, 4, width)[:, 1] = 1.0

    def doubled(self) -> Tensor:
        """Return 1 for rows of i, f and o and 2 for those of g, (4 h, 1): the recurrence wants it so."""
        return self.state.new_tensor([1.0, 1.0, 2.0, 1.0]).repeat_interleave(self.state.shape[1] // 4)[:, None]

    def gates(self, below: list[Tensor], chosen: Tensor | None) -> Tensor:
        """Return the gates' inputs (R, 4 h, Q, N), those of g doubled.

        Args:
            below: what each direction looks at, (J F + C, Q, N) each.
            chosen: one-hot classes (K, N), or None.
        """
        weight, bias = self.below.masked()
        factor = self.doubled()
        parts = []
        for direction, seen in enumerate(below):
            rows = slice(direction * len(factor), (direction + 1) * len(factor))
            x = torch.addmm(factor * bias[rows], factor * weight[rows], seen.flatten(1)).view(-1, *seen.shape[1:])
            if chosen is not None and self.condition is not None:
                x = x + (factor * self.condition[rows] @ chosen)[:, None]
            parts.append(x)
        return torch.stack(parts) if len(parts) > 1 else parts[0][None]

    def forward(self, f: Tensor, below: Tensor, chosen: Tensor | None, scan: Scan) -> Tensor:
        """Return the features above from those below, (F, Q, N), and what direction 0 looks at, (J F + C, Q, N)."""
        kind = torch.promote_types(self.state.dtype, torch.float32)  # the state is summed over many steps
        x = self.gates([below, *(turn(below) for turn in scan.turn)], chosen)
        first, *others = recur(x.to(kind), (self.doubled() * self.state).to(kind), scan)
        states = torch.cat([first, *(back(each) for back, each in zip(scan.back, others, strict=True))])
        found: Tensor = f + self.up(states.flatten(1).to(f.dtype)).view_as(f)
        return found


class LSTMNet(nn.Module):
    """An autoregressive network of LSTM layers over a raster; `RowLSTM` and `DiagonalBiLSTM` say how it goes over it.

    Args:
        shape: (C, *axes).
        levels: L.
        way: how it goes over the raster.
        classes: number of classes, or None.
        width: h.
        depth: number of layers.
        kernel: side of the first convolution.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self, shape: Sequence[int], levels: int, way: Way, *, classes: int | None, width: int, depth: int, kernel: int
    ) -> None:
        super().__init__()
        self.shape, self.levels, self.classes = tuple(shape), levels, classes
        _check(self.shape, width, depth, kernel)
        channels, *sides = self.shape
        self.sides, self.order = tuple(sides), way.order
        features = 2 * width
        self.first = MaskedConv("A", channels, features, (kernel,) * len(sides), channels=channels)
        scan = way.order(self.sides, torch.device("cpu"))
        self.steps = way.steps
        self.layers = nn.ModuleList(
            LSTMLayer(
                features,
                width,
                channels,
                classes,
                directions=len(scan.shifts),
                taps=len(scan.offsets),
                steps=len(way.steps),
            )
            for _ in range(depth)
        )
        inner = colours(features, channels)
        self.hidden = MaskedProduct(_before(inner, inner))
        self.last = MaskedProduct(_before(inner, torch.arange(channels).repeat_interleave(levels)))

    def chosen(self, labels: Tensor | None) -> Tensor | None:
        """Return one-hot classes (K, N)."""
        return (
            None
            if labels is None or self.classes is None
            else F.one_hot(labels, self.classes).T.to(self.first.weight.dtype)
        )

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        check_values(self, values, labels)
        x = scaled(values, self.levels)
        scan = self.order(self.sides, x.device)
        near = looks(self.order, self.sides, self.steps[:-1], x.device) if len(self.steps) > 1 else ()
        chosen = self.chosen(labels)
        f = scan.enter(self.first(x).flatten(2).permute(1, 2, 0).contiguous())
        x = scan.enter(x.flatten(2).permute(1, 2, 0).to(f.dtype))
        for layer in self.layers:
            f = layer(f, torch.cat([*(look(f) for look in near), f, x]), chosen, scan)
        found = scan.leave(self.head(f.flatten(1)).view(-1, *f.shape[1:]))
        return by_level(found.view(-1, *self.sides, len(values)).movedim(-1, 0), self.shape[0], self.levels)

    def head(self, f: Tensor) -> Tensor:
        """Return logits, (F, M) -> (C L, M)."""
        found: Tensor = self.last(F.relu(self.hidden(F.relu(f))))
        return found

    def cursor(self, values: Tensor, labels: Tensor | None = None) -> LSTMCursor:
        """Return a cursor over values that are filled behind it, with the states of the positions before kept."""
        check_values(self, values, labels)
        return LSTMCursor(self, values, labels)


def _check(shape: tuple[int, ...], width: int, depth: int, kernel: int) -> None:
    if width < shape[0]:
        raise bad_value("model.width", width, f"at least the number of channels ({shape[0]})")
    if depth < 1:
        raise bad_value("model.depth", depth, "at least 1")
    if kernel < 3 or kernel % 2 == 0:
        raise bad_value("model.kernel", kernel, "odd and at least 3")
