"""What stands above is named, not imported: a room hands work to one above it by "package.module:attribute", a constant of its own."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


@cache
def load(name: str) -> Any:
    """Return what a name of the package's own, or of an installed plug-in's, stands for; a name from a file goes through `core.trust`."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
