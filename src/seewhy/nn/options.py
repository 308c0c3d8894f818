"""Options of named choices: which technique has which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.registry import Registry


def validate_options(registry: Registry[Any], name: str, options: Mapping[str, object]) -> None:
    """Raise InputError for an option that the technique called `name` does not have, naming those that have it.

    Args:
        registry: of the technique's family.
        name: of the technique.
        options: what is to be given to its factory.
    """
    allowed = registry[name].hyperparameters
    for option, value in options.items():
        if option in allowed:
            continue
        owners = [technique.name for technique in registry if option in technique.hyperparameters]
        if owners:
            raise InputError(
                f"{option}: is an option of {', '.join(owners)}, got {value!r} with {name!r}; leave it out"
            )
        raise InputError(
            f"{option}: no option of {registry.family}; {name} has {', '.join(allowed) or 'none'}; leave it out"
        )
