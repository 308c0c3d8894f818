"""Text for whatever stands at the other end: a terminal that knows few letters, a pipe, another program."""

from __future__ import annotations

import io
import json
import sys
from typing import Any


def tolerant_streams() -> None:
    """Let stdout and stderr write a backslash escape for what their encoding lacks, instead of failing.

    File names may hold any letter, and even bytes that are no text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def json_text(value: Any, indent: int | None = 2) -> str:
    """Return JSON that stdout's encoding can carry: letters as they are in UTF-8, else as JSON's own escapes."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return json.dumps(value, indent=indent, ensure_ascii=not unicode)
