"""Parameters as one vector.

Second-order methods work with one vector w of n numbers; networks hold many tensors. `Flat` copies between the two, in the order of the
parameters. Frozen parameters are left out, a parameter that is listed twice counts once, and tensors of any strides are written in place, so
that whoever holds a view or shares the tensor sees the change. Vectors are kept in float32 where the parameters are bf16.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from seewhy.core.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")

ACCEPTED = (torch.float64, torch.float32, torch.bfloat16)


def _without_grad(method: Callable[P, R]) -> Callable[P, R]:
    """Do as torch.no_grad(), which costs more than a short copy, only where gradients are recorded."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch.is_grad_enabled():
            return method(*args, **kwargs)
        with torch.no_grad():
            return method(*args, **kwargs)

    return guarded


class Flat:
    """A view of parameters as one vector (n).

    Attributes:
        tensors: the parameters that take part, each once.
        n: numbers in all.
        dtype: of the vector: the widest among the parameters, and float32 at least.
        device: of the parameters.
        narrow: whether some parameter holds fewer digits than the vector.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        """Raises InputError unless at least one parameter takes part, and all are dense and real, of float32, float64 or bf16."""
        self.tensors: list[Tensor] = []
        listed: set[int] = set()
        for parameter in parameters:
            if parameter.requires_grad and id(parameter) not in listed:
                listed.add(id(parameter))
                self.tensors.append(_validated(parameter))
        if not self.tensors:
            raise InputError("params: must hold at least one parameter that requires a gradient, got none")
        if len({tensor.device for tensor in self.tensors}) > 1:
            raise InputError(
                "params: must lie on one device, got several; a step of a second-order method needs them all together"
            )
        self.sizes = [tensor.numel() for tensor in self.tensors]
        self.n = sum(self.sizes)
        if self.n == 0:
            raise InputError("params: must hold at least one number, got empty tensors only")
        wide = any(tensor.dtype == torch.float64 for tensor in self.tensors)
        self.dtype = torch.float64 if wide else torch.float32
        self.device = self.tensors[0].device
        self.narrow = any(tensor.dtype != self.dtype for tensor in self.tensors)

    def empty(self) -> Tensor:
        """Return a vector (n) to fill."""
        return torch.empty(self.n, dtype=self.dtype, device=self.device)

    def parts(self, vector: Tensor) -> list[Tensor]:
        """Return views of the vector with the parameters' shapes."""
        if len(self.tensors) == 1:
            shape = self.tensors[0].shape
            return [vector if vector.shape == shape else vector.view(shape)]
        chunks = torch.split(vector, self.sizes)
        return [chunk.view(tensor.shape) for chunk, tensor in zip(chunks, self.tensors, strict=True)]

    @_without_grad
    def read(self, out: Tensor) -> Tensor:
        """Copy the parameters into `out` (n)."""
        for part, tensor in zip(self.parts(out), self.tensors, strict=True):
            part.copy_(tensor)
        return out

    @_without_grad
    def write(self, vector: Tensor) -> None:
        """Copy a vector (n) into the parameters, rounded where they are narrower."""
        for part, tensor in zip(self.parts(vector), self.tensors, strict=True):
            tensor.copy_(part)

    @_without_grad
    def gather_grads(self, out: Tensor) -> Tensor:
        """Copy the gradients into `out` (n); a parameter without one has zeros.

        Raises:
            InputError: a gradient is sparse.
        """
        for part, tensor in zip(self.parts(out), self.tensors, strict=True):
            gradient = tensor.grad
            if gradient is None:
                part.zero_()
            elif gradient.layout != torch.strided:
                raise InputError(
                    f"params: must have dense gradients, got a sparse one of shape {tuple(tensor.shape)}; "
                    "make the embedding with sparse=False"
                )
            else:
                part.copy_(gradient)
        return out

    @_without_grad
    def assign_grads(self, vector: Tensor) -> None:
        """Give every parameter its part of a copy of the vector (n) as its gradient."""
        for part, tensor in zip(self.parts(vector.clone()), self.tensors, strict=True):
            tensor.grad = part.to(tensor.dtype)

    @_without_grad
    def set_grads(self, vector: Tensor) -> None:
        """Copy a vector (n) into the gradients that exist."""
        for part, tensor in zip(self.parts(vector), self.tensors, strict=True):
            if tensor.grad is not None:
                tensor.grad.copy_(part)


def _validated(parameter: Tensor) -> Tensor:
    if parameter.layout != torch.strided:
        raise InputError(
            f"params: must be dense, got a sparse one of shape {tuple(parameter.shape)}; use parameter.to_dense()"
        )
    if parameter.is_complex():
        raise InputError(f"params: must be real, got {parameter.dtype}; hold torch.view_as_real of it as the parameter")
    if parameter.dtype not in ACCEPTED:
        raise InputError(
            f"params: must be float32, float64 or bfloat16, got {parameter.dtype}; convert the model with .float() or .bfloat16()"
        )
    return parameter


def one_group(params: Iterable[Any]) -> list[Any]:
    """Return the parameters of all groups as one list; groups with options of their own are refused."""
    if isinstance(params, Tensor):
        raise InputError("params: must be a list of parameters, got one tensor; write [tensor]")
    listed = list(params)
    merged: list[Any] = []
    for entry in listed:
        if not isinstance(entry, dict):
            merged.append(entry)
            continue
        extra = sorted(set(entry) - {"params"})
        if extra:
            raise InputError(
                f"params: groups cannot have options of their own, since one step moves all parameters together, got {', '.join(extra)}; "
                "put a penalty such as weight decay into the closure's loss"
            )
        group = entry["params"]
        merged.extend([group] if isinstance(group, Tensor) else group)
    unique: dict[int, Any] = {}
    for entry in merged:
        unique.setdefault(id(entry[1] if isinstance(entry, tuple) else entry), entry)
    return list(unique.values())
