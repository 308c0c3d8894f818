"""Callables that hang in a stranger's hooks, and vanish from copies.

A module carries its hooks along when it is copied or pickled. A copy must be free of us, and loadable where seewhy is not installed: what
is copied or pickled in our place is a function of Python's own that takes anything and returns None.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch._C import _len_torch_dispatch_stack
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack, _pop_mode, _push_mode
from torch.utils._python_dispatch import _disable_current_modes

BATCHED_GRADIENTS = torch._C._parse_dispatch_key("VmapMode") or "VmapMode"
"""Parsed once, which would take longer than all else of a call."""


def unseen() -> bool:
    """Whether tensors have no values that could be read: in what torch compiles, exports, traces or captures, in torch.func, under vmap.

    Gradients that are computed many at once (`is_grads_batched`) come under an older vmap, which only a dispatch key tells.
    """
    if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():  # type: ignore[no-untyped-call]
        return True
    return (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch._C._dispatch_tls_is_dispatch_key_included(BATCHED_GRADIENTS)
    )


def apart() -> contextlib.AbstractContextManager[Any]:
    """Compute what the loop's own dispatch modes must not see, such as the counting of floating-point operations."""
    return _disable_current_modes() if _len_torch_dispatch_stack() else contextlib.nullcontext()


class Owner(Protocol):
    """What hooks report to."""

    def failed(self) -> None:
        """An exception is being handled that must not reach the loop."""


class Hook:
    """Calls a method of an object that it does not keep alive; does nothing once that is gone, and lets no exception out.

    Args:
        owner: the object.
        method: its function, called with the owner, `first` and what the hook is called with; what it returns is dropped, for a hook that
            returns None changes nothing.
        first: arguments of every call.
    """

    __slots__ = ("__weakref__", "_first", "_method", "_owner")

    def __init__(self, owner: Owner, method: Callable[..., object], *first: Any) -> None:
        self._owner, self._method, self._first = weakref.ref(owner), method, first

    def __call__(self, *args: Any) -> None:
        """Hand on what happened, where there is something to be seen."""
        if unseen():
            return
        owner = self._owner()
        if owner is not None:
            try:
                with apart():
                    self._method(owner, *self._first, *args)
            except Exception:  # noqa: BLE001  a watcher must not break what it watches
                owner.failed()

    def __reduce__(self) -> Any:
        return getattr, (contextlib.nullcontext(), "__exit__")

    def __deepcopy__(self, memo: Any) -> Any:
        return contextlib.nullcontext().__exit__


class Countdown:
    """Hands on to a hook what comes after some calls that are only counted.

    Args:
        hook: called then.
    """

    __slots__ = ("__weakref__", "_granted", "_hook", "_idle")

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._granted = self._idle = 0

    def __call__(self, *args: Any) -> None:
        """Count, or hand on."""
        if self._idle and not torch.compiler.is_compiling():
            self._idle -= 1
        else:
            self._hook(*args)

    def grant(self, calls: int) -> None:
        """Only count the next calls."""
        self._granted = self._idle = calls

    def taken(self) -> int:
        """Return how many were counted since this was asked, or granted, last."""
        taken, self._granted = self._granted - self._idle, self._idle
        return taken

    def __reduce__(self) -> Any:
        return self._hook.__reduce__()

    def __deepcopy__(self, memo: Any) -> Any:
        return self._hook.__deepcopy__(memo)


def leave_mode(mode: TorchFunctionMode) -> None:
    """Take a mode off the stack, wherever it lies: an interrupted pass may have left others above it."""
    above: list[TorchFunctionMode] = []
    if not any(one is mode for one in _get_current_function_mode_stack()):  # type: ignore[no-untyped-call]
        return
    while (last := _pop_mode()) is not mode:  # type: ignore[no-untyped-call]
        above.append(last)
    for other in reversed(above):
        _push_mode(other)  # type: ignore[no-untyped-call]
