"""What the site needs beside Sphinx: pages made from the registries and results, docstrings as they are written here, and a check of every link.

Nothing is fetched: the site must open offline, so a page that would load anything from elsewhere fails the build, as does a link that leads
nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from site_pages import write_pages
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HOME = Path(__file__).parent.parent.parent
REPOSITORY = "https://github.com/seewhy-vision/seewhy/blob/main"
PAGES_OF_FINDINGS = "\n\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"
LOADING = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what stands below."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "generated"))
    app.connect("source-read", lead_outside)
    app.connect("autodoc-process-docstring", as_restructured)
    app.connect("build-finished", check_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def lead_outside(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to files of the repository that are no pages lead to the repository."""
    pages = Path(app.srcdir)
    folder = (pages / name).parent

    def lead(found: re.Match[str]) -> str:
        path, _, anchor = found[2].partition("#")
        target = (folder / path).resolve()
        if "://" in path or not path or (target.is_relative_to(pages) and target.is_file()):
            return found[0]
        return f"{found[1]}({REPOSITORY}/{target.relative_to(HOME).as_posix()}{'#' * bool(anchor)}{anchor})"

    source[0] = re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", lead, source[0])
    if name == "findings/README":
        source[0] += PAGES_OF_FINDINGS


def as_restructured(_app: Sphinx, _what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Let the text of a docstring mean what it says: outside of code nothing is markup but its lists and sections."""
    lines[:] = [escaped_line(line) for line in lines]


def escaped_line(line: str) -> str:
    """Escape what reStructuredText would take for markup, outside of backticks and of fields."""
    parts = re.split(r"(``[^`]*``|`[^`]*`|^\s*:[^:]*:)", line)
    return "".join(part if at % 2 else re.sub(r"([*|]|_(?!\w))", r"\\\1", part) for at, part in enumerate(parts))


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Keep what a tag names."""
        values = {name: value for name, value in attributes if value is not None}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADING and LOADING[tag] in values and values.get("rel") not in ("index", "search", "next", "prev"):
            self.loads.append(values[LOADING[tag]])


def faults(site: Path) -> Iterator[str]:
    """Yield what is wrong with the links of a built site, and what it would load from elsewhere."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        yield from (f"{name}: loads {link}" for link in page.loads if urlsplit(link).netloc)
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                yield f"{name}: {link} leads nowhere"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name}: {link} has no such anchor"


def check_site(app: Sphinx, error: Exception | None) -> None:
    """Fail the build for a link that leads nowhere."""
    if error is None and app.builder.format == "html":
        found = list(faults(Path(app.outdir)))
        if found:
            raise ExtensionError("\n".join([f"{len(found)} faults of the site", *found[:50]]))
