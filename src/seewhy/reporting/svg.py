"""Charts as light drawings inside a page.

The converter's SVG is built for a page of its own. Here it is freed of what a page does not need, and each sentence
that describes a mark becomes `data-tip`, which the page shows on hover; the whole drawing is one image to a screen
reader, with one description, beside a table that holds its numbers.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import vl_convert

from seewhy.reporting.formatting import replace_unsafe

_DROP = ("role", "aria-roledescription", "aria-hidden", "class", "pointer-events", "font-family", "stroke-miterlimit")
_LINK = "{http://www.w3.org/1999/xlink}href"
_LONG = re.compile(r"-?\d+\.\d{2,}")


def _short(match: re.Match[str]) -> str:
    return f"{float(match[0]):.1f}".removesuffix(".0")


def _tidy(element: ElementTree.Element, *, marks: bool) -> None:
    """Clean an element and its children in place; `marks` says whether descriptions inside are of data."""
    own = element.get("class", "")
    marks = (marks or "role-mark" in own) and "role-axis" not in own and "role-legend" not in own
    tip = element.attrib.pop("aria-label", None)
    if tip and marks:
        element.set("data-tip", tip)
    for name in _DROP:
        element.attrib.pop(name, None)
    for name in ("transform", "d", "x2", "y2"):
        if name in element.attrib:
            element.set(name, _LONG.sub(_short, element.attrib[name]))
    if (link := element.attrib.pop(_LINK, None)) is not None:
        element.set("href", link)  # a page knows no prefixes but its own
    if element.get("opacity") == "1":
        del element.attrib["opacity"]
    for child in list(element):
        _tidy(child, marks=marks)
        empty_path = (
            child.tag == "path" and not child.get("fill") and not child.get("stroke") and not child.get("data-tip")
        )
        if empty_path or (child.tag == "g" and len(child) == 0):
            element.remove(child)


def _legible(value: Any) -> Any:
    """Return a chart's description with what no page may hold replaced in every text, such as halves of letters in file names."""
    if isinstance(value, dict):
        return {key: _legible(inner) for key, inner in value.items()}
    return [_legible(inner) for inner in value] if isinstance(value, list) else replace_unsafe(value)


def inline_svg(chart: Any, description: str, *, grow: float = 1.0, least: int = 0) -> str:
    """Draw a chart as an SVG element for a page.

    Args:
        chart: an Altair chart.
        description: what a screen reader says.
        grow: how many times its drawn width the figure may take.
        least: pixels below which the figure is not shrunk (its frame scrolls instead).

    Returns:
        The element's text; all text inside is escaped.
    """
    # Not held against the schema of Vega-Lite, which takes a fifth of the time; the tests do that with every chart.
    text = vl_convert.vegalite_to_svg(_legible(chart.to_dict(validate=False)))
    root = ElementTree.fromstring(text.replace('xmlns="http://www.w3.org/2000/svg" ', "", 1))
    width = float(root.get("width", "0"))
    root.remove(root[0])  # the background; the page has its own
    _tidy(root, marks=False)
    for name in ("width", "height", "version", "class"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-label", description)
    root.set("style", f"max-width:{width * grow:.0f}px;min-width:{min(least, width * grow):.0f}px")
    return ElementTree.tostring(root, encoding="unicode", short_empty_elements=False)
