"""One probed step: what the network's layers, activations and gradients are, measured while the loop goes on as always.

During the forward pass of a probed step a `TorchFunctionMode` sees every call of torch's functions, whether a module makes it or the user's own
`forward`: linear maps, convolutions and recurrent layers, whose outputs get a tensor hook for the gradient; activation functions, of whose
inputs the units' states are known; dropout, batch norm, softmax, and noise that is scaled and moved (a latent variable). Hooks on the modules,
gone after the pass, say whose call it is. Steps that are not probed cost nothing of this.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from seewhy.diagnosis.evaluation import DROPOUTS, is_dropout, is_live, pooled
from seewhy.diagnosis.functions import (
    ACTIVATIONS,
    ATTENTION,
    LINEAR,
    NOISE,
    PLUS,
    PRODUCTS,
    RECURRENT,
    SLOPES,
    SOFTMAXES,
    TIMES,
)
from seewhy.diagnosis.hooks import Hook, Owner, apart, leave_mode, unseen
from seewhy.diagnosis.latent import Latent
from seewhy.diagnosis.memory import UnitMemory
from seewhy.diagnosis.mixing import MOVES, NORMS, Rows
from seewhy.diagnosis.outputs import Output
from seewhy.diagnosis.records import ActivationRecord, InputRecord, LayerRecord
from seewhy.diagnosis.values import EXAMPLES, input_record, moments, rank_and_similarity, sampled, slopes, spread_of
from seewhy.nn.dropout import Dropout
from seewhy.nn.saturation import DEAD, SATURATED, SATURATED_SHARE

POSITIONS = 64

PASSES = 32
"""Passes of one step whose inputs are looked at."""


class Probe(TorchFunctionMode):
    """Sees the forward pass of one step of one network.

    Args:
        owner: told of errors, which do not reach the loop.
        module: the network.
        names: the path of each of its modules.
        memory: of the units.
        diverse: whether to measure how much inputs and outputs differ from row to row.
        deep: whether to measure rank and similarity of the layers' outputs, which takes longest.
        structure: whether to follow the rows of the batch through views, which are the same at each step.
    """

    def __init__(
        self,
        owner: Owner,
        module: nn.Module,
        names: dict[nn.Module, str],
        memory: UnitMemory,
        *,
        diverse: bool,
        deep: bool,
        structure: bool = False,
    ) -> None:
        super().__init__()
        self._owner = weakref.ref(owner)  # whom the loop has let go of is not kept by what it still computes
        self.module, self.names, self.memory, self.diverse, self.deep = module, names, memory, diverse, deep
        self.layers: list[dict[str, Any]] = []
        self.gradients: dict[int, float] = {}
        self.activations: list[ActivationRecord] = []
        self.inputs: InputRecord | None = None
        self.given: Tensor | None = None
        self.original: weakref.ref[Tensor] | None = None
        self.seen: list[tuple[float, float]] = []
        self.outputs: list[Output] = []
        self.drawn = Latent()
        self.dropout = 0.0
        self.drops_by_function = False
        self.moments: tuple[float, float] | None = None
        self.normalised = False
        self.normalised_rows: int | None = None
        self.batch_softmax = self.batch_sequence = self.batch_mixed = ""
        self.ways = Rows() if structure else None
        self.unregistered: list[str] = []
        self._known = {id(p) for p in module.parameters()}
        self.bad = ""
        self.passes = 0
        self._stack: list[str] = []
        self._calls: dict[str, int] = {}
        self._handles: list[Any] = []
        self.sees = self.blind = self.inside = False
        self.took = 0.0  # by what is measured within the pass
        self.tensor_handles: list[Any] = []

    def pass_begins(self, values: tuple[object, ...]) -> None:
        """Look at the inputs of a pass, the first one or another of the same step."""
        self.passes += 1
        record = next((r for value in values if (r := input_record(value, diverse=self.diverse)) is not None), None)
        if record is not None and len(self.seen) < PASSES:
            self.seen.append((record.spread, record.nearest))
        if self.inputs is None:
            self.inputs = record
            self.moments = None if record is None else pooled(record)
            tensor = next((value for value in values if isinstance(value, Tensor)), None)
            self.given = None if tensor is None else tensor.detach()
            self.original = None if tensor is None else weakref.ref(tensor)

    def begin(self) -> None:
        """Begin to see what is called."""
        owner = self._owner()
        assert owner is not None, "the watch calls"
        if any(_takes_fast_path(module) for module in self.names):
            return
        enter = Hook(owner, lambda _, *args: self._enter(*args))
        leave = Hook(owner, lambda _, *args: self._leave(*args))
        for module in self.names:
            if isinstance(module, Dropout) and module.training:
                self.dropout = max(self.dropout, module.p)
            if module is not self.module:
                self._handles.append(module.register_forward_pre_hook(enter))
                self._handles.append(module.register_forward_hook(leave, always_call=True))
        self.__enter__()  # type: ignore[no-untyped-call]
        self.sees = True

    def end(self) -> None:
        """See nothing more of the forward pass; does nothing a second time."""
        if self.sees:
            self.sees = False
            leave_mode(self)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.drawn.forget()
        if self.ways is not None:
            self.ways.forget()

    def forget(self) -> None:
        """Take away the hooks on tensors too; what was measured stays."""
        self.end()
        for handle in self.tensor_handles:
            handle.remove()
        self.tensor_handles = []

    def _enter(self, module: nn.Module, _: object) -> None:
        self._stack.append(self.names.get(module, ""))  # one that came to be within the pass has no name

    def _leave(self, *_: object) -> None:
        if self._stack:
            self._stack.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in ACTIVATIONS:
            self._guarded(self._see_activation, ACTIVATIONS[func], args)
        elif func in SEEN_BEFORE:
            self._guarded(SEEN_BEFORE[func], self, func, args, kwargs)
        result = func(*args, **kwargs)
        if func in SEEN_AFTER:
            self._guarded(SEEN_AFTER[func], self, func, args, result)
        if self.ways is not None and func in MOVES:
            self._guarded(self._see_move, func, args, kwargs, result)
        return result

    def _guarded(self, see: Callable[..., None], *args: Any) -> None:
        if not self.sees or self.blind or unseen():
            return
        self.inside, start = True, time.perf_counter()
        try:
            # Whoever recomputes this pass must not find what measuring has saved.
            with apart(), saved_tensors_hooks(_same, _same):
                see(*args)
        except Exception:  # noqa: BLE001  a watcher must not break what it watches
            self.blind = True  # till the end of the pass, at which this mode is left
            if (owner := self._owner()) is not None:
                owner.failed()
        finally:
            self.inside = False
            self.took += time.perf_counter() - start

    def _name(self, what: str = "") -> str:
        path = self._stack[-1] if self._stack else ""
        key = f"{path} {what}".strip() or "forward"
        count = self._calls[key] = self._calls.get(key, 0) + 1
        return key if count == 1 else f"{key} {count}"

    @torch.no_grad()
    def _see_activation(self, function: str, args: tuple[Any, ...]) -> None:
        x = args[0] if args else None
        if not isinstance(x, Tensor) or x.dim() < 2 or not x.is_floating_point() or not x.numel():
            return
        rows = x.detach()[:EXAMPLES]
        if x.dim() > 3 or (x.dim() == 3 and function == "relu" and x.shape[1] > x.shape[2]):
            rows = rows.flatten(2)
            rows = rows[..., :: max(1, rows.shape[2] // POSITIONS)]
        elif x.dim() == 3:  # (N, T, D): the units are last
            rows = rows[:, :: max(1, x.shape[1] // POSITIONS)].movedim(-1, 1)
        rows = rows.float()
        size = slopes(function, rows).abs_().transpose(0, 1).flatten(1).div_(SLOPES[function])
        active = (size >= DEAD).any(1).cpu()
        saturated = float(((size < SATURATED).sum(1) >= SATURATED_SHARE * size.shape[1]).float().mean())
        name = self._name(f"({function})")
        silent, samples = self.memory.update(name, active, size.shape[1])
        mean, std = moments(rows)
        some = rows.reshape(-1)[:: max(1, rows.numel() // 2048)]
        low, median, high = torch.quantile(some, QUANTILES.to(some.device)).tolist()
        shares, after = (silent, saturated, samples), len(self.layers)
        self.activations.append(
            ActivationRecord(name, function, len(active), *shares, mean, std, low, median, high, after)
        )

    def _see_dropout(self, _: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
        if is_live(args, kwargs):
            self.dropout = max(self.dropout, float(p))
            path = self._stack[-1] if self._stack else ""
            self.drops_by_function = self.drops_by_function or not is_dropout(self.module.get_submodule(path))

    def _see_other_norm(self, *_: object) -> None:
        self.normalised = True

    def _see_norm(self, _: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.normalised = True
        if kwargs.get("training", args[5] if len(args) > 5 else False):
            rows = len(args[0])
            if rows == 1 and args[0].dim() > 2:  # of one image the norm is that of the instance
                return
            self.normalised_rows = rows if self.normalised_rows is None else min(self.normalised_rows, rows)

    def _see_softmax(self, _: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        x, axis = args[0], kwargs.get("dim", args[1] if len(args) > 1 else None)
        if isinstance(axis, int) and x.dim() > 1 and axis % x.dim() == 0 and self._is_batch(x):
            self.batch_softmax = self.batch_softmax or self._name("(softmax)")

    def _see_length(self, _: object, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        x, axis = args[0], kwargs.get("dim", args[2] if len(args) > 2 else None)
        if isinstance(axis, int) and x.dim() > 1 and axis % x.dim() == 0 and x.requires_grad and self._is_batch(x):
            self.batch_mixed = self.batch_mixed or self._name("(length over the batch)")

    def _see_move(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        rows = len(self.given) if self.given is not None and self.given.dim() else 0
        if self.ways is not None and self.ways.see(func, args, kwargs, result, rows):
            self.batch_mixed = self.batch_mixed or self._name(f"({getattr(func, '__name__', 'view')})")

    def _is_batch(self, x: Tensor) -> bool:
        """Whether the first axis of a tensor is that of the batch, and the second is not as long."""
        rows = len(self.given) if self.given is not None and self.given.dim() else 0
        return rows > 1 and x.shape[0] == rows and x.shape[1] != rows

    def _see_noise(self, _: object, __: object, result: Any) -> None:
        self.drawn.see_noise(result)

    def _see_product(self, _: object, args: tuple[Any, ...], result: Any) -> None:
        self.drawn.see_product(args, result)

    def _see_addcmul(self, _: object, args: tuple[Any, ...], result: Any) -> None:
        self.drawn.see_addcmul(args, result)

    def _see_sum(self, _: object, args: tuple[Any, ...], __: object) -> None:
        self.drawn.see_sum(args)

    def _see_layer(self, func: Any, args: tuple[Any, ...], result: Any) -> None:
        if func in PRODUCTS and not any(isinstance(arg, nn.Parameter) for arg in args):
            return
        y = result[0] if isinstance(result, tuple) else result
        if not isinstance(y, Tensor) or not y.is_floating_point() or not y.numel():
            return
        name = self._name()
        every = [
            one for arg in args for one in (arg if isinstance(arg, (list, tuple)) else (arg,))
        ]  # an LSTM's in a list
        if any(isinstance(one, nn.Parameter) and one.requires_grad and id(one) not in self._known for one in every):
            self.unregistered.append(name)
        if func in RECURRENT or func is ATTENTION:
            self._see_order(func, args, name)
        if not self.layers:
            self._see_entrance(args[0])
        mean, std = moments(y)
        rank, similarity = rank_and_similarity(y) if self.deep and y.dim() > 1 else (None, None)
        place = len(self.layers)
        units = y.shape[1] if func not in RECURRENT and y.dim() == 4 else y.shape[-1]
        self.layers.append(
            {"layer": name, "mean": mean, "std": std, "wanted": y.requires_grad, "units": units}
            | {"rank": rank, "similarity": similarity, "spread": spread_of(y)}
        )
        if not self.bad and not (mean == mean and abs(mean) != float("inf")):
            self.bad = name
        if y.requires_grad and not (y.is_leaf or y.grad_fn is None) and (owner := self._owner()) is not None:
            hook = Hook(owner, lambda _, gradient: self._see_gradient(place, gradient))
            self.tensor_handles.append(y.register_hook(hook))  # type: ignore[no-untyped-call]

    def _see_entrance(self, x: object) -> None:
        """See what the network made of its inputs before its first layer, such as numbers of bytes."""
        given = self.given
        if not isinstance(x, Tensor) or given is None or x.numel() != given.numel() or len(x) != len(given):
            return
        if x.data_ptr() == given.data_ptr() and x.dtype == given.dtype:  # the same numbers
            return
        record = input_record(x, diverse=self.diverse)
        known = self.inputs
        if record is not None and (known is None or (record.low, record.high) != (known.low, known.high)):
            self.inputs = record

    def _see_order(self, func: Any, args: tuple[Any, ...], name: str) -> None:
        """See whether a recurrent or attentive layer takes the batch for its sequence."""
        first = args[-1] is False if func in RECURRENT else True  # attention has its sequence first here
        if first and isinstance(args[0], Tensor) and args[0].dim() == 3 and self._is_batch(args[0]):
            self.batch_sequence = self.batch_sequence or name
        sequence = args[-1] is False if func in RECURRENT else func is ATTENTION
        if (
            sequence
            and self.ways is not None
            and isinstance(args[0], Tensor)
            and args[0].dim() == 3
            and self.ways.mixes(args[0], 1)
        ):
            self.batch_mixed = self.batch_mixed or name

    @torch.no_grad()
    def _see_gradient(self, place: int, gradient: Tensor) -> None:
        self.gradients[place] = float(sampled(gradient).float().square().mean().sqrt())

    def layer_records(self) -> tuple[LayerRecord, ...]:
        """Return the layers with the gradients that have arrived."""
        return tuple(
            LayerRecord(**layer, gradient=self.gradients.get(place)) for place, layer in enumerate(self.layers)
        )


QUANTILES = torch.tensor((0.05, 0.5, 0.95))

SEEN_BEFORE: dict[Callable[..., Any], Callable[..., None]] = {
    **dict.fromkeys(DROPOUTS, Probe._see_dropout),
    **dict.fromkeys(SOFTMAXES, Probe._see_softmax),
    **dict.fromkeys(NORMS, Probe._see_length),
    F.batch_norm: Probe._see_norm,
    **dict.fromkeys((F.layer_norm, F.group_norm, F.instance_norm, F.rms_norm), Probe._see_other_norm),
}
SEEN_AFTER: dict[Callable[..., Any], Callable[..., None]] = {
    **dict.fromkeys((*LINEAR, *PRODUCTS, *RECURRENT, ATTENTION), Probe._see_layer),
    **dict.fromkeys(NOISE, Probe._see_noise),
    **dict.fromkeys(TIMES, Probe._see_product),
    **dict.fromkeys(PLUS, Probe._see_sum),
    torch.addcmul: Probe._see_addcmul,
}


def _takes_fast_path(module: nn.Module) -> bool:
    """Whether torch may compute a module in one kernel, which it gives up, and rounds otherwise, where it is looked into."""
    return (
        isinstance(module, (nn.MultiheadAttention, nn.TransformerEncoderLayer))
        and not module.training
        and not any(p.requires_grad for p in module.parameters())
    )


def _same(x: Tensor) -> Tensor:
    return x
