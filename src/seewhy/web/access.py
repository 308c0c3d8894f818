"""Who may see the page.

The server listens on this machine alone unless it was told otherwise, and answers whoever knows its token: once in the address, which the
browser then keeps in a cookie that no script and no other site can use. A name that some other site has pointed at this machine is no name of
ours (DNS rebinding), and what changes anything must come from a page of ours (`Origin`).
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seewhy.web.rendering import render

LOOPBACK = "127.0.0.1"

GUESS_SECONDS = 1.0
"""What a wrong password costs, whoever asks."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "same-origin",  # with "no-referrer" a form would not say where it comes from
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Access:
    """What is asked of a request.

    Attributes:
        token: in the address or the cookie.
        port: on which the server listens.
        host: the address on which it listens.
        password: another way to the cookie, None where there is none.
    """

    token: str
    port: int
    host: str = LOOPBACK
    password: str | None = None

    @property
    def cookie(self) -> str:
        """The cookie's name, which browsers share between the ports of a machine."""
        return f"seewhy-{self.port}"

    def knows(self, header: str) -> bool:
        """Whether a Host header names this server: by an address or a name of this machine, with the port."""
        try:
            parts = urlsplit(f"//{header}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port:
            return False
        if name in (LOOPBACK, "localhost", "::1"):
            return True
        return self.host != LOOPBACK and (name == self.host.lower() or _is_address(name) or name in _own_names())

    def has_token(self, given: str | None) -> bool:
        """Whether a text is the token."""
        return given is not None and _same(given, self.token)

    def has_password(self, given: str) -> bool:
        """Whether a text is the password, where there is one."""
        return self.password is not None and _same(given, self.password)


def _same(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogatepass"), known.encode(errors="surrogatepass"))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> tuple[str, ...]:
    return socket.gethostname().lower(), socket.getfqdn().lower()


@dataclass
class Guard:
    """Wraps an application: lets through who may, and gives every answer its headers.

    Attributes:
        app: what is guarded.
        access: what is asked.
    """

    app: ASGIApp
    access: Access
    _guess: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
            await send(message)

        request = Request(scope, receive)
        answer = await self._answer(request)
        if answer is not None:
            await answer(scope, receive, guarded)
            return
        await self.app(scope, receive, self._with_cookie(request, guarded))

    async def _answer(self, request: Request) -> Response | None:
        """Return what a request gets that is not let through, None for one that is."""
        if not self.access.knows(request.headers.get("host", "")):
            return _refusal("This is not the address of this page.", login=False)
        if request.method not in ("GET", "HEAD") and not _is_own(request.headers):
            return _refusal("This request comes from another page.", login=False)
        if request.method == "POST" and request.url.path == "/login" and self.access.password is not None:
            return await self._login(request)
        given = request.cookies.get(self.access.cookie), request.query_params.get("token")
        if any(self.access.has_token(each) for each in given):
            return None
        why = "This page needs its whole address, with the token, which `seewhy web` has printed."
        return _refusal(why, login=self.access.password is not None)

    async def _login(self, request: Request) -> Response:
        """Give the cookie to who knows the password; one guess at a time."""
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > 4096:
                return _refusal("This is no password.", login=True)
        given = parse_qs(body.decode("utf-8", "replace")).get("password", [""])[0]
        async with self._guess:
            if not self.access.has_password(given):
                await asyncio.sleep(GUESS_SECONDS)
                return _refusal("This is not the password.", login=True)
        answer = RedirectResponse("/", status_code=303)
        answer.headers["set-cookie"] = self._cookie()
        return answer

    def _cookie(self) -> str:
        return f"{self.access.cookie}={self.access.token}; HttpOnly; SameSite=Strict; Path=/"

    def _with_cookie(self, request: Request, send: Send) -> Send:
        """Let the browser keep the token that stands in the address."""
        if not self.access.has_token(request.query_params.get("token")):
            return send

        async def cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                headers.append("set-cookie", self._cookie())
                message["headers"] = headers.raw
            await send(message)

        return cookie


def _is_own(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of the same host and port."""
    scheme, _, place = headers.get("origin", "").partition("://")
    return scheme in ("http", "https") and place == headers.get("host")  # https: a proxy may stand before the server


def _refusal(why: str, *, login: bool) -> Response:
    return HTMLResponse(render("refused.html.j2", title="No entry", why=why, login=login), status_code=403)
