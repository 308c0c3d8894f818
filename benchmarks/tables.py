"""The tables of what was measured, as Markdown, from the files in benchmarks/results/.

    python benchmarks/tables.py        write them anew into the pages that have them

A page has the table of results/NAME.json between `<!-- measured: NAME -->` and `<!-- end of measured: NAME -->`. The file is what `python
benchmarks/NAME.py --out` writes, and that script's own `summary` renders it. Or it has "head" and "rows" of texts: figures that were noted from
what a script printed. Either says on what, when, by which command and at which commit it was measured, as far as that is known.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parent.parent
RESULTS = HOME / "benchmarks" / "results"
MARK = re.compile(r"^<!-- (measured: ([a-z_]+)) -->$", re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages that have tables of results."""
    known = [HOME / "README.md", *sorted((HOME / "benchmarks").glob("*.md")), *sorted((HOME / "docs").glob("*.md"))]
    return [page for page in known if MARK.search(page.read_text(encoding="utf-8"))]


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def measured(name: str) -> str:
    """Return the table of results/NAME.json, and below it what it rests on."""
    held = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    table = markdown(held["head"], held["rows"]) if "head" in held else str(importlib.import_module(name).summary(held))
    return f"{table}\n\nFrom `benchmarks/results/{name}.json`: {basis(held)}."


def basis(held: Mapping[str, Any]) -> str:
    """Return what a file says of its figures in one line."""
    command = f"`{held['command']}`" if "command" in held else ""
    when = ", commit ".join(str(held[key]) for key in ("date", "commit") if key in held)
    return "; ".join(filter(None, [command, held["hardware"], held.get("n", ""), when]))


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """Return a text with the tables between their marks."""
    for name, lines in tables.items():
        first, last = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        start, end = text.index(first) + len(first), text.index(last)
        text = text[:start] + lines + text[end:]
    return text


def with_results(text: str) -> str:
    """Return a page with its tables of results as they are now."""
    return with_tables(text, {mark: measured(name) for mark, name in MARK.findall(text)})


def main() -> None:
    for page in pages():
        page.write_text(with_results(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
