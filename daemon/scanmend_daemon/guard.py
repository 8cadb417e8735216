"""Who may ask what of the web server, and what keeps other sites' pages out of it.

Two doors lead to it. Whoever can open the control socket (mode 0600) is the owner and may do all.
Through the loopback port every local user may look, and only who has the token may act; Host and
Origin are checked, so that no web page in a browser can do either in somebody's name.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from scanmend.errors import UsageError
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "scanmend-token"  # noqa: S105 - its name
COOKIE_AGE = 30 * 86_400  # seconds
_LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-content-type-options": "nosniff",
    # Not no-referrer, with which browsers send `Origin: null` from our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(UsageError):  # noqa: N818 - reads as the sentence it stands for
    """Whoever asks may only look."""

    def __init__(self) -> None:
        super().__init__("this needs the page's token", hint="open the address that scanmend status prints")


class Guard:
    """Turns away what a page of some other site made a browser send, and adds the headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [(key.encode(), value.encode()) for key, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(row for row in added if row[0] not in present)]
            await send(message)

        wrong = "" if is_owner(scope) else _stranger(scope)
        answer = Response(f"{wrong}\n", 403, media_type="text/plain") if wrong else self._app
        await answer(scope, receive, with_headers)


def is_owner(scope: Scope) -> bool:
    """Whether a request came through the control socket: no request can make its TCP port go away."""
    return _port(scope) is None


def may_act(request: Request, token: str, field: str = "") -> bool:
    """Whether a request may change anything: by its door, its cookie, its header or a form's field."""
    if is_owner(request.scope):
        return True
    cookie = request.cookies.get(cookie_name(request), "")
    given = request.headers.get(TOKEN_HEADER, "") or field
    return same(cookie, cookie_value(token)) or same(given, token)


def same(given: str, secret: str) -> bool:
    """Compares in a time that tells nothing; an empty secret is never met."""
    return bool(secret) and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def cookie_value(token: str) -> str:
    """What the browser keeps: it opens this page, but is not the token itself."""
    return hmac.new(token.encode(), b"scanmend page", hashlib.sha256).hexdigest()


def cookie_name(request: Request) -> str:
    """One for each port, as browsers share cookies between the ports of a host."""
    return f"scanmend-{_port(request.scope)}"


def _port(scope: Scope) -> int | None:
    return (scope.get("server") or ("", None))[1]


def _stranger(scope: Scope) -> str:
    """What gives a request away as another site's, or nothing."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host, origin = headers.get("host", ""), headers.get("origin")
    name, _, port = host.rpartition(":")
    if name not in _LOOPBACK or port != str(_port(scope)):
        return "this page answers only under its own address"  # a foreign name may point here (rebinding)
    if scope["method"] in {"GET", "HEAD"}:
        return ""
    elsewhere = headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
    if elsewhere or (origin is not None and urlsplit(origin)[:2] != ("http", host)):
        return "only this page itself may ask for that"
    return ""
