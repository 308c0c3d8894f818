"""The sections that a model family brings, as fragments of a page: each block becomes HTML by its kind."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import altair as alt

from seewhy.reporting.blocks import Block, Chart, Figures, Frames, Paragraph, Section, Sheet, Table
from seewhy.reporting.figures import themed
from seewhy.reporting.formatting import format_number
from seewhy.reporting.images import png_data_uri
from seewhy.reporting.svg import inline_svg
from seewhy.reporting.template import environment

SHEET_WIDTH = 700
"""Largest width of a sheet on a page, in its pixels."""

TABLE_ROWS_UP_TO = 12
"""A longer table is collapsed."""


def section_fragment(section: Section) -> str:
    """Draw the section's blocks as HTML for a page whose script moves the frames' sliders."""
    sheets = [
        sheet
        for block in section.blocks
        for sheet in (block.sheets if isinstance(block, Frames) else [block] if isinstance(block, Sheet) else [])
    ]
    # One factor for all, so that a sample and the training image beside it are seen at one size.
    factor = max(1, SHEET_WIDTH // max((sheet.image.shape[1] for sheet in sheets), default=SHEET_WIDTH))
    blocks = [_context(block, section.title, factor) for block in section.blocks]
    return environment().get_template("sections.html.j2").render(blocks=blocks)


def unique_ids(sections: Collection[Section], reserved: Collection[str]) -> list[str]:
    """Return an anchor for each section: its id, numbered where it is reserved or comes again."""
    ids: list[str] = []
    for section in sections:
        number, name = 1, section.id
        while name in ids or name in reserved:
            number += 1
            name = f"{section.id}-{number}"
        ids.append(name)
    return ids


def _context(block: Block, title: str, factor: int) -> dict[str, Any]:
    """Return what the template fills in for a block."""
    match block:
        case Paragraph():
            return {"kind": "paragraph", "text": block.text}
        case Table():
            rows = [[cell if isinstance(cell, str) else format_number(cell) for cell in row] for row in block.rows]
            collapsed = len(rows) > TABLE_ROWS_UP_TO
            return {"kind": "table", "title": block.title, "head": block.head, "rows": rows, "collapsed": collapsed}
        case Sheet():
            return {"kind": "sheet", **_sheet(block, title, factor)}
        case Frames():
            frames = [_sheet(sheet, title, factor) for sheet in block.sheets]
            return {"kind": "frames", "title": block.title, "label": block.label, "sheets": frames}
        case Figures():
            return {"kind": "figures", "title": block.title, "rows": block.rows}
        case Chart():
            return {"kind": "chart", "title": block.title, "svg": _svg(block)}


def _sheet(sheet: Sheet, title: str, factor: int) -> dict[str, Any]:
    """Return a sheet for the template, enlarged by whole pixels."""
    return {
        "name": sheet.name,
        "caption": sheet.caption,
        "alt": f"{title}: {sheet.name}",
        "uri": png_data_uri(sheet.image),
        "width": min(sheet.image.shape[1] * factor, SHEET_WIDTH),
    }


def _svg(chart: Chart) -> str:
    spec: Any = chart.spec if isinstance(chart.spec, alt.TopLevelMixin) else chart.spec()
    return inline_svg(themed(spec) if spec.config is alt.Undefined else spec, chart.title, grow=1.3)
