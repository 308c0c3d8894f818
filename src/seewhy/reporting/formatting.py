"""Numbers and names as text for a page."""

from __future__ import annotations

import math
import re
from datetime import datetime

from markupsafe import Markup, escape

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""What no HTML text may hold (control characters, halves of characters as in undecodable file names) and what would
turn the direction of the text around it."""

_ABBREVIATIONS = {
    "bce": "BCE",
    "ece": "ECE",
    "elbo": "ELBO",
    "f1": "F1",
    "fid": "FID",
    "kid": "KID",
    "kl": "KL",
    "nll": "NLL",
    "top5": "top-5",
}


_TERMS = {"lr": "learning rate", "real": "score of real images", "fake": "score of generated images"}
"""Names that say little by themselves."""


def replace_unsafe(value: object) -> object:
    """Return a text with what a page must not hold replaced; anything else, and markup, keeps its type."""
    return type(value)(_UNSAFE.sub("\ufffd", value)) if isinstance(value, str) else value


def finite_or_none(value: object) -> float | None:
    """Return the value as a float, or None when it is absent, no number, NaN or infinite."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None


def format_number(value: object, digits: int = 4) -> str:
    """Return a number with so many significant digits, from 1,000 on a whole one; a dash where there is none."""
    number = finite_or_none(value)
    if number is None:
        return "–"
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    return f"{number:,.0f}" if 1000 <= abs(number) < 1e15 else f"{number:.{digits}g}"


def format_percent(value: object, digits: int = 1) -> str:
    """Return a fraction in [0, 1] as a percentage; a dash where there is none."""
    fraction = finite_or_none(value)
    return "–" if fraction is None else f"{100 * fraction:.{digits}f}%"


def is_share(name: str) -> bool:
    """Whether people read a metric in percent."""
    return name.endswith("accuracy") or name in ("macro_f1", "top5", "ece")


def format_metric_name(name: str) -> str:
    """Return a metric's name as a heading: "Generator loss" of generator_loss, "KL" of kl."""
    heading = format_term(name)
    return heading[:1].upper() + heading[1:]


def format_term(name: str) -> str:
    """Return a metric's name within a sentence: "macro F1" of macro_f1, "KL" of kl."""
    if name in _TERMS:
        return _TERMS[name]
    return " ".join(_ABBREVIATIONS.get(word, word) for word in name.split("_"))


def format_count(n: int, singular: str, plural: str | None = None) -> str:
    """Return "1 image", "2 images"."""
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def format_time(created: str) -> str:
    """Return an ISO 8601 time as "3 May 2026, 14:05"; another text as it is."""
    try:
        return f"{datetime.fromisoformat(created):%d %B %Y, %H:%M}".removeprefix("0")
    except ValueError:
        return created


def shorten(name: str, limit: int) -> str:
    """Return the name with its middle left out when it is longer than `limit` characters."""
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    if len(name) <= limit:
        return name
    tail = (limit - 1) // 3
    return f"{name[: limit - 1 - tail]}…{name[len(name) - tail :] if tail else ''}"


def breakable(name: str) -> Markup:
    """Return the name as escaped HTML in which lines may break after a slash, an underscore, a dot or a hyphen."""
    text = str(escape(name))
    for mark in "/_-.":
        text = text.replace(mark, f"{mark}<wbr>")
    return Markup(text)
