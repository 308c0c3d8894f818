"""DropConnect: weights, not units, are dropped, by a mask of its own for every example (Wan et al. 2013).

Letters: N examples, q the probability that a weight stays, M_n a mask of the weights with entries Bernoulli(q), x_n the input, a the activation.

    training      y_n = a((M_n * W) x_n + m_n * b)
    evaluation    E a(u), u ~ N(q W x, q (1 - q) (W * W) (x * x)): the pre-activation is a sum of many independent terms, so its distribution is
                  near the Gaussian of the same moments (the paper's section 3.2)

The paper samples u many times and averages a(u). That mean is an integral in one variable per unit, which quadrature gives
without noise; without an activation it is q W x itself.

**How it is computed.** The masks are N times as large as the weights. They never exist all at once: a mask is a hash of (seed, example, weight),
so a few examples at a time are masked in the processor's cache, multiplied, and discarded; the backward pass hashes again. Nothing of the size
N x out x in is written to memory. A convolution's masked filters, one set per example, are applied as one grouped convolution.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import bad_value
from seewhy.core.seeding import murmur_hash_

NODES = tuple(-5.0 + 0.5 * index for index in range(21))
NODE_WEIGHTS = tuple(0.5 * math.exp(-0.5 * node**2) / math.sqrt(2.0 * math.pi) for node in NODES)
"""Of the quadrature, in standard deviations from the mean: the trapezoidal rule, whose error is below 0.01 standard deviations at the kink of a
rectifier, and far smaller for smooth activations."""

CHUNK_WEIGHTS = 1 << 20
"""Masked weights at a time, on a processor."""

CHUNK_WEIGHTS_ACCELERATOR = 1 << 25
"""The same on other devices, where a launch costs more than memory traffic."""


def masks(seed: Tensor, first: int, count: int, weights: int, keep: float) -> Tensor:
    """Return masks as integers with all bits set (the weight stays) or none: int32 (count, weights).

    The mask of an example depends on the seed, the example and the weight alone: the finaliser of MurmurHash3 over a counter (Appleby 2011).

    Args:
        seed: int64, one number.
        first: number of the first example.
        count: examples.
        weights: of one example.
        keep: q, to 31 bits.
    """
    rows = torch.arange(first, first + count, device=seed.device) * 0x9E3779B1 + seed
    start = murmur_hash_(rows.to(torch.int32))[:, None]
    if keep == 0.5:  # 32 fair bits a number
        words = torch.arange(-(-weights // 32), dtype=torch.int32, device=seed.device)
        powers = 1 << torch.arange(32, dtype=torch.int32, device=seed.device)
        bits = murmur_hash_(words * -1640531535 + start)[:, :, None] * powers  # a left shift, in a quicker kernel
        return bits.bitwise_right_shift_(31).flatten(1)[:, :weights]
    counter = torch.arange(weights, dtype=torch.int32, device=seed.device)
    bits = murmur_hash_(counter * -1640531535 + start).bitwise_and_(0x7FFFFFFF)
    return bits.sub_(round(keep * 0x7FFFFFFF)).bitwise_right_shift_(31)


def _masked(values: Tensor, mask: Tensor) -> Tensor:
    """Return the values (n, w) or (w) where the mask (n, w) is set, else 0; derivatives of all orders follow the values."""
    if values.dtype == torch.bfloat16 and not torch.is_grad_enabled():
        return values.view(torch.int16).bitwise_and(mask.to(torch.int16)).view(torch.bfloat16)
    if values.dtype != torch.float32:
        return values * (mask != 0).to(values.dtype)
    # One pass that gradients can follow: values stay where not mask <= 0. Set bits are no number, so they are not; no bits are 0.
    masked: Tensor = torch.ops.aten.threshold_backward(values.expand_as(mask), mask.view(torch.float32), 0)
    return masked


def _masked_sum(gradients: Tensor, mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the masked gradients of examples (n, ...), added up in the weights' own precision: (w)."""
    masked = _masked(gradients.reshape(len(mask), -1), mask)
    return masked.sum(0, dtype=dtype) if len(masked) > 1 else masked[0].to(dtype)


def _precision(x: Tensor, weight: Tensor) -> torch.dtype:
    """Return the type that a layer's products are computed in: the weights', or autocast's."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _chunks(n: int, weights: int, device: torch.device) -> list[tuple[int, int]]:
    """Return (first, count) of examples whose masks are made together."""
    step = max(1, (CHUNK_WEIGHTS if device.type == "cpu" else CHUNK_WEIGHTS_ACCELERATOR) // max(1, weights))
    return [(first, min(step, n - first)) for first in range(0, n, step)]


class _MaskedLinear(torch.autograd.Function):
    """y = (M_g * W) x for the examples of each group g: x (G, S, in), W (out, in), seed int64 -> (G, S, out).

    Products are of the precision of x; the gradients of W are added up in that of W.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, seed: Tensor, keep: float) -> Tensor:
        y = x.new_empty(*x.shape[:2], len(weight))
        flat = weight.to(x.dtype).contiguous().flatten()
        for first, count in _chunks(len(x), weight.numel(), x.device):
            here = slice(first, first + count)
            masked = _masked(flat, masks(seed, first, count, weight.numel(), keep)).view(count, *weight.shape)
            torch.bmm(x[here], masked.transpose(1, 2), out=y[here])
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        x, weight, seed, ctx.keep = inputs
        ctx.save_for_backward(x, weight, seed)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        x, weight, seed = ctx.saved_tensors
        flat = weight.to(x.dtype).contiguous().flatten()
        to_x: list[Tensor] = []
        to_weight: list[Tensor] = []
        for first, count in _chunks(len(x), weight.numel(), x.device):
            here, mask = slice(first, first + count), masks(seed, first, count, weight.numel(), ctx.keep)
            if ctx.needs_input_grad[0]:
                to_x.append(torch.bmm(g[here], _masked(flat, mask).view(count, *weight.shape)))
            gradients = torch.bmm(g[here].transpose(1, 2), x[here])
            _add(to_weight, _masked_sum(gradients, mask, weight.dtype))
        return (torch.cat(to_x) if to_x else None), to_weight[0].view_as(weight), None, None


def _add(total: list[Tensor], part: Tensor) -> None:
    """Add to the sum in a list, in place but for the first part, which may have an axis that `vmap` hides."""
    total[:] = [total[0].add_(part) if total else part]


class _MaskedConv2d(torch.autograd.Function):
    """The same for filters (out, in, h, w) and maps x (G, S, in, H, W), by one grouped convolution per chunk."""

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, seed: Tensor, keep: float, stride: Any, padding: Any, dilation: Any
    ) -> Tensor:
        flat, outputs = weight.to(x.dtype).contiguous().flatten(), []
        for first, count in _chunks(len(x), weight.numel(), x.device):
            filters = _masked(flat, masks(seed, first, count, weight.numel(), keep)).view(-1, *weight.shape[1:])
            y = F.conv2d(
                _joined_channels(x[first : first + count]), filters, None, stride, padding, dilation, groups=count
            )
            outputs.append(_split_channels(y, count))
        return torch.cat(outputs)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        x, weight, seed, ctx.keep, *ctx.geometry = inputs
        ctx.save_for_backward(x, weight, seed)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Any, ...]:
        x, weight, seed = ctx.saved_tensors
        flat = weight.to(x.dtype).contiguous().flatten()
        to_x: list[Tensor] = []
        to_weight: list[Tensor] = []
        wanted = [ctx.needs_input_grad[0], True, False]
        for first, count in _chunks(len(x), weight.numel(), x.device):
            mask = masks(seed, first, count, weight.numel(), ctx.keep)
            filters = _masked(flat, mask).view(-1, *weight.shape[1:])
            maps, back = _joined_channels(x[first : first + count]), _joined_channels(g[first : first + count])
            of_maps, of_filters, _ = torch.ops.aten.convolution_backward(
                back, maps, filters, None, *ctx.geometry, False, [0, 0], count, wanted
            )
            _add(to_weight, _masked_sum(of_filters, mask, weight.dtype))
            if wanted[0]:
                to_x.append(_split_channels(of_maps, count))
        return (torch.cat(to_x) if to_x else None), to_weight[0].view_as(weight), None, None, None, None, None


def _joined_channels(maps: Tensor) -> Tensor:
    """Put the channels of all groups beside each other: (G, S, C, H, W) -> (S, G C, H, W)."""
    maps = maps.transpose(0, 1)
    return maps.reshape(len(maps), -1, *maps.shape[3:])


def _split_channels(maps: Tensor, groups: int) -> Tensor:
    """Undo `_joined_channels`."""
    return maps.reshape(len(maps), groups, -1, *maps.shape[2:]).transpose(0, 1)


def _in_groups(x: Tensor, shared: int) -> Tensor:
    """Return (G, S, ...) of (N, ...), the last group filled up with zeros."""
    missing = -len(x) % shared
    if missing:
        x = torch.cat([x, x.new_zeros(missing, *x.shape[1:])])
    return x.reshape(-1, shared, *x.shape[1:])


def _random_seed(x: Tensor) -> Tensor:
    """Return a seed from torch's global source of random numbers."""
    return torch.randint(0, 1 << 62, (), device=x.device)


class _DropConnect:
    """What the two layers share: the probability, the activation, and evaluation from two moments."""

    drop: float
    shared: int
    activation: nn.Module | None

    def _validate(self, drop: float, shared: int) -> None:
        if not 0 <= drop < 1:
            raise bad_value("drop", drop, "at least 0 and less than 1")
        if shared < 1:
            raise bad_value("shared", shared, "at least 1")

    def _expected(self, mean: Tensor, variance: Tensor | None) -> Tensor:
        """Return E a(u) for u ~ N(mean, variance)."""
        if self.activation is None or variance is None:
            return mean if self.activation is None else self.activation(mean)
        std = variance.clamp_min(0.0).sqrt()
        total = torch.zeros_like(mean)
        for node, weight in zip(NODES, NODE_WEIGHTS, strict=True):
            total = total + weight * self.activation(mean + node * std)
        return total


class DropConnectLinear(nn.Linear, _DropConnect):
    """A linear layer whose weights and biases are dropped, and the activation behind it: (N, in) -> (N, out).

    Args:
        in_features: size of the last axis.
        out_features: width of the output.
        bias: learn b.
        drop: 1 - q, the probability with which a weight is dropped.
        shared: examples that share a mask, S; the cost of masks falls by that factor, and each example's mask is as random as before.
        activation: a, elementwise; None for none, and for one that follows elsewhere (then evaluation passes on the mean alone).

    Raises:
        InputError: `drop` or `shared` is out of range.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        drop: float = 0.5,
        shared: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        self._validate(drop, shared)
        super().__init__(in_features, out_features, bias)
        self.drop, self.shared, self.activation = drop, shared, activation

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{nn.Linear.extra_repr(self)}, drop={self.drop}"

    def affine(self, x: Tensor) -> Tensor:
        """Return the mean over all masks of what the activation is given, q (W x + b)."""
        keep = 1.0 - self.drop
        return F.linear(x, keep * self.weight, None if self.bias is None else keep * self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        keep = 1.0 - self.drop
        if not self.training or self.drop == 0.0:
            mean = self.affine(x)
            if self.activation is None or self.drop == 0.0:
                return self._expected(mean, None)
            squares = None if self.bias is None else self.bias.square()
            return self._expected(mean, keep * self.drop * F.linear(x.square(), self.weight.square(), squares))
        flat, weight = x.reshape(-1, x.shape[-1]).to(_precision(x, self.weight)), self.weight
        if self.bias is not None:  # a weight from an input that is always 1
            flat, weight = torch.cat([flat, flat.new_ones(len(flat), 1)], 1), torch.cat([weight, self.bias[:, None]], 1)
        grouped = _in_groups(flat, self.shared)
        with torch.autocast(x.device.type, enabled=False):
            y: Tensor = _MaskedLinear.apply(grouped, weight, _random_seed(x), keep).flatten(0, 1)[: len(flat)]
        return self._expected(y.view(*x.shape[:-1], -1), None)


class DropConnectConv2d(nn.Conv2d, _DropConnect):
    """A convolution whose filters are dropped, one set of masks per example, and the activation behind it: (N, C, H, W) -> (N, out, H', W').

    Biases stay. Within an example a weight is dropped at all positions or at none.

    Args:
        in_channels: C.
        out_channels: filters.
        kernel_size: height and width of a filter.
        stride: step between positions.
        padding: zeros around the map.
        dilation: step within a filter.
        bias: learn a bias per filter.
        drop: 1 - q, the probability with which a weight is dropped.
        shared: examples that share a mask, S; the cost of masks falls by that factor, and each example's mask is as random as before.
        activation: as in `DropConnectLinear`.

    Raises:
        InputError: `drop` or `shared` is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
        drop: float = 0.5,
        shared: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        self._validate(drop, shared)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, bias=bias)
        self.drop, self.shared, self.activation = drop, shared, activation

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{nn.Conv2d.extra_repr(self)}, drop={self.drop}"  # type: ignore[no-untyped-call]

    def affine(self, x: Tensor) -> Tensor:
        """Return the mean over all masks of what the activation is given, q W x + b."""
        return F.conv2d(x, (1.0 - self.drop) * self.weight, self.bias, self.stride, self.padding, self.dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Return y."""
        keep = 1.0 - self.drop
        geometry: tuple[Any, ...] = (self.stride, self.padding, self.dilation)
        if not self.training or self.drop == 0.0:
            mean = self.affine(x)
            if self.activation is None or self.drop == 0.0:
                return self._expected(mean, None)
            return self._expected(mean, keep * self.drop * F.conv2d(x.square(), self.weight.square(), None, *geometry))
        grouped = _in_groups(x.to(_precision(x, self.weight)), self.shared)
        with torch.autocast(x.device.type, enabled=False):
            y: Tensor = _MaskedConv2d.apply(grouped, self.weight, _random_seed(x), keep, *geometry).flatten(0, 1)[
                : len(x)
            ]
        y = y if self.bias is None else y + self.bias[:, None, None].to(y.dtype)
        layout = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
        return self._expected(y.contiguous(memory_format=layout), None)
