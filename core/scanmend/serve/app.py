"""The HTTP side of the engine process: routes, refusals, and streams of events."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from scanmend.errors import (
    EngineError,
    ProfileError,
    PublishError,
    TargetExists,
    UsageError,
    as_scanmend_error,
)
from scanmend.serve import wanted
from scanmend.serve.door import Door, Guard, Json, Refusal, refused
from scanmend.serve.jobs import MORE_ROOM, RESULT, SCAN, Board, Job

MOST_JSON = 2**20
"""Bytes of a request that describes a job."""
_PIECE = 2**20
_HEARTBEAT = 1.0  # seconds between events when nothing happens
_KEEP_HEARTBEAT = 2.0
_ID = re.compile(r"[0-9a-f]{16}")


class House(Protocol):
    """What the routes need of the server."""

    board: Board
    closing: asyncio.Event

    def health(self) -> dict[str, Any]: ...
    def keeping(self, more: int) -> None: ...


def build(house: House, door: Door) -> ASGIApp:
    """The application, behind its door."""
    desk = _Desk(house)
    routes = [
        Route("/v1/health", desk.health, methods=["GET"]),
        Route("/v1/keep", desk.keep, methods=["GET"]),
        Route("/v1/profiles", desk.profiles, methods=["GET"]),
        Route("/v1/profiles/{name:path}", desk.save_profile, methods=["PUT"]),
        Route("/v1/jobs", desk.submit, methods=["POST"]),
        Route("/v1/jobs/{job}", desk.look, methods=["GET"]),
        Route("/v1/jobs/{job}", desk.cancel, methods=["DELETE"]),
        Route("/v1/jobs/{job}/events", desk.events, methods=["GET"]),
        Route("/v1/jobs/{job}/pixels", desk.take, methods=["PUT"]),
        Route("/v1/jobs/{job}/{plane}", desk.give, methods=["GET"]),
    ]
    handlers: Mapping[Any, Any] = {
        Refusal: lambda _request, error: refused(error.status, error.error),
        HTTPException: lambda _request, error: refused(error.status_code, UsageError(_route_words(error))),
        Exception: lambda _request, error: refused(500, as_scanmend_error(error)),
    }
    return Guard(Starlette(routes=routes, exception_handlers=handlers), door)


class _Desk:
    """The routes."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def health(self, _request: Request) -> Response:
        return Json(self._house.health())

    async def keep(self, _request: Request) -> Lines:
        return Lines(self._beats())

    async def profiles(self, _request: Request) -> Response:
        return Json({"version": self._house.health()["version"], **await asyncio.to_thread(_profiles)})

    async def save_profile(self, request: Request) -> Response:
        values = _json(await _body(request, MOST_JSON))
        try:
            path = await asyncio.to_thread(_save_profile, request.path_params["name"], values)
        except (UsageError, ProfileError) as error:
            raise Refusal(400, error) from error
        except TargetExists as error:
            raise Refusal(409, error) from error
        except PublishError as error:
            raise Refusal(507, error) from error
        return Json({"path": str(path)}, 201)

    async def submit(self, request: Request) -> Response:
        values, like = self._with_samples(_json(await _body(request, MOST_JSON)))
        try:
            job = self._house.board.submit(wanted.read(values), values, like)
        except UsageError as error:
            raise Refusal(409 if "another job" in error.message else 400, error) from error
        except EngineError as error:
            raise Refusal(503, error) from error
        return Json({"job": job.id, "state": job.state}, 201)

    async def look(self, request: Request) -> Response:
        job = self._job(request)
        size = job.wanted.pixels.bytes if job.wanted.pixels else 0
        return Json({"job": job.id, "bytes": size, **job.event(self._house.board.position(job))})

    async def cancel(self, request: Request) -> Response:
        job = self._job(request)
        if job.ended:
            self._house.board.forget(job)
        else:
            self._house.board.cancel(job)
        return Json({"job": job.id, "state": job.state})

    async def events(self, request: Request) -> Lines:
        return Lines(self._events(self._job(request)))

    async def take(self, request: Request) -> Response:
        """PUT of the samples: as many bytes as the shape says, once."""
        job = self._job(request)
        if job.wanted.pixels is None or job.folder is None:
            raise Refusal(409, UsageError("this job takes no pixels"))
        if job.state != "waiting":
            raise Refusal(409, UsageError("the pixels of this job have come already"))
        _check_length(request, job.wanted.pixels.bytes)
        part = job.folder / "arriving"
        try:
            file = part.open("xb", buffering=0)
        except FileExistsError:
            raise Refusal(409, UsageError("the pixels of this job are coming already")) from None
        try:
            with file:
                await _pour(request, file.fileno(), job.wanted.pixels.bytes)
            part.replace(job.folder / SCAN)
        except OSError as error:
            part.unlink(missing_ok=True)
            sentence = f"the picture could not be stored in {job.folder.parents[1]}: {error.strerror}"
            raise Refusal(507, PublishError(sentence, hint=MORE_ROOM)) from error
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        if job.state == "waiting":  # it may have been cancelled meanwhile
            self._house.board.enqueue(job)
        return Json({"job": job.id, "state": job.state})

    async def give(self, request: Request) -> Response:
        """GET of the result's samples, or of a plane beside them."""
        job, plane = self._job(request), request.path_params["plane"]
        if plane not in ("pixels", *wanted.PLANES):
            raise Refusal(404, UsageError(f"a job has no {plane}"))
        if job.wanted.pixels is None:
            raise Refusal(404, UsageError("the result of this job is the file that it was told to write"))
        if job.wanted.kind == "measure":
            raise Refusal(404, UsageError("this job measures, it has no result but its report"))
        if job.state != "done":
            raise Refusal(409, UsageError(f"there is no result: the job is {job.state}"))
        path = (job.folder / (RESULT if plane == "pixels" else plane)) if job.folder else Path()
        if not path.is_file():
            raise Refusal(404, UsageError(f"there is no {plane} for this job", hint=_plane_hint(job, plane)))
        return _Samples(path, media_type="application/octet-stream")

    def _with_samples(self, values: Any) -> tuple[Any, Job | None]:
        """A job's values with the pixels' shape in place of the job that holds them, and that job."""
        source = values.get("source") if isinstance(values, dict) else None
        if not isinstance(source, dict) or "job" not in source:
            return values, None
        if {"path", "pixels"} & source.keys():
            raise Refusal(400, UsageError("source has either a path, pixels or a job"))
        like = self._house.board.find(str(source["job"]))
        if like is None or not like.holds_samples:
            raise Refusal(
                410, UsageError("the samples of that job are not held", hint="send the pixels once more")
            )
        rest = {key: value for key, value in source.items() if key != "job"}
        return {**values, "source": {**rest, "pixels": like.values["source"]["pixels"]}}, like

    def _job(self, request: Request) -> Job:
        name = request.path_params["job"]
        job = self._house.board.find(name) if _ID.fullmatch(name) else None
        if job is None:
            raise Refusal(404, UsageError("there is no such job", hint="long past ones are forgotten"))
        return job

    async def _events(self, job: Job) -> AsyncIterator[dict[str, Any]]:
        board = self._house.board
        job.listeners += 1
        try:
            while not job.ended:
                seen = job.version  # what happens while the line is being sent is not waited for
                yield job.event(board.position(job))
                await job.changed(seen, _HEARTBEAT)
            yield job.event(0)
        finally:
            job.listeners -= 1
            if job.wanted.attached and not job.listeners:
                board.cancel(job, "nobody listens to it any more")

    async def _beats(self) -> AsyncIterator[dict[str, Any]]:
        self._house.keeping(1)
        try:
            while not self._house.closing.is_set():
                yield {"keep": True}
                waiting = asyncio.ensure_future(self._house.closing.wait())
                await asyncio.wait({waiting}, timeout=_KEEP_HEARTBEAT)
                waiting.cancel()
        finally:
            self._house.keeping(-1)


class _Samples(FileResponse):
    """A file of samples, in pieces so large that reading them costs little beside sending them."""

    chunk_size = 2**20


class Lines(Response):
    """JSON lines, sent as they come, until they end or the reader goes."""

    def __init__(self, lines: AsyncIterator[dict[str, Any]]) -> None:
        super().__init__(media_type="application/x-ndjson")
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        tasks = [asyncio.ensure_future(self._send(send)), asyncio.ensure_future(_gone(receive))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            close: Callable[[], Awaitable[None]] = self._lines.aclose  # type: ignore[attr-defined]
            await close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for values in self._lines:
            line = json.dumps(values).encode("ascii") + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(request: Request, most: int) -> bytes:
    pieces, size = [], 0
    async for piece in _stream(request):
        size += len(piece)
        if size > most:
            raise Refusal(413, UsageError(f"the request has more than the {most} bytes allowed"))
        pieces.append(piece)
    return b"".join(pieces)


async def _stream(request: Request) -> AsyncIterator[bytes]:
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect:
        raise Refusal(400, UsageError("the request broke off")) from None


def _check_length(request: Request, wanted_bytes: int) -> None:
    given = request.headers.get("content-length")
    if given is None:
        raise Refusal(411, UsageError("the request does not say how long it is"))
    if given != str(wanted_bytes):
        raise Refusal(
            413 if given.isdecimal() and int(given) > wanted_bytes else 400,
            UsageError(f"the picture's shape makes {wanted_bytes} bytes, the request has {given}"),
        )


async def _pour(request: Request, file: int, wanted_bytes: int) -> None:
    """Writes a body to a file, in large pieces and off the server's thread."""
    held, written = bytearray(), 0
    async for piece in _stream(request):
        held += piece
        if len(held) >= _PIECE:
            written += await asyncio.to_thread(_write, file, held)
            held = bytearray()
    written += await asyncio.to_thread(_write, file, held)
    if written != wanted_bytes:
        raise Refusal(400, UsageError(f"{written} of {wanted_bytes} bytes came"))


def _write(file: int, data: bytearray) -> int:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
    return len(data)


def _profiles() -> dict[str, Any]:
    from scanmend.serve import shelf  # noqa: PLC0415 - the server starts without what reads profiles

    return shelf.listing()


def _save_profile(name: str, values: Any) -> Path:
    from scanmend.serve import shelf  # noqa: PLC0415 - as above

    return shelf.save(name, values)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, UsageError(f"the request is not JSON: {error}")) from error


def _plane_hint(job: Job, plane: str) -> str:
    if plane in ("difference", "removed") and job.folder:
        return f'ask for it with "want": ["{plane}"]'
    return "the samples of this job were dropped" if not job.folder else "this version does not make it"


def _route_words(error: HTTPException) -> str:
    return "there is no such address" if error.status_code == 404 else error.detail.lower()
