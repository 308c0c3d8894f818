"""What was asked for: a source and the fields that somebody gave, before anything is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.core.files import write_text
from seewhy.spec import check, tree
from seewhy.spec.sections import Values
from seewhy.spec.toml import format_toml, read_toml
from seewhy.spec.view import View

FORMAT = 2
"""Of run folders and specifications. 1 had no requests."""


@dataclass(frozen=True)
class Request:
    """A checked request; equal requests ask for the same.

    Attributes:
        source: a folder, a built-in name or an .npz file.
        values: what was asked for, nested by section and field, without empty tables. Do not change it; `with_changes` makes another.

    Raises:
        InputError: something is wrong; every wrong field and broken rule is named, a line each.
    """

    source: str
    values: Values = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = check.problems(self.source, self.values)
        if found:
            raise InputError("\n".join(found))
        object.__setattr__(self, "values", tree.applied({}, tree.flat(self.values)))

    @classmethod
    def make(cls, source: str, options: Mapping[str, Any] | None = None) -> Request:
        """Build a request from what people write.

        Args:
            source: a folder, a built-in name or an .npz file.
            options: such as `{"activation": "elu", "train.epochs": 3, "model": {"width": 32}}`.
        """
        return cls(source, tree.applied({}, tree.leaves(options or {})))

    @classmethod
    def from_toml(cls, path: Path) -> Request:
        """Read a request from a TOML file: one that somebody wrote, or a run's request.toml or spec.toml.

        Raises:
            InputError: the file is missing, is no TOML, is of another format, or something in it is wrong (each named).
        """
        values = read_toml(path)
        if values.pop("format", FORMAT) != FORMAT:
            raise InputError(f"{path}: is of another version's format; this version reads format {FORMAT}")
        source = values.pop("source", None)
        if not isinstance(source, str):
            raise InputError(f"{path}: source: must be a folder, a built-in name or an .npz file, got {source!r}")
        try:
            return cls.make(source, values)
        except InputError as error:
            raise InputError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from None

    def to_toml(self) -> str:
        """Return the request as TOML."""
        return format_toml({"format": FORMAT, "source": self.source}, self.values)

    def save(self, path: Path) -> None:
        """Write the TOML form atomically."""
        write_text(path, self.to_toml())

    def with_changes(self, options: Mapping[str, Any]) -> Request:
        """Return a checked request with changes, in the forms of `make`; None (or "default") takes a field back.

        Another name of a model, an optimiser or a group starts it afresh: what was asked of the former one is forgotten.
        """
        changes = tree.leaves(options)
        source = changes.pop("source", self.source)
        return Request(source, tree.applied(self.values, changes))

    def get(self, path: str) -> Any:
        """Return what was asked for at a dotted path, None where nothing was."""
        return tree.get(self.values, path)

    def view(self) -> View:
        """Return the request for reading: what was asked for, else the fields' own defaults."""
        return View(self.values, check.records(self.values))

    def asked(self) -> set[str]:
        """Return the dotted paths of what was asked for, by leaf."""
        return set(tree.flat(self.values))
