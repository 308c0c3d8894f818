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

FOLDS, MOST_FOLDS = 5, 20
"""Runs that look for wrong labels, unless asked otherwise and at most, as `seewhy check --labels` has it."""


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
        folds=FOLDS,
        most_folds=MOST_FOLDS,
    )
    return HTMLResponse(text)


async def check(request: Request) -> Response:
    """Stream the progress of a check, and at its end what was found."""
    places = shared(request).places
    source = places.data_name(request.query_params.get("source"))
    labels = "optional" if request.query_params.get("unlabelled") == "true" else "required"
    done: list[tuple[int, int]] = [(0, 0)]
    work = asyncio.ensure_future(shared(request).checker.do(lambda: _check(source, labels, done)))

    async def stream() -> AsyncIterator[str]:
        told = None
        while not work.done():
            if await gone(request):
                return
            if done[0] != told:
                told = done[0]
                yield event({"done": told[0], "total": told[1]})
            await asyncio.wait([work], timeout=LOOK_SECONDS)
        try:
            yield event(work.result())
        except (InputError, RunError) as error:
            yield event({"error": str(error)})

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


def event(value: dict[str, Any]) -> str:
    """Return a server-sent event."""
    return f"data: {json.dumps(value)}\n\n"


def _check(source: str, labels: str, done: list[tuple[int, int]]) -> dict[str, Any]:
    from seewhy.runs.checking import check_images
    from seewhy.spec import Request as RunRequest

    def progress(count: int, total: int) -> None:
        done[0] = (count, total)

    checked = check_images(source, RunRequest.make(source), labels, progress)
    where = rows_by_name(checked.dataset)
    issues = []
    for issue in checked.audit.issues:
        named = [{"name": path, "image": thumbnail(where.get(path))} for path in issue.paths[:SHOWN]]
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
                thumbnail((checked.dataset.splits[split], row))
                for split, row in zip(pair.splits, pair.positions, strict=True)
            ],
            "names": list(pair.names),
            "about": f"{' and '.join(dict.fromkeys(pair.splits))}{', mirrored' * pair.mirrored}, likeness {pair.likeness:.3f}",
        }
        for pair in checked.near.pairs[:SHOWN]
    ]
    return {"summary": checked.audit.summary, "issues": issues, "pairs": pairs}


def rows_by_name(dataset: Any) -> dict[str, tuple[Any, int]]:
    """Return where each image of a data set stands: its split, and its row there."""
    return {str(name): (split, row) for split in dataset.splits.values() for row, name in enumerate(split.names)}


def thumbnail(place: tuple[Any, int] | None) -> str | None:
    """Return an image of a split as a data URI; None for a file that is in none, such as one that cannot be read."""
    if place is None:
        return None
    import torch

    from seewhy.data.image_files import to_pixels
    from seewhy.reporting.images import thumbnail_data_uri

    split, row = place
    return thumbnail_data_uri(to_pixels(split.images(torch.tensor([row])))[0])


ROUTES = [Route("/check", page), Route("/api/check", check)]
