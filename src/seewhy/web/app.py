"""The application: its pages, its files, and how errors are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seewhy.core.errors import InputError, RunError
from seewhy.web.access import Access, Guard
from seewhy.web.following import Followers
from seewhy.web.listing import Listing
from seewhy.web.pages import ROUTES
from seewhy.web.places import NotGivenError, Places
from seewhy.web.rendering import render, script, style_sheet
from seewhy.web.starting import Started
from seewhy.web.state import Shared
from seewhy.web.worker import Worker


def make_app(places: Places, access: Access, *, trust: bool = False) -> Starlette:
    """Return the application.

    Args:
        places: the folders that it shows.
        access: who may see it.
        trust: whether code that runs name may be imported.
    """
    shared = Shared(places, Listing(places), Followers(), Worker(trust=trust), Worker(), Started())

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        shared.worker.close()
        shared.checker.close()

    files = [Route("/style.css", _style), Route("/static/{name}", _script)]
    errors = {HTTPException: _http_error, NotGivenError: _error, InputError: _error, RunError: _error}
    app = Starlette(
        routes=[*files, *ROUTES],
        middleware=[Middleware(Guard, access=access)],
        exception_handlers=errors,  # type: ignore[arg-type]
        lifespan=lifespan,
    )
    app.state.shared, app.state.closing = shared, lambda: False
    return app


def _style(_request: Request) -> Response:
    return Response(style_sheet(), media_type="text/css")


def _script(request: Request) -> Response:
    text = script(request.path_params["name"])
    if text is None:
        raise HTTPException(404, "there is no such file")
    return Response(text, media_type="text/javascript")


def _http_error(request: Request, error: HTTPException) -> Response:
    return _told(request, error.status_code, error.detail)


def _error(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NotGivenError) else 422 if isinstance(error, InputError) else 500
    return _told(request, status, str(error))


def _told(request: Request, status: int, message: str) -> Response:
    """Return an error as JSON to a script, as a page to a person."""
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": message}, status_code=status)
    return HTMLResponse(render("error.html.j2", title="This did not work", message=message), status_code=status)
