"""Changes of a program that faults and healthy oddities are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from loops import Setup
from torch import Tensor, nn

Change = Callable[[Setup], None]


def put(**values: Any) -> Change:
    """Set fields of the setup."""

    def change(setup: Setup) -> None:
        for name, value in values.items():
            setattr(setup, name, value)

    return change


def options(**values: Any) -> Change:
    """Give the optimiser other options."""

    def change(setup: Setup) -> None:
        setup.optimizer = partial(setup.optimizer, **values)

    return change


def rate(factor: float) -> Change:
    """Multiply the learning rate."""

    def change(setup: Setup) -> None:
        setup.optimizer = partial(setup.optimizer, lr=factor * setup.optimizer.keywords["lr"])

    return change


def model(make: Callable[[], nn.Module]) -> Change:
    """Take another network."""

    def change(setup: Setup) -> None:
        setup.model = make()

    return change


def inputs(f: Callable[[Tensor], Tensor]) -> Change:
    """Change the inputs of training and validation."""

    def change(setup: Setup) -> None:
        setup.x, setup.x_val = f(setup.x), f(setup.x_val)

    return change


def weights(f: Callable[[Tensor], Tensor], only: Callable[[str], bool] = lambda name: True) -> Change:
    """Change the initial weights and biases of linear maps and convolutions."""

    @torch.no_grad()
    def change(setup: Setup) -> None:
        for name, part in setup.model.named_modules():
            if isinstance(part, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.GRU)):
                for inner, p in part.named_parameters():
                    if only(f"{name}.{inner}"):
                        p.copy_(f(p))

    return change


def freeze(only: Callable[[str], bool]) -> Change:
    """Take the gradients of parameters away, by name."""

    def change(setup: Setup) -> None:
        for name, p in setup.model.named_parameters():
            p.requires_grad_(not only(name))

    return change


def each(f: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Change:
    return put(each=f)


def chain(*changes: Change) -> Change:
    def change(setup: Setup) -> None:
        for part in changes:
            part(setup)

    return change


class Unwatched:
    """Stands where a watch would."""

    def __enter__(self) -> Unwatched:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def observe(self, **_: object) -> None:
        """Forget."""

    def close(self) -> None:
        """Do nothing."""


def pretrain(setup: Setup) -> None:
    """Train before the watching begins."""
    setup.loop(setup, lambda *_, **__: Unwatched())


def first(n: int) -> Change:
    """Keep few training rows."""

    def change(setup: Setup) -> None:
        setup.x, setup.y = setup.x[:n], setup.y[:n]

    return change


def imbalanced(ratio: int) -> Change:
    """Keep one in `ratio` rows of every class but the first."""

    def change(setup: Setup) -> None:
        keep = (setup.y == 0) | (torch.arange(len(setup.y)) % ratio == 0)
        setup.x, setup.y = setup.x[keep], setup.y[keep]

    return change
