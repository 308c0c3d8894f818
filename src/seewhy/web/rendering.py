"""Pages from templates, in the look of the reports: their palette, style sheets and script, with the page's own on top."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from seewhy.reporting import template as reports
from seewhy.reporting.palette import (
    DARK,
    HEALTH_DARK,
    HEALTH_LIGHT,
    LIGHT,
    SERIES_DARK,
    SERIES_LIGHT,
    figure_rules,
    health_variables,
    series_variables,
    variables,
)

STATIC = Path(__file__).parent / "static"

STYLES = ("report.css", "health.css", "comparison.css")
"""Of the reports."""


@cache
def environment() -> jinja2.Environment:
    """Return what fills the page's templates: the reports' own, with one more place to look for files."""
    own = jinja2.PackageLoader("seewhy.web", "templates")
    loader = jinja2.ChoiceLoader([own, *filter(None, [reports.environment().loader])])
    return reports.environment().overlay(loader=loader)


def render(template: str, *, title: str, here: str = "", **context: Any) -> str:
    """Fill a template.

    Args:
        template: the name of the file.
        title: the heading.
        here: which entry of the navigation is the page's.
        context: what else it fills in.
    """
    return environment().get_template(template).render(title=title, here=here, **context)


def render_part(template: str, **context: Any) -> str:
    """Fill a template that is a part of a page."""
    return environment().get_template(template).render(**context)


@cache
def style_sheet() -> str:
    """Return the one style sheet of all pages."""
    degrees = health_variables(HEALTH_LIGHT, (LIGHT["ink"], LIGHT["over"]))
    dark_degrees = health_variables(HEALTH_DARK, (DARK["ink"], DARK["page"]))
    light = variables({**LIGHT, **degrees, **series_variables(SERIES_LIGHT)})
    dark = variables({**DARK, **dark_degrees, **series_variables(SERIES_DARK)})
    colours = (
        f":root{{{light}color-scheme:light}}\n"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}color-scheme:dark}}}}\n"
        f":root[data-theme=dark]{{{dark}color-scheme:dark}}\n"
    )
    own = (STATIC / "web.css").read_text(encoding="utf-8")
    return colours + "".join(map(reports.source, STYLES)) + figure_rules() + own


@cache
def script(name: str) -> str | None:
    """Return a script by its name, None where there is none: the reports' own, or one of the page's modules."""
    if name == "report.js":
        return reports.source(name)
    known = {path.name: path for path in STATIC.glob("*.js")}
    return known[name].read_text(encoding="utf-8") if name in known else None
