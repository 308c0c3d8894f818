"""Starting a run: a form of all fields of a specification, with the command line that it stands for."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seewhy.core.errors import InputError
from seewhy.spec import model_names
from seewhy.spec.options import OptionField, options_for
from seewhy.spec.sections import SECTION_TITLES
from seewhy.spec.tree import owners
from seewhy.web import starting
from seewhy.web.places import BUILTIN
from seewhy.web.rendering import render
from seewhy.web.state import key_of, shared
from seewhy.web.uploads import json_of

COMMON = ("train.epochs", "train.minutes", "train.seed", "optim.lr", "model.activation", "data.resolution")
"""Fields that stand open at the top; the others of their sections are folded."""


async def page(request: Request) -> Response:
    """Show the form."""
    places = shared(request).places
    text = render(
        "new.html.j2",
        title="Start a run",
        here="new",
        sources=[*BUILTIN, *map(str, places.data)],
        given=[str(root) for root in places.data],
        root=str(places.runs[0]),
        name=time.strftime("run-%Y%m%d-%H%M%S"),
        models=[name for name in model_names() if name != "custom"],
        optimizers=list(owners("optim")),
    )
    return HTMLResponse(text)


async def fields(request: Request) -> Response:
    """Return the fields of a model and an optimiser, by section."""
    names = {
        "model": (model_names(), request.query_params.get("model")),
        "optim": (owners("optim"), request.query_params.get("optimizer")),
    }
    values: dict[str, Any] = {section: {"name": name} for section, (known, name) in names.items() if name in known}
    found = starting.form_fields(options_for(values))
    sections = [
        {"name": name, "title": title, "fields": [_field(each) for each in found if each.section == name]}
        for name, title in SECTION_TITLES.items()
    ]
    return JSONResponse({"sections": sections})


def _field(each: OptionField) -> dict[str, Any]:
    return {
        "path": each.path,
        "flag": each.flags[0],
        "help": str(each.info.description or ""),
        "choices": ["true", "false"] if each.annotation is bool else [str(choice) for choice in each.choices],
        "placeholder": _placeholder(each),
        "belongs": list(each.belongs),
        "common": each.path in COMMON,
    }


def _placeholder(each: OptionField) -> str:
    """Return what holds where nothing is asked for."""
    default = each.default
    if default in (None, ()):
        return (
            "chosen from the data" if each.info.is_required() or each.path in ("model.name", "optim.name") else "none"
        )
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return f"{default:.6g}" if isinstance(default, float) else str(default)


async def check(request: Request) -> Response:
    """Return the command line of what a form asks for, or what is wrong with it, a line each field."""
    try:
        wanted = starting.want(shared(request).places, await json_of(request))
    except InputError as error:
        return JSONResponse({"command": None, "problems": str(error).split("\n")})
    return JSONResponse({"command": wanted.command, "problems": []})


async def plan(request: Request) -> Response:
    """Return what would be done, in the words of `seewhy train --dry-run`."""
    wanted = starting.want(shared(request).places, await json_of(request))
    return JSONResponse({"plan": await asyncio.to_thread(starting.plan_text, wanted)})


async def start(request: Request) -> Response:
    """Start a run, and return its key."""
    wanted = starting.want(shared(request).places, await json_of(request))
    shared(request).started.start(wanted.folder, wanted.arguments)
    return JSONResponse({"key": shared(request).places.key(wanted.folder), "command": wanted.command})


async def started(request: Request) -> Response:
    """Return whether a run that was started has its folder, or has ended, and what it has printed."""
    places, key = shared(request).places, key_of(request)
    folder = places.new_run(key.partition("/")[2])
    known = {"begun": starting.has_begun(folder), "code": shared(request).started.code(folder)}
    return JSONResponse({**known, "log": starting.log_text(folder)})


ROUTES = [
    Route("/new", page),
    Route("/api/fields", fields),
    Route("/api/ask", check, methods=["POST"]),
    Route("/api/plan", plan, methods=["POST"]),
    Route("/api/start", start, methods=["POST"]),
    Route("/api/started/{key:path}", started),
]
