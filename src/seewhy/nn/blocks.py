"""Blocks that networks are built from.

Letters: N images, C channels, H x W pixels, k the pieces of the activation (1 but for maxout). A layer in front of an activation makes k C
features, its normalisation brings each to the same scale, and the activation gives C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.nn.activations import Activation, variant
from seewhy.nn.dropconnect import DropConnectConv2d, DropConnectLinear
from seewhy.nn.normalisation import BatchNorm, norm
from seewhy.nn.stochastic_depth import StochasticDepth


@dataclass(frozen=True)
class Parts:
    """The named choices that every block of a network shares.

    Attributes:
        activation: one of `ACTIVATIONS`, or what `variant` returns.
        norm: one of `NORMS`; a layer has a bias only where nothing normalises its output.
        norm_options: hyper-parameters of the normalisation, as in `norm`; None stands for the usual value.
        scale: whether batch normalisation learns a scale.
        momentum: of batch normalisation's running statistics, where the options give none.
        dropconnect: probability with which a weight is dropped in training.
        dropconnect_shared: examples that share DropConnect's mask.
    """

    activation: str | Activation
    norm: str
    norm_options: Mapping[str, Any] = field(default_factory=dict)
    scale: bool = True
    momentum: float = 0.1
    dropconnect: float = 0.0
    dropconnect_shared: int = 1

    @property
    def pieces(self) -> int:
        """Features in front of the activation for each behind it."""
        return variant(self.activation).pieces

    def conv(self, channels_in: int, channels_out: int, *, kernel: int, stride: int = 1) -> nn.Conv2d:
        """Return a convolution in front of an activation with `channels_out` outputs; it keeps the map's size at stride 1 (odd kernels)."""
        wide, padding, bias = self.pieces * channels_out, kernel // 2, self.norm == "none"
        if not self.dropconnect:
            return nn.Conv2d(channels_in, wide, kernel, stride=stride, padding=padding, bias=bias)
        return DropConnectConv2d(
            channels_in,
            wide,
            kernel,
            stride=stride,
            padding=padding,
            bias=bias,
            drop=self.dropconnect,
            shared=self.dropconnect_shared,
        )

    def linear(self, features_in: int, features_out: int) -> nn.Linear:
        """Return a linear layer in front of an activation with `features_out` outputs."""
        wide, bias = self.pieces * features_out, self.norm == "none"
        if self.dropconnect:
            return DropConnectLinear(
                features_in, wide, bias=bias, drop=self.dropconnect, shared=self.dropconnect_shared
            )
        return nn.Linear(features_in, wide, bias=bias)

    def hidden(self, features_in: int, features_out: int) -> list[nn.Module]:
        """Return a linear layer with what follows it; without normalisation DropConnect takes the activation in, to average behind it."""
        layer, after = self.linear(features_in, features_out), list(self.after(features_out, dims=1))
        if isinstance(layer, DropConnectLinear) and self.norm == "none" and self.pieces == 1:
            layer.activation = after[1]
            return [layer]
        return [layer, *after]

    def after(self, features: int, *, dims: int) -> tuple[nn.Module, nn.Module]:
        """Return the normalisation and the activation, with `features` outputs, that follow a layer."""
        return self.normalise(self.pieces * features, dims=dims), variant(self.activation)(features=features)

    def normalise(self, features: int, *, dims: int) -> nn.Module:
        """Return the normalisation alone."""
        options = {name: value for name, value in self.norm_options.items() if value is not None}
        if self.norm == "batch":
            options.setdefault("momentum", self.momentum)
        return norm(self.norm, features, dims=dims, scale=self.scale, **options)


class ConvNormAct(nn.Sequential):
    """Convolution, normalisation, activation: (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride))."""

    def __init__(self, channels_in: int, channels_out: int, parts: Parts, *, kernel: int = 3, stride: int = 1) -> None:
        normalise, act = parts.after(channels_out, dims=2)
        super().__init__()
        self.add_module("conv", parts.conv(channels_in, channels_out, kernel=kernel, stride=stride))
        self.add_module("norm", normalise)
        self.add_module("act", act)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, 1512.03385).

    y = f(norm(conv(f(norm(conv(x))))) + s(x)), f the activation. The shortcut s is x itself where shapes agree, else average pooling
    by the stride, a 1x1 convolution and normalisation. Under maxout s is added to every piece, which is to add it to the largest.
    (N, C_in, H, W) -> (N, C_out, ceil(H / stride), ceil(W / stride)).

    Args:
        channels_in: C_in.
        channels_out: C_out.
        parts: the choices.
        stride: of the first convolution.
        survival: probability with which the branch beside the shortcut is computed in training (stochastic depth).
    """

    def __init__(
        self, channels_in: int, channels_out: int, parts: Parts, *, stride: int = 1, survival: float = 1.0
    ) -> None:
        super().__init__()
        self.conv1 = parts.conv(channels_in, channels_out, kernel=3, stride=stride)
        self.norm1, self.act1 = parts.after(channels_out, dims=2)
        self.conv2 = parts.conv(channels_out, channels_out, kernel=3)
        self.norm2, self.act2 = parts.after(channels_out, dims=2)
        self.pieces = parts.pieces
        self.depth = StochasticDepth(survival)
        shortcut = nn.Sequential()
        if stride > 1:
            shortcut.add_module("pool", nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
        if stride > 1 or channels_in != channels_out:
            shortcut.add_module("conv", nn.Conv2d(channels_in, channels_out, 1, bias=parts.norm == "none"))
            shortcut.add_module("norm", parts.normalise(channels_out, dims=2))
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Return y of the class's formula."""
        shortcut, survival = self.shortcut(x), self.depth.survival
        if self.depth.training and survival < 1.0:
            y = self.depth(x, self._branch, shortcut)
        else:  # written out, so that a trace records it
            y = self._branch(x) + shortcut if survival == 1.0 else survival * self._branch(x) + shortcut
        result: Tensor = self.act2(y) if self.pieces == 1 else y
        return result

    def _branch(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        return y if self.pieces == 1 else self.act2(y)

    @torch.no_grad()
    def start_as_shortcut(self) -> None:
        """Make the block pass its shortcut through at first: the last scale, or without one the last filters, are set to 0.

        (Goyal et al. 2017, 1706.02677; Zhang et al. 2019, 1901.09321.)
        """
        last = self.norm2
        if isinstance(last, (BatchNorm, nn.GroupNorm)) and last.weight is not None:
            last.weight.zero_()
        else:
            self.conv2.weight.zero_()
