"""Names of the registries of `seewhy.nn` together with their options, as a design holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seewhy.core.errors import InputError
from seewhy.nn import Activation, maxout_width, variant


@dataclass(frozen=True)
class Choice:
    """A named part and what is set of it.

    Attributes:
        name: one of a registry's names.
        options: keyword arguments of the part.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def as_choice(value: Choice | str) -> Choice:
    """Return the choice that a name without options stands for, or the choice itself."""
    return Choice(value) if isinstance(value, str) else value


@dataclass(frozen=True)
class ActivationChoice:
    """An activation, and the widths of the layers in front of it.

    Attributes:
        activation: the factory.
        keep_parameters: whether a maxout network is made narrower, so that it has the weights of a plain one (`seewhy.nn.maxout_width`).

    Raises:
        InputError: keep_parameters is set for another activation.
    """

    activation: Activation
    keep_parameters: bool = False

    def __post_init__(self) -> None:
        if self.keep_parameters and self.activation.pieces == 1:
            raise InputError(
                f"keep_parameters: only maxout has more weights than others, got {self.activation.name!r}; leave it out"
            )

    @classmethod
    def of(cls, value: Activation | Choice | str) -> ActivationChoice:
        """Return the activation of a name, of a choice whose options may hold `keep_parameters`, or of a factory.

        Raises:
            InputError: the name or an option is not known.
        """
        if isinstance(value, Activation):
            return cls(value)
        choice = as_choice(value)
        options = dict(choice.options)
        keep_parameters = bool(options.pop("keep_parameters", False))
        return cls(variant(choice.name, **options), keep_parameters)

    def width(self, width: int) -> int:
        """Return the width that layers have."""
        return maxout_width(width, self.activation.pieces) if self.keep_parameters else width
