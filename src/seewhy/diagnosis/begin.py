"""How watching begins: what may be watched, and what is said of it unasked."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import Optimizer

from seewhy.core.errors import InputError
from seewhy.core.findings import Finding
from seewhy.diagnosis.history import Entry
from seewhy.diagnosis.watcher import Watch


def print_finding(finding: Finding) -> None:
    """Print a finding on stderr."""
    print(f"seewhy  {finding}", file=sys.stderr)


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    *,
    tell: Callable[[Finding], None] | None = print_finding,
    record: Callable[[Entry], None] | None = None,
    start: Iterable[Entry] = (),
    **more: nn.Module | Optimizer,
) -> Watch:
    """Watch a training loop, and say what is wrong with it.

    Args:
        model: any module; its forward pass, called as `model(...)`, is what is seen.
        optimizer: of its parameters; any of torch's kind, also with closures.
        tell: called with each finding as it is confirmed; by default it is printed on stderr, None is silent.
        record: called with what each probe has measured, to be kept.
        start: what an earlier part of the same loop has recorded, which goes on here; what it has told is not told again.
        more: further networks and optimisers of the same loop, by name, such as `discriminator=D, d_optimizer=opt_d`.

    Returns:
        a `Watch`, to be closed, or used as a context. `print(why)` says what was found.

    Raises:
        InputError: one of them is no module or no optimiser.
    """
    modules = {"model": model} | {name: value for name, value in more.items() if isinstance(value, nn.Module)}
    optimizers = {"optimizer": optimizer} | {
        name: value for name, value in more.items() if isinstance(value, Optimizer)
    }
    for name, value in {"model": model, "optimizer": optimizer, **more}.items():
        if not isinstance(
            value, Optimizer if name == "optimizer" else nn.Module if name == "model" else (nn.Module, Optimizer)
        ):
            kind = (
                "a torch optimiser"
                if name == "optimizer"
                else "a module"
                if name == "model"
                else "a module or a torch optimiser"
            )
            raise InputError(f"watch: {name}: must be {kind}, got {type(value).__name__}")
    return Watch(modules, optimizers, tell=tell, record=record, start=start)
