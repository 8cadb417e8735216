"""The engine's door: who is let in, and how others are told that they are not."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scanmend.errors import ScanmendError, UsageError
from scanmend.serve.client import HEADER, PROTOCOL


class Json(JSONResponse):
    """JSON in ASCII: the name of a file that is no UTF-8 travels as escaped surrogates."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """An answer that is no: a status and a sentence."""

    def __init__(self, status: int, error: ScanmendError) -> None:
        super().__init__(error.message)
        self.status, self.error = status, error


def refused(status: int, error: ScanmendError) -> Response:
    """A refusal as an answer, after which the connection ends."""
    return Json(error.to_dict(), status, headers={"connection": "close"})


@dataclass(frozen=True)
class Door:
    """Who is let in.

    Attributes:
        hosts: names under which the server may be addressed.
        token: what a request has to know; empty where the socket's mode says who may.
    """

    hosts: frozenset[str]
    token: str = ""


class Guard:
    """Checks who asks, for what host, in which protocol, before anything is read; answers say theirs."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(HEADER.lower().encode(), PROTOCOL.encode()), (b"cache-control", b"no-store")]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        refusal = self._refusal(scope)
        if refusal:
            await refusal(scope, receive, marked)
        else:
            await self._app(scope, receive, marked)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "").lower() not in self._door.hosts:
            return refused(403, UsageError("this engine is not reached under that host's name"))
        if "origin" in headers:
            return refused(403, UsageError("pages in a browser have no business with the engine"))
        given = headers.get("authorization", "").encode("latin-1")
        if self._door.token and not hmac.compare_digest(given, f"Bearer {self._door.token}".encode()):
            return refused(401, UsageError("the token is missing or wrong", hint="it is in engine.json"))
        spoken = headers.get(HEADER.lower())
        if spoken == PROTOCOL or (spoken is None and scope["path"] == "/v1/health"):
            return None
        return refused(
            426,
            UsageError(
                f"this engine speaks protocol {PROTOCOL}, the request {spoken or 'does not say which'}",
                hint=f"send the header {HEADER}: {PROTOCOL}, from the same version of Scanmend",
            ),
        )
