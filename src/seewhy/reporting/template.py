"""The templates of pages: how they are read and filled."""

from __future__ import annotations

import base64
import hashlib
from functools import cache

import jinja2

from seewhy.reporting.formatting import (
    breakable,
    format_count,
    format_number,
    format_percent,
    replace_unsafe,
    shorten,
)


@cache
def environment() -> jinja2.Environment:
    """Return the environment that fills templates: what is filled in is escaped, what is missing is an error."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("seewhy.reporting", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=replace_unsafe,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "number": format_number,
        "percent": format_percent,
        "shorten": shorten,
        "count": format_count,
        "breakable": breakable,
    }
    return templates


def source(name: str) -> str:
    """Return a template, a style or a script as it stands."""
    loader = environment().loader
    assert loader is not None
    return loader.get_source(environment(), name)[0]


def script_hash(script: str) -> str:
    """Return what a content security policy names an inline script by: base64 of its SHA-256."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
