"""The colours of figures and pages: one accent, blue against orange, which colour-blind readers tell apart.

Figures are drawn in the light colours. A page maps each of them to its style-sheet variable, so that one drawing
serves light, dark and print; therefore every light colour is distinct.
"""

from __future__ import annotations

from collections.abc import Sequence

LIGHT = {
    "ink": "#1c2230",
    "muted": "#5f6879",
    "quiet": "#8b93a3",
    "grid": "#e5e8ee",
    "accent": "#2b5be3",
    "correct": "#2c5be4",
    "wrong": "#c2560b",
    "over": "#fefefe",
    "page": "#f6f7f9",
    "card": "#ffffff",
    "sunken": "#f1f3f7",
    "line": "#dfe3ea",
    "bad": "#b3261e",
    "warn": "#96580a",
    "good": "#0b7a50",
}
DARK = {
    "ink": "#e7eaf1",
    "muted": "#a3acbd",
    "quiet": "#7f899c",
    "grid": "#2a3140",
    "accent": "#7da2ff",
    "correct": "#3f6df0",
    "wrong": "#cf6a1f",
    "over": "#fdfdfe",
    "page": "#0e1219",
    "card": "#161b25",
    "sunken": "#1e2430",
    "line": "#2c3443",
    "bad": "#ff8a80",
    "warn": "#f2b45c",
    "good": "#58c997",
}

SERIES_LIGHT = ("#2456d6", "#d2600a", "#0a8a60", "#b8309a", "#7a5200", "#0d87a8", "#c02626", "#6a42c2")
SERIES_DARK = ("#83a6fe", "#ff9f50", "#4dcf9d", "#ff8bd5", "#dab56c", "#62cfee", "#ff8b81", "#ba9ffe")
"""One colour per method, told apart by colour-blind readers as far as eight can be."""


HEALTH_LIGHT = ("#123a9c", "#3f6ad8", "#8fabf0", "#c9d7f7", "#e9edf3", "#f8dcbf", "#f0ab68", "#b9560a", "#7d3300")
HEALTH_DARK = ("#b9ccff", "#7f9ff5", "#4058a8", "#2d3f75", "#232b39", "#563a20", "#96581a", "#e08a35", "#ffd0a0")
"""From too small over usual to too large, blue against orange; what is usual is near the page's own colour."""


def series_variables(colours: Sequence[str]) -> dict[str, str]:
    """Return a colour `s0` ... for each method of a figure."""
    return {f"s{k}": colour for k, colour in enumerate(colours)}


def health_variables(colours: Sequence[str], inks: tuple[str, str]) -> dict[str, str]:
    """Return a colour `h0` ... for each degree of health, and as `t0` ... whichever ink is legible on it."""
    texts = [max(inks, key=lambda ink: contrast(ink, colour)) for colour in colours]
    return {f"{letter}{k}": colour for letter, row in (("h", colours), ("t", texts)) for k, colour in enumerate(row)}


def contrast(first: str, second: str) -> float:
    """Return how well two colours are told apart: (L1 + 0.05) / (L2 + 0.05) of relative luminances, 1 to 21 (WCAG 2.2)."""
    low, high = sorted(map(_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def variables(colours: dict[str, str]) -> str:
    """Return the colours as style-sheet variables."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def figure_rules() -> str:
    """Return the style-sheet rules that turn a drawing's light colours into the page's variables."""
    drawn = ("ink", "muted", "quiet", "grid", "accent", "correct", "wrong", "over")
    pairs = [(LIGHT[name], f"var(--{name})") for name in drawn]
    pairs += [(colour, f"var(--s{k},{colour})") for k, colour in enumerate(SERIES_LIGHT)]
    return "\n".join(
        f'.figure [{paint}="{colour}"]{{{paint}:{variable}}}'
        for colour, variable in pairs
        for paint in ("fill", "stroke")
    )
