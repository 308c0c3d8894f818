"""Every option that the fields of a specification make: what the command line, a form and a page of help list."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from seewhy.spec import check, tree
from seewhy.spec.section import Choice, Group, groups_of, name_of
from seewhy.spec.sections import SECTION_TITLES, Values


@dataclass(frozen=True)
class OptionField:
    """One field as an option.

    Attributes:
        path: dotted; a group's lead is the group's own path.
        info: pydantic's record of the field.
        annotation: its type; of a choice, the names are in `names`.
        names: of a choice, what may be chosen.
        belongs: within a group, the names of the choices that have the field; () for all.
        aliases: its short names.
    """

    path: str
    info: FieldInfo
    annotation: Any
    names: tuple[str, ...] = ()
    belongs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = field(default=())

    @property
    def section(self) -> str:
        """The section it stands in."""
        return self.path.split(".")[0]

    @property
    def flags(self) -> tuple[str, ...]:
        """The names that it has on the command line, the shortest first."""
        return tuple(f"--{name.replace('_', '-')}" for name in (*self.aliases, self.path))

    @property
    def choices(self) -> tuple[Any, ...]:
        """What may be chosen, one by one; () where there is no such list."""
        return self.names or literals(self.annotation)

    @property
    def default(self) -> Any:
        """The value in every run that does not ask for another; None where it is chosen, or where there is none."""
        if self.info.is_required():
            return None
        value = self.info.get_default()
        return getattr(value, value.lead) if isinstance(value, Group) else value


def options_for(values: Values | None = None) -> tuple[OptionField, ...]:
    """Return the fields of the runs that values may lead to: those of a model and an optimiser where they are named."""
    found: dict[str, OptionField] = {}
    for section, records in check.candidates(values or {}).items():
        for record in records:
            for each in _fields(section, record.model_fields):
                found.setdefault(each.path, each)
    names = {"model.name": tuple(tree.owners("model")), "optim.name": tuple(tree.owners("optim"))}
    for path, known in names.items():
        found[path] = OptionField(path, _named(path), str, names=known, aliases=_aliases(path))
    order = list(SECTION_TITLES)
    return tuple(sorted(found.values(), key=lambda each: (order.index(each.section), not each.path.endswith(".name"))))


def all_options() -> tuple[OptionField, ...]:
    """Return the fields of all runs that there may be."""
    found = {each.path: each for each in options_for()}
    for section in SECTION_TITLES:
        for record in tree.owners(section).values():
            for each in _fields(section, record.model_fields):
                found.setdefault(each.path, each)
    return tuple(found.values())


def _named(path: str) -> FieldInfo:
    what = {
        "model.name": "Model (default: convnet up to 64 pixels, resnet above).",
        "optim.name": "Optimiser (default: muon or, without normalisation, adamw; adam for generative models).",
    }
    return FieldInfo(annotation=str, description=what[path], default=None)


def _aliases(path: str) -> tuple[str, ...]:
    return tuple(alias for alias, target in tree.ALIASES.items() if target == path)


def _fields(section: str, fields: dict[str, FieldInfo]) -> Iterator[OptionField]:
    for name, info in fields.items():
        path = f"{section}.{name}"
        if path in ("model.name", "optim.name"):
            continue
        held = groups_of(info.annotation)
        if not held:
            yield OptionField(path, info, info.annotation, aliases=_aliases(path))
            continue
        lead = held[0].lead
        chosen = tuple(name_of(group) for group in held if issubclass(group, Choice))
        annotation = held[0].model_fields[lead].annotation
        yield OptionField(path, info, str if chosen else annotation, names=chosen, aliases=_aliases(path))
        inner: dict[str, tuple[FieldInfo, list[str]]] = {}
        for group in held:
            for field_name, field_info in group.model_fields.items():
                if field_name != lead:
                    entry = inner.setdefault(field_name, (field_info, []))
                    entry[1].extend([name_of(group)] if issubclass(group, Choice) else [])
        for field_name, (field_info, whose) in inner.items():
            yield OptionField(f"{path}.{field_name}", field_info, field_info.annotation, belongs=tuple(whose))


def kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type, without None; a Literal counts as its values' types."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(kind for part in get_args(annotation) if part is not type(None) for kind in kinds(part))
    if get_origin(annotation) is Literal:
        return tuple({type(value) for value in get_args(annotation)})
    return (annotation,)


def literals(annotation: Any) -> tuple[Any, ...]:
    """Return the values that a type allows one by one, such as a Literal's; () where there are others."""
    if get_origin(annotation) is tuple:
        return ()
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(choice for part in get_args(annotation) for choice in literals(part))


def read_value(text: str, annotation: Any) -> Any:
    """Read a text as the field's type; a text that does not fit stays one, and the specification refuses it by name."""
    if get_origin(annotation) is tuple:
        if get_args(annotation)[0] is str:
            return tuple(part.strip() for part in text.split(";") if part.strip())
        numbers = [_number(part, (float,)) for part in text.split(",")]
        return numbers[0] if len(numbers) == 1 else tuple(numbers)
    known = kinds(annotation)
    if bool in known and text.lower() in ("true", "false", "yes", "no", "1", "0"):
        return text.lower() in ("true", "yes", "1")
    return _number(text, known)


def _number(text: str, known: Sequence[Any]) -> Any:
    if int in known or float in known:
        for read in (int, float):
            with suppress(ValueError):
                return read(text)
    return text
