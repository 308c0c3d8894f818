"""What a generator makes, as a part of a page: sheets through training to leaf through, sheets at the end, figures."""

from __future__ import annotations

from seewhy.reporting import figures
from seewhy.reporting.records import GeneratedRecord, Sheet
from seewhy.reporting.samples import png_data_uri
from seewhy.reporting.svg import inline_svg
from seewhy.reporting.template import environment

_WIDTH = 700
"""Largest width of a sheet on a page, in its pixels."""


def generated_fragment(record: GeneratedRecord) -> str:
    """Draw the record as HTML for a page whose script moves the frames' slider."""
    # One factor for all, so that a drawn picture and the training picture beside it are seen at one size.
    widest = max((sheet.image.shape[1] for sheet in (*record.sheets, *record.frames)), default=_WIDTH)
    factor = max(1, _WIDTH // widest)
    return (
        environment()
        .get_template("generated.html.j2")
        .render(
            sheets=[_shown(sheet, factor) for sheet in record.sheets],
            frames=[_shown(sheet, factor) for sheet in record.frames],
            figures=record.figures,
            kl=inline_svg(figures.code_bars(record.kl), "KL of each code dimension", grow=1.3) if record.kl else "",
        )
    )


def _shown(sheet: Sheet, factor: int) -> dict[str, object]:
    """Return a sheet for the template, enlarged by whole pixels."""
    return {
        "name": sheet.name,
        "caption": sheet.caption,
        "uri": png_data_uri(sheet.image),
        "width": min(sheet.image.shape[1] * factor, _WIDTH),
    }
