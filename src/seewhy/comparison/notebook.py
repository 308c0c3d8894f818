"""A study in a notebook's cell: the verdict's sentence, and the table of variants."""

from __future__ import annotations

from html import escape

from seewhy.comparison.report import REPORT
from seewhy.comparison.results import Outcome
from seewhy.comparison.tables import variants_table
from seewhy.core.escaping import escaped
from seewhy.reporting.comparison_records import TableCell

PADDED = ' style="padding:0.1em 0.6em;text-align:left"'


def study_html(outcome: Outcome) -> str:
    """Return the cell's HTML, which has no script and loads nothing."""
    table, folder = variants_table(outcome), outcome.study.folder
    sentence = outcome.verdict.sentence() if outcome.verdict is not None else "There is nothing to compare yet."
    head = "".join(f"<th{PADDED}>{_text(name)}</th>" for name in table.head)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    page = f" ({REPORT})" if (folder / REPORT).is_file() else ""
    return (
        f'<div><p style="max-width:72em">{_text(sentence)}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"<p>{_text(table.note)}</p><div><code>{_text(folder)}</code>{page}</div></div>"
    )


def _cell(cell: TableCell) -> str:
    text = f"<b>{_text(cell.text)}</b>" if cell.best else _text(cell.text)
    return f"<td{PADDED}>{text}{f' <small>{_text(cell.detail)}</small>' if cell.detail else ''}</td>"


def _text(value: object) -> str:
    return escape(escaped(str(value)))
