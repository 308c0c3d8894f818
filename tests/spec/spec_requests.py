"""Valid requests of any kind, as a strategy: every field of every model and optimiser, with values made from its record."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args, get_origin

from hypothesis import assume
from hypothesis import strategies as st

from seewhy.core.errors import InputError
from seewhy.spec import Request, model_names
from seewhy.spec.check import candidates
from seewhy.spec.optimizers import OPTIMIZERS
from seewhy.spec.section import groups_of, name_of
from seewhy.spec.tree import put

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
edit_texts = st.lists(
    st.sampled_from(['model.activation = "elu"', "optim.lr = 0.1", 'model.norm = { name = "none" }']), max_size=2
)


def bounds_of(info: Any) -> dict[str, float]:
    """Return the ends of a number's range, by pydantic's names."""
    return {key: getattr(m, key) for m in info.metadata for key in ("gt", "ge", "lt", "le") if hasattr(m, key)}


def numbers(annotation: Any, ends: dict[str, float]) -> st.SearchStrategy[Any]:
    """Return numbers within a range."""
    low, high = ends.get("ge", ends.get("gt", 0)), ends.get("le", ends.get("lt", 1000))
    if annotation is int:
        return st.integers(math.ceil(low), math.floor(high))
    return st.floats(low, high, exclude_min="gt" in ends, exclude_max="lt" in ends, allow_subnormal=False)


def plain_values(annotation: Any, ends: dict[str, float]) -> st.SearchStrategy[Any]:
    """Return values of a field that holds no group."""
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if annotation is bool:
        return st.booleans()
    if annotation in (int, float):
        return numbers(annotation, ends)
    if annotation is str:
        return text
    if get_origin(annotation) is tuple and get_args(annotation)[-1] is Ellipsis:
        return edit_texts
    if get_origin(annotation) is tuple:
        pair = st.tuples(st.floats(0.01, 0.5), st.floats(0.5, 0.99))
        return pair.map(list)
    inner = next(part for part in get_args(annotation) if part is not type(None))
    return plain_values(inner, ends)


@st.composite
def fields_of(draw: st.DrawFn, record: Any, most: int) -> dict[str, Any]:
    """Draw values for some of a record's fields, its name left out."""
    names = [name for name in record.model_fields if name != "name"]
    found = {}
    for name in draw(st.sets(st.sampled_from(names), max_size=most)) if names else ():
        info = record.model_fields[name]
        groups = groups_of(info.annotation)
        found[name] = draw(group_values(groups) if groups else plain_values(info.annotation, bounds_of(info)))
    return found


@st.composite
def group_values(draw: st.DrawFn, groups: tuple[Any, ...]) -> dict[str, Any]:
    """Draw a group: its lead, or some of its fields, or both."""
    group = draw(st.sampled_from(groups))
    inner = draw(fields_of(group, 2))
    named = group.lead == "name" and (not inner or draw(st.booleans()))
    return {**({"name": name_of(group)} if named else {}), **inner}


def without_faults(source: str, values: dict[str, Any]) -> Request:
    """Return a request without the fields that are refused together with the others."""
    for _ in range(20):
        try:
            return Request(source, values)
        except InputError as error:
            for line in str(error).split("\n"):
                for path in line.split(":")[0].split(", "):
                    put(values, path, None)
    assume(False)
    raise AssertionError


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Draw a valid request."""
    values: dict[str, Any] = {}
    for path, names in (("model.name", model_names()), ("optim.name", [name_of(record) for record in OPTIMIZERS])):
        put(values, path, draw(st.none() | st.sampled_from(names)))
    try:
        options = candidates(values)
    except InputError:
        assume(False)
    for section, records in options.items():
        drawn = draw(fields_of(draw(st.sampled_from(records)), 3))
        kept = values.get(section, {})
        if drawn or kept:
            values[section] = {**kept, **drawn}
    return without_faults(draw(text.filter(str.strip)), values)
