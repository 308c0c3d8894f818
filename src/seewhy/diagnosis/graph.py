"""What the graph of a backward pass tells: which function made an output, and whether anything between is not linear."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

NODES = 4000
"""Nodes that are looked at: larger graphs are left alone."""

VIEWS = frozenset(
    re.findall(
        r"\w+",
        "View UnsafeView ReshapeAlias Squeeze Unsqueeze Alias ToCopy Clone T Transpose Permute Select Slice Expand",
    )
)
MAPS = frozenset(re.findall(r"\w+", "Addmm Mm Bmm Addbmm Baddbmm Linear MkldnnLinear Convolution Mv Addmv"))
OTHER_LINEAR = frozenset(
    re.findall(
        r"\w+",
        "Add Sub Neg Mean Sum Cat Stack Split SplitWithSizes Unbind Chunk NativeDropout AvgPool2D AvgPool1D AdaptiveAvgPool2D "
        "ConstantPadNd UpsampleNearest2D UpsampleBilinear2D NativeBatchNorm CudnnBatchNorm MiopenBatchNorm Index IndexSelect Unfold",
    )
)
"""Batch norm is an affine map once the network is trained."""


def _name(node: Any) -> str:
    return re.sub(r"Backward\d*$", "", node.name().rpartition("::")[2])


def made_by(output: Tensor) -> tuple[str, int | None]:
    """Return the function that made an output, such as "relu" or "softmax", and the axis of a softmax, None for others.

    Views, copies and changes of the number format are looked through.
    """
    node, views = output.grad_fn, 0
    while node is not None and _name(node) in VIEWS and views < 8:
        node, views = next((source for source, _ in node.next_functions if source is not None), None), views + 1
    if node is None:
        return "", None
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _name(node)).lower()
    axis = None
    if name in ("softmax", "log_softmax"):
        axis = int(node._saved_dim)  # type: ignore[attr-defined]
        axis = axis - (1 << 64) if axis >= 1 << 63 else axis
    return name, axis


def only_linear(output: Tensor) -> bool | None:
    """Whether nothing but linear maps lies between inputs and an output, two of them at least; None where the graph is too large."""
    todo, known, maps = [output.grad_fn], set(), 0
    while todo:
        node = todo.pop()
        if node is None or node in known:
            continue
        known.add(node)
        if len(known) > NODES:
            return None
        name, sources = _name(node), [source for source, _ in node.next_functions]
        if name == "AccumulateGrad" or name in VIEWS or name in OTHER_LINEAR:
            pass
        elif name in MAPS:
            maps += 1
        elif not (name in ("Mul", "Div") and sum(source is not None for source in sources) == 1):  # by a constant
            return False
        todo += sources
    return maps >= 2
