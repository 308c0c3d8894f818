"""A run in a notebook's cell: what it is, its figures with their intervals, what was found, and the last images of a generative model."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from seewhy.core.escaping import escaped
from seewhy.core.findings import findings_html
from seewhy.models.generative.sheets import FOLDER
from seewhy.runs.report import MODEL_CARD, RunFiles, title_of
from seewhy.runs.results import format_results

SHEET = Path(FOLDER) / "samples.png"

LARGEST = 2_000_000
"""Bytes of a sheet that is shown in a cell."""


def run_html(run: RunFiles) -> str:
    """Return the cell's HTML, which has no script and loads nothing."""
    ended = (run.folder / "results.json").is_file()
    last = f", {run.metrics[-1]['epoch']:g} epochs" if run.metrics else ""
    lines = format_results(run.results, run.spec) or ([] if ended else ["not ended yet"])
    figures = "".join(f"<div>{_text(line)}</div>" for line in lines)
    past = f"<p>{len(run.past)} more passed away.</p>" if run.past else ""
    pages = [name for name in ("report.html", MODEL_CARD) if (run.folder / name).is_file()]
    files = f" ({', '.join(pages)})" if pages else ""
    return (
        f"<div><b>{_text(title_of(run))}</b>{last}{figures}{findings_html(run.findings)}{past}{_sheet(run.folder)}"
        f"<div><code>{_text(run.folder)}</code>{files}</div></div>"
    )


def _text(value: object) -> str:
    return escape(escaped(str(value)))


def _sheet(folder: Path) -> str:
    path = folder / SHEET
    if not path.is_file() or path.stat().st_size > LARGEST:
        return ""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    style = "image-rendering:pixelated;width:min(100%,24em)"
    return f'<div><img alt="samples" style="{style}" src="data:image/png;base64,{data}"></div>'
