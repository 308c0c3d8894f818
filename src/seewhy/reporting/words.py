"""Numbers and names as people read them."""

from __future__ import annotations

import math
import re

from markupsafe import Markup, escape

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""What no HTML text may hold (control characters, halves of characters as in undecodable file names) and what would
turn the direction of the text around it."""


def clean(value: object) -> object:
    """Return a text with what a page must not hold replaced; anything else, and markup, keeps its type."""
    return type(value)(_UNSAFE.sub("\ufffd", value)) if isinstance(value, str) else value


def finite(value: object) -> float | None:
    """Return the value as a float, or None when it is absent, no number, NaN or infinite."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def number(value: object, digits: int = 4) -> str:
    """Return a number with so many significant digits, from 1,000 on a whole one; a dash where there is none."""
    known = finite(value)
    if known is None:
        return "–"
    if known == int(known) and abs(known) < 1e15:
        return f"{int(known):,}"
    return f"{known:,.0f}" if 1000 <= abs(known) < 1e15 else f"{known:.{digits}g}"


def percent(value: object, digits: int = 1) -> str:
    """Return a share in [0, 1] as a percentage; a dash where there is none."""
    known = finite(value)
    return "–" if known is None else f"{100 * known:.{digits}f}%"


FIGURES = {
    "lr": "Learning rate",
    "kl": "KL",
    "real": "Discriminator, real pictures",
    "fake": "Discriminator, drawn pictures",
}
"""Figures of an epoch whose names do not say what they are."""


def heading(name: str) -> str:
    """Return the name of a figure of an epoch as a heading: "Generator loss" of generator_loss."""
    return FIGURES.get(name, name.replace("_", " ").capitalize())


def count(n: int, one: str, many: str | None = None) -> str:
    """Return "1 image", "2 images"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def shorten(name: str, limit: int) -> str:
    """Return the name with its middle left out when it is longer than `limit` characters."""
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 3
    return f"{name[: limit - 1 - tail]}…{name[len(name) - tail :] if tail else ''}"


def breakable(name: str) -> Markup:
    """Return the name as escaped HTML in which lines may break after a slash, an underscore or a hyphen."""
    text = str(escape(name))
    for mark in "/_-":
        text = text.replace(mark, f"{mark}<wbr>")
    return Markup(text)
