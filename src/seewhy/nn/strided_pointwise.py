"""Narrow 1x1 convolutions with a stride, which oneDNN's gradient of weights gets wrong on images in channels_last memory."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

BLOCK = 16
"""Channels of a block of oneDNN's widest kernels (AVX-512; 8 of AVX2): with fewer input channels it writes past its workspace."""


def skip_unread_pixels_(network: nn.Module) -> nn.Module:
    """Make narrow 1x1 convolutions with a stride see only the pixels that they read, in place.

    conv(x, stride s) = conv(x[..., ::s, ::s], stride 1).

    The backward pass of such a convolution (below 16 input channels, no padding) writes past oneDNN's workspace on x86 processors when images
    lie in channels_last memory: the process crashes, or gradients are wrong without a word
    (https://github.com/uxlfoundation/oneDNN/issues/6035). FastViT's and RepVGG's stems have them.

    Args:
        network: any; its convolutions are found by type.

    Returns:
        The network.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _affected(module):
            module.register_forward_pre_hook(partial(_thin, stride=tuple(module.stride)))
            module.stride = (1, 1)
    return network


def _affected(conv: nn.Conv2d) -> bool:
    narrow = conv.in_channels < BLOCK and conv.groups == 1
    pointwise = tuple(conv.kernel_size) == (1, 1) and conv.padding in ((0, 0), "valid")
    return narrow and pointwise and max(conv.stride) > 1


def _thin(_: nn.Module, args: tuple[Any, ...], *, stride: tuple[int, ...]) -> tuple[Any, ...]:
    return (args[0][..., :: stride[0], :: stride[1]], *args[1:])
