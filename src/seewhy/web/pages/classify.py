"""Classifying images that somebody drops, pastes, chooses or photographs, and why they are classified so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seewhy.core.errors import InputError, unknown_name
from seewhy.spec.initial import spec_of_run
from seewhy.web.rendering import render
from seewhy.web.state import run_of, shared
from seewhy.web.uploads import body_of, pixels_of

METHODS = ("grad_cam", "integrated_gradients", "occlusion", "all")

NEAREST = 6
"""Training images that are shown beside an image."""


async def page(request: Request) -> Response:
    """Show the page, and load the network meanwhile."""
    folder = run_of(request)
    spec = spec_of_run(folder)
    if "predict" not in spec.model_record.verbs:
        raise InputError(f"{folder.name}: is a run of {spec.model.name}, which does not classify images")
    shared(request).worker.load(folder)
    row = shared(request).listing.row(folder)
    explains = "explain" in spec.model_record.verbs
    return HTMLResponse(
        render("classify.html.j2", title=f"Classify with {row.name}", here="runs", row=row, explains=explains)
    )


async def classify(request: Request) -> Response:
    """Return the probabilities of one image, which is the body of the request."""
    folder, data, name = await _image(request)

    def work(run: Any) -> dict[str, Any]:
        from seewhy.data.image_files import to_pixels
        from seewhy.reporting.images import thumbnail_data_uri

        pixels = pixels_of(run, data, name)
        found = run.predict(pixels)
        return {
            "name": name,
            "label": found.label,
            "confidence": found.confidence,
            "top": [list(pair) for pair in found.top],
            "disagreement": found.disagreement,
            "seen": thumbnail_data_uri(to_pixels(pixels)),
        }

    return JSONResponse(await shared(request).worker.with_run(folder, work))


async def explain(request: Request) -> Response:
    """Return attribution maps and the nearest training images of one image, which is the body of the request."""
    folder, data, name = await _image(request)
    method = request.query_params.get("method", "all")
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)

    def work(run: Any) -> dict[str, Any]:
        from seewhy.reporting.explanations import overlay
        from seewhy.reporting.images import thumbnail_data_uri

        found = run.explain(pixels_of(run, data, name), method=method, nearest=NEAREST)
        shown = found.images[0].shown
        return {
            "class": shown.explained,
            "maps": [
                {
                    "name": each.name,
                    "image": thumbnail_data_uri(overlay(shown.image, each.values)),
                    "lines": list(each.lines),
                    "doubtful": each.doubtful,
                }
                for each in shown.maps
            ],
            "nearest": [
                {"image": thumbnail_data_uri(n.image), "label": n.label, "name": n.name, "distance": n.distance}
                for n in shown.neighbours
            ],
            "lines": found.lines(),
        }

    return JSONResponse(await shared(request).worker.with_run(folder, work))


async def _image(request: Request) -> tuple[Path, bytes, str]:
    folder = run_of(request)
    name = request.query_params.get("name", "image")[:300]
    return folder, await body_of(request), name


ROUTES = [
    Route("/classify/{key:path}", page),
    Route("/api/classify/{key:path}", classify, methods=["POST"]),
    Route("/api/explain/{key:path}", explain, methods=["POST"]),
]
