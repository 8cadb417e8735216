"""A server as a whole: how it begins, who keeps it, and how it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from scanmend.serve import app, listening
from scanmend.serve.client import PROTOCOL
from scanmend.serve.crew import Crew, Means
from scanmend.serve.jobs import Board
from scanmend.serve.listening import Ears, Place

_SCRATCH = "scanmend-serve-"
_MOST_CONNECTIONS = 512


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        place: where to listen.
        idle_exit: seconds without a job and a keeper after which it ends; 0 never.
        means: what workers may use.
    """

    place: Place
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
    with listening.opened(settings.place) as ears:
        if ears is None:
            say(f"scanmend serve runs already on {settings.place.address}")
            return 0
        with _scratch(ears.lock) as scratch:
            say(f"scanmend serve listens on {ears.where}")
            asyncio.run(_serve(settings, scratch, ears))
    return 0


async def _serve(settings: Settings, scratch: Path, ears: Ears) -> None:
    house = House(settings, scratch)
    config = uvicorn.Config(
        app.build(house, ears.door), loop="asyncio", http="h11", ws="none", lifespan="off",
        log_level="warning", access_log=False, server_header=False, date_header=False,
        limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = _Server(config, house)
    house.serve(lambda: setattr(server, "should_exit", True))
    loop = asyncio.get_running_loop()

    def leave(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(house.leave)

    # Before uvicorn listens to signals, and after: it raises those that it has caught once more at its end.
    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        await server.serve(sockets=list(ears.sockets))
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


def _version() -> str:
    try:
        return version("scanmend")
    except PackageNotFoundError:
        return "unknown"
