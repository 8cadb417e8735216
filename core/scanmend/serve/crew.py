"""Worker processes: started, fed with jobs, watched, ended; each may die without harm to anything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanmend.errors import Cancelled, EngineError, OutOfMemory, ScanmendError
from scanmend.serve.jobs import Board, Job

_LINE = 64 * 2**20  # bytes: the report of a thousand pages is one line
_WATCH_EVERY = 0.2  # seconds between two looks at a busy worker
_SECONDS_PER_MEGAPIXEL = 2.0
_START_SECONDS = 180.0  # to load torch from a slow disk
_LAST_BREATH = 2.0  # seconds between closing its line and its end
_GRACE = 10.0  # seconds to reach the end of a tile
_STOPPING = 0.8  # seconds from a job's cancellation to the end of a worker that does not listen
_MEASURING = 2.5  # the same before it restores: measuring takes half a second, a new worker several


@dataclass(frozen=True)
class Means:
    """What workers may use.

    Attributes:
        device, backend: as the engine takes them.
        jobs: render workers, each with networks of its own.
        memory: bytes that a worker may have resident.
        patience: seconds without a sign of progress, to which two are added for each megapixel.
    """

    device: str
    backend: str
    jobs: int
    memory: int
    patience: float


class Worker:
    """One worker process after another, each doing one job at a time.

    Args:
        kind: render or probe.
        means: what it may use.
        board: where jobs come from.
    """

    def __init__(self, kind: str, means: Means, board: Board) -> None:
        self.kind, self._means, self._board = kind, means, board
        self.facts: dict[str, Any] = {}
        self.job: Job | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._ready = False
        self._heard = 0.0  # when it last said something
        self._killed_for = ""
        self._over = asyncio.Event()
        self._again = False

    async def work(self) -> None:
        """Does jobs, for ever."""
        while True:
            job = await self._board.next("probe" if self.kind == "probe" else "restore")
            job.begin()
            self.job = job
            try:
                await self._do(job)
                if not job.ended:  # the process had died before the job came to it
                    await self._do(job, again=True)
            finally:
                self.job = None
                self._board.settle(job)
            if self._killed_for == "cancel" and not self._board.closed:
                with contextlib.suppress(OSError):  # told to the next job
                    await self.start()  # warm when the next one comes

    async def start(self) -> None:
        """Starts the process, unless it runs.

        Raises:
            OSError: the system has no room for another process.
        """
        if self._process is not None:
            return
        self._ready, self._killed_for, self._heard = False, "", time.monotonic()
        settings = {
            "server": os.getpid(),
            "device": self._means.device,
            "backend": self._means.backend,
            "memory": self._means.memory,
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scanmend.serve.worker", self.kind, json.dumps(settings),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=_LINE, env=_environment(self._means.jobs),
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read(self._process))

    def interrupt(self, job: Job) -> None:
        """Tells the process to stop a job, and ends it where it goes on all the same: somebody waits."""
        if job is self.job:
            self._send({"cancel": job.id})
            if job.begun:
                patience = _STOPPING if job.stage == "restore" else _MEASURING
                asyncio.get_running_loop().call_later(patience, self._insist, job)

    def _insist(self, job: Job) -> None:
        if job is self.job and not job.ended:
            self._kill("cancel")

    async def stop(self) -> None:
        """Ends the process: at the end of a tile if that comes soon."""
        if self._process is None or self._process.stdin is None or self._reading is None:
            return
        self._process.stdin.close()
        await asyncio.wait({self._reading}, timeout=_GRACE)
        self._kill("")
        await asyncio.wait({self._reading}, timeout=_GRACE)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values for the health page."""
        pid = self._process.pid if self._process else None
        busy = self.job is not None and not self.job.ended
        state = "down" if pid is None else "busy" if busy else "ready" if self._ready else "starting"
        return {
            "kind": self.kind,
            "pid": pid,
            "state": state,
            "job": self.job.id if self.job else None,
            "resident": resident(pid) if pid else 0,
        }

    # --- one job -------------------------------------------------------------------------

    async def _do(self, job: Job, *, again: bool = False) -> None:
        self._over.clear()
        self._again = again
        try:
            await self.start()
        except OSError as error:
            fault = EngineError(f"no worker could be started: {error.strerror}")
            job.end("failed", error=fault.to_dict(), crash=None)
            return
        if job.ended:
            return  # cancelled meanwhile
        self._heard = time.monotonic()
        folder = str(job.folder) if job.folder else None
        self._send({"job": job.id, "values": job.values, "folder": folder, "samples": job.samples})
        if job.stopping:
            self.interrupt(job)
        watching = asyncio.create_task(self._watch(job))
        try:
            await self._over.wait()
        finally:
            watching.cancel()

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError, RuntimeError):  # it has died: the reader finds out
                self._process.stdin.write(json.dumps(message).encode("ascii") + b"\n")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Takes what the process says until it ends, and then says how."""
        assert process.stdout is not None  # noqa: S101 - it was made with a pipe
        with contextlib.suppress(ValueError, KeyError, TypeError):  # it is out of its mind
            async for line in process.stdout:
                self._heard = time.monotonic()
                self._hear(json.loads(line))
        try:
            code = await asyncio.wait_for(process.wait(), _LAST_BREATH)
        except asyncio.TimeoutError:
            _kill(process)  # without a line it is of no use
            code = await process.wait()
        self._process, self._ready, self.facts = None, False, {}
        if self.job:
            self._bury(self.job, code)

    def _hear(self, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            self._ready = True
            self.facts |= message["ready"]
        job = self.job
        if job is None or message.get("job") != job.id:
            return
        if "end" not in message:
            job.hear(message)
            return
        self.facts |= {key: message[key] for key in self.facts if key in message}
        end = message["end"]
        job.end(end["state"], report=end["report"], error=end["error"])
        self._over.set()

    # --- watching ------------------------------------------------------------------------

    async def _watch(self, job: Job) -> None:
        """Kills a worker that stands still or takes too much; only while it has a job."""
        while True:
            await asyncio.sleep(_WATCH_EVERY)
            if self._process is None:
                return
            if resident(self._process.pid) > self._means.memory:
                self._kill("memory")
                return
            if time.monotonic() - self._heard > self._allowed(job):
                self._kill("hang")
                return

    def _allowed(self, job: Job) -> float:
        patience = self._means.patience + _SECONDS_PER_MEGAPIXEL * job.megapixels
        return patience if self._ready else max(patience, _START_SECONDS)

    def _kill(self, why: str) -> None:
        self._killed_for = why
        if self._process:
            _kill(self._process)

    def _bury(self, job: Job, code: int) -> None:
        crash = self._killed_for or (f"signal {-code}" if code < 0 else f"exit {code}")
        if not (job.begun or job.stopping or self._killed_for or self._again):
            self._over.set()
            return
        if job.stopping:
            fault = Cancelled(f"{job.wanted.name} was not restored")
            job.end("cancelled", error=fault.to_dict(), crash=None if crash == "cancel" else crash)
        else:
            job.end("failed", error=self._obituary(job, crash).to_dict(), crash=crash)
        self._over.set()

    def _obituary(self, job: Job, crash: str) -> ScanmendError:
        name = job.wanted.name
        if crash == "memory":
            return OutOfMemory(
                f"{name} needs more than the {self._means.memory // 2**20} MiB that the engine may take",
                hint="close other programs, or give the engine more with --memory",
            )
        if crash == "hang":
            return EngineError(
                f"the work on {name} stood still for {self._allowed(job):.0f} s and was ended",
                hint="the file may be damaged; other scans are not affected",
            )
        return EngineError(
            f"the engine's worker died while it worked on {name} ({crash})",
            hint="the file may be damaged, or memory short; other scans are not affected",
        )


class Crew:
    """All workers of a server."""

    def __init__(self, means: Means, board: Board) -> None:
        self.renderers = [Worker("render", means, board) for _ in range(means.jobs)]
        self.workers = [*self.renderers, Worker("probe", means, board)]
        self._tasks: list[asyncio.Task[None]] = []
        board.interrupt = self._interrupt

    def begin(self) -> None:
        """Waits for jobs; processes are started when they are needed, or by `warm_up`."""
        self._tasks = [asyncio.create_task(worker.work()) for worker in self.workers]

    async def warm_up(self) -> None:
        """Starts all processes, so that the first job does not wait for torch."""
        for worker in self.workers:
            with contextlib.suppress(OSError):  # told to the first job
                await worker.start()

    async def stop(self) -> None:
        """Ends all processes, and the jobs in them."""
        await asyncio.gather(*(worker.stop() for worker in self.workers))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def facts(self) -> dict[str, Any]:
        """Where the render workers run, and with which networks loaded; empty while none is up."""
        return next((worker.facts for worker in self.renderers if worker.facts), {})

    def _interrupt(self, job: Job) -> None:
        for worker in self.workers:
            worker.interrupt(job)


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kills without a look first: that of `Process.kill` may take the status from who waits for it."""
    with contextlib.suppress(ProcessLookupError):
        if process.returncode is None and sys.platform != "win32":
            os.kill(process.pid, signal.SIGKILL)
        elif process.returncode is None:
            process.kill()


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 where the system does not say."""
    try:
        with Path(f"/proc/{pid}/statm").open("rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _environment(jobs: int) -> dict[str, str]:
    """What a worker inherits: several share the processor's cores unless somebody has said how."""
    values = {**os.environ, "PYTHONSAFEPATH": "1"}  # what lies in the working folder is nobody's module
    if jobs > 1 and "OMP_NUM_THREADS" not in values:
        values["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    return values
