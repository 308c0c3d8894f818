"""What rules and defaults look at: the fields of a specification by dotted path, whether asked for, chosen, or not settled yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from seewhy.spec.section import Choice, Group, groups_of, named


class View:
    """Reads fields by dotted path.

    `view["model.norm"]` is the value that was asked for or chosen, else the field's default; None where it is not settled, or where there is no
    such field in the sections at hand. A group reads as its lead (`view["model.activation"]` is a name).
    """

    def __init__(self, values: Mapping[str, Any], sections: Mapping[str, type[BaseModel]]) -> None:
        self._values, self._sections = values, sections

    def asked(self, path: str) -> bool:
        """Whether a field has been given a value."""
        return _given(self._values, path) is not None

    def __getitem__(self, path: str) -> Any:
        """Return a field's value."""
        section, *fields = path.split(".")
        owner: type[BaseModel] | None = self._sections.get(section)
        given = self._values.get(section)
        for depth, field in enumerate(fields):
            info = owner.model_fields.get(field) if owner is not None else None
            if owner is None or info is None:
                return None
            value = given.get(field) if isinstance(given, Mapping) else None
            groups = groups_of(info.annotation)
            last = depth == len(fields) - 1
            if not groups:
                return (None if info.is_required() else info.get_default()) if value is None else value
            if value is None:
                default = None if info.is_required() else info.get_default()
                return getattr(default, default.lead) if default is not None and last else None
            group = named(groups, value.get("name"))
            if last:
                return _lead(value, group or groups[0])
            owner, given = group, value
        return given

    @property
    def optimizer(self) -> Any:
        """The section of the optimiser, None while it is not settled."""
        return self._sections.get("optim")


def _lead(value: Mapping[str, Any], group: type[Group]) -> Any:
    """Return the lead of a group that is given, wholly or in part."""
    given, info = value.get(group.lead), group.model_fields[group.lead]
    settled = given is not None or issubclass(group, Choice) or info.is_required()
    return given if settled else info.get_default()


def _given(values: Mapping[str, Any], path: str) -> Any:
    place: Any = values
    for name in path.split("."):
        place = place.get(name) if isinstance(place, Mapping) else None
    return place
