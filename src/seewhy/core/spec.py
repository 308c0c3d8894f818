"""Strict specifications: frozen records that refuse what they do not know, and travel as TOML.

`Strict` is a pydantic model that forbids unknown fields and silent conversions. Its doors, `from_dict`, `from_toml` and
`with_changes`, turn pydantic's findings into one InputError whose lines each name a field by its dotted path, say what is
allowed, what came, and the nearest valid name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from seewhy.core.errors import InputError, bad_value, nearest, unknown_name
from seewhy.core.files import write_text


class Strict(BaseModel):
    """A frozen record with checked fields; the base of every specification."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the record from nested dictionaries; raises InputError that names every wrong field."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise InputError("\n".join(_explain(cls, item) for item in error.errors())) from None

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read the record from a TOML file.

        Raises:
            InputError: the file is missing, is not TOML, or has wrong fields (each named).
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot read the specification: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: is not valid TOML: {error}") from None
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError("\n".join(f"{path}: {line}" for line in str(error).split("\n"))) from None

    def to_toml(self) -> str:
        """Return the record as TOML; fields that are None are left out, since TOML has no null."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    def save(self, path: Path) -> None:
        """Write the TOML form atomically."""
        write_text(path, self.to_toml())

    def with_changes(self, changes: Mapping[str, Any]) -> Self:
        """Return a checked copy with dotted fields replaced, such as `{"model.activation": "elu"}`.

        Raises:
            InputError: a path does not exist, or the new record would be wrong.
        """
        values = self.model_dump()
        for path, value in changes.items():
            *sections, field = path.split(".")
            place: Any = values
            for depth, section in enumerate(sections):
                place = place.get(section) if isinstance(place, dict) else None
                if not isinstance(place, dict):
                    raise _unknown_field(type(self), tuple(path.split(".")[: depth + 1]))
            place[field] = value
        return self.from_dict(values)


def fields_of(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return every leaf field of a nested record by dotted path, with its pydantic description."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        inner = _record(info.annotation)
        if inner is not None:
            found.update(fields_of(inner, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = info
    return found


def _record(annotation: Any) -> type[BaseModel] | None:
    """Return the record type inside an annotation, or None for a plain value."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _unknown_field(model: type[BaseModel], path: tuple[str, ...]) -> InputError:
    """Say that `path` is no field, with its siblings and the nearest valid path anywhere in the record."""
    owner: type[BaseModel] | None = model
    for part in path[:-1]:
        info = owner.model_fields.get(part) if owner else None
        owner = _record(info.annotation) if info else None
    siblings = list(owner.model_fields) if owner else list(model.model_fields)
    dotted = ".".join(path)
    message = f"{dotted}: there is no such field; {'.'.join(path[:-1]) or 'a run'} has {', '.join(siblings)}"
    close = nearest(path[-1], siblings)
    if close:
        return InputError(f"{message}; did you mean {'.'.join((*path[:-1], close))!r}?")
    elsewhere = [known for known in fields_of(model) if known.split(".")[-1] == path[-1]]
    return InputError(f"{message}; did you mean {elsewhere[0]!r}?" if elsewhere else message)


_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "model_type": "a table of fields",
    "model_attributes_type": "a table of fields",
    "dict_type": "a table of fields",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def _explain(model: type[BaseModel], item: Any) -> str:
    """Turn one finding of pydantic into a line that a user can act on."""
    location = tuple(str(part) for part in item["loc"])
    field, kind, came = ".".join(location), item["type"], item["input"]
    context: dict[str, Any] = item.get("ctx", {})
    if kind == "extra_forbidden":
        return str(_unknown_field(model, location))
    if kind == "literal_error":
        allowed = [choice.strip("' ") for choice in str(context["expected"]).replace(" or ", ", ").split(",")]
        return str(
            unknown_name(field, came, allowed)
            if isinstance(came, str)
            else bad_value(field, came, " or ".join(allowed))
        )
    if kind == "missing":
        return f"{field}: is required; say which"
    if kind in _BOUNDS:
        return str(bad_value(field, came, _range(model, location, kind, context)))
    if kind in _TYPES:
        return str(bad_value(field, came, _TYPES[kind]))
    if kind == "value_error":  # raised by the specification's own validators, already in full sentences
        return str(context["error"])
    return f"{field}: {item['msg']}, got {came!r}"


def _range(model: type[BaseModel], location: tuple[str, ...], kind: str, context: Mapping[str, Any]) -> str:
    """Word both ends of a field's range, not only the one that was crossed."""
    info = fields_of(model).get(".".join(location))
    ends = [
        f"{words} {getattr(bound, key)}"
        for bound in (info.metadata if info is not None else [])
        for key, words in _BOUNDS.values()
        if hasattr(bound, key)
    ]
    return "a number " + (" and ".join(ends) if ends else f"{_BOUNDS[kind][1]} {context[_BOUNDS[kind][0]]}")
