"""One probed step: what the network's layers, activations and gradients are, measured while the loop goes on as always.

During the forward pass of a probed step a `TorchFunctionMode` sees every call of torch's functions, whether a module makes it or the user's own
`forward`: linear maps and convolutions, whose outputs get a tensor hook for the gradient, and activation functions, of whose inputs the units'
states are known. Hooks on the modules, gone after the pass, say whose call it is. Steps that are not probed cost nothing of this.

Statistics are of at most `EXAMPLES` examples and `ENTRIES` values of a layer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode

from seewhy.diagnosis.hooks import Hook, Owner
from seewhy.diagnosis.records import ActivationRecord, InputRecord, LayerRecord
from seewhy.nn.saturation import DEAD, SATURATED, SATURATED_SHARE, derivative

EXAMPLES = 128
POSITIONS = 64
ENTRIES = 1 << 15

LINEAR: frozenset[Callable[..., Any]] = frozenset(
    (
        F.linear,
        torch.conv1d,
        torch.conv2d,
        torch.conv3d,
        torch.conv_transpose1d,
        torch.conv_transpose2d,
        torch.conv_transpose3d,
    )
)

ACTIVATIONS: dict[Callable[..., Any], str] = {
    **dict.fromkeys((F.relu, torch.relu, Tensor.relu, F.relu_, torch.relu_, Tensor.relu_), "relu"),
    **dict.fromkeys((F.tanh, torch.tanh, Tensor.tanh, torch.tanh_, Tensor.tanh_), "tanh"),
    **dict.fromkeys((F.sigmoid, torch.sigmoid, Tensor.sigmoid, torch.sigmoid_, Tensor.sigmoid_), "sigmoid"),
    F.elu: "elu",
    F.gelu: "gelu",
    F.silu: "silu",
}
"""Activation functions whose derivative says what a unit can learn, by torch's functions."""

SLOPES = {"relu": 1.0, "tanh": 1.0, "sigmoid": 0.25, "elu": 1.0, "gelu": 1.13, "silu": 1.1}
"""The largest derivative of each."""

WINDOW = 1000
"""Examples and positions over which a unit must have been silent."""


class UnitMemory:
    """How long each unit of an activation has been silent: one count of examples and positions for each."""

    def __init__(self) -> None:
        self._silent: dict[str, Tensor] = {}
        self._samples: dict[str, int] = {}

    def update(self, layer: str, active: Tensor, samples: int) -> tuple[float, int]:
        """Note which units (D) were active.

        Returns:
            the share that was silent in the last `WINDOW` examples, or in all where there were fewer, and how many these are.
        """
        silent = self._silent.get(layer)
        if silent is None or len(silent) != len(active):
            silent, self._samples[layer] = torch.zeros(len(active), dtype=torch.int64, device="cpu"), 0
        self._silent[layer] = silent = torch.where(active, 0, silent + samples)
        self._samples[layer] += samples
        seen = min(WINDOW, self._samples[layer])
        return float((silent >= seen).float().mean()), self._samples[layer]


class Probe(TorchFunctionMode):
    """Sees the forward pass of one step of one network.

    Args:
        owner: told of errors, which do not reach the loop.
        module: the network.
        names: the path of each of its modules.
        memory: of the units.
    """

    def __init__(self, owner: Owner, module: nn.Module, names: dict[nn.Module, str], memory: UnitMemory) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)  # whom the loop has let go of is not kept by what it still computes
        self.module, self.names, self.memory = module, names, memory
        self.layers: list[tuple[str, float, float]] = []
        self.gradients: dict[int, float] = {}
        self.activations: list[ActivationRecord] = []
        self.inputs: InputRecord | None = None
        self.outputs: list[tuple[Tensor, list[Tensor]]] = []
        self.bad = ""
        self._stack: list[str] = []
        self._calls: dict[str, int] = {}
        self._handles: list[Any] = []
        self.sees = self.blind = self.inside = False
        self.tensor_handles: list[Any] = []

    def begin(self, values: tuple[object, ...]) -> None:
        """Look at the inputs, and begin to see what is called."""
        self.inputs = next((record for value in values if (record := input_record(value)) is not None), None)
        owner = self._owner()
        assert owner is not None, "the watch calls"
        enter = Hook(owner, lambda _, *args: self._enter(*args))
        leave = Hook(owner, lambda _, *args: self._leave(*args))
        for module in self.names:
            if module is not self.module:
                self._handles.append(module.register_forward_pre_hook(enter))
                self._handles.append(module.register_forward_hook(leave, always_call=True))
        self.__enter__()  # type: ignore[no-untyped-call]
        self.sees = True

    def end(self) -> None:
        """See nothing more of the forward pass; does nothing a second time."""
        if self.sees:
            self.sees = False
            _leave_mode(self)
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def forget(self) -> None:
        """Take away the hooks on tensors too; what was measured stays."""
        self.end()
        for handle in self.tensor_handles:
            handle.remove()
        self.tensor_handles = []

    def _enter(self, module: nn.Module, _: object) -> None:
        self._stack.append(self.names[module])

    def _leave(self, *_: object) -> None:
        if self._stack:
            self._stack.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        function = ACTIVATIONS.get(func)
        if function is not None and args and isinstance(args[0], Tensor):
            self._guarded(self._see_activation, function, args[0])
        result = func(*args, **kwargs)
        if func in LINEAR and isinstance(result, Tensor) and result.is_floating_point() and result.numel():
            self._guarded(self._see_layer, result)
        return result

    def _guarded(self, see: Callable[..., None], *args: Any) -> None:
        if not self.sees or self.blind:
            return
        self.inside = True
        try:
            # Whoever recomputes this pass must not find what measuring has saved.
            with saved_tensors_hooks(_same, _same):
                see(*args)
        except Exception:  # noqa: BLE001  a watcher must not break what it watches
            self.blind = True  # till the end of the pass, at which this mode is left
            if (owner := self._owner()) is not None:
                owner.failed()
        finally:
            self.inside = False

    def _name(self, what: str = "") -> str:
        path = self._stack[-1] if self._stack else ""
        key = f"{path} {what}".strip() or "forward"
        count = self._calls[key] = self._calls.get(key, 0) + 1
        return key if count == 1 else f"{key} {count}"

    @torch.no_grad()
    def _see_activation(self, function: str, x: Tensor) -> None:
        if x.dim() < 2 or not x.is_floating_point() or not x.numel():
            return
        rows = x.detach()[:EXAMPLES]
        if x.dim() > 3 or (x.dim() == 3 and function == "relu" and x.shape[1] > x.shape[2]):
            rows = rows.flatten(2)
            rows = rows[..., :: max(1, rows.shape[2] // POSITIONS)]
        elif x.dim() == 3:  # (N, T, D): the units are last
            rows = rows[:, :: max(1, x.shape[1] // POSITIONS)].movedim(-1, 1)
        slopes = derivative(function, rows.float().clone()).abs().transpose(0, 1).flatten(1) / SLOPES[function]
        active = (slopes >= DEAD).any(1).cpu()
        saturated = float(((slopes < SATURATED).float().mean(1) >= SATURATED_SHARE).float().mean())
        name = self._name(f"({function})")
        silent, samples = self.memory.update(name, active, slopes.shape[1])
        self.activations.append(ActivationRecord(name, function, len(active), silent, saturated, samples))

    def _see_layer(self, y: Tensor) -> None:
        mean, std = moments(y)
        place, name = len(self.layers), self._name()
        self.layers.append((name, mean, std))
        if not self.bad and not (mean == mean and abs(mean) != float("inf")):
            self.bad = name
        if y.requires_grad and (owner := self._owner()) is not None:
            hook = Hook(owner, lambda _, gradient: self._see_gradient(place, gradient))
            self.tensor_handles.append(y.register_hook(hook))  # type: ignore[no-untyped-call]

    def _see_gradient(self, place: int, gradient: Tensor) -> None:
        self.gradients[place] = float(sampled(gradient).float().square().mean().sqrt())

    def layer_records(self) -> tuple[LayerRecord, ...]:
        """Return the layers with the gradients that have arrived."""
        return tuple(
            LayerRecord(name, mean, std, self.gradients.get(place))
            for place, (name, mean, std) in enumerate(self.layers)
        )


def _leave_mode(mode: TorchFunctionMode) -> None:
    """Take a mode off the stack, wherever it lies: an interrupted pass may have left others above it."""
    above = []
    stack = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    if mode not in stack:
        return
    while (last := _pop_mode()) is not mode:  # type: ignore[no-untyped-call]
        above.append(last)
    for other in reversed(above):
        _push_mode(other)  # type: ignore[no-untyped-call]


def _same(x: Tensor) -> Tensor:
    return x


def sampled(x: Tensor) -> Tensor:
    """Return at most `ENTRIES` values of a tensor, spread over it, flat."""
    flat = dense(x)
    return flat[:: max(1, flat.numel() // ENTRIES)]


def dense(x: Tensor) -> Tensor:
    """Return a tensor's values flat, in the order of its memory where it has no holes, so that nothing is copied."""
    x = x.detach()
    if x.is_contiguous():
        return x.view(-1)
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        return x.permute(0, 2, 3, 1).view(-1)
    return x.reshape(-1)


@torch.no_grad()
def moments(x: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of a sample of a tensor's values."""
    values = sampled(x).float()
    std, mean = torch.std_mean(values, correction=0)
    return float(mean), float(std)


@torch.no_grad()
def input_record(value: object) -> InputRecord | None:
    """Return what an input looks like; None where it is no batch of floating-point values."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.dim() < 2 or not value.numel():
        return None
    x = value.detach()[:EXAMPLES].float()
    if x.dim() == 4:
        std, mean = torch.std_mean(x, (0, 2, 3), correction=0)
    else:
        std, mean = (part[None] for part in torch.std_mean(x, correction=0))
    differ = len(x) > 1 and bool((x[1:] != x[:-1]).any())
    return InputRecord(
        len(value), tuple(mean.tolist()), tuple(std.tolist()), float(x.min()), float(x.max()), rows_differ=differ
    )
