"""Serving the page until somebody stops it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from seewhy.core.errors import InputError, bad_value
from seewhy.web.access import LOOPBACK, Access
from seewhy.web.app import make_app
from seewhy.web.places import Places

GRACE_SECONDS = 3
"""How long open streams may go on once the server was stopped."""


@dataclass(frozen=True)
class Settings:
    """How the page is served.

    Attributes:
        places: the folders that it shows.
        host: the address to listen on.
        port: 0 for a free one.
        password: asked for where the address has no token; needed for another host than this one.
        trust: whether code that runs name may be imported.

    Raises:
        InputError: another host without a password, or no port.
    """

    places: Places
    host: str = LOOPBACK
    port: int = 0
    password: str | None = None
    trust: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise bad_value("port", self.port, "a port from 0 to 65535", "0 takes a free one")
        if self.host != LOOPBACK and not self.password:
            raise InputError(
                f"host: {self.host} may be reached by others, for which a password must be set; add --password"
            )
        for folder in (*self.places.runs, *self.places.data):
            if not folder.is_dir():
                raise InputError(f"{folder}: there is no such folder; make it, or name another")


def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        settings: how.
        told: given the address, with its token, once the server listens.

    Raises:
        InputError: the port is taken, or the host is none of this machine.
    """
    import uvicorn

    listener = _listener(settings.host, settings.port)
    port = int(listener.getsockname()[1])
    access = Access(secrets.token_urlsafe(24), port, settings.host, settings.password)
    app = make_app(settings.places, access, trust=settings.trust)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    told(f"http://{shown}:{port}/?token={access.token}")
    with listener, suppress(KeyboardInterrupt):  # the usual end of a server
        server = uvicorn.Server(config)
        app.state.closing = lambda: server.should_exit
        server.run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends at once; else the end of an answer waits 40 ms for the browser's acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"port: cannot listen on {host}:{port}: {reason}; name another port, or none") from None
    return listener


def given_places(runs: list[str], data: list[str]) -> Places:
    """Return the folders that were named, as absolute paths."""
    return Places(*(tuple(dict.fromkeys(Path(each).expanduser().absolute() for each in some)) for some in (runs, data)))
