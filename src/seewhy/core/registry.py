"""Named choices: one frozen record for each technique that a user picks by name.

A registry maps the names of one family (activations, optimisers, ...) to records. The record carries what
`seewhy techniques` prints, so a technique is described in one place, next to the code that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Generic, TypeVar

from seewhy.core.errors import InputError, unknown_name

Factory = TypeVar("Factory", bound=Callable[..., object])


@dataclass(frozen=True, kw_only=True)
class Technique(Generic[Factory]):
    """A named choice.

    Attributes:
        name: what the user writes.
        factory: makes the thing; keyword arguments only, the same for the whole family.
        summary: one line.
        formula: in plain text, with the letters of the canon; empty where there is none.
        source: authors, year and, where there is one, the arXiv number.
        good_for: when to choose it.
        bad_for: when not to.
        claims: the canon's claims that measure it, such as `("C05", "C06")`.
        example: the options that choose it, where the family has no field that takes its name.
        qualified_name: the dotted name of what does the work; empty for a function or class, whose own name it is.
        hyperparameters: the factory's keyword arguments that the source names.
    """

    name: str
    factory: Factory
    summary: str
    formula: str = ""
    source: str = ""
    good_for: str = ""
    bad_for: str = ""
    claims: tuple[str, ...] = ()
    example: str = ""
    qualified_name: str = ""
    hyperparameters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.qualified_name:
            assert isinstance(self.factory, (type, FunctionType)), f"{self.name}: say where its factory's work is done"
            object.__setattr__(self, "qualified_name", f"{self.factory.__module__}.{self.factory.__qualname__}")


class Registry(Generic[Factory]):
    """The techniques of one family, by name, in the order of registration."""

    def __init__(self, family: str, field: str) -> None:
        """Args: family: plural noun for listings; field: the spec field that chooses from it."""
        self.family = family
        self.field = field
        self._techniques: dict[str, Technique[Factory]] = {}

    def add(self, technique: Technique[Factory]) -> None:
        """Register a technique; a name is taken once."""
        assert technique.name not in self._techniques, f"{self.family}: {technique.name} is registered twice"
        self._techniques[technique.name] = technique

    def __getitem__(self, name: str) -> Technique[Factory]:
        """Return the technique called `name`; raises InputError with the nearest valid name."""
        try:
            return self._techniques[name]
        except KeyError:
            raise unknown_name(self.field, name, self.names()) from None

    def __iter__(self) -> Iterator[Technique[Factory]]:
        return iter(self._techniques.values())

    def __len__(self) -> int:
        return len(self._techniques)

    def names(self) -> tuple[str, ...]:
        """All names, in the order of registration."""
        return tuple(self._techniques)

    def validate_options(self, name: str, options: Mapping[str, object]) -> None:
        """Raise InputError for an option that the technique called `name` does not have, naming those that have it."""
        allowed = self[name].hyperparameters
        for option, value in options.items():
            if option in allowed:
                continue
            owners = [technique.name for technique in self if option in technique.hyperparameters]
            if owners:
                raise InputError(
                    f"{option}: is an option of {', '.join(owners)}, got {value!r} with {name!r}; leave it out"
                )
            raise InputError(
                f"{option}: no option of {self.family}; {name} has {', '.join(allowed) or 'none'}; leave it out"
            )
