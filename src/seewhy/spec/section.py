"""Sections: frozen records of checked fields, from which a run's specification is made.

A field with a default has that default in every run. A field made by `chosen` has none: where a request leaves it open, its value is chosen
from the data and the machine when the request is resolved. A field may hold a record of its own, a `Group`, whose `lead` field can be given in
place of the whole (`activation = "elu"` for `activation = {name = "elu"}`, `cutout = 8` for `cutout = {size = 8}`); a `Choice` is a group whose
lead is its name, and whose other fields depend on the name.
"""

from __future__ import annotations

from typing import Any, ClassVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


class Section(BaseModel):
    """A frozen record that refuses what it does not know and converts nothing silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def values(self) -> dict[str, Any]:
        """Return the fields that have a value, as nested dictionaries of plain values."""
        return {
            name: value.values() if isinstance(value, Section) else list(value) if isinstance(value, tuple) else value
            for name in type(self).model_fields
            if (value := getattr(self, name)) is not None
        }


class Group(Section):
    """A record within a section; `lead` is the field that stands for the whole."""

    lead: ClassVar[str]

    @classmethod
    def lead_value(cls, value: Any) -> Any:
        """Return the lead field's value for what was given in place of the whole."""
        return value


class Choice(Group):
    """A named choice with fields of its own."""

    lead: ClassVar[str] = "name"

    name: str

    def options(self) -> dict[str, Any]:
        """Return the fields beside the name that have a value, as keyword arguments."""
        return {
            field: value
            for field in type(self).model_fields
            if field != "name" and (value := getattr(self, field)) is not None
        }


def chosen(**options: Any) -> Any:
    """Declare a field whose value is chosen from the data and the machine unless it is asked for."""
    return Field(..., **options)


def pair(default: tuple[float, float], description: str) -> Any:
    """Declare a field of two numbers, such as a range."""
    return Field(default, strict=False, description=description)


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise PydanticCustomError("descending", "must ascend")
    return value


ASCENDING = AfterValidator(_ascending)
"""Beside the type of a pair: a range from the least to the largest value."""


def groups_of(annotation: Any) -> tuple[type[Group], ...]:
    """Return the records that a field may hold; () for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Group):
        return (annotation,)
    if get_origin(annotation) is tuple:
        return ()
    return tuple(group for inner in get_args(annotation) for group in groups_of(inner))


def name_of(choice: type[Choice]) -> str:
    """Return the name by which a choice is chosen."""
    return str(choice.model_fields["name"].default)


def named(choices: tuple[type[Group], ...], name: Any) -> type[Group] | None:
    """Return the record called `name`, the only one there is, or None."""
    if len(choices) == 1 and not issubclass(choices[0], Choice):
        return choices[0]
    return next((c for c in choices if issubclass(c, Choice) and name_of(c) == name), None)


def is_chosen(info: FieldInfo) -> bool:
    """Whether a field's value is chosen where it is left open."""
    return info.is_required()
