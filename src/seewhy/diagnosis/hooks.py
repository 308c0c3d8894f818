"""Callables that hang in a stranger's hooks, and vanish from copies.

A module carries its hooks along when it is copied or pickled. A copy must be free of us, and loadable where seewhy is not installed: what
is copied
or pickled in our place is a function of Python's own that takes anything and returns None.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from typing import Any


class Hook:
    """Calls a method of an object that it does not keep alive; does nothing once that is gone.

    Args:
        owner: the object.
        method: its function, called with the owner and what the hook is called with; what it returns is dropped, for a hook that returns None
            changes nothing.
    """

    def __init__(self, owner: Any, method: Callable[..., object]) -> None:
        self._owner, self._method = weakref.ref(owner), method

    def __call__(self, *args: Any) -> None:
        """Hand on what happened."""
        owner = self._owner()
        if owner is not None:
            self._method(owner, *args)

    def __reduce__(self) -> Any:
        return getattr, (contextlib.nullcontext(), "__exit__")

    def __deepcopy__(self, memo: Any) -> Any:
        return contextlib.nullcontext().__exit__
