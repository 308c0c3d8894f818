"""What is wrong with a data set, with the images in question, before any training."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from seewhy.core.errors import InputError, RunError
from seewhy.web.places import BUILTIN
from seewhy.web.rendering import render
from seewhy.web.state import gone, shared

SHOWN = 24
"""Images, or names, of an issue that are shown."""

LOOK_SECONDS = 0.25


async def page(request: Request) -> Response:
    """Show the form."""
    places = shared(request).places
    text = render(
        "check.html.j2",
        title="Check data",
        here="check",
        sources=[*BUILTIN, *map(str, places.data)],
        given=[str(root) for root in places.data],
        source=request.query_params.get("source", ""),
    )
    return HTMLResponse(text)


async def check(request: Request) -> Response:
    """Stream the progress of a check, and at its end what was found."""
    places = shared(request).places
    source = request.query_params.get("source", "").strip()
    if not source:
        raise InputError("source: must be a built-in name, a folder of images or an .npz file")
    where = source if places.is_builtin(source) else str(places.source(source))
    labels = "optional" if request.query_params.get("unlabelled") == "true" else "required"
    done: list[tuple[int, int]] = [(0, 0)]
    work = asyncio.ensure_future(shared(request).checker.do(lambda: _check(where, labels, done)))

    async def stream() -> AsyncIterator[str]:
        told = None
        while not work.done():
            if await gone(request):
                return
            if done[0] != told:
                told = done[0]
                yield _event({"done": told[0], "total": told[1]})
            await asyncio.wait([work], timeout=LOOK_SECONDS)
        try:
            yield _event(work.result())
        except (InputError, RunError) as error:
            yield _event({"error": str(error)})

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


def _check(source: str, labels: str, done: list[tuple[int, int]]) -> dict[str, Any]:
    from seewhy.runs.checking import check_images
    from seewhy.spec import Request as RunRequest

    def progress(count: int, total: int) -> None:
        done[0] = (count, total)

    checked = check_images(source, RunRequest.make(source), labels, progress)
    where = {
        str(name): (split, row) for split in checked.dataset.splits.values() for row, name in enumerate(split.names)
    }
    issues = []
    for issue in checked.audit.issues:
        named = [{"name": path, "image": _thumbnail(where.get(path))} for path in issue.paths[:SHOWN]]
        issues.append(
            {
                "severity": issue.severity,
                "kind": issue.kind.replace("_", " "),
                "message": issue.message,
                "images": named,
                "more": max(0, len(issue.paths) - SHOWN),
            }
        )
    pairs = [
        {
            "images": [
                _thumbnail((checked.dataset.splits[split], row))
                for split, row in zip(pair.splits, pair.positions, strict=True)
            ],
            "names": list(pair.names),
            "about": f"{' and '.join(dict.fromkeys(pair.splits))}{', mirrored' * pair.mirrored}, likeness {pair.likeness:.3f}",
        }
        for pair in checked.near.pairs[:SHOWN]
    ]
    return {"summary": checked.audit.summary, "issues": issues, "pairs": pairs}


def _thumbnail(place: Any) -> str | None:
    """Return an image of a split as a data URI; None for a file that is in none, such as one that cannot be read."""
    if place is None:
        return None
    import torch

    from seewhy.data.image_files import to_pixels
    from seewhy.reporting.images import thumbnail_data_uri

    split, row = place
    return thumbnail_data_uri(to_pixels(split.images(torch.tensor([row])))[0])


ROUTES = [Route("/check", page), Route("/api/check", check)]
