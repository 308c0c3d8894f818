"""Generating images: samples, latent dimensions moved by hand, images between two images, and the rest of an image of which a part is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seewhy.core.errors import InputError, bad_value
from seewhy.spec.initial import spec_of_run
from seewhy.web.listing import read_object
from seewhy.web.rendering import render
from seewhy.web.state import run_of, shared
from seewhy.web.uploads import bytes_of, json_of, pixels_of

SAMPLES_UP_TO = 100
STEPS = 9
"""Images from one to another."""

COMPLETIONS = 8

BODY = 24 << 20
"""Bytes of two images in base64."""


async def page(request: Request) -> Response:
    """Show the page, and load the network meanwhile."""
    folder = run_of(request)
    spec = spec_of_run(folder)
    if "sample" not in spec.model_record.verbs:
        raise InputError(f"{folder.name}: is a run of {spec.model.name}, which generates no images")
    shared(request).worker.load(folder)
    row, data = shared(request).listing.row(folder), read_object(folder / "data.json")
    conditional = bool(spec.values()["model"].get("conditional"))
    facts = data.get("facts", {})
    text = render(
        "generate.html.j2",
        title=f"Generate with {row.name}",
        here="runs",
        row=row,
        verbs=spec.model_record.verbs,
        classes=data.get("classes", []) if conditional else [],
        height=facts.get("height", 0),
        most=SAMPLES_UP_TO,
    )
    return HTMLResponse(text)


def _label(asked: Mapping[str, Any]) -> Any:
    label = asked.get("label")
    if label is not None and not isinstance(label, str):
        raise bad_value("label", label, "the name of a class")
    return label or None


def _number(asked: Mapping[str, Any], name: str, default: float) -> Any:
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_value(name, value, "a number")
    return value


def _whole(asked: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = asked.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise bad_value(name, value, f"a whole number from {least} to {most}")
    return value


def _sheet(images: Any, columns: int | None = None) -> str:
    """Return images, uint8 (N, C, H, W), as one PNG."""
    from seewhy.data.image_files import to_pixels
    from seewhy.reporting.images import image_grid, png_data_uri

    return png_data_uri(image_grid(to_pixels(images), columns=columns, fill=128))


def _route(path: str, work: Callable[[Mapping[str, Any]], Callable[[Any], dict[str, Any]]]) -> Route:
    """Return a route under /api that hands the JSON of a request to some work with the run: first what it asks is checked, then it is done."""

    async def answer(request: Request) -> Response:
        folder = run_of(request)
        asked = await json_of(request, BODY)
        found = await shared(request).worker.with_run(folder, work(asked))
        return JSONResponse(found)

    return Route(f"/api/{path}/{{key:path}}", answer, methods=["POST"])


def _sample(asked: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    n, seed = _whole(asked, "n", 36, 1, SAMPLES_UP_TO), _whole(asked, "seed", 0, 0, 2**31 - 1)
    label, temperature = _label(asked), _number(asked, "temperature", 1.0)
    return lambda run: {"sheet": _sheet(run.sample(n, label=label, seed=seed, temperature=temperature)), "n": n}


def _axes(_asked: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda run: vars(run.axes())


def _encode(asked: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    data, label = bytes_of(asked.get("image"), "image"), _label(asked)

    def work(run: Any) -> dict[str, Any]:
        pixels = pixels_of(run, data)
        return {"latents": run.encode(pixels, label=label)[0].tolist(), "seen": _sheet(pixels[None])}

    return work


def _interpolate(asked: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    start, end = (bytes_of(asked.get(name), name) for name in ("start", "end"))
    label, steps = _label(asked), _whole(asked, "steps", STEPS, 2, 64)

    def work(run: Any) -> dict[str, Any]:
        ends = pixels_of(run, start, "start"), pixels_of(run, end, "end")
        return {"sheet": _sheet(run.interpolate(*ends, steps=steps, label=label), steps), "n": steps}

    return work


def _complete(asked: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    data, rows, seed = bytes_of(asked.get("image"), "image"), asked.get("rows"), _whole(asked, "seed", 0, 0, 2**31 - 1)
    label, temperature = _label(asked), _number(asked, "temperature", 1.0)
    if not isinstance(rows, int) or isinstance(rows, bool):
        raise bad_value("rows", rows, "a whole number of rows that are kept")

    def work(run: Any) -> dict[str, Any]:
        import torch

        pixels = pixels_of(run, data)
        given = pixels.clone()
        given[:, rows:] = 128
        made = run.complete(
            pixels[None].expand(COMPLETIONS, -1, -1, -1), rows=rows, label=label, seed=seed, temperature=temperature
        )
        return {"sheet": _sheet(torch.cat([given[None], made]), COMPLETIONS + 1), "n": COMPLETIONS}

    return work


async def decode(request: Request) -> Response:
    """Return the image of one latent as raw pixels, uint8 (H, W, C), their shape in a header: the quickest way to a canvas."""
    folder = run_of(request)
    asked = await json_of(request, 1 << 20)
    latents, label = asked.get("latents"), _label(asked)
    if not isinstance(latents, list) or not all(
        isinstance(v, (int, float)) and not isinstance(v, bool) for v in latents
    ):
        raise bad_value("latents", type(latents).__name__, "a list of numbers")

    def work(run: Any) -> tuple[str, bytes]:
        from seewhy.data.image_files import to_pixels

        pixels = to_pixels(run.decode([latents], label=label))[0]
        return ",".join(map(str, pixels.shape)), pixels.tobytes()

    shape, data = await shared(request).worker.with_run(folder, work)
    return Response(data, media_type="application/octet-stream", headers={"x-shape": shape})


ROUTES = [
    Route("/generate/{key:path}", page),
    _route("sample", _sample),
    _route("axes", _axes),
    _route("encode", _encode),
    _route("interpolate", _interpolate),
    _route("complete", _complete),
    Route("/api/decode/{key:path}", decode, methods=["POST"]),
]
