"""One job on its way: rendered by the engine, checked, published, its original disposed of."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scanmend import sidecar
from scanmend.errors import Cancelled, PublishError

from scanmend_daemon import disk
from scanmend_daemon.config import Folder
from scanmend_daemon.delivery import Delivery
from scanmend_daemon.ledger import Job, Ledger, State
from scanmend_daemon.link import EngineLink
from scanmend_daemon.trouble import Busy, Failure, Trouble, Where
from scanmend_daemon.words import duration, shown, size

MOST_ATTEMPTS = 3
_MOST_STARTS = 25
"""How often work on a job may begin: a scan that takes the whole machine down must not do so for ever."""
_DATA = {"FormatError", "UnsupportedFormat", "DamagedFile", "LimitExceeded", "ProfileError"}
_OUTPUT = {"PublishError", "TargetExists"}
_PREVIEW_SIDE = 320
_BUSY_WAIT = 0.25


@dataclass
class Progress:
    """What a running job is at; read by the status page while the job's thread writes it."""

    job: Job
    stage: str = "waiting for the engine"
    done: float = 0.0
    total: float = 0.0
    eta_s: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    heard: float = field(default_factory=time.monotonic)  # the engine's last sign of life


@dataclass
class Stages:
    """Seconds and number of times of each stage of the work, for the metrics."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stage: str, seconds: float) -> None:
        """Counts one more."""
        with self._lock:
            total = self.seconds.setdefault(stage, [0.0, 0])
            total[0] += seconds
            total[1] += 1

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Counts what happens inside."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.add(stage, time.monotonic() - began)


class Work:
    """Takes jobs from state to state; several threads may each hold one job.

    Args:
        stop: whether the daemon ends: what runs goes back into the queue.
        say: takes a sentence for the log.
    """

    def __init__(
        self,
        ledger: Ledger,
        delivery: Delivery,
        link: EngineLink,
        *,
        previews: Path,
        stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self.ledger, self.delivery, self.link = ledger, delivery, link
        self.previews, self.stop, self.say = previews, stop, say
        self.stages = Stages()
        self.running: dict[int, Progress] = {}
        self._keys, self._held = threading.Condition(), set[tuple[str, str]]()

    def advance(self, job: Job, folder: Folder) -> Job:
        """Brings a job as far as it goes; what it came to is in the ledger when this returns.

        Raises:
            Trouble: the surroundings are not fit; the job is where it was, or back in the queue.
        """
        progress = self.running.setdefault(job.id, Progress(job))
        with self._alone(job):
            return self._advance(job, folder, progress)

    @contextlib.contextmanager
    def _alone(self, job: Job) -> Iterator[None]:
        """One job at a time for each content and profile: the second one copies the first one's result."""
        key = (job.sha256, job.profile_hash)
        with self._keys:
            while key in self._held:
                self._keys.wait()
            self._held.add(key)
        try:
            yield
        finally:
            with self._keys:
                self._held.discard(key)
                self._keys.notify_all()

    def _advance(self, job: Job, folder: Folder, progress: Progress) -> Job:
        try:
            if job.state == State.RUNNING:
                job = self._render(job, folder, progress)
            if job.state == State.RENDERED:
                progress.stage = "publish"
                with self.stages.timed("publish"):
                    job = self._published(job, folder)
            if job.state == State.PUBLISHED:
                progress.stage = "original"
                job = self._disposed(job, folder)
        except Cancelled:
            job = self._stopped(job, folder, progress)
        except Failure as failure:
            job = self._failed(job, folder, failure)
        except Trouble:
            if job.state == State.RUNNING:
                _tidy(self.delivery.part_of(job, folder))
                self.ledger.requeue(job)
            raise
        finally:
            self.running.pop(job.id, None)
        return job

    # --- rendering -----------------------------------------------------------------------

    def _render(self, job: Job, folder: Folder, progress: Progress) -> Job:
        if job.starts > _MOST_STARTS:
            raise Failure("EngineError", f"work on it was begun {job.starts} times and never came to an end")
        part = self.delivery.part_of(job, folder)
        self._make_room(job, folder, part)
        spooled = self.delivery.spool / job.sha256
        if not spooled.exists():
            return self._lost(job)
        if adopted := self._adopted(job, folder):
            return adopted
        report = self._twin(job, part)
        if report is None:
            with self.stages.timed("render"):
                report = self._by_engine(self._request(job, folder, spooled, part), part, progress)
            if report.get("source_sha256") != job.sha256:
                _tidy(part)
                return self._lost(job)
        with self.stages.timed("check"):
            digest = self._checked(job, part)
        if progress.cancelled.is_set():
            raise Cancelled("cancelled on request")
        return self.delivery.reserve(job, folder, part, out_sha256=digest, report=report)

    def _by_engine(self, request: dict[str, Any], part: Path, progress: Progress) -> dict[str, Any]:
        """Has the engine do it; what an earlier daemon's job still writes there is waited for."""

        def stop() -> bool:
            return self.stop() or progress.cancelled.is_set()

        while True:
            try:
                return self.link.run(request, on_event=lambda event: _follow(progress, event), stop=stop)
            except Busy:
                progress.stage = "waiting for an earlier attempt to end"
                if stop():
                    raise Cancelled("it was not begun") from None
                time.sleep(_BUSY_WAIT)
                _tidy(part)  # the other job may have come to its end after all

    def _request(self, job: Job, folder: Folder, spooled: Path, part: Path) -> dict[str, Any]:
        settings = {key: value for key, value in job.profile.items() if key not in ("name", "own")}
        limits = folder.limits
        return {
            "kind": "restore",
            "source": {"path": str(spooled), "name": os.path.basename(job.relpath)},
            "profile": settings,
            "profile_name": job.profile["name"],
            "target": {"path": str(part)},
            "limits": {
                "megapixels": limits.max_megapixels,
                "pages": limits.max_pages,
                "file_bytes": max(limits.max_bytes, job.size),
            },
            "previews": {
                "before": str(self.previews / f"{job.id}-before.jpg"),
                "after": str(self.previews / f"{job.id}-after.jpg"),
                "side": _PREVIEW_SIDE,
            },
        }

    def _make_room(self, job: Job, folder: Folder, part: Path) -> None:
        try:
            if not folder.output.parent.is_dir():
                raise Trouble(Where.OUTPUT, f"{shown(folder.output.parent)} is not there")
            disk.make_folders(part.parent)
            disk.remove(part)  # of an attempt that was cut off
        except OSError as error:
            raise Trouble(
                Where.OUTPUT, f"{shown(part.parent)} cannot be written to: {error.strerror}"
            ) from error
        free, needed = disk.free_bytes(part.parent), 2 * job.size + folder.limits.min_free
        if free is not None and free < needed:
            raise Trouble(
                Where.OUTPUT,
                f"{shown(folder.output)} has {size(free)} left, and {size(needed)} are to stay free",
            )

    def _checked(self, job: Job, part: Path) -> str:
        """The hash of a part that was read back whole: every page of it decodes."""
        try:
            digest = disk.hash_of(part)
        except OSError as error:
            raise Trouble(Where.OUTPUT, f"the result cannot be read back: {error.strerror}") from error
        if digest is None and not part.parent.is_dir():
            raise Trouble(Where.OUTPUT, f"{shown(part.parent)} was taken away")
        if digest is None:
            raise Failure("EngineError", "the engine wrote no result")
        if digest == job.sha256:
            return digest  # a copy of the scan, every page of which was read when it was taken in
        try:
            found = self.link.probe(part, name=part.name, limits={"file_bytes": 2**50, "megapixels": 1e6})
        except Failure as failure:
            raise Failure(
                "EngineError", f"the result cannot be read back: {failure.sentence}", crash=failure.crash
            ) from failure
        if job.pages and found.get("pages") != job.pages:
            raise Failure("EngineError", f"the result has {found.get('pages')} pages, the scan {job.pages}")
        return digest

    def _twin(self, job: Job, part: Path) -> dict[str, Any] | None:
        """The same content was restored with the same settings before: its result is copied."""
        twin = self.ledger.twin(job.sha256, job.profile_hash)
        if twin is None or twin.id == job.id or not job.profile["output"]["sidecar"]:
            return None
        target = Path(twin.target or "")
        try:
            report = json.loads(sidecar.sidecar_path(target).read_bytes())
            handle = os.open(target, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                digest = disk.copy_hashed(handle, part)
            finally:
                os.close(handle)
        except (OSError, ValueError):
            return None
        if digest != twin.out_sha256 or not isinstance(report, dict):
            _tidy(part)
            return None
        return report

    def _adopted(self, job: Job, folder: Folder) -> Job | None:
        """A result that a lost ledger knew of: its sidecar names this content and these settings."""
        wanted = {key: value for key, value in job.profile.items() if key != "own"}
        for target in self.delivery.taken_names(job, folder):
            try:
                values = json.loads(sidecar.sidecar_path(target).read_bytes())
            except (OSError, ValueError):
                continue
            if not isinstance(values, dict) or values.get("source_sha256") != job.sha256:
                continue
            holders = self.ledger.results_at(str(target))
            if values.get("profile") == wanted and not holders and (digest := disk.hash_of(target)):
                return self.delivery.adopt(job, target, digest, values)
        return None

    def _lost(self, job: Job) -> Job:
        """The private copy is gone or damaged: the scan is taken in anew, if it is still there."""
        with self.delivery.spooling:
            try:
                disk.remove(self.delivery.spool / job.sha256)  # else it would be taken for the fresh copy
            except OSError as error:
                sentence = f"{shown(self.delivery.spool)} cannot be written to: {error.strerror}"
                raise Trouble(Where.STATE, sentence) from error
        sentence = f"the private copy of {shown(job.relpath)} was lost"
        self.say(f"{sentence}; the scan is read anew")
        self.ledger.fail(job, "PublishError", sentence, "put the scan into the hot folder again", note=None)
        self.ledger.ask_again(job.folder, job.relpath)
        return self.ledger.job(job.id) or job

    # --- publishing ----------------------------------------------------------------------

    def _published(self, job: Job, folder: Folder) -> Job:
        try:
            return self.delivery.publish(job, folder)
        except LookupError:
            self.say(f"{shown(job.relpath)}: its finished part is gone; it is restored again")
            self.ledger.requeue(job)
            return self.ledger.job(job.id) or job
        except OSError as error:
            if error.errno == errno.EXDEV:  # the output folder was changed to one on another disk
                _tidy(Path(job.part or ""))
                self.ledger.requeue(job)
                return self.ledger.job(job.id) or job
            raise self._trouble(error, folder, job) from error
        except PublishError as error:
            raise Failure("PublishError", error.message, error.hint) from error

    def _disposed(self, job: Job, folder: Folder) -> Job:
        try:
            # The report is dropped with the last step: a job that goes this way again keeps its sentence.
            return self.delivery.dispose(job, folder, told(job) if job.report else job.sentence or "")
        except OSError as error:
            where = shown(folder.originals or folder.watch)
            raise Trouble(Where.OUTPUT, f"{where} does not take the original: {error.strerror}") from error

    def _trouble(self, error: OSError, folder: Folder, job: Job) -> Exception:
        if error.errno in disk.ENVIRONMENT:
            return Trouble(Where.OUTPUT, f"{shown(folder.output)} cannot be written to: {error.strerror}")
        return Failure(
            "PublishError", f"the result of {shown(job.relpath)} cannot get its name: {error.strerror}"
        )

    # --- endings that are none -----------------------------------------------------------

    def _stopped(self, job: Job, folder: Folder, progress: Progress) -> Job:
        _tidy(self.delivery.part_of(job, folder))
        if progress.cancelled.is_set():
            self.ledger.skip(job, "cancelled on request", state=State.CANCELLED)
            self.delivery.release(job)
        elif job.state == State.RUNNING:
            self.ledger.requeue(job)
        return self.ledger.job(job.id) or job

    def _failed(self, job: Job, folder: Folder, failure: Failure) -> Job:
        _tidy(self.delivery.part_of(job, folder))
        own = bool(job.profile.get("own"))
        if failure.kind in _OUTPUT and job.state == State.RUNNING:
            self.ledger.requeue(job)
            raise Trouble(Where.OUTPUT, failure.sentence)
        if failure.kind == "ModelError" and not own:
            self.ledger.requeue(job)
            raise Trouble(Where.FOLDER, failure.sentence)  # other folders may use other models
        if failure.kind in _DATA or failure.kind in ("ModelError", *_OUTPUT) or job.starts > _MOST_STARTS:
            return self.delivery.set_aside(job, folder, failure.kind, failure.sentence, failure.hint)
        if job.attempts + 1 < MOST_ATTEMPTS:
            self.ledger.blame(job, failure.kind, failure.sentence, failure.hint)
            return self.ledger.job(job.id) or job
        sentence = f"{_crash(failure)}, {MOST_ATTEMPTS} times: {failure.sentence}"
        hint = failure.hint or "look whether the file opens elsewhere; saved anew it often works"
        self.ledger.blame(job, failure.kind, sentence, hint)
        return self.delivery.set_aside(job, folder, failure.kind, sentence, hint)


def _tidy(part: Path) -> None:
    """Removes a part, if the disk lets us; what stays is removed before the next attempt."""
    with contextlib.suppress(OSError):
        disk.remove(part)


def _crash(failure: Failure) -> str:
    words = {
        "hang": "it made the engine hang",
        "memory": "it took too much memory",
        None: "the engine failed on it",
    }
    return words.get(failure.crash, f"it ended the engine ({failure.crash})")


def _follow(progress: Progress, event: Mapping[str, Any]) -> None:
    progress.heard = time.monotonic()
    if event.get("state") == "running":
        progress.stage = str(event.get("stage") or progress.stage)
        progress.done = float(event.get("done") or 0.0)
        progress.total = float(event.get("total") or 0.0)
        eta = event.get("eta_s")
        progress.eta_s = None if eta is None else float(eta)


def told(job: Job) -> str:
    """One sentence about a finished job: what was found, what was done, how long it took."""
    report = job.report or {}
    pages = report.get("pages") or []
    steps = [step for page in pages for step in page.get("plan", {}).get("steps", [])]
    if not steps:
        return (
            "nothing to do: copied as it is" if report.get("unchanged") else "nothing to restore: converted"
        )
    parts = [part for step in steps for part in step.get("parts") or [step]]
    several = f"{len(pages)} pages, " if len(pages) > 1 else ""
    pace = f"{float(report.get('megapixels', 0)):.1f} MP in {duration(float(report.get('seconds', 0)))}"
    return f"restored: {several}{', '.join(_strongest(parts))}; {pace}"


def _strongest(parts: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The strongest part of each stage, in words: one pass may have done the work of two."""
    found: dict[str, tuple[float, float]] = {}
    for part in parts:
        if not (part.get("strength") or part.get("color")):  # it only made way for another
            continue
        stage, this = str(part.get("stage", "noise")), (part.get("strength", 0.0), part.get("sigma", 0.0))
        found[stage] = max(found.get(stage, this), this)
    for stage, (strength, sigma) in found.items():
        level = f" {sigma * 255:.1f}/255" if stage == "noise" else ""
        yield f"{stage}{level} at strength {strength:.1f}"
