"""Texts that cannot command the terminal on which they are shown."""

from __future__ import annotations

import re

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys instead of showing it, but for the tab and the line's end; and what turns the direction of reading."""


def escaped(text: str, *, lines: bool = False) -> str:
    """Return a text with control characters as backslash escapes: a file's name cannot command the terminal.

    Args:
        text: such as a file's name.
        lines: whether it may have several lines.
    """
    shown = CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return shown if lines else shown.replace("\n", "\\n").replace("\t", "\\t")
