"""A study, live: what each variant has reached, which runs are open, and the verdict so far."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from seewhy.core.errors import InputError
from seewhy.web.following import EVENTS, RESULTS, SILENT_SECONDS, state_name
from seewhy.web.pages.run import REPORT
from seewhy.web.places import STUDY
from seewhy.web.rendering import render, render_part
from seewhy.web.state import Shared, gone, key_of, shared

LOOK_SECONDS = 1.0


async def page(request: Request) -> Response:
    """Show the frame of the page; its parts are fetched, since reading them needs torch."""
    folder = shared(request).places.study(key_of(request))
    text = render("study.html.j2", title=folder.name, here="runs", key=key_of(request), now=_course(folder))
    return HTMLResponse(text)


async def figures(request: Request) -> Response:
    """Return tables, intervals and learning curves as a part of the page, as the report draws them."""
    folder = shared(request).places.study(key_of(request))
    return HTMLResponse(await shared(request).worker.do(lambda: _figures(folder)))


def _figures(folder: Path) -> str:
    from seewhy.comparison.report import report_fragment
    from seewhy.comparison.study import Study

    return report_fragment(Study(folder).outcome())


async def live(request: Request) -> Response:
    """Return the verdict so far and every run as a part of the page."""
    folder = shared(request).places.study(key_of(request))
    return HTMLResponse(await shared(request).worker.do(lambda: _live(folder, shared(request))))


def _live(folder: Path, about: Shared) -> str:
    from seewhy.comparison.report import record_of
    from seewhy.comparison.study import Study

    study = Study(folder)
    outcome, design = study.outcome(), study.design
    record = record_of(outcome)
    rows = [row for row in outcome.rows if row.kind == "runs"]
    variants = []
    for figures in outcome.figures:
        own = [row for row in rows if row.variant == figures.variant.name]
        variants.append(
            {
                "name": figures.variant.name,
                "edit": figures.variant.edit,
                "dropped": figures.dropped,
                "cells": [_cell(row, design.metric, about) for row in own],
            }
        )
    return render_part(
        "study_live.html.j2", record=record, seeds=design.seeds, variants=variants, complete=outcome.complete
    )


def _cell(row: Any, metric: Any, about: Shared) -> dict[str, Any]:
    from seewhy.runs.diagnose.verdict import format_values

    status = row.status
    if status == "waiting" and (row.folder / EVENTS).is_file():
        status = state_name(row.folder, about.followers.of(row.folder).read())
    return {
        "seed": row.seed,
        "status": status,
        "shown": format_values([row.value], metric) if row.status == "ended" else status,
        "reason": row.reason,
        "key": about.places.key(row.folder) if row.folder.is_dir() else None,
    }


def _course(folder: Path) -> dict[str, Any]:
    """Return what changes when a run of a study begins, ends or fails, and how many are at work."""
    results = sum(1 for _ in folder.glob(f"*/*/*/{RESULTS}"))
    failed = sum(1 for _ in folder.glob("*/*/*.failed.json"))
    begun = [path.parent for path in folder.glob(f"*/*/*/{EVENTS}")]
    open_runs = [run for run in begun if not (run / RESULTS).is_file()]
    active = sum(_is_fresh(run / EVENTS) for run in open_runs)
    report = (folder / REPORT).is_file()
    return {"ended": results, "failed": failed, "begun": len(begun), "active": active, "report": report}


def _is_fresh(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < SILENT_SECONDS


async def events(request: Request) -> Response:
    """Stream how far a study is, whenever that has changed."""
    folder = shared(request).places.study(key_of(request))

    async def stream() -> AsyncIterator[str]:
        last, beats = "", 0
        while not await gone(request):
            text = json.dumps(await asyncio.to_thread(_course, folder))
            if text != last:
                yield f"data: {text}\n\n"
            elif beats % 15 == 0:
                yield ": still here\n\n"
            last, beats = text, beats + 1
            await asyncio.sleep(LOOK_SECONDS)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def stop(request: Request) -> Response:
    """Ask whoever works on a study to stop; its runs save, and can go on."""
    from seewhy.runs.stopping import ask_to_stop

    folder = shared(request).places.folder(key_of(request), STUDY)
    if not _course(folder)["active"]:
        raise InputError(f"{folder.name}: nobody works on it")
    ask_to_stop(folder)
    return JSONResponse({"asked": key_of(request)})


ROUTES = [
    Route("/study/{key:path}", page),
    Route("/study-live/{key:path}", live),
    Route("/study-figures/{key:path}", figures),
    Route("/api/study-events/{key:path}", events),
    Route("/api/study-stop/{key:path}", stop, methods=["POST"]),
]
