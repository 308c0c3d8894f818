"""Labels that are probably wrong: `seewhy check DATA --labels` as a process of its own, followed by the files that it leaves."""

from __future__ import annotations

import asyncio
import csv
import itertools
import shlex
import signal
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from seewhy.core.errors import InputError, RunError, bad_value
from seewhy.core.files import read_text
from seewhy.web.following import EVENTS, RESULTS, Followers, progress, state_name
from seewhy.web.pages.check import MOST_FOLDS, SHOWN, event, rows_by_name, thumbnail
from seewhy.web.places import Places
from seewhy.web.starting import log_text, plain_word, short_path
from seewhy.web.state import Shared, gone, shared
from seewhy.web.uploads import json_of

LISTED = "labels.csv"
"""As `seewhy.runs.checking` calls it, which needs torch."""

SAID = "seewhy check: "
"""How the command's own complaints begin."""

STOPPED = (-signal.SIGINT, -signal.SIGTERM)
"""How a process ends that was stopped."""

LOOK_SECONDS = 1.0


def asked_for(places: Places, source: object, folds: object) -> tuple[str, int, Path]:
    """Return the data, the number of runs and their folder.

    Raises:
        InputError: something is wrong; begins with the field.
    """
    name, text = places.data_name(source), str(folds)
    if not text.isascii() or not text.isdecimal() or not 2 <= int(text) <= MOST_FOLDS:
        raise bad_value("folds", text, f"a number from 2 to {MOST_FOLDS}")
    return name, int(text), _folder(places, name, int(text))


def _folder(places: Places, source: str, folds: int) -> Path:
    """Return the folder of the runs for some data: where they are already, else a new one."""
    stem = source if places.is_builtin(source) else Path(source).resolve().stem
    for number in itertools.count(1):
        folder = places.new_run(f"{stem}-labels{'' if number == 1 else f'-{number}'}")
        if not folder.exists() or _asked(folder) == (source, folds):
            return folder
    raise AssertionError


def _asked(folder: Path) -> tuple[Any, Any] | None:
    """Return the data and the number of runs that a folder is for, None where it is for something else."""
    try:
        values = tomllib.loads(read_text(folder / "1.toml"))
        return values["source"], values["data"]["folds"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _arguments(source: str, folds: int, folder: Path) -> tuple[str, ...]:
    return ("check", plain_word(source), "--labels", str(folds), "--out", short_path(folder))


def course(folder: Path, folds: int, about: Shared) -> dict[str, Any]:
    """Return how far the runs are: "new", "training", "stopped" or "ended", how many have ended, and the share of all that is done."""
    runs = [folder / str(k) for k in range(1, folds + 1)]
    ended = sum((run / RESULTS).is_file() for run in runs)
    begun = [run for run in runs if (run / EVENTS).is_file() and not (run / RESULTS).is_file()]
    shares = [_share(run, about.followers) for run in begun]
    state = "new"
    if about.started.goes_on(folder) or any(active for active, _ in shares):
        state = "training"
    elif ended == folds and (folder / LISTED).is_file():
        state = "ended"
    elif folder.exists() or about.started.code(folder) is not None:
        state = "stopped"
    told = state == "stopped" and about.started.code(folder) not in STOPPED
    lines = log_text(folder).splitlines() if told else []
    share = (ended + sum(part for _, part in shares)) / folds
    return {
        "state": state,
        "ended": ended,
        "folds": folds,
        "share": share,
        "line": lines[-1].removeprefix(SAID) if lines else "",
    }


def _share(run: Path, followers: Followers) -> tuple[bool, float]:
    """Return whether somebody trains a run, and the share of its steps that is done."""
    state = followers.of(run).read()
    now = progress(run, state)
    return state_name(run, state) in ("training", "evaluating"), now["step"] / now["total"] if now["total"] else 0.0


async def follow(request: Request) -> Response:
    """Stream how far the runs are, and at their end the labels that are probably wrong, with their images."""
    about, given = shared(request), request.query_params
    source, folds, folder = asked_for(about.places, given.get("source"), given.get("folds"))
    command = shlex.join(("seewhy", *_arguments(source, folds, folder)))

    async def stream() -> AsyncIterator[str]:
        last: dict[str, Any] = {}
        while not await gone(request):
            now = await asyncio.to_thread(course, folder, folds, about)
            if now != last:
                yield event({**now, "command": command})
            last = now
            if now["state"] != "training":
                break
            await asyncio.sleep(LOOK_SECONDS)
        if last.get("state") == "ended":
            try:
                yield event(await about.checker.do(lambda: _found(folder, source)))
            except (InputError, RunError, OSError) as error:
                yield event({"error": str(error)})

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _found(folder: Path, source: str) -> dict[str, Any]:
    with open(folder / LISTED, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if rows:
        from seewhy.data import load_dataset

        where = rows_by_name(load_dataset(source))
    shown = [
        {
            "name": row["image"],
            "label": row["label"],
            "suggested": row["suggested"],
            "image": thumbnail(where.get(row["image"])),
        }
        for row in rows[:SHOWN]
    ]
    return {"suspicious": shown, "all": len(rows), "listed": short_path(folder / LISTED)}


async def start(request: Request) -> Response:
    """Start the runs, or let them go on."""
    about, asked = shared(request), await json_of(request)
    source, folds, folder = asked_for(about.places, asked.get("source"), asked.get("folds"))
    if (await asyncio.to_thread(course, folder, folds, about))["state"] == "training":
        raise InputError(f"{folder.name}: goes on already")
    about.started.start(folder, _arguments(source, folds, folder))
    return JSONResponse({"started": folder.name})


async def stop(request: Request) -> Response:
    """Ask whoever trains the runs to stop; they save, and can go on."""
    from seewhy.runs.stopping import ask_to_stop

    about, asked = shared(request), await json_of(request)
    _, folds, folder = asked_for(about.places, asked.get("source"), asked.get("folds"))
    if (await asyncio.to_thread(course, folder, folds, about))["state"] != "training":
        raise InputError(f"{folder.name}: is not being trained")
    if not about.started.stop(folder):
        ask_to_stop(folder)
    return JSONResponse({"asked": folder.name})


ROUTES = [
    Route("/api/labels", follow),
    Route("/api/labels-start", start, methods=["POST"]),
    Route("/api/labels-stop", stop, methods=["POST"]),
]
