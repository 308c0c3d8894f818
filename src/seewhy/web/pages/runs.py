"""All runs and studies as a table; their curves side by side; removing a run."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seewhy.core.errors import InputError
from seewhy.core.files import naming
from seewhy.reporting.formatting import format_metric_name, format_term, is_share
from seewhy.reporting.plots import COLOURS, line_plot
from seewhy.reporting.records import LinePlot
from seewhy.web.following import read_rows, state_name
from seewhy.web.listing import RunRow
from seewhy.web.rendering import render
from seewhy.web.state import key_of, shared

ABOUT = ("epoch", "step", "images_per_second", "seconds")
"""Columns of metrics.csv that are no curves."""


async def page(request: Request) -> Response:
    """Show the table."""
    rows, studies = await asyncio.to_thread(shared(request).listing.read)
    places = [str(root) for root in shared(request).places.runs]
    text = await asyncio.to_thread(
        render, "runs.html.j2", title="Runs", here="runs", rows=rows, studies=studies, places=places, most=COLOURS
    )
    return HTMLResponse(text)


async def rows(request: Request) -> Response:
    """Return the rows of the table."""
    runs, studies = await asyncio.to_thread(shared(request).listing.read)
    return JSONResponse({"runs": [asdict(row) for row in runs], "studies": [asdict(row) for row in studies]})


async def compare(request: Request) -> Response:
    """Show the curves of some runs side by side."""
    keys = list(dict.fromkeys(request.query_params.getlist("run")))
    if not 2 <= len(keys) <= COLOURS:
        raise InputError(f"run: choose from 2 to {COLOURS} runs to compare, got {len(keys)}")
    listing, places = shared(request).listing, shared(request).places
    chosen = [(listing.row(folder), read_rows(folder)) for folder in map(places.run, keys)]
    plots = [line_plot(plot) for plot in _plots(chosen)]
    return HTMLResponse(
        render("compare.html.j2", title="Runs compared", here="runs", rows=[row for row, _ in chosen], plots=plots)
    )


def _plots(chosen: Sequence[tuple[RunRow, list[dict[str, float]]]]) -> list[LinePlot]:
    """Return a drawing for each column of metrics.csv, with a line a run."""
    columns = {name for _, rows in chosen for row in rows for name in row if name not in ABOUT}
    return [
        LinePlot(
            _title(name),
            {row.name: [(int(each["step"]), each[name]) for each in rows if name in each] for row, rows in chosen},
            percent=is_share(name.partition("_")[2]),
        )
        for name in sorted(columns, key=lambda name: (not name.startswith("val_"), name))
    ]


def _title(column: str) -> str:
    """Return a column of metrics.csv as a heading."""
    words = {"val": "Validation", "train": "Training"}
    split, _, name = column.partition("_")
    return f"{words[split]} {format_term(name)}" if split in words else format_metric_name(column)


async def remove(request: Request) -> Response:
    """Remove a run for good; one that is being trained is not."""
    folder = shared(request).places.run(key_of(request))
    await asyncio.to_thread(_remove, folder, shared(request).followers.of(folder).read())
    return JSONResponse({"removed": key_of(request)})


def _remove(folder: Path, state: Any) -> None:
    name = state_name(folder, state)
    if name in ("training", "evaluating"):
        raise InputError(f"{folder.name}: is being trained; stop it first")
    doomed = folder.with_name(f".{folder.name[:100]}.{os.getpid()}.tmp")
    with naming(folder):
        os.rename(folder, doomed)  # at once, so that no half of a run is left under its name
        shutil.rmtree(doomed)


ROUTES = [
    Route("/", page),
    Route("/compare", compare),
    Route("/api/runs", rows),
    Route("/api/remove/{key:path}", remove, methods=["POST"]),
]
