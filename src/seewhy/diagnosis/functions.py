"""What torch's functions are to a probe: layers, activations with their largest derivative, softmax, noise, sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

RECURRENT: frozenset[Callable[..., Any]] = frozenset((torch.gru, torch.lstm, torch.rnn_tanh, torch.rnn_relu))
ATTENTION = F.multi_head_attention_forward
LINEAR: frozenset[Callable[..., Any]] = frozenset(
    (
        F.linear,
        F.bilinear,
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.conv_transpose1d,
        torch.conv_transpose2d,
        torch.conv_transpose3d,
    )
)
PRODUCTS: frozenset[Callable[..., Any]] = frozenset(
    (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm, torch.addmm, torch.einsum)
)
"""Linear maps where one operand is a parameter."""

ACTIVATIONS: dict[Callable[..., Any], str] = {
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu, F.relu_, torch.relu_, Tensor.relu_), "relu"),
    **dict.fromkeys((F.tanh, torch.tanh, Tensor.tanh, torch.tanh_, Tensor.tanh_), "tanh"),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, Tensor.sigmoid, torch.sigmoid_, Tensor.sigmoid_), "sigmoid"),
    F.elu: "elu",
    F.gelu: "gelu",
    F.silu: "silu",
    F.relu6: "relu6",
    F.selu: "selu",
    F.hardswish: "hardswish",
}
"""Activation functions whose derivative says what a unit can learn, by torch's functions."""

SOFTMAXES: frozenset[Callable[..., Any]] = frozenset(
    (F.softmax, torch.softmax, Tensor.softmax, F.log_softmax, torch.log_softmax, Tensor.log_softmax)
)
NOISE: frozenset[Callable[..., Any]] = frozenset((torch.randn_like, torch.randn, torch.normal, Tensor.normal_))
TIMES: frozenset[Callable[..., Any]] = frozenset((torch.mul, Tensor.mul, Tensor.mul_, Tensor.__mul__, Tensor.__rmul__))
PLUS: frozenset[Callable[..., Any]] = frozenset((torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__radd__))

SLOPES = {
    "relu6": 1.0,
    "selu": 1.758,
    "hardswish": 1.5,
    "relu": 1.0,
    "tanh": 1.0,
    "sigmoid": 0.25,
    "elu": 1.0,
    "gelu": 1.13,
    "silu": 1.1,
}
"""The largest derivative of each."""
