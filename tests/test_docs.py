"""The site: its notebook is in step with the package, every page has a place, and its own checks find what they are to find."""

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
DOCS = HOME / "docs"


@pytest.fixture(scope="module")
def site():
    pytest.importorskip("sphinx", reason="Sphinx is not installed: pip install 'seewhy[dev]'")
    sys.path.insert(0, str(DOCS / "_ext"))
    yield importlib.import_module("seewhy_site")
    sys.path.remove(str(DOCS / "_ext"))


def test_every_page_is_in_the_index():
    index = (DOCS / "index.md").read_text() + (DOCS / "api.md").read_text()
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.glob("*.md")} - {"index.md", "claims.md"}
    assert {page for page in pages if page not in index} == set()


def test_the_notebook_is_kept_without_outputs():
    cells = json.loads((DOCS / "first-hour.ipynb").read_text())["cells"]
    assert len([cell for cell in cells if cell["cell_type"] == "code"]) > 8
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


def test_a_link_that_leads_nowhere_is_found(site, tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="b.html#here"></a><a href="#top"></a><a href="https://example.org/x"></a>'
        '<img src="no.png"><a href="b.html#gone"></a><a href="c.html"></a><script src="https://example.org/a.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="here"></p>')
    assert list(site.faults(tmp_path)) == [
        "a.html: loads https://example.org/a.js",
        "a.html: b.html#gone has no such anchor",
        "a.html: c.html leads nowhere",
        "a.html: no.png leads nowhere",
    ]


def test_docstrings_mean_what_they_say(site):
    line = "takes *args and `**{...}` of x_ in |a| :class"
    assert site.escaped_line(line) == "takes \\*args and `**{...}` of x\\_ in \\|a\\| :class"
    assert site.escaped_line("    :param x_: of it") == "    :param x_: of it"


def test_links_out_of_the_site_lead_to_the_repository(site):
    class App:
        srcdir = str(DOCS)

    source = ["[a](diagnosis.md) [b](../benchmarks/README.md#x) [c](https://example.org) [d](#here)"]
    site.lead_outside(App, "compare", source)
    assert source[0].startswith("[a](diagnosis.md) [b](https://github.com/seewhy-vision/seewhy/blob/main/benchmarks/")
    assert source[0].endswith("README.md#x) [c](https://example.org) [d](#here)")


def test_pages_from_the_registries_name_everything(site):
    pages = importlib.import_module("site_pages")
    text = pages.techniques()
    assert {"### `relu`", "### `lbfgs`", "### `vae`"} <= set(text.splitlines())
    assert re.search(r"\[C05\]\(claims\.md\): .*: not supported on digits", text)
    assert "`--train.epochs` | `--epochs`" in pages.options()
    assert "## `seewhy completion`" in pages.commands()
