"""The daemon's face: the status page, its numbers, and the actions it can be asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import uvicorn
from scanmend.errors import ScanmendError, UsageError, as_scanmend_error
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from scanmend_daemon import asked, guard, sockets
from scanmend_daemon.pages import page

if TYPE_CHECKING:
    import socket as sock
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

_log = logging.getLogger(__name__)
_PAGES = Path(__file__).parent / "pages"
_FILES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
_NEAR = 10  # ports that are tried, from the wanted one on
_PREVIEW_AGE = 86_400  # seconds: a job's previews never change


class View(Protocol):
    """What the daemon shows of itself, and does when asked; called from several threads."""

    token: str

    def snapshot(self) -> dict[str, Any]:
        """The daemon's state, every string of it fit to be shown."""

    def alive(self) -> tuple[bool, str]:
        """Whether the daemon does its work, and a sentence."""

    def act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Does one of `asked.ACTIONS`; raises a `ScanmendError` where it cannot."""

    def preview(self, name: str) -> Path | None:
        """The file of a preview such as 12-before.jpg."""


def build(view: View, *, metrics: bool = True, address: Callable[[], str | None] = lambda: None) -> Starlette:
    """The application.

    Args:
        view: the daemon.
        metrics: whether /metrics is there.
        address: tells where the page is, for the owner's /address.
    """
    desk = _Desk(view, address)
    routes = [
        Route("/", desk.page),
        Route("/status.json", desk.status),
        Route("/healthz", desk.health),
        Route("/address", desk.tell_address),
        Route("/previews/{name}", desk.preview),
        Route("/actions/{name}", desk.act, methods=["POST"]),
        *(Route(f"/{name}", desk.file) for name in _FILES),
        *([Route("/metrics", desk.metrics)] if metrics else []),
    ]
    return Starlette(routes=routes, middleware=[Middleware(guard.Guard)])


class _Desk:
    """Answers requests. Starlette runs what is not async in a thread, so the daemon may take its time."""

    def __init__(self, view: View, address: Callable[[], str | None]) -> None:
        self._view = view
        self._address = address

    def page(self, request: Request) -> Response:
        given = request.query_params.get("token")
        if given is not None:
            return self._let_in(request, given)
        acting = guard.may_act(request, self._view.token)
        return _html(page.render(self._view.snapshot(), acting=acting))

    def status(self, request: Request) -> Response:  # noqa: ARG002 - Starlette gives it
        return _json(self._view.snapshot())

    def health(self, request: Request) -> Response:  # noqa: ARG002
        well, sentence = self._view.alive()
        return _plain(sentence or "ok", 200 if well else 503)

    def metrics(self, request: Request) -> Response:
        from scanmend_daemon.metrics import Metrics  # noqa: PLC0415 - memory that only who asks pays for

        text, content_type = Metrics(self._view.snapshot).text(request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    def file(self, request: Request) -> Response:
        name = request.url.path.removeprefix("/")
        return Response((_PAGES / name).read_bytes(), media_type=_FILES[name])

    def preview(self, request: Request) -> Response:
        path = self._view.preview(request.path_params["name"])
        try:
            picture = path.read_bytes() if path else b""
        except OSError:  # swept away a moment ago
            picture = b""
        if not picture:
            return _plain("there is no such preview", 404)
        kept = {"cache-control": f"private, max-age={_PREVIEW_AGE}"}
        return Response(picture, media_type="image/jpeg", headers=kept)

    def tell_address(self, request: Request) -> Response:
        if not guard.may_act(request, self._view.token):
            return _plain("only the owner is told that", 403)
        address = self._address()
        return _json({"page": f"{address}/?token={self._view.token}" if address else None})

    async def act(self, request: Request) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        try:
            done = await self._act(request)
        except Exception as cause:  # noqa: BLE001 - the edge: whoever asked gets a sentence
            error = as_scanmend_error(cause)
            code = 403 if isinstance(error, guard.Refused) else 400 if isinstance(error, UsageError) else 409
            if not isinstance(cause, ScanmendError):
                code = 500
                _log.exception("%s could not be done", request.url.path, exc_info=cause)
            if wants_page:
                return _html(page.message("That did not work", error.message, error.hint), code)
            return _json(error.to_dict(), code)
        return RedirectResponse("/", 303) if wants_page else _json(done)

    async def _act(self, request: Request) -> dict[str, Any]:
        given = await asked.arguments(request)
        if not guard.may_act(request, self._view.token, str(given.pop("token", ""))):
            raise guard.Refused
        name = request.path_params["name"]
        return await run_in_threadpool(self._view.act, name, asked.chosen(name, given))

    def _let_in(self, request: Request, given: str) -> Response:
        """Takes the token out of the address, which browsers remember, and puts it into a cookie."""
        if not guard.same(given, self._view.token):
            hint = "Type scanmend status: it prints the address as it is now."
            return _html(page.message("An old address", "This address no longer opens the page.", hint), 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            guard.cookie_name(request),
            guard.cookie_value(self._view.token),
            max_age=guard.COOKIE_AGE,
            httponly=True,
            samesite="strict",
        )
        return answer


def _html(body: bytes, code: int = 200) -> Response:
    return Response(body, code, media_type="text/html")


def _plain(sentence: str, code: int) -> Response:
    return Response(f"{sentence}\n".encode("utf-8", "backslashreplace"), code, media_type="text/plain")


def _json(values: Any, code: int = 200) -> Response:
    # ASCII, so that a name that is no text passes as escaped surrogates.
    return Response(json.dumps(values), code, media_type="application/json")


class _Patient(uvicorn.Server):
    """Uvicorn's server wakes ten times a second to see whether it should end; this one is told."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):  # which also sets the Date of answers
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1)

    def end(self) -> None:
        """From any thread."""
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._ending.set)


class Server:
    """The web server, in a thread of its own.

    Args:
        view: the daemon.
        http: the loopback address and port of the page, or None for no page; port 0 takes a free one.
        socket: the control socket's path.
        metrics: whether /metrics is there.

    Attributes:
        address: the page's address without the token, once started; None where there is no page.
        remark: why the page is elsewhere than it should be, or nowhere; empty where all is well.
    """

    def __init__(
        self, view: View, http: tuple[str, int] | None, socket: Path, *, metrics: bool = True
    ) -> None:
        self.address: str | None = None
        self.remark = ""
        self._view = view
        self._http = http
        self._path = socket
        self._ears: list[sock.socket] = []
        config = uvicorn.Config(
            build(view, metrics=metrics, address=lambda: self.address),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # nobody stands before us whose word on addresses would count
            server_header=False,
            limit_concurrency=64,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=asked.LARGEST_BODY,
        )
        self._server = _Patient(config)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)

    def start(self) -> None:
        """Listens; a page whose port is taken gets the next one, or is done without, as `remark` says.

        Raises:
            UsageError: the control socket cannot be made.
        """
        self._ears = [sockets.listen_here(self._path) if sockets.UNIX else self._side_door()]
        if self._http:
            self._open_page(*self._http)
        self._thread.start()

    def alive(self) -> bool:
        """Whether the thread still answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends within a few seconds; what is being asked for is answered first."""
        self._server.end()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for ear in self._ears:
            ear.close()
        for left in (self._path, self._path.with_suffix(".json")):
            left.unlink(missing_ok=True)

    def _side_door(self) -> sock.socket:
        """Where there are no Unix sockets: a port, and the key to it in a file that only the owner reads."""
        ear = sockets.listen_on("127.0.0.1", 0)
        key = json.dumps({"port": ear.getsockname()[1], "token": self._view.token})
        place = self._path.with_suffix(".json")
        place.unlink(missing_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key)
        return ear

    def _open_page(self, host: str, port: int) -> None:
        first: UsageError | None = None
        for near in range(port, min(port + _NEAR, 65_536)) if port else (0,):
            try:
                ear = sockets.listen_on(host, near)
            except UsageError as error:
                first = first or error
            else:
                self._ears.append(ear)
                self.address = _url(ear)
                self.remark = f"the status page is at {self.address}: port {port} is taken" if first else ""
                return
        self.remark = str(first)  # restoring goes on without a page

    def _run(self) -> None:
        asyncio.run(self._server.serve(sockets=self._ears))


def _url(ear: sock.socket) -> str:
    host, port = ear.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
