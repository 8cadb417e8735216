"""A server as a whole: where it listens, that there is one of it, who keeps it, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from scanmend.errors import UsageError
from scanmend.serve import app
from scanmend.serve.client import PROTOCOL
from scanmend.serve.crew import Crew, Means
from scanmend.serve.jobs import Board

_LONGEST = 103  # bytes of a Unix socket's path: 104 on macOS, 108 on Linux, less the end
_BACKLOG = 128
_SCRATCH = "scanmend-serve-"
_MOST_CONNECTIONS = 512


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        address: of the Unix socket; or of the token file (.json), for loopback TCP.
        port: for TCP; 0 takes any that is free.
        idle_exit: seconds without a job and a keeper after which it ends; 0 never.
        means: what workers may use.
    """

    address: Path
    port: int
    idle_exit: float
    means: Means


def run(settings: Settings, say: Callable[[str], None]) -> int:
    """Serves until it is told to end, or idle for long; returns the exit code.

    Args:
        settings: how.
        say: takes the lines for people.

    Raises:
        UsageError: it cannot listen there.
    """
    with _only_one(settings.address) as lock:
        if lock is None:
            say(f"scanmend serve runs already on {settings.address}")
            return 0
        with _listening(settings) as (listener, door, where), _scratch(lock) as scratch:
            say(f"scanmend serve listens on {where}")
            asyncio.run(_serve(settings, scratch, listener, door))
    return 0


async def _serve(settings: Settings, scratch: Path, listener: socket.socket, door: app.Door) -> None:
    house = House(settings, scratch)
    config = uvicorn.Config(
        app.build(house, door), loop="asyncio", http="h11", ws="none", lifespan="off", log_level="warning",
        access_log=False, server_header=False, date_header=False, limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = _Server(config, house)
    house.serve(lambda: setattr(server, "should_exit", True))
    loop = asyncio.get_running_loop()

    def leave(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(house.leave)

    # Before uvicorn listens to signals, and after: it raises those that it has caught once more at its end.
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await server.serve(sockets=[listener])
    finally:
        await house.end()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """uvicorn, with an end that first lets jobs reach the end of a tile."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house, self._loop = house, asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._house.leaving:
            super().handle_exit(sig, frame)  # asked twice: does not wait
        else:
            self._loop.call_soon_threadsafe(self._house.leave)


class House:
    """The server's state beside its jobs: keepers, idleness, the way out.

    Attributes:
        board: the jobs.
        closing: set when open streams are to end.
        leaving: whether it is on its way out.
    """

    def __init__(self, settings: Settings, scratch: Path) -> None:
        self._settings = settings
        self.board = Board(scratch, self._touched)
        self.closing = asyncio.Event()
        self.leaving = False
        self._crew = Crew(settings.means, self.board)
        self._keepers = 0
        self._idle: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._close: Callable[[], None] = lambda: None

    def serve(self, close: Callable[[], None]) -> None:
        """Begins to take jobs; `close` ends the listening."""
        self._close = close
        self._crew.begin()
        self._touched()

    def keeping(self, more: int) -> None:
        """One keeper more, or less; with the first the workers warm up."""
        self._keepers += more
        if more > 0:
            self._in_background(self._crew.warm_up())
        self._touched()

    def leave(self) -> None:
        """Cancels all jobs, waits for the end of a tile, and closes."""
        if not self.leaving:
            self.leaving = True
            self._in_background(self._leave())

    async def end(self) -> None:
        """Sees that no worker is left."""
        if self._idle:
            self._idle.cancel()
        self.board.close()
        await self._crew.stop()

    def health(self) -> dict[str, Any]:
        """JSON-ready values about the whole of it."""
        means, facts = self._settings.means, self._crew.facts()
        live = self.board.live()
        return {
            "version": _version(),
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "device": facts.get("device", ""),
            "wanted_device": means.device,
            "networks": facts.get("networks", []),
            "trouble": facts.get("trouble", ""),
            "queue": sum(job.state in ("waiting", "queued") for job in live),
            "running": [job.id for job in live if job.state == "running"],
            "keepers": self._keepers,
            "memory": means.memory,
            "workers": [worker.to_dict() for worker in self._crew.workers],
        }

    async def _leave(self) -> None:
        self.board.close()
        await self._crew.stop()
        self.closing.set()
        self._close()

    def _touched(self) -> None:
        """Starts the clock of idleness anew, or stops it where there is something to do."""
        if self._idle:
            self._idle.cancel()
            self._idle = None
        if self._settings.idle_exit and not self._keepers and not self.board.live() and not self.leaving:
            self._idle = asyncio.get_running_loop().call_later(self._settings.idle_exit, self.leave)

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks but weakly
        task.add_done_callback(self._tasks.discard)


# --- the one who listens -----------------------------------------------------------------


@contextmanager
def _only_one(address: Path) -> Iterator[int | None]:
    """Holds the lock beside the address; None where another server holds it. A killed one frees it."""
    place = address.with_name(f"{address.name}.lock")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be opened: {error.strerror}", hint="choose another --socket"
        ) from error
    try:
        yield handle if _locked(handle) else None
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _scratch(lock: int) -> Iterator[Path]:
    """A folder for samples; the lock's file names it, and the next server tidies up after a killed one."""
    left = Path(os.fsdecode(os.pread(lock, 4096, 0)) if hasattr(os, "pread") else "")
    if left.name.startswith(_SCRATCH) and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True) as made:
        if hasattr(os, "pwrite"):
            os.ftruncate(lock, 0)
            os.pwrite(lock, os.fsencode(made), 0)
        yield Path(made)


@contextmanager
def _listening(settings: Settings) -> Iterator[tuple[socket.socket, app.Door, str]]:
    """The listening socket, who may come, and where that is; the lock is held."""
    tcp = settings.address.suffix == ".json"
    listener, door, where = _tcp(settings) if tcp else _unix(settings.address)
    mine = settings.address.lstat()
    try:
        yield listener, door, where
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            if os.path.samestat(settings.address.lstat(), mine):
                settings.address.unlink()


def _unix(path: Path) -> tuple[socket.socket, app.Door, str]:
    if len(os.fsencode(path)) > _LONGEST:
        raise UsageError(f"{path} is too long for a socket", hint="choose a shorter path with --socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        mask = os.umask(0o177)  # the mode has to be right from the first moment on
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(f"{path} cannot be listened on: {error.strerror}") from error
    except UsageError:
        listener.close()
        raise
    return listener, app.Door(frozenset({"localhost", "scanmend"})), str(path)


def _clear(path: Path) -> None:
    """Removes the socket that a killed server left: a living one would hold the lock."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise UsageError(f"{path} is in the way: it is no socket", hint="move it elsewhere")
    path.unlink()


def _tcp(settings: Settings) -> tuple[socket.socket, app.Door, str]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", settings.port))
        listener.listen(_BACKLOG)
        port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
        _write_token(settings.address, {"port": port, "token": token})
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {settings.port} on this machine cannot be listened on: {error.strerror}",
            hint="choose another --tcp",
        ) from error
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
    return listener, app.Door(hosts, token), f"127.0.0.1:{port}, token in {settings.address}"


def _write_token(path: Path, values: dict[str, Any]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(values, file)
    part.replace(path)


def _version() -> str:
    try:
        return version("scanmend")
    except PackageNotFoundError:
        return "unknown"
