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
from seewhy.models.autoregressive.skew import Scan, neighbours

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
        bias: whether there is one.
    """

    seen: Tensor

    def __init__(self, seen: Tensor, *, bias: bool = True) -> None:
        super().__init__()
        self.register_buffer("seen", seen, persistent=False)
        bound = 1.0 / math.sqrt(max(1.0, seen[-1].sum().item()))
        self.weight = nn.Parameter(torch.empty_like(seen).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(len(seen), 1)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(F_in, M) -> (F_out, M)."""
        weight = self.weight * self.seen
        return weight @ x if self.bias is None else torch.addmm(self.bias, weight, x)


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
        assert self.below.bias is not None
        with torch.no_grad():  # the cells remember at first (Gers et al. 2000)
            self.below.bias.view(directions, 4, width)[:, 1] = 1.0

    def gates(self, below: Tensor, chosen: Tensor | None) -> Tensor:
        """Return the gates' inputs (R, 4 h, M, N) from what they look at, (J F + C, M, N), and one-hot classes (K, N)."""
        x: Tensor = self.below(below.flatten(1)).view(-1, *below.shape[1:])
        if chosen is not None and self.condition is not None:
            x = x + (self.condition @ chosen)[:, None]
        return x.view(len(self.state), -1, *below.shape[1:])

    def forward(self, f: Tensor, below: Tensor, chosen: Tensor | None, scan: Scan) -> Tensor:
        """Return the features above."""
        kind = torch.promote_types(
            self.state.dtype, torch.float32
        )  # never fewer bits for the state, which is summed over many steps
        states = recur(self.gates(below, chosen).to(kind), self.state.to(kind), scan)
        found: Tensor = f + self.up(states.flatten(0, 1).flatten(1).to(f.dtype)).view_as(f)
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

    def below(self, f: Tensor, x: Tensor) -> Tensor:
        """Return what the gates look at, (J F + C, P, N), from features (F, P, N) and values (C, P, N)."""
        if len(self.steps) == 1:
            return torch.cat([f, x])
        padded = F.pad(f, (0, 0, 0, 1))
        looks = neighbours(self.sides, self.steps[:-1], x.device)
        return torch.cat([*(padded.index_select(1, look) for look in looks.unbind(1)), f, x])

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        check_values(self, values, labels)
        x = scaled(values, self.levels)
        chosen = self.chosen(labels)
        f = self.first(x).flatten(2).permute(1, 2, 0).contiguous()
        x = x.flatten(2).permute(1, 2, 0).to(f.dtype)
        scan = self.order(self.sides, x.device)
        for layer in self.layers:
            f = layer(f, self.below(f, x), chosen, scan)
        found = self.head(f.flatten(1)).view(-1, *self.sides, len(values)).movedim(-1, 0)
        return by_level(found, self.shape[0], self.levels)

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
