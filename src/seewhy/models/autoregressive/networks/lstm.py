"""The network that Row LSTM and Diagonal BiLSTM share: all but the order in which the recurrence scans the raster.

    values   v / (L - 1) * 2 - 1
    below    masked convolution of type A, F = 2 h features
    layer    f <- f + up(h_1, ..., h_R), the LSTM's states in each direction; its gates' inputs are a masked linear map of f, type B
    logits   two masked 1 x 1 convolutions behind a ReLU each

(van den Oord et al. 2016, 1601.06759, figure 5 and table 1.) Between the layers features come first and rasters last, (F, P, N): then every
product is one of matrices, and the recurrence reads whole stretches.

Colours stay causal because the rows of i, f, g and o are shared out among them alike, and masked layers never see a later colour at
their own position. The state comes from earlier positions, whose values are all before, so its weights need no mask; neither do
those of directions that are shifted.

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
from seewhy.models.autoregressive.networks.masked import MaskedConv, colours
from seewhy.models.autoregressive.networks.recurrence import of_gates, recur
from seewhy.models.autoregressive.networks.skew import Scan, neighbour_columns
from seewhy.models.autoregressive.raster import by_level, scaled, validate_values

ScanOf = Callable[[tuple[int, ...], torch.device], Scan]


@dataclasses.dataclass(frozen=True)
class ScanPattern:
    """How a kind of network scans a raster.

    Attributes:
        scan_of: gives the scan of a raster's sides.
        steps: what the gates read of the layer below, as steps from their own position, itself last; each earlier in raster order.
    """

    scan_of: ScanOf
    steps: tuple[tuple[int, ...], ...]


class MaskedLinear(nn.Module):
    """A linear map of features, (F_in, M) -> (F_out, M), with some of its weights held at zero.

    Args:
        mask: 1 where a weight may be other than zero, (F_out, F_in).
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        bound = 1.0 / math.sqrt(max(1.0, mask[-1].sum().item()))
        self.weight = nn.Parameter(torch.empty_like(mask).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(len(mask), 1))

    def forward(self, x: Tensor) -> Tensor:
        """(F_in, M) -> (F_out, M)."""
        weight, bias = self.masked_parameters()
        return torch.addmm(bias, weight, x)

    def masked_parameters(self) -> tuple[Tensor, Tensor]:
        """Return the weights, with zeros where they are masked, (F_out, F_in), and the biases (F_out, 1)."""
        return self.weight * self.mask, self.bias


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
        others = torch.ones((directions - 1) * 4 * width, first.shape[1])
        self.below = MaskedLinear(torch.cat([first, others]))
        bound = 1.0 / math.sqrt(taps * width)
        self.state = nn.Parameter(torch.empty(directions, 4 * width, taps * width).uniform_(-bound, bound))
        free = torch.ones(features, (directions - 1) * width)
        self.up = MaskedLinear(torch.cat([_before(units, inner), free], 1))
        self.condition = None if classes is None else nn.Parameter(torch.zeros(directions * 4 * width, classes))
        with torch.no_grad():  # the cells remember at first (Gers et al. 2000)
            self.below.bias.view(directions, 4, width)[:, 1] = 1.0

    def doubled(self) -> Tensor:
        """Return 1 for rows of i, f and o and 2 for those of g, (4 h, 1): the recurrence wants it so."""
        return of_gates(self.state, self.state.shape[1] // 4, 1.0, 1.0, 2.0, 1.0)

    def gates(self, below: list[Tensor], one_hot: Tensor | None) -> Tensor:
        """Return the gates' inputs (R, 4 h, Q, N), those of g doubled.

        Args:
            below: what each direction reads, (J F + C, Q, N) each.
            one_hot: classes (K, N), or None.
        """
        weight, bias = self.below.masked_parameters()
        factor = self.doubled()
        inputs = []
        for direction, features in enumerate(below):
            rows = slice(direction * len(factor), (direction + 1) * len(factor))
            x = torch.addmm(factor * bias[rows], factor * weight[rows], features.flatten(1))
            x = x.view(-1, *features.shape[1:])
            if one_hot is not None and self.condition is not None:
                x = x + (factor * self.condition[rows] @ one_hot)[:, None]
            inputs.append(x)
        return torch.stack(inputs) if len(inputs) > 1 else inputs[0][None]

    def forward(self, f: Tensor, below: Tensor, one_hot: Tensor | None, scan: Scan) -> Tensor:
        """Return the features above from those below, (F, Q, N), and what direction 0 reads, (J F + C, Q, N)."""
        dtype = torch.promote_types(self.state.dtype, torch.float32)  # the state is summed over many steps
        x = self.gates([below, *(turn(below) for turn in scan.turn)], one_hot)
        first, *others = recur(x.to(dtype), (self.doubled() * self.state).to(dtype), scan)
        states = torch.cat([first, *(back(each) for back, each in zip(scan.back, others, strict=True))])
        result: Tensor = f + self.up(states.flatten(1).to(f.dtype)).view_as(f)
        return result


class LSTMNet(nn.Module):
    """An autoregressive network of LSTM layers over a raster; `RowLSTM` and `DiagonalBiLSTM` say how it scans it.

    Args:
        shape: (C, *axes).
        levels: L.
        pattern: how it scans the raster.
        classes: number of classes, or None.
        width: h.
        depth: number of layers.
        first_kernel_size: side of the first convolution.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self,
        shape: Sequence[int],
        levels: int,
        pattern: ScanPattern,
        *,
        classes: int | None,
        width: int,
        depth: int,
        first_kernel_size: int,
    ) -> None:
        super().__init__()
        self.shape, self.levels, self.classes = tuple(shape), levels, classes
        _validate(self.shape, width, depth, first_kernel_size)
        channels, *sides = self.shape
        self.sides, self.scan_of = tuple(sides), pattern.scan_of
        features = 2 * width
        self.first = MaskedConv("A", channels, features, (first_kernel_size,) * len(sides), channels=channels)
        scan = pattern.scan_of(self.sides, torch.device("cpu"))
        self.steps = pattern.steps
        self.layers = nn.ModuleList(
            LSTMLayer(
                features,
                width,
                channels,
                classes,
                directions=len(scan.shifts),
                taps=len(scan.offsets),
                steps=len(pattern.steps),
            )
            for _ in range(depth)
        )
        inner = colours(features, channels)
        self.hidden = MaskedLinear(_before(inner, inner))
        self.last = MaskedLinear(_before(inner, torch.arange(channels).repeat_interleave(levels)))

    def one_hot(self, labels: Tensor | None) -> Tensor | None:
        """Return one-hot classes (K, N)."""
        return (
            None
            if labels is None or self.classes is None
            else F.one_hot(labels, self.classes).T.to(self.first.weight.dtype)
        )

    def forward(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, C, *axes) int64 or uint8, labels int64 (N) where there are classes -> (N, L, C, *axes)."""
        validate_values(self, values, labels)
        x = scaled(values, self.levels)
        scan = self.scan_of(self.sides, x.device)
        near = neighbour_columns(self.scan_of, self.sides, self.steps[:-1], x.device) if len(self.steps) > 1 else ()
        one_hot = self.one_hot(labels)
        f = scan.enter(self.first(x).flatten(2).permute(1, 2, 0).contiguous())
        x = scan.enter(x.flatten(2).permute(1, 2, 0).to(f.dtype))
        for layer in self.layers:
            f = layer(f, torch.cat([*(shifted(f) for shifted in near), f, x]), one_hot, scan)
        logits = scan.leave(self.head(f.flatten(1)).view(-1, *f.shape[1:]))
        return by_level(logits.view(-1, *self.sides, values.shape[0]).movedim(-1, 0), self.shape[0], self.levels)

    def head(self, f: Tensor) -> Tensor:
        """Return logits, (F, M) -> (C L, M)."""
        logits: Tensor = self.last(F.relu(self.hidden(F.relu(f))))
        return logits


def _validate(shape: tuple[int, ...], width: int, depth: int, first_kernel_size: int) -> None:
    if width < shape[0]:
        raise bad_value("width", width, f"at least the number of channels ({shape[0]})")
    if depth < 1:
        raise bad_value("depth", depth, "at least 1")
    if first_kernel_size < 3 or first_kernel_size % 2 == 0:
        raise bad_value("first_kernel_size", first_kernel_size, "odd and at least 3")
