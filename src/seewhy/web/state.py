"""What all pages share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from seewhy.web.following import Followers
from seewhy.web.listing import Listing
from seewhy.web.places import Places
from seewhy.web.starting import Started
from seewhy.web.worker import Worker


@dataclass(frozen=True)
class Shared:
    """Attributes: places: given; listing: of what lies there; followers: of runs; worker: computes; checker: reads data; started: runs."""

    places: Places
    listing: Listing
    followers: Followers
    worker: Worker
    checker: Worker
    started: Started


def shared(request: Request) -> Shared:
    """Return what all pages share."""
    found: Shared = request.app.state.shared
    return found


async def gone(request: Request) -> bool:
    """Whether nobody listens to a stream any more: the browser has left, or the server is to end."""
    return bool(request.app.state.closing()) or await request.is_disconnected()


def key_of(request: Request) -> str:
    """Return the name of a folder in the address of a request."""
    return str(request.path_params["key"])


def run_of(request: Request) -> Path:
    """Return the folder of the run in the address of a request; raises NotGivenError."""
    return shared(request).places.run(key_of(request))
