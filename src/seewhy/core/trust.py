"""Code that a run names: imported only where the person at this machine has named it, or has said that the run's folder is to be trusted.

A name is "package.module:attribute". Reading a run's files runs nothing; building the network of one that names a factory imports its module,
which can do anything.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError

_trusted: set[str] = set()


def trust(name: str) -> None:
    """Let a name be imported in this process from now on."""
    _trusted.add(name)


def trusted() -> frozenset[str]:
    """Return the names that may be imported."""
    return frozenset(_trusted)


def imported(field: str, name: str) -> Any:
    """Import what a name stands for; modules of the working directory are found too.

    Args:
        field: the parameter that holds the name.
        name: "package.module:attribute".

    Raises:
        InputError: the name is not trusted, is none, or cannot be imported.
    """
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise InputError(f"{field}: must be package.module:attribute, got {name!r}")
    if name not in _trusted:
        raise InputError(
            f"{field}: a file asks to import {attribute} from {module}, which runs that module's code; if you trust it, say --trust (in "
            "Python: trust=True)"
        )
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise InputError(f"{field}: {name} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(here)
    return found


def name_of(factory: Callable[..., Any], field: str) -> str:
    """Return the trusted name of a function or class that another process can import.

    Raises:
        InputError: it has none: a lambda, or what is defined within a function.
    """
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
    found: Any = sys.modules.get(module or "")
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    if found is not factory:
        raise InputError(
            f"{field}: must be a function or class at the top of a module, by whose name a run can find it again, got {factory!r}; move it there"
        )
    trust(f"{module}:{name}")
    return f"{module}:{name}"
