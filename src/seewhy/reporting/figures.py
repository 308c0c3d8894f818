"""What all figures share: the look, the axes' ticks, files; and bar charts.

Figures are Altair charts. One description serves the report's page, PNG and SVG files and a page of its own. Each mark that can be
pointed at carries a sentence (`tip`), which is its tooltip and its description for people who do not see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt

from seewhy.core.errors import bad_value
from seewhy.core.files import write_atomic
from seewhy.reporting.formatting import format_number
from seewhy.reporting.palette import LIGHT

Row = dict[str, Any]

WIDTH, HEIGHT = 320, 190


def inline_data(rows: list[Row]) -> alt.InlineData:
    """Return rows as the data of a chart."""
    return alt.InlineData(values=rows)


def themed(chart: Any) -> Any:
    """Return the chart in the reports' look."""
    font = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
    axis = {
        "domainColor": LIGHT["quiet"],
        "gridColor": LIGHT["grid"],
        "tickColor": LIGHT["quiet"],
        "labelColor": LIGHT["muted"],
        "titleColor": LIGHT["muted"],
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titlePadding": 8,
        "tickSize": 4,
    }
    legend = {"labelColor": LIGHT["ink"], "labelFontSize": 12, "title": None, "orient": "top", "symbolSize": 160}
    title = {"color": LIGHT["ink"], "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 10}
    return chart.configure(
        font=font, axis=axis, legend=legend, title=title, view={"stroke": None}, background=LIGHT["card"]
    )


def latent_kl_chart(kl: Sequence[float]) -> Any:
    """Draw the KL of each latent dimension as bars, in the order given.

    Args:
        kl: nats, one per latent dimension, largest first.

    Returns:
        An Altair chart.
    """
    rows = [
        {"rank": rank, "value": value, "tip": f"latent dimension {rank} by its KL: {format_number(value)} nats"}
        for rank, value in enumerate(kl, start=1)
    ]
    x_axis = alt.Axis(labels=len(kl) <= 20, ticks=False, labelAngle=0)
    x = alt.X("rank:O", title="latent dimension, by its KL", axis=x_axis)
    y = alt.Y("value:Q", title="KL (nats)", axis=alt.Axis(domain=False, ticks=False, tickCount=5, format="~r"))
    bars = alt.Chart(inline_data(rows)).mark_bar(color=LIGHT["accent"], aria=False)
    bars = bars.encode(x=x, y=y, tooltip=alt.Tooltip("tip:N", title=" "), description="tip:N")
    return themed(bars.properties(width=WIDTH, height=HEIGHT))


def save_figure(chart: Any, path: str | Path) -> None:
    """Write a chart to a file; the name's ending chooses the form.

    Args:
        chart: an Altair chart.
        path: ends in .png (twice the drawn size), .svg, .html (a page of its own that opens offline) or .json (Vega-Lite).

    Raises:
        InputError: another ending.
        RunError: the file cannot be written.
    """
    path = Path(path)
    form = path.suffix.lower().removeprefix(".")
    if form not in ("png", "svg", "html", "json"):
        raise bad_value("path", str(path), "a name that ends in .png, .svg, .html or .json")
    options = {"scale_factor": 2} if form == "png" else {"inline": True} if form == "html" else {}
    write_atomic(path, lambda temporary: chart.save(str(temporary), format=form, **options))
