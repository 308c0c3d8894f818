"""Folding batch normalisation into the layer before it, for prediction.

In evaluation a batch normalisation is affine in each feature, s x + t with s = gamma / sqrt(var + eps) and t = beta - s mean, so after a
linear or convolution layer it can be part of that layer:

    s (W x + b) + t = (s W) x + (s b + t)

Between the two there may be layers that do nothing in evaluation (inverted dropout), and max-pooling, which commutes with s x + t where s >= 0.
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

from seewhy.core.errors import InputError
from seewhy.nn.batch_statistics import Norm
from seewhy.nn.dropout import Dropout
from seewhy.nn.fractional_pool import FractionalMaxPool2d
from seewhy.nn.initialisation import GROUPED, TRANSPOSED
from seewhy.nn.observe import BATCH_NORMS

FOLDABLE = (nn.Linear, *GROUPED)
PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
MAX_POOLS = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
    FractionalMaxPool2d,
)
FORWARDS = {kind.forward for kind in (*FOLDABLE, *PASSING, *MAX_POOLS, *BATCH_NORMS, nn.SyncBatchNorm, Dropout)}
"""What these do; a module that inherits from one and has a `forward` of its own may do anything."""


@dataclass(frozen=True)
class Folded:
    """What `fold` returns.

    Attributes:
        module: the copy, in evaluation mode; where a normalisation was, an `nn.Identity` is, or what refuses the inputs it was not folded for.
        folded: names of the normalisations that are part of a layer now.
        unfolded: names of the others, and why they stayed.
    """

    module: nn.Module
    folded: tuple[str, ...]
    unfolded: tuple[tuple[str, str], ...]


class _Rows(nn.Identity):
    """Stands where the normalisation of a linear layer was folded: of (N, D) alone the features are the rows of the layer's weights."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the input."""
        if input.dim() != 2:
            raise InputError(
                f"fold: a batch normalisation behind a linear layer is folded for inputs of 2 axes (N, D), and normalises "
                f"another axis of {tuple(input.shape)}; use the network as it was"
            )
        return input


class _Tracer(fx.Tracer):
    """Records modules without submodules as one step each, whatever they do inside."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return not any(True for _ in m.children())


@torch.no_grad()
def fold(module: nn.Module) -> Folded:
    """Return a copy of a network for prediction, its batch normalisations folded into the layers before them.

    A normalisation is folded where that is exact: its input is the output of a linear or (transposed) convolution layer of torch's, which goes
    nowhere else, and both are used once, without hooks. Other modules that inherit from these, such as DropConnect's, stay as they are.
    The copy's outputs are those of `module` in evaluation, but for rounding; it is not for training. A linear layer is taken to give (N, D),
    as the copy checks.

    Args:
        module: a network whose `forward` does not branch on values.

    Raises:
        InputError: `forward` cannot be traced, for it branches on values.
    """
    network = copy.deepcopy(module).eval()
    try:
        graph = _Tracer().trace(network)
    except Exception as error:
        raise InputError(
            f"module: fold must be able to trace {type(module).__name__}.forward without values, which it cannot: {error}; "
            "fold the parts that do not branch"
        ) from error
    parts: dict[str, Any] = dict(network.named_modules(remove_duplicate=False))
    uses = Counter(str(node.target) for node in graph.nodes if node.op == "call_module")
    owners = Counter(id(p) for part in network.modules() for p in part.parameters(recurse=False))
    names = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    read = {id(p) for name, p in network.named_parameters(remove_duplicate=False) if name in names}
    owners.update(read)
    folded, unfolded = [], []
    visited: set[str] = set()
    for node in graph.nodes:
        name = str(node.target)
        if node.op != "call_module" or not isinstance(parts[name], BATCH_NORMS) or name in visited:
            continue
        visited.add(name)
        layer, reason = _layer_before(node, parts, uses, owners)
        if any(id(p) in read for p in parts[name].parameters()):
            layer, reason = None, "its weights are used elsewhere too"
        if layer is None:
            unfolded.append((name, reason))
            continue
        _merge(layer, parts[name])
        rest = _Rows() if isinstance(layer, nn.Linear) else nn.Identity()
        for alias in [alias for alias, part in parts.items() if part is parts[name]]:
            network.set_submodule(alias, rest)
        folded.append(name)
    return Folded(network, tuple(folded), tuple(unfolded))


def _layer_before(node: fx.Node, parts: dict[str, Any], uses: Counter[str], owners: Counter[int]) -> tuple[Any, str]:
    """Return the layer that a normalisation can be folded into, or None and the reason."""
    norm = parts[str(node.target)]
    if uses[str(node.target)] > 1:
        return None, "it is used several times"
    if norm.running_mean is None:
        return None, "it has no running statistics"
    if _hooked(norm):
        return None, "it has hooks"
    if not _plain(norm):
        return None, "it has a forward of its own"
    through_maximum = False
    while True:
        before = node.all_input_nodes[0]
        if before.op != "call_module":
            return None, "no linear or convolution layer stands before it"
        if len(before.users) > 1:
            return None, f"the output of {before.target} is used elsewhere too"
        part = parts[str(before.target)]
        if _hooked(part):
            return None, f"{before.target} has hooks"
        if isinstance(part, FOLDABLE):
            break
        if isinstance(part, MAX_POOLS) and _plain(part):
            through_maximum = True
        elif not _passes(part):
            return None, f"{before.target} ({type(part).__name__}) stands before it"
        node = before
    if through_maximum and norm.weight is not None and bool((norm.weight < 0).any()):
        return None, "a maximum stands before it, which does not commute with its negative scales"
    if uses[str(before.target)] > 1 or any(owners[id(p)] > 1 for p in part.parameters()):
        return None, f"{before.target} is used several times"
    if not _plain(part):
        return None, f"{before.target} ({type(part).__name__}) has a forward of its own"
    if parametrize.is_parametrized(part):
        return None, f"the weights of {before.target} are computed from others"
    return part, ""


def _hooked(part: nn.Module) -> bool:
    """Say whether something may change what goes into or comes out of a module."""
    return bool(part._forward_hooks or part._forward_pre_hooks)


def _plain(part: nn.Module) -> bool:
    """Say whether a module does what its kind does."""
    return type(part).forward in FORWARDS and "forward" not in vars(part)


def _passes(part: nn.Module) -> bool:
    """Say whether a module does nothing in evaluation."""
    return _plain(part) and (isinstance(part, PASSING) or (isinstance(part, Dropout) and part.kind == "inverted"))


def _merge(layer: Any, norm: Norm) -> None:
    """Multiply and shift the layer's weights, in float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    beta = norm.bias.double() if norm.bias is not None else torch.zeros_like(scale)
    bias = layer.bias.double() if layer.bias is not None else torch.zeros_like(scale)
    shift = beta + (bias - norm.running_mean.double()) * scale
    layer.weight.copy_(_scaled(layer, scale))
    layer.bias = nn.Parameter(shift.to(layer.weight.dtype), requires_grad=layer.weight.requires_grad)


def _scaled(layer: Any, scale: Tensor) -> Tensor:
    """Return the weights times a factor for each feature that comes out."""
    weight: Tensor = layer.weight.double()
    if not isinstance(layer, TRANSPOSED):
        return weight * scale.view(-1, *[1] * (weight.dim() - 1))
    grouped = weight.view(layer.groups, -1, *weight.shape[1:])
    return (grouped * scale.view(layer.groups, 1, -1, *[1] * (weight.dim() - 2))).reshape(weight.shape)
