"""Edits: changes of a request as text that people write and read, such as `model.activation = "elu", optim.lr = 0.1`.

An edit is the inside of a TOML table; short names and dotted paths are those of the command line. `'default'` takes back that a field was asked
for. Edits apply to what was asked for, never to what was chosen, so that every default follows the change.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from seewhy.core.errors import InputError
from seewhy.spec import tree
from seewhy.spec.request import Request
from seewhy.spec.sections import Values
from seewhy.spec.toml import format_value


def parse_edit(text: str) -> Values:
    """Read an edit as changes by leaf path; None takes a field back.

    Raises:
        InputError: the text is no TOML, or names something that there is not.
    """
    try:
        document = tomllib.loads(f"edit = {{ {text} }}")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(
            f"must be TOML such as 'model.activation = \"elu\", optim.lr = 0.1', got {text!r}: {error}"
        ) from None
    if list(document) != ["edit"]:
        raise InputError(f"must be one line of TOML such as 'optim.lr = 0.1', got {text!r}")
    return tree.leaves(document["edit"])


def apply_edit(changes: Mapping[str, Any], request: Request) -> Request:
    """Return a checked request with changes applied.

    Raises:
        InputError: a change names something that there is not, or the new request would be wrong.
    """
    return request.with_changes(changes)


def format_edit(changes: Mapping[str, Any]) -> str:
    """Return changes as the text that `parse_edit` reads."""
    shown = {path: tree.UNSET if value is None else value for path, value in changes.items()}
    for path in list(shown):  # the name of a group stands for the group where nothing else of it is changed
        holder = path.rpartition(".")[0]
        alone = sum(other.startswith(f"{holder}.") for other in shown) == 1
        if path.endswith(".name") and holder.count(".") == 1 and alone:
            shown = {holder if other == path else other: value for other, value in shown.items()}
    return ", ".join(f"{path} = {format_value(value)}" for path, value in shown.items())


def diff(a: Request, b: Request) -> Values:
    """Return the shortest changes that make `b` of `a`, by leaf path: `apply_edit(diff(a, b), a) == b`."""
    changes: Values = {} if a.source == b.source else {"source": b.source}
    values, wanted = a.values, b.values
    names = {path for path in (*tree.flat(values), *tree.flat(wanted)) if path.endswith(".name")}
    for path in sorted(names, key=lambda path: (path.count("."), path)):
        former, new = tree.get(values, path), tree.get(wanted, path)
        holder = path.rpartition(".")[0]
        if former == new:
            continue
        # A group that is not asked for at all is taken back as a whole.
        step = {holder: None} if tree.get(wanted, holder) is None and "." in holder else {path: new}
        changes |= step
        values = tree.applied(values, step)
    before, after = tree.flat(values), tree.flat(wanted)
    for path in before:
        if path in after:
            continue
        group = path.rpartition(".")[0] if path.count(".") == 2 else path
        gone = group if tree.get(wanted, group) is None else path
        changes[gone] = None
    changes |= {path: value for path, value in after.items() if path not in before or before[path] != value}
    for given, other in (("train.minutes", "train.epochs"), ("train.epochs", "train.minutes")):
        if changes.get(given) is not None and other in changes and changes[other] is None:
            del changes[other]  # the one replaces the other by itself
    return changes
