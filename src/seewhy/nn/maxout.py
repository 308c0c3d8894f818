"""Maxout (Goodfellow et al. 2013, 1302.4389): the largest of k affine pieces.

    y_c = max over j = 1..k of  w_jc x + b_jc

Letters: N images, C features that come out, k pieces. The pieces stand in k blocks of C features along axis 1, (N, k C, ...), so that a
maximum is taken between whole blocks. Backward, the gradient of an output goes to the piece that won (one of them, if several are equal);
k - 1 values an output are kept to tell which, and the pieces themselves are not.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seewhy.core.errors import InputError, bad_value

MOST_PIECES = 255


def maxout(x: Tensor, pieces: int) -> Tensor:
    """Return the maximum over `pieces` blocks of axis 1: (N, k C, ...) -> (N, C, ...).

    Raises:
        InputError: axis 1 cannot be split into `pieces` equal blocks.
    """
    if x.dim() < 2 or x.shape[1] % pieces:
        raise InputError(
            f"maxout: axis 1 must be {pieces} blocks of equal size, got shape {tuple(x.shape)}; "
            f"let the layer before give {pieces} times the features"
        )
    if torch.compiler.is_compiling():
        y, *others = x.chunk(pieces, 1)
        for other in others:
            y = torch.maximum(y, other)
        return y
    result: Tensor = _Maxout.apply(x, pieces)[0]
    return result


class _Maxout(torch.autograd.Function):
    """(N, k C, ...) -> the maximum over blocks, and by how much each block exceeded those before it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, pieces: int) -> tuple[Tensor, ...]:
        y, *others = x.chunk(pieces, 1)
        ahead = []
        for other in others:
            ahead.append(other - y)
            y = torch.maximum(y, other)
        return y, *ahead

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output[1:])
        ctx.save_for_forward(*output[1:])
        ctx.pieces = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *_: None) -> tuple[Tensor | None, None]:
        if gradient is None:
            return None, None
        blocks = []
        for ahead in reversed(ctx.saved_tensors):
            # The gradient where the block was ahead, else 0, in one vectorised pass; masks of bytes take three times as long.
            won = torch.ops.aten.threshold_backward(gradient, ahead, 0)
            gradient = gradient - won
            blocks.append(won)
        return torch.cat([gradient, *reversed(blocks)], 1), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> tuple[Tensor | None, ...]:
        y, *others = tangent.chunk(ctx.pieces, 1)
        for other, ahead in zip(others, ctx.saved_tensors, strict=True):
            y = torch.where(ahead > 0, other, y)
        return y, *[None] * len(others)


@cache
def maxout_gain(pieces: int) -> float:
    """Return 1 / sqrt(E m^2), m the largest of `pieces` independent N(0, 1) values: the gain of `seewhy.nn.activations`.

    E m^2 = integral of x^2 k phi(x) Phi(x)^(k - 1), by the trapezoidal rule, exact to rounding for such functions; 1 for two pieces.
    """
    step = 0.01
    points = [step * index for index in range(-1000, 1001)]
    density = [math.exp(-x * x / 2) / math.sqrt(2 * math.pi) for x in points]
    below = [math.erfc(-x / math.sqrt(2)) / 2 for x in points]
    square = step * sum(x * x * pieces * d * b ** (pieces - 1) for x, d, b in zip(points, density, below, strict=True))
    return 1.0 / math.sqrt(square)


def maxout_width(features: int, pieces: int) -> int:
    """Return the width C / sqrt(k), rounded, at which a stack of maxout layers has the weights of a plain one of width C.

    A layer between two such widths has k (C / sqrt(k))^2 = C^2 weights. The first layer of a stack, whose inputs are given, has sqrt(k) times as
    many as the plain one, the output layer sqrt(k) times fewer.
    """
    return max(1, round(features / math.sqrt(pieces)))


class Maxout(nn.Module):
    """The maximum over k blocks of features, after a layer that makes k C of them: (N, k C, ...) -> (N, C, ...).

    Args:
        features: C.
        pieces: k, 2 to 255.

    Raises:
        InputError: `pieces` is out of range, or the input has not k C features.
    """

    def __init__(self, features: int, pieces: int = 2) -> None:
        super().__init__()
        validate_pieces(pieces)
        self.features, self.pieces = features, pieces

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.features}, pieces={self.pieces}"

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima."""
        if x.shape[1] != self.pieces * self.features:
            raise InputError(
                f"maxout: must be given {self.pieces} x {self.features} features, got {x.shape[1]}; "
                f"let the layer before give {self.pieces * self.features}"
            )
        return maxout(x, self.pieces)


class MaxoutLinear(nn.Module):
    """A linear layer of k pieces, then their maximum: (N, in) -> (N, out).

    Weights start as N(0, gain^2 / in) with the gain of k pieces, which keeps the mean square of the signal; biases at 0.

    Args:
        in_features: size of axis 1.
        out_features: width of the output.
        pieces: k, 2 to 255.
        keep_parameters: make the output narrower, `maxout_width(out_features, pieces)`, so that a stack of such layers has the weights of a
            plain one; `out_features` of the module is the width it really has.
        bias: add b.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self, in_features: int, out_features: int, pieces: int = 2, *, keep_parameters: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        _validate_sizes(pieces, in_features=in_features, out_features=out_features)
        self.in_features, self.pieces = in_features, pieces
        self.out_features = maxout_width(out_features, pieces) if keep_parameters else out_features
        self.weight = nn.Parameter(torch.empty(pieces * self.out_features, in_features))
        self.bias: nn.Parameter | None
        self.register_parameter("bias", nn.Parameter(torch.zeros(len(self.weight))) if bias else None)
        nn.init.normal_(self.weight, std=maxout_gain(pieces) / math.sqrt(in_features))

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return f"{self.in_features}, {self.out_features}, pieces={self.pieces}, bias={self.bias is not None}"

    def affine(self, x: Tensor) -> Tensor:
        """Return the pieces (N, k out)."""
        return F.linear(x, self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest piece."""
        return maxout(self.affine(x), self.pieces)


class MaxoutConv2d(nn.Module):
    """A convolution of k pieces, then their maximum: (N, in, H, W) -> (N, out, H', W'), H' and W' as for `torch.nn.Conv2d`.

    Args:
        in_channels: size of axis 1.
        out_channels: channels of the output.
        kernel_size: side of the square kernel.
        pieces: k, 2 to 255.
        stride: of the kernel.
        padding: zeros on each side.
        keep_parameters: as in `MaxoutLinear`.
        bias: add b.

    Raises:
        InputError: a number is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        pieces: int = 2,
        *,
        stride: int = 1,
        padding: int = 0,
        keep_parameters: bool = False,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _validate_sizes(
            pieces, in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride
        )
        self.in_channels, self.kernel_size, self.pieces = in_channels, kernel_size, pieces
        self.stride, self.padding = stride, padding
        self.out_channels = maxout_width(out_channels, pieces) if keep_parameters else out_channels
        self.weight = nn.Parameter(torch.empty(pieces * self.out_channels, in_channels, kernel_size, kernel_size))
        self.bias: nn.Parameter | None
        self.register_parameter("bias", nn.Parameter(torch.zeros(len(self.weight))) if bias else None)
        nn.init.normal_(self.weight, std=maxout_gain(pieces) / math.sqrt(in_channels * kernel_size**2))

    def extra_repr(self) -> str:
        """Show the settings in the module's text."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, pieces={self.pieces}, "
            f"stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"
        )

    def affine(self, x: Tensor) -> Tensor:
        """Return the pieces (N, k out, H', W')."""
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return the largest piece."""
        return maxout(self.affine(x), self.pieces)


def validate_pieces(pieces: int) -> None:
    """Raise InputError for a number of pieces that is out of range."""
    if not 2 <= pieces <= MOST_PIECES:
        raise bad_value("pieces", pieces, f"2 to {MOST_PIECES}")


def _validate_sizes(pieces: int, **sizes: int) -> None:
    validate_pieces(pieces)
    for name, size in sizes.items():
        if size < 1:
            raise bad_value(name, size, "at least 1")
