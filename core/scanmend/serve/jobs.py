"""The jobs of a server, from the queue to their last event; all of it in the server's one thread."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scanmend.errors import Cancelled, EngineError, UsageError
from scanmend.serve.client import ENDS
from scanmend.serve.wanted import Wanted

SCAN, RESULT = "scan.raw", "pixels.raw"
"""Files of samples in a job's own folder; a plane's is called after it."""

MORE_ROOM = "make room there, or set TMPDIR to another folder where the engine is started"
"""What to do where samples find no room."""
MOST_JOBS = 1000
"""Jobs that may wait and run at once."""
_KEPT = 256  # ended jobs that can still be asked about
_KEPT_BYTES = 4 * 2**30  # of samples on disk of jobs that have ended
_KEPT_ANYWAY = 2  # of these, whatever they take
_UPLOAD_SECONDS = 600.0  # for the samples of a picture to come
_LISTENER_SECONDS = 30.0  # for somebody to listen to an attached job


class Job:
    """One job.

    Attributes:
        id: its name in addresses.
        wanted, values: what was asked for, checked and as it came.
        folder: its own, where samples travel; None for files, and once they are dropped.
        samples: what its scan's samples are called: jobs on the same ones share the name.
        state: waiting (for samples), queued, running, or one of ENDS.
        writing: whether what stands at the target is the worker's.
        begun: whether a worker has begun with it.
        megapixels: of the file, once its header is read.
        listeners: how many follow its events.
        version: counts what happens to it.
        stopping: whether somebody has asked for its end.
    """

    def __init__(self, wanted: Wanted, values: Mapping[str, Any]) -> None:
        self.id = self.samples = secrets.token_hex(8)
        self.wanted, self.values = wanted, values
        self.folder: Path | None = None
        self.state = "waiting" if wanted.pixels else "queued"
        self.writing = self.begun = self.stopping = False
        self.megapixels = 0.0
        self.listeners = self.version = 0
        self.last: dict[str, Any] = {}
        self._progress: dict[str, Any] = {
            "stage": "start", "page": 0, "pages": 0, "done": 0.0, "total": 0.0, "eta_s": None,
        }  # fmt: skip
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def stage(self) -> str:
        """What its worker does: start, measure, restore, probe."""
        return str(self._progress["stage"])

    @property
    def holds_samples(self) -> bool:
        """Whether all samples of its scan lie in its folder."""
        return self.folder is not None and self.state != "waiting"

    def event(self, position: int) -> dict[str, Any]:
        """What there is to say now; `position` counts in the queue, from 1."""
        if self.ended:
            return {"state": self.state, **self.last}
        if self.state == "running":
            return {"state": "running", **self._progress}
        return {"state": self.state, "position": position}

    def begin(self) -> None:
        self.state = "running"
        self._tell()

    def hear(self, message: Mapping[str, Any]) -> None:
        """Takes what the worker says about it."""
        self.begun = True
        self.writing = self.writing or bool(message.get("writing"))
        self.megapixels = message.get("megapixels", self.megapixels)
        self._progress |= {key: message[key] for key in self._progress if key in message}
        self._tell()

    def end(
        self,
        state: str,
        *,
        report: dict[str, Any] | None = None,
        error: dict[str, Any] | None = None,
        crash: str | None = None,
    ) -> None:
        """Says the last word; later ones are not heard."""
        if not self.ended:
            self.state, self.last = state, {"report": report, "error": error, "crash": crash}
            self._tell()

    async def changed(self, since: int, seconds: float) -> None:
        """Waits until its version is no longer `since`, but not longer than so many seconds."""
        if self.version != since:
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait({future}, timeout=seconds)
        finally:
            self._waiting.discard(future)

    def _tell(self) -> None:
        self.version += 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


class Board:
    """All jobs of a server.

    Args:
        scratch: a folder for samples, this user's alone.
        touched: called when a job has come or ended.
    """

    def __init__(self, scratch: Path, touched: Callable[[], None]) -> None:
        self._scratch, self._touched = scratch, touched
        self._jobs: dict[str, Job] = {}
        self._queues: dict[str, deque[Job]] = {"restore": deque(), "probe": deque()}
        self._bells: dict[str, asyncio.Event] = {kind: asyncio.Event() for kind in self._queues}
        self.interrupt: Callable[[Job], None] = lambda _job: None  # set by who runs the workers
        self.closed = False

    def submit(self, wanted: Wanted, values: Mapping[str, Any], like: Job | None = None) -> Job:
        """A new job, waiting or queued.

        Args:
            wanted: what is asked for.
            values: the same as it came.
            like: a job that holds the samples that this one is to work on; None if they are to come.

        Raises:
            UsageError: another job is writing to the same target.
            EngineError: there are too many, or the engine is about to end.
        """
        if self.closed:
            raise EngineError("the engine is about to end", hint="try again, and a new one will start")
        live = self.live()
        if len(live) >= MOST_JOBS:
            raise EngineError(f"{MOST_JOBS} jobs are waiting already", hint="wait for some of them to end")
        if wanted.target and any(job.wanted.target == wanted.target for job in live):
            raise UsageError(
                f"{wanted.target_name} is being written by another job", hint="wait, or cancel it"
            )
        job = Job(wanted, values)
        if wanted.pixels:
            job.folder = self._scratch / job.id
            job.folder.mkdir(mode=0o700)
        if like:
            self._share(like, job)
        elif wanted.pixels:
            self._expire(job, _UPLOAD_SECONDS, lambda: job.state == "waiting", "its pixels did not come")
        if wanted.attached:
            self._expire(job, _LISTENER_SECONDS, lambda: not job.listeners, "nobody listens to it")
        self._jobs[job.id] = job
        if like or not wanted.pixels:
            self.enqueue(job)
        self._touched()
        return job

    def enqueue(self, job: Job) -> None:
        """Puts a job, all of whose samples are there, in line: pictures from a window before files.

        So somebody who looks at a preview waits for one file of the hot folder at most, not for all.
        """
        job.state = "queued"
        line = _line(job)
        queue = self._queues[line]
        queue.insert(len(queue) if job.wanted.path else sum(not other.wanted.path for other in queue), job)
        self._bells[line].set()

    async def next(self, kind: str) -> Job:
        """The next job in line, as soon as there is one."""
        queue, bell = self._queues[kind], self._bells[kind]
        while True:
            while queue:
                job = queue.popleft()
                if job.state == "queued":
                    return job
            bell.clear()
            await bell.wait()

    def find(self, name: str) -> Job | None:
        return self._jobs.get(name)

    def live(self) -> list[Job]:
        """Jobs that have not ended, in the order in which they came."""
        return [job for job in self._jobs.values() if not job.ended]

    def position(self, job: Job) -> int:
        """A queued job's place in line, from 1; 0 for others."""
        if job.state != "queued":
            return 0
        waiting = [other for other in self._queues[_line(job)] if other.state == "queued"]
        return waiting.index(job) + 1 if job in waiting else 0

    def cancel(self, job: Job, why: str = "stopped on request") -> None:
        """Ends a job: at once where nobody has begun with it, very soon where it runs."""
        if job.ended:
            return
        job.stopping = True
        running = job.state == "running"
        if running:
            self.interrupt(job)
        if not job.begun:
            job.end("cancelled", error=Cancelled(f"{job.wanted.name} was not restored: {why}").to_dict())
        if not running:
            self.settle(job)  # else whoever runs it does so

    def settle(self, job: Job) -> None:
        """Tidies up once a job has ended: a broken result goes, and so do jobs that are long past."""
        if job.state != "done":
            if job.writing:
                with contextlib.suppress(OSError):
                    Path(job.wanted.target).unlink()
            self._drop_samples(job)
        ended = [one for one in self._jobs.values() if one.ended]
        for old in ended[:-_KEPT]:
            self.forget(old)
        self._drop_old([one for one in ended if one.folder])
        self._touched()

    def forget(self, job: Job) -> None:
        """Drops a job that has ended, with its samples."""
        self._drop_samples(job)
        self._jobs.pop(job.id, None)

    def close(self) -> None:
        """Takes no more jobs and cancels those there are."""
        self.closed = True
        for job in self.live():
            self.cancel(job, "the engine was asked to end")

    def _share(self, like: Job, job: Job) -> None:
        """Gives a job the samples of another one, which lives no longer or shorter for it.

        Raises:
            EngineError: the disk takes no link.
        """
        assert like.folder is not None  # noqa: S101 - both travel as pixels
        assert job.folder is not None  # noqa: S101
        try:
            (job.folder / SCAN).hardlink_to(like.folder / SCAN)
        except OSError as error:
            shutil.rmtree(job.folder, ignore_errors=True)
            raise EngineError(
                f"the samples of job {like.id} cannot be used again: {error.strerror}",
                hint="send the pixels again",
            ) from error
        job.samples = like.samples
        self._jobs[like.id] = self._jobs.pop(like.id)  # as if it had come now: it is of use

    def _drop_old(self, jobs: list[Job]) -> None:
        """Drops the samples of jobs that have ended, the oldest first, where all take too much."""
        scans: set[str] = set()
        held = 0
        for number, job in enumerate(reversed(jobs)):
            held += _bytes_beside(job) + (0 if job.samples in scans else _bytes_of(job))
            scans.add(job.samples)
            if held > _KEPT_BYTES and number >= _KEPT_ANYWAY:
                self._drop_samples(job)

    def _drop_samples(self, job: Job) -> None:
        if job.folder:
            shutil.rmtree(job.folder, ignore_errors=True)
            job.folder = None

    def _expire(self, job: Job, seconds: float, still: Callable[[], bool], why: str) -> None:
        def check() -> None:
            if not job.ended and still():
                self.cancel(job, why)

        asyncio.get_running_loop().call_later(seconds, check)


def _line(job: Job) -> str:
    """Who does it: files to be probed have a worker of their own."""
    return "probe" if job.wanted.kind == "probe" else "restore"


def _bytes_of(job: Job) -> int:
    return job.wanted.pixels.bytes if job.wanted.pixels else 0


def _bytes_beside(job: Job) -> int:
    """Of the result and the planes that a job holds."""
    if not job.wanted.pixels or job.wanted.kind == "measure":
        return 0
    return job.wanted.pixels.part(job.wanted.region).bytes * (1 + len(job.wanted.want))
