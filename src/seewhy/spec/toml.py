"""TOML: reading it, and writing values so that people can read them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seewhy.core.errors import InputError
from seewhy.spec.sections import SECTION_TITLES


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises InputError, naming it, if it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the specification: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: is not valid TOML: {error}") from None


def format_value(value: Any) -> str:
    """Return a plain value, a list or a table on one line."""
    if isinstance(value, Mapping):
        if list(value) == ["name"]:  # a choice without fields of its own
            return format_value(value["name"])
        return "{ " + ", ".join(f"{name} = {format_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(format_value(item) for item in value) + "]"
    if isinstance(value, str):  # JSON's strings are TOML's, but for the escape of DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def format_toml(
    head: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]], comment: Callable[[str], str] = lambda _: ""
) -> str:
    """Return a document: plain values first, then a table a section, a line a field.

    Args:
        head: plain values.
        values: fields by section; a group stands on one line.
        comment: from the dotted path of a field to what is said of it, "" for nothing.
    """

    def line(path: str, name: str, value: Any) -> str:
        said = comment(path)
        return f"{name} = {format_value(value)}" + (f"  # {said}" if said else "")

    lines = [line(name, name, value) for name, value in head.items()]
    for section in SECTION_TITLES:
        fields = values.get(section, {})
        if fields:
            lines += ["", f"[{section}]"]
            lines += [line(f"{section}.{name}", name, value) for name, value in fields.items()]
    return "\n".join(lines) + "\n"
