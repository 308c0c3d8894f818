"""Fractional max-pooling: maps become smaller by a factor between 1 and 2, over random regions (Graham 2014, 1412.6071).

Letters, along one axis: n pixels, m regions, alpha = n / m the ratio, 1 <= alpha <= 2. The regions' first pixels are a_0 = 0 < a_1 < ... with
steps of 1 and 2:

    pseudorandom   a_i = ceil(alpha (i + u)) - ceil(alpha u), u ~ U(0, 1): steps as even as they can be
    random         n - m steps of 2 and 2 m - n of 1, in random order

    disjoint       region i is a_i ... a_(i+1) - 1
    overlapping    region i is a_i ... a_(i+1), with alpha = (n - 1) / m

The maximum over a rectangle is that over its rows of those over its columns, so each axis is two or three gathers and a maximum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seewhy.core.errors import bad_value, unknown_name
from seewhy.core.registry import Registry, Technique

Regions = Literal["pseudorandom", "random"]
REGIONS: tuple[Regions, ...] = ("pseudorandom", "random")

EVALUATION_SEED = 20141218
"""Of the random regions in evaluation."""


def _largest(x: Tensor, axis: int, *indices: Tensor) -> Tensor:
    """Return the largest of x at several indices (m) of an axis: m pixels along it."""
    if not torch.compiler.is_compiling():
        result: Tensor = _Largest.apply(x, axis, *indices)[0]
        return result
    y = x.index_select(axis, indices[0])
    for index in indices[1:]:
        y = torch.maximum(y, x.index_select(axis, index))
    return y


class _Largest(torch.autograd.Function):
    """The largest, and by how much each index exceeded those before it: all that the gradient needs, as in `seewhy.nn.maxout`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, axis: int, *indices: Tensor) -> tuple[Tensor, ...]:
        y, ahead = x.index_select(axis, indices[0]), []
        for index in indices[1:]:
            other = x.index_select(axis, index)
            ahead.append(other - y)
            y = torch.maximum(y, other)
        return y, *ahead

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, ctx.axis, *indices = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output[1:], *indices)
        ctx.save_for_forward(*output[1:], *indices)
        ctx.length = x.shape[ctx.axis]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        ahead, indices = _halves(ctx.saved_tensors)
        if gradient is None:
            return None, None, *[None] * len(indices)
        shape = list(gradient.shape)
        shape[ctx.axis] = ctx.length
        total = gradient.new_zeros(shape)
        for excess, index in zip(reversed(ahead), reversed(indices[1:]), strict=True):
            won = torch.ops.aten.threshold_backward(gradient, excess, 0)
            gradient = gradient - won
            total.index_add_(ctx.axis, index, won)
        return total.index_add_(ctx.axis, indices[0], gradient), None, *[None] * len(indices)

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> tuple[Tensor | None, ...]:
        ahead, indices = _halves(ctx.saved_tensors)
        y = tangent.index_select(ctx.axis, indices[0])
        for excess, index in zip(ahead, indices[1:], strict=True):
            y = torch.where(excess > 0, tangent.index_select(ctx.axis, index), y)
        return y, *[None] * len(ahead)


def _halves(saved: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return what each index but the first was ahead by, and the indices."""
    return saved[: len(saved) // 2], saved[len(saved) // 2 :]


class FractionalMaxPool2d(nn.Module):
    """(N, C, H, W) -> (N, C, m_H, m_W), m = ceil(n / ratio) along each axis.

    In training the regions are resampled at each call, the same for the whole batch and all channels, from torch's global source of random
    numbers. In evaluation they are fixed: u = 1/2, or always the same order of steps. (torch's own `FractionalMaxPool2d` samples in evaluation
    too.) `seewhy.nn.monte_carlo` averages predictions over samples.

    Args:
        ratio: alpha; more than 1, at most 2. The paper uses sqrt(2) and 2^(1/3).
        regions: "pseudorandom" or "random".
        overlapping: whether neighbouring regions share a pixel.

    Raises:
        InputError: the ratio is out of range, or the name is not known.
    """

    def __init__(
        self, ratio: float = math.sqrt(2.0), *, regions: Regions = "pseudorandom", overlapping: bool = True
    ) -> None:
        super().__init__()
        if not 1 < ratio <= 2:
            raise bad_value("ratio", ratio, "more than 1 and at most 2")
        if regions not in REGIONS:
            raise unknown_name("regions", regions, REGIONS)
        self.ratio, self.regions, self.overlapping = ratio, regions, overlapping

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.ratio:g}, regions={self.regions!r}, overlapping={self.overlapping}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima, in the memory format of x."""
        last = x.is_contiguous(memory_format=torch.channels_last)
        y = x.permute(0, 2, 3, 1).contiguous()  # whole pixels are gathered, whatever the format
        for axis in (1, 2):
            y = self._pooled(y, axis)
        y = y.permute(0, 3, 1, 2)
        return y if last else y.contiguous()

    def _pooled(self, x: Tensor, axis: int) -> Tensor:
        n = x.shape[axis]
        if n == 1:
            return x
        starts, ends = self._bounds(n, math.ceil(n / self.ratio))
        indices = (starts, (starts + 1).clamp_max(n - 1), ends) if self.overlapping else (starts, ends)
        result: Tensor = _largest(x, axis, *(index.to(x.device) for index in indices))
        return result

    def _bounds(self, n: int, m: int) -> tuple[Tensor, Tensor]:
        """Return the first and the last pixel of every region: int64 (m) each."""
        span = max(m, n - 1) if self.overlapping else n
        edges = self._edges(span, m)
        last = edges[1:] if self.overlapping else edges[1:] - 1
        return edges[:-1], last.clamp_max(n - 1)

    def _edges(self, span: int, m: int) -> Tensor:
        """Return a_0 ... a_m, a_m = span: int64 (m + 1)."""
        if self.regions == "pseudorandom":
            u = torch.rand((), dtype=torch.float64) if self.training else torch.tensor(0.5, dtype=torch.float64)
            regions = torch.arange(m + 1, dtype=torch.float64)
            edges = torch.ceil(span / m * (regions + u) - 1e-9).long()
            return edges - edges[0]
        steps = torch.ones(m, dtype=torch.int64)
        order = torch.randperm(m) if self.training else _fixed_order(m)
        steps[order[: span - m]] = 2
        return torch.cat([torch.zeros(1, dtype=torch.int64), steps.cumsum(0)])


def _fixed_order(m: int) -> Tensor:
    """Return a permutation of m indices that looks random, from plain numbers, so that it can be exported."""
    return torch.tensor(
        sorted(range(m), key=lambda index: (EVALUATION_SEED * (index + 1)) % 1000003 % 9973), dtype=torch.int64
    )


def max_pool() -> nn.Module:
    """Make the usual max-pooling."""
    return nn.MaxPool2d(2)


POOLINGS: Registry[Callable[..., nn.Module]] = Registry("poolings", "pool")


def pooling(name: str, **options: Any) -> nn.Module:
    """Return a new pooling layer.

    Args:
        name: one of `POOLINGS`.
        options: the hyper-parameters of the named one; those of `fractional` are the arguments of `FractionalMaxPool2d`.

    Raises:
        InputError: the name is not known, the pooling lacks the option, or a number is out of range.
    """
    POOLINGS.validate_options(name, options)
    return POOLINGS[name].factory(**options)


POOLINGS.add(
    Technique(
        name="max",
        factory=max_pool,
        summary="the maximum of every square of 2 x 2",
        formula="y_ij = max of x over rows 2i, 2i + 1 and columns 2j, 2j + 1",
        source="Ranzato et al. 2007; LeCun et al. 1998",
        good_for="most networks",
        bad_for="depth: three halvings leave little of a small image",
    )
)
POOLINGS.add(
    Technique(
        name="fractional",
        factory=FractionalMaxPool2d,
        summary="maxima over regions of 1 to 3 pixels a side, random in training",
        formula="a_i = ceil(alpha (i + u)); y_ij = max of x over [a_i, a_(i+1)] x [b_j, b_(j+1)]",
        source="Graham 2014, 1412.6071",
        good_for="small images and long runs; averaging predictions over samples",
        bad_for="time: maps become smaller slowly, so that layers see more pixels",
        claims=("C23",),
        example="--model.pool fractional --model.pool.ratio 1.26",
        hyperparameters=("ratio", "regions", "overlapping"),
    )
)
