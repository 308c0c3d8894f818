"""The templates of pages: how they are read and filled."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from seewhy.reporting.formatting import (
    breakable,
    format_count,
    format_number,
    format_percent,
    replace_unsafe,
    shorten,
)
from seewhy.reporting.palette import DARK, LIGHT, figure_rules, variables


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


def render_page(
    template: str,
    *,
    title: str,
    scripts: Sequence[str],
    styles: Sequence[str],
    light: Mapping[str, str] | None = None,
    dark: Mapping[str, str] | None = None,
    navigation: Sequence[tuple[str, str]] = (),
    **context: Any,
) -> str:
    """Fill a template that extends the page: one document that loads nothing and runs no script but these.

    Args:
        template: the name of the file.
        title: the heading.
        scripts, styles: names of files that stand inside the page.
        light, dark: further colours, by the names of their style-sheet variables.
        navigation: (anchor, title) of the page's sections.
        context: what else the template fills in.
    """
    sources = [source(name) for name in scripts]
    return (
        environment()
        .get_template(template)
        .render(
            title=title,
            scripts=sources,
            hashes=" ".join(f"'sha256-{script_hash(script)}'" for script in sources),
            style="".join(map(source, styles)),
            light=variables({**LIGHT, **(light or {})}),
            dark=variables({**DARK, **(dark or {})}),
            figure_rules=figure_rules(),
            navigation=navigation,
            **context,
        )
    )
