"""One run, live: how far it is, its curves and findings as they come, a button that stops it; its report once it has ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from seewhy.core.errors import InputError
from seewhy.core.findings import CheckOutcome, Finding
from seewhy.reporting.findings import findings_fragment
from seewhy.reporting.formatting import format_metric_name, format_number, format_percent, is_share
from seewhy.reporting.plots import line_plot
from seewhy.reporting.records import Health, LinePlot
from seewhy.spec.initial import SPEC, spec_of_run
from seewhy.web.following import RESULTS, State, plots, progress, state_name
from seewhy.web.listing import read_object
from seewhy.web.places import Places
from seewhy.web.rendering import render, render_part
from seewhy.web.state import gone, key_of, run_of, shared

SPLITS = {"val": "Validation", "test": "Test", "latent": "Latent"}

REPORT = "report.html"

REPORT_SECONDS = 60.0
"""How long after its figures the report of a run may come."""

LOOK_SECONDS = 0.5
"""Between looks at the events of a run."""

ALIVE_SECONDS = 15.0
"""After which a stream says that it is still there, so that nobody between takes it for dead."""

REPORT_POLICY = "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""A report is a document of its own, with no right to anything of the page's: whoever made the run has written it."""


async def page(request: Request) -> Response:
    """Show a run."""
    folder = run_of(request)
    spec = spec_of_run(folder)
    state = await asyncio.to_thread(shared(request).followers.of(folder).read)
    row = shared(request).listing.row(folder)
    text = render(
        "run.html.j2",
        title=row.name,
        here="runs",
        row=row,
        spec=spec,
        verbs=spec.model_record.verbs,
        progress=progress(folder, state),
        live=_live(folder, state),
        plan=state.plan,
        results=_results(folder),
        report=(folder / REPORT).is_file(),
        soon=_report_comes(folder),
        stoppable=_is_own(folder),
        members=_members(folder, shared(request).places),
        asked=[(name, value) for name, value in spec.flat().items()],
    )
    return HTMLResponse(text)


async def live(request: Request) -> Response:
    """Return the curves and findings of a run as a part of its page."""
    folder = run_of(request)
    state = await asyncio.to_thread(shared(request).followers.of(folder).read)
    return HTMLResponse(await asyncio.to_thread(_live, folder, state))


def _live(folder: Path, state: State) -> str:
    drawn = [line_plot(LinePlot(format_metric_name(p.title), p.lines, percent=p.percent)) for p in plots(state)]
    found = read_object(folder / "findings.json")
    findings = ""
    if found:
        try:
            findings = findings_fragment(_health(found, state), edits=True)
        except (KeyError, TypeError, AttributeError, ValueError):
            findings = ""
    return render_part("live.html.j2", plots=[plot for plot in drawn if plot], findings=findings, lines=state.findings)


def _health(found: dict[str, Any], state: State) -> Health:
    """Return what findings.json holds as the record that a report draws."""
    lasting, past = ([Finding.from_json(one) for one in found.get(name, ())] for name in ("findings", "past"))
    return Health(state.step, lasting, past, [CheckOutcome.from_json(one) for one in found.get("checks", ())])


def _report_comes(folder: Path) -> bool:
    """Whether a run has ended so lately that its report is being drawn."""
    try:
        ended = (folder / RESULTS).stat().st_mtime
    except OSError:
        return False
    return not (folder / REPORT).is_file() and time.time() - ended < REPORT_SECONDS


def _results(folder: Path) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the final figures by split, for people: those that are single numbers."""
    found = []
    for split, figures in read_object(folder / RESULTS).items():
        if isinstance(figures, dict):
            numbers = {k: v for k, v in figures.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
            shown = [
                (
                    "Images" if k == "n" else format_metric_name(k),
                    format_percent(v, 2) if is_share(k) else format_number(v),
                )
                for k, v in numbers.items()
            ]
            found.append((SPLITS.get(split, split), shown))
    return found


def _members(folder: Path, places: Places) -> list[tuple[str, str]]:
    """Return names and keys of an ensemble's members that have begun."""
    begun = sorted(path.parent for path in (folder / "members").glob(f"*/{SPEC}"))
    return [(member.name, places.key(member)) for member in begun]


def _is_own(folder: Path) -> bool:
    """Whether a run is no part of an ensemble or a study, which would start it again."""
    return folder.parent.name != "members" and not (folder.parent.parent.parent / "study.toml").is_file()


async def events(request: Request) -> Response:
    """Stream how far a run is: an event whenever that has changed, until it has ended."""
    folder = run_of(request)
    follower = shared(request).followers.of(folder)

    async def stream() -> AsyncIterator[str]:
        last, told = "", time.monotonic()
        while not await gone(request):
            state = await asyncio.to_thread(follower.read)
            now = progress(folder, state)
            text = json.dumps(now)
            if text != last:
                yield f"data: {text}\n\n"
                last, told = text, time.monotonic()
            elif time.monotonic() - told > ALIVE_SECONDS:
                yield ": still here\n\n"
                told = time.monotonic()
            if now["state"] == "ended":
                return
            await asyncio.sleep(LOOK_SECONDS)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def stop(request: Request) -> Response:
    """Ask whoever trains a run, on whatever machine, to stop it with a checkpoint."""
    from seewhy.runs.stopping import ask_to_stop

    folder = run_of(request)
    name = state_name(folder, await asyncio.to_thread(shared(request).followers.of(folder).read))
    if name not in ("training", "silent"):
        raise InputError(f"{folder.name}: is not being trained")
    if not _is_own(folder):
        raise InputError(f"{folder.name}: is a part of a study or an ensemble, which would start it again; stop that")
    ask_to_stop(folder)
    return JSONResponse({"asked": key_of(request)})


async def go_on(request: Request) -> Response:
    """Let a run go on that has stopped, as a process of its own."""
    folder = run_of(request)
    name = state_name(folder, await asyncio.to_thread(shared(request).followers.of(folder).read))
    if name not in ("stopped", "silent") or not _is_own(folder):
        raise InputError(f"{folder.name}: is {name}, and cannot go on from here; use the command line")
    await asyncio.to_thread(shared(request).started.go_on, folder)
    return JSONResponse({"going": key_of(request)})


async def report(request: Request) -> Response:
    """Return the report of a run or a study."""
    path = shared(request).places.folder(key_of(request), REPORT) / REPORT
    if path.is_symlink():
        raise HTTPException(404, "the report is a link, which is not followed")
    return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})


ROUTES = [
    Route("/run/{key:path}", page),
    Route("/live/{key:path}", live),
    Route("/report/{key:path}", report),
    Route("/api/events/{key:path}", events),
    Route("/api/stop/{key:path}", stop, methods=["POST"]),
    Route("/api/go-on/{key:path}", go_on, methods=["POST"]),
]
