"""The colours of figures and pages: one accent, blue against orange, which colour-blind readers tell apart.

Figures are drawn in the light colours. A page maps each of them to its style-sheet variable, so that one drawing
serves light, dark and print; therefore every light colour is distinct.
"""

from __future__ import annotations

LIGHT = {
    "ink": "#1c2230",
    "muted": "#5f6879",
    "quiet": "#8b93a3",
    "grid": "#e5e8ee",
    "accent": "#2b5be3",
    "right": "#2c5be4",
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
    "right": "#3f6df0",
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


def variables(colours: dict[str, str]) -> str:
    """Return the colours as style-sheet variables."""
    return "".join(f"--{name}:{value};" for name, value in colours.items())


def figure_rules() -> str:
    """Return the style-sheet rules that turn a drawing's light colours into the page's variables."""
    drawn = ("ink", "muted", "quiet", "grid", "accent", "right", "wrong", "over")
    return "\n".join(
        f'.figure [{paint}="{LIGHT[name]}"]{{{paint}:var(--{name})}}' for name in drawn for paint in ("fill", "stroke")
    )
