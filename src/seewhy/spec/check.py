"""Whether values may stand in a specification: every wrong field and every broken rule, told together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from seewhy.core.errors import bad_value, nearest, unknown_name
from seewhy.spec import tree
from seewhy.spec.classifiers import USUAL_MODELS
from seewhy.spec.family import Family, families, family_of, model_names
from seewhy.spec.optimizers import OPTIMIZERS
from seewhy.spec.rules import broken_rules
from seewhy.spec.section import Choice, Section, groups_of, name_of
from seewhy.spec.sections import SECTION_TITLES, DataSection
from seewhy.spec.view import View

Records = dict[str, type[Section]]


def family_for(values: Mapping[str, Any]) -> Family:
    """Return the family of the model that values name; classifiers where they name none. Raises InputError for an unknown name."""
    name = tree.get(values, "model.name")
    return families()[0] if name is None else family_of(name)


def candidates(values: Mapping[str, Any]) -> dict[str, list[type[Section]]]:
    """Return the records that each section may be: one where the names are settled, else those that the defaults choose among."""
    family = family_for(values)
    name, optimizer = tree.get(values, "model.name"), tree.get(values, "optim.name")
    of_optimizers = {name_of(record): record for record in OPTIMIZERS}
    if optimizer is not None and optimizer not in of_optimizers:
        raise unknown_name("optim.name", optimizer, of_optimizers)
    models = [family.model(model) for model in ((name,) if name is not None else USUAL_MODELS)]
    found: dict[str, list[type[Section]]] = {
        "data": [DataSection],
        "optim": [of_optimizers[o] for o in ((optimizer,) if optimizer is not None else family.optimizers)],
    }
    found |= {section: [record] for section, record in family.sections(models[0].name).items()}
    found["model"] = [model.section for model in models]
    return found


def records(values: Mapping[str, Any]) -> Records:
    """Return one record for each section, the first candidate; an optimiser that is not settled is left out."""
    found = {section: options[0] for section, options in candidates(values).items()}
    if tree.get(values, "optim.name") is None:
        del found["optim"]
    return found


def problems(source: Any, values: Mapping[str, Any], *, whole: bool = False) -> list[str]:
    """Return a message for everything that is wrong.

    Args:
        source: of the data.
        values: nested, by section and field.
        whole: whether fields that are left open are wrong too.
    """
    named = isinstance(source, str) and source.strip()
    found = [] if named else [f"source: must be a folder, a built-in name or an .npz file, got {source!r}"]
    for name, known in (("model.name", model_names()), ("optim.name", tuple(tree.owners("optim")))):
        given = tree.get(values, name)
        if given is not None and given not in known:
            found.append(str(unknown_name(name, given, known)))
    if found:
        return found
    options = candidates(values)
    for section, given in values.items():
        if section not in SECTION_TITLES:
            found.append(str(tree.unknown_option(section)))
        elif not isinstance(given, Mapping):
            found.append(str(bad_value(section, given, "a table of fields")))
        elif section not in options:
            found += [_misplaced(f"{section}.{field}", section, field, values) for field in given]
        else:
            each = [_section_problems(record, section, given, values, whole=whole) for record in options[section]]
            fewest: list[str] = min(each, key=len)
            found += fewest
    if whole:
        missing = [section for section in options if section not in values]
        found += [f"{section}: is missing" for section in missing if section != "ensemble"]
    sound = copy.deepcopy(dict(values))
    for message in found:  # rules look at what is right in itself
        path = message.split(":")[0]
        if path.split(".")[0] in sound:
            tree.put(sound, path, None)
    return [*found, *broken_rules(View(sound, records(sound)), family_for(sound))]


def _section_problems(
    record: type[Section], section: str, given: Mapping[str, Any], values: Mapping[str, Any], *, whole: bool
) -> list[str]:
    """Return what is wrong with the fields of one section, taken as one record."""
    open_groups = {
        field: value
        for field, value in given.items()
        if not whole and isinstance(value, Mapping) and len(tree.groups(section, field)) > 1 and "name" not in value
    }
    found = []
    for field, value in open_groups.items():  # the name is chosen later, but the fields must be somebody's
        known = [name for group in tree.groups(section, field) for name in group.model_fields]
        found += [_unknown(f"{section}.{field}.{name}", known) for name in value if name not in known]
    try:
        record.model_validate({field: value for field, value in given.items() if field not in open_groups})
    except ValidationError as error:
        for item in error.errors():
            if item["type"] == "missing" and not whole and len(item["loc"]) == 1:
                continue
            found.append(_explain(record, section, item, values))
    return found


def _locate(record: type[BaseModel], location: tuple[int | str, ...]) -> tuple[list[str], FieldInfo | None]:
    """Return the fields of a location of pydantic's, without the names of choices and the places in lists, and the last one's record."""
    path, info = list[str](), None
    owner: type[BaseModel] | None = record
    parts = list(location)
    while parts:
        field = parts.pop(0)
        if isinstance(field, int):
            continue
        path.append(field)
        info = owner.model_fields.get(field) if owner is not None else None
        held = groups_of(info.annotation) if info is not None else ()
        owner = held[0] if held else None
        if len(held) > 1 and parts:
            tag = parts.pop(0)
            owner = next((group for group in held if group.model_fields["name"].default == tag), None)
    return path, info


def _explain(record: type[Section], section: str, item: Any, values: Mapping[str, Any]) -> str:
    """Turn one finding of pydantic into a line that a user can act on."""
    path, info = _locate(record, item["loc"])
    field, kind, came = ".".join([section, *path]), item["type"], item["input"]
    context: dict[str, Any] = item.get("ctx", {})
    if kind == "extra_forbidden":
        return _misplaced(field, section, ".".join(path), values)
    if kind == "union_tag_not_found":
        return f"{field}: needs a name; allowed: {', '.join(_names(info))}"
    if kind == "union_tag_invalid":
        return _not_allowed(
            section, path, came.get("name") if isinstance(came, Mapping) else came, _names(info), values
        )
    if kind == "literal_error":
        allowed = _names(info)
        return (
            _not_allowed(section, path, came, allowed, values)
            if isinstance(came, str)
            else str(bad_value(field, came, " or ".join(allowed)))
        )
    if kind == "missing" and isinstance(item["loc"][-1], int):
        return str(bad_value(field, list(came), _TYPES["too_short"]))
    if kind == "missing":
        return f"{field}: is required; say which"
    if kind in _BOUNDS:
        return str(bad_value(field, came, _range(info, kind, context)))
    if kind in _TYPES:
        return str(bad_value(field, came, _TYPES[kind]))
    return f"{field}: {item['msg']}, got {came!r}"


def _names(info: FieldInfo | None) -> list[str]:
    """Return what a field of names allows."""
    assert info is not None
    held = groups_of(info.annotation)
    return (
        [name_of(g) for g in held if issubclass(g, Choice)]
        if held
        else [str(name) for name in get_args(info.annotation)]
    )


def _not_allowed(section: str, path: list[str], came: Any, allowed: list[str], values: Mapping[str, Any]) -> str:
    """Say that a name is not allowed: because it is another model's, or is none at all."""
    field, whose = ".".join([section, *path]), list[str]()
    if len(path) == 1 and section == "model":
        owners = tree.owners(section).items()
        whose = [name for name, other in owners if (i := other.model_fields.get(path[0])) and came in _names(i)]
    if not whose:
        return str(unknown_name(field, came, allowed))
    model = tree.get(values, "model.name")
    chosen = repr(model) if model is not None else "left to the defaults"
    return f"{field}: {came!r} belongs to {', '.join(whose)}, but model.name is {chosen}; allowed: {', '.join(allowed)}"


def _misplaced(path: str, section: str, field: str, values: Mapping[str, Any]) -> str:
    """Say whose a field is that stands where it does not belong; or that there is none of its name, and which was meant."""
    first, _, inner = field.partition(".")
    if inner:
        whose = [name_of(g) for g in tree.groups(section, first) if inner in g.model_fields]  # type: ignore[arg-type]
        if whose:
            chosen = tree.get(values, f"{section}.{first}.name")
            return f"{path}: belongs to {', '.join(whose)}, but {section}.{first} is {chosen!r}; {_choose(whose)} or leave this out"
        return _unknown(path, [name for group in tree.groups(section, first) for name in group.model_fields])
    whose = [name for name, record in tree.owners(section).items() if field in record.model_fields]
    if not whose:
        return _unknown(path, list(tree.fields(section)))
    chooser = "optim.name" if section == "optim" else "model.name"
    name = tree.get(values, chooser)
    chosen = repr(name) if name is not None else "left to the defaults"
    what = _choose(whose) if section in ("model", "optim") else "choose a model of those"
    return f"{path}: belongs to {', '.join(whose)}, but {chooser} is {chosen}; {what} or leave this out"


def _choose(whose: list[str]) -> str:
    return f"choose {'it' if len(whose) == 1 else 'one of those'}"


def _unknown(path: str, siblings: list[str]) -> str:
    """Say that there is no such field, with its siblings and the nearest valid path."""
    owner, _, name = path.rpartition(".")
    siblings = list(dict.fromkeys(siblings))
    message = f"{path}: there is no such field; {owner} has {', '.join(siblings)}"
    close = nearest(name, siblings)
    if close is None:
        elsewhere = [known for known in tree.known_paths() if known.split(".")[-1] == name]
        return f"{message}; did you mean {elsewhere[0]!r}?" if elsewhere else message
    return f"{message}; did you mean {f'{owner}.{close}'!r}?"


_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "tuple_type": "a list",
    "too_short": "a list of two numbers",
    "too_long": "a list of two numbers",
    "descending": "a list of two numbers, the smaller first",
    "float_parsing": "a number",
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


def _range(info: FieldInfo | None, kind: str, context: Mapping[str, Any]) -> str:
    """Word both ends of a field's range, not only the one that was crossed."""
    ends = [
        f"{words} {getattr(bound, key)}"
        for bound in (info.metadata if info is not None else [])
        for key, words in _BOUNDS.values()
        if key in getattr(bound, "__dataclass_fields__", ())
    ]
    return "a number " + (" and ".join(ends) if ends else f"{_BOUNDS[kind][1]} {context[_BOUNDS[kind][0]]:g}")
