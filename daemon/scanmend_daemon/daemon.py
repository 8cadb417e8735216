"""The daemon: looks at its folders, takes settled scans in, keeps the engine at work, and tells how it goes.

Threads: the main loop looks and decides; two take scans in; one more than the engine has places bring jobs
to their end; one serves the status page. They meet in the ledger and in a few queues.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import queue
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend.errors import Cancelled, ProfileError, ScanmendError

from scanmend_daemon import config as configuration
from scanmend_daemon import disk, locks, recovery
from scanmend_daemon.config import Config, Folder
from scanmend_daemon.control import Control
from scanmend_daemon.delivery import Delivery
from scanmend_daemon.hotfolder import HotFolder, Ripe
from scanmend_daemon.intake import Gone, Held, Intake, Known, Taken
from scanmend_daemon.ledger import BACKLOG, Job, Ledger, State
from scanmend_daemon.link import EngineLink
from scanmend_daemon.log import Log
from scanmend_daemon.notify import Notifier
from scanmend_daemon.pausing import EVERYTHING, WAITS, Pauses
from scanmend_daemon.picking import Picker
from scanmend_daemon.resolve import Profiles
from scanmend_daemon.trouble import Trouble, Where
from scanmend_daemon.web import Server
from scanmend_daemon.words import duration, shown
from scanmend_daemon.work import MOST_ATTEMPTS, Work

if TYPE_CHECKING:
    from types import FrameType

    from scanmend_daemon.intake import Outcome

_AHEAD = 16
"""Scans that are taken in ahead of the engine: enough to keep it busy, few enough for the spool."""
_LEAST_AHEAD = 2
_TAKERS = 2
_AFTER_LEDGER = 1.0
_IDLE_ROUND = 5.0
_STATUS_BUSY, _STATUS_IDLE = 2.0, 30.0
_RELOAD_LOOK, _RELOAD_QUIET = 2.0, 1.0
_RETRIES = (5.0, 30.0)


@dataclass(frozen=True)
class _Task:
    """A scan to be taken in."""

    ripe: Ripe
    patient: bool = True
    again: bool = False
    origin: Path | None = None


class Daemon:
    """Runs the hot folders of one configuration until told to stop.

    Args:
        config: checked already.
        log: takes what is worth a line.
        once: ends when everything that lies in the folders is done.

    Raises:
        UsageError: another daemon has one of the folders, or the ledger.
        OSError: the daemon's own folder cannot be made.
    """

    def __init__(self, config: Config, log: Log, *, once: bool = False) -> None:
        self.config, self.log, self.once = config, log, once
        self.started, self.loaded = time.time(), time.time()
        self.wake = threading.Event()
        self._stop = threading.Event()
        self._reload_asked = threading.Event()
        self._config_stamp = (_stamp(config.path), math.inf)
        self.config_error = ""
        self.reloads_ok = self.reloads_failed = 0
        self.last_round = time.monotonic()
        recovery.make_folders(config.state)
        self._lock = locks.hold_instance(config.state)
        try:
            self._begin(config)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, config: Config) -> None:
        state, say = config.state, self.log.say
        self._note_instance()
        self.ledger: Ledger = recovery.open_ledger(state, say)
        version = _version()
        self.profiles = Profiles(version, say)
        self.delivery = Delivery(self.ledger, state, recovery.mark_of(self.ledger), say)
        self.link = EngineLink(config, state / "engine.log", say)
        self.work = Work(
            self.ledger, self.delivery, self.link,
            previews=state / recovery.PREVIEWS, stop=self._stop.is_set, say=say,
        )  # fmt: skip
        self.intake = Intake(self.ledger, self.delivery, self.profiles, self.link, stop=self._stop.is_set)
        self.hot: dict[str, HotFolder] = {}
        self.pauses = Pauses(self.ledger, say)
        self._picker = Picker(self.ledger)
        self._lock_pick = threading.Lock()
        self._more = threading.Condition(self._lock_pick)
        self._retry_at: dict[int, float] = {}
        self._tasks: queue.Queue[_Task | None] = queue.Queue()
        self._taking: Counter[str] = Counter()
        self._later: dict[tuple[str, str], float] = {}
        self._outcomes: deque[tuple[_Task, Outcome | Exception]] = deque()
        self._pace: deque[tuple[float, float]] = deque(maxlen=200)
        self.failures_seen = 0
        self.megapixels = 0.0
        self._threads: list[threading.Thread] = []
        self.notifier = Notifier()
        self.control = Control(self)
        self.server = Server(
            self.control, config.status.http, state / "control.sock", metrics=config.status.metrics
        )

    def _note_instance(self) -> None:
        where = {
            "config": None if self.config.path is None else str(self.config.path),
            "folder": str(self.config.folders[0].watch),
        }
        disk.write_over(self.config.state / "instance.json", json.dumps(where).encode())

    # --- beginning and end ---------------------------------------------------------------

    def run(self) -> int:
        """Works until SIGTERM or Ctrl-C, or with `once` until everything is done; gives the exit code."""
        try:
            with self._signals():
                self._open()
                self.notifier.ready(f"watching {len(self.hot)} folders")
                self._loop()
        finally:
            self._close()
        if not self.once or self._interrupted:
            return 0
        undone = self.pauses or any(hot.offline for hot in self.hot.values())
        return 1 if self.failures_seen or undone else 0

    _interrupted = False

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(_number: int, _frame: FrameType | None) -> None:
            if self._stop.is_set():
                os._exit(130)  # asked twice: nothing that is on disk needs us to end well
            self._interrupted = True
            self.stop()

        def reload(_number: int, _frame: FrameType | None) -> None:
            self._reload_asked.set()
            self.wake.set()

        handlers = {signal.SIGINT: stop, signal.SIGTERM: stop}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Asks everything to end; safe in a signal handler."""
        self._stop.set()
        self.wake.set()

    def _open(self) -> None:
        self._open_folders(self.config)
        recovery.recover(self.ledger, self.delivery, self._folders(), self.log.say)
        self._picker.deliveries = {job.id for job in self.ledger.in_state(State.RENDERED, State.PUBLISHED)}
        self._retry_at = {job.id: time.monotonic() for job in self.ledger.in_state(State.WAITING)}
        self.server.start()
        for line in filter(None, [self.server.remark]):
            self.log.say(line)
        where = f"; status page: {self.server.address}" if self.server.address else ""
        names = ", ".join(shown(folder.watch) for folder in self.config.folders)
        self.log.say(f"watching {names}{where}")
        hands = (self.config.engine.jobs if isinstance(self.config.engine.jobs, int) else 1) + 1
        self._start("engine", self._warm)
        for number in range(_TAKERS):
            self._start(f"intake-{number}", self._take_scans)
        for number in range(hands):
            self._start(f"work-{number}", self._do_jobs)

    def _open_folders(self, config: Config) -> None:
        skip = _own_places(config)
        for folder in config.folders:
            hot = HotFolder(folder, self.ledger, skip=skip, wake=self.wake, say=self.log.say)
            self.hot[str(folder.watch)] = hot
            hot.open()

    def _folders(self) -> dict[str, Folder]:
        return {root: hot.folder for root, hot in self.hot.items()}

    def _start(self, name: str, target: object) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _close(self) -> None:
        self.stop()
        self.notifier.stopping()
        self.log.live("")
        for _ in range(_TAKERS):
            self._tasks.put(None)
        with self._more:
            self._more.notify_all()
        deadline = time.monotonic() + 30
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        with contextlib.suppress(RuntimeError, OSError):
            self.server.stop()
        for hot in self.hot.values():
            hot.close()
        self.link.close()
        with contextlib.suppress(OSError, sqlite3.Error):
            self.control.write_status(running=False)
        self.ledger.close()
        self._lock.release()
        self.log.say("stopped")

    # --- the main loop -------------------------------------------------------------------

    def _loop(self) -> None:
        next_status = next_config = next_ping = 0.0
        while not self._stop.is_set():
            now = time.monotonic()
            busy = True
            try:
                if now >= next_config or self._reload_asked.is_set():
                    self._see_to_config(now)
                    next_config = now + _RELOAD_LOOK
                self._round(now)
                busy = self.busy
                if now >= next_status:
                    self.control.write_status(running=True)
                    next_status = now + (_STATUS_BUSY if busy else _STATUS_IDLE)
                if self.notifier.watchdog_s and now >= next_ping and self.control.alive()[0]:
                    self.notifier.alive()
                    next_ping = now + self.notifier.watchdog_s
                self.log.live(self.control.live_line() if self.log.terminal else "")
                if self.once and self._all_done():
                    return
            except sqlite3.Error as error:  # a full disk, most likely: it may have room again later
                self.pauses.add(_of_ledger(error), EVERYTHING, now)
                self._stop.wait(_AFTER_LEDGER)
            self.wake.wait(self._nap(now, busy=busy))
            self.wake.clear()

    def _round(self, now: float) -> None:
        self._take_outcomes(now)
        for hot in list(self.hot.values()):
            hot.look(now)
        self._hand_out(now)
        self._retry(now)
        self._try_again(now)
        self.last_round = time.monotonic()

    def _nap(self, now: float, *, busy: bool) -> float:
        due = min((hot.next_due(now) for hot in self.hot.values()), default=math.inf)
        due = min(due, self.pauses.next(now))
        due = min(due, *self._retry_at.values(), math.inf)
        if self.notifier.watchdog_s:
            due = min(due, now + self.notifier.watchdog_s / 2)
        longest = 1.0 if busy and self.log.terminal else _RELOAD_LOOK if busy or self.once else _IDLE_ROUND
        return min(max(due - time.monotonic(), 0.005), longest)

    @property
    def busy(self) -> bool:
        """Whether there is anything under way."""
        under_way = self.work.running or any(self._taking.values()) or self._picker.deliveries
        return bool(under_way) or self.ledger.waiting() > 0

    def _all_done(self) -> bool:
        if self.pauses.lasting:
            self.log.say("work cannot go on; see above")
            return True
        quiet = all(hot.idle or hot.offline for hot in self.hot.values()) and not self._outcomes
        open_jobs = next(iter(self.ledger.in_state(*_OPEN, limit=1)), None)
        asked = any(self.ledger.asked_again(root, 1) for root in self.hot)
        return quiet and not self.busy and open_jobs is None and not asked

    # --- taking in -----------------------------------------------------------------------

    def _hand_out(self, now: float) -> None:
        """Gives settled scans to the threads that take them in, as long as the queue is short."""
        # Each folder has room of its own: a backlog, or a folder that is paused, must not shut others out.
        # Some of it is kept for scans that have just come.
        roots = [root for root in self.hot if not self.pauses.standing(root, now)]
        most = max(_LEAST_AHEAD, _AHEAD // max(1, len(roots)))
        for root in roots:
            hot, room = self.hot[root], most - self._taking[root] - self.ledger.waiting(root)
            old = max(0, room - most // 4)
            for ripe in hot.ripe(now, max(0, room), old):
                patient = hot.patient(ripe.entry.relpath, ripe.entry.signature, now)
                self._task(_Task(ripe, patient=patient))
            if old:
                self._hand_out_again(root, hot, old, now)

    def _hand_out_again(self, root: str, hot: HotFolder, room: int, now: float) -> None:
        later = {relpath for (place, relpath), when in self._later.items() if place == root and when > now}
        for relpath, source in self.ledger.asked_again(root, room + len(later)):
            if relpath in hot.in_flight or relpath in later:
                continue
            self._later.pop((root, relpath), None)
            hot.in_flight.add(relpath)
            task = self.control.again(hot, relpath, source.sha256)
            if task is None:
                hot.in_flight.discard(relpath)
                self.ledger.answered(root, relpath)
                self.log.say(f"{shown(relpath)} is no longer there; it cannot be restored again")
            else:
                ripe, origin = task
                self._task(_Task(ripe, again=True, origin=origin))

    def _task(self, task: _Task) -> None:
        self._taking[str(task.ripe.folder.watch)] += 1
        self._tasks.put(task)

    def _take_scans(self) -> None:
        """A thread: takes scans in until the daemon ends."""
        while (task := self._tasks.get()) is not None and not self._stop.is_set():
            entry = task.ripe.entry
            outcome: Outcome | Exception
            began = time.monotonic()
            try:
                outcome = self.intake.take(
                    task.ripe.folder, entry.relpath, entry.signature,
                    lane=task.ripe.lane, patient=task.patient, again=task.again, origin=task.origin,
                )  # fmt: skip
            except sqlite3.Error as error:
                outcome = _of_ledger(error)
            except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest
                outcome = error
            self.work.stages.add("intake", time.monotonic() - began)
            self._outcomes.append((task, outcome))
            self.wake.set()
            if isinstance(outcome, Taken):
                with self._more:
                    self._more.notify()

    def _take_outcomes(self, now: float) -> None:
        while self._outcomes:
            task, outcome = self._outcomes[0]
            root = str(task.ripe.folder.watch)
            hot = self.hot.get(root)
            if hot is not None:
                self._settle_outcome(hot, task, outcome, now)
            self._outcomes.popleft()  # not before: where the ledger fails, the next round does it again
            self._taking[root] -= 1

    def _settle_outcome(self, hot: HotFolder, task: _Task, outcome: Outcome | Exception, now: float) -> None:
        relpath, signature = task.ripe.entry.relpath, task.ripe.entry.signature
        if task.again:
            if isinstance(outcome, Taken | Known):
                self.ledger.answered(hot.root, relpath)
            else:
                self._later[hot.root, relpath] = now + _RETRIES[0]
        if isinstance(outcome, Taken):
            hot.finished(relpath, now)
            if outcome.new:
                self.log.say(f"{shown(relpath)}: taken in as job {outcome.job.id}")
        elif isinstance(outcome, Known):
            self._known(hot, relpath, outcome, now)
        elif isinstance(outcome, Held):
            hot.held(relpath, signature, outcome.reason, outcome.kind, now)
        elif isinstance(outcome, Gone | Cancelled):
            hot.lost_sight(relpath, now)
        elif isinstance(outcome, Trouble):
            hot.in_flight.discard(relpath)
            # A scan that cannot be read, on a disk with a flaw, stops none but itself.
            alone = outcome.where == Where.FOLDER
            hot.settling.hold(relpath, signature, outcome.sentence, now, again=WAITS[-1 if alone else 1])
            if not alone:
                self.pauses.add(outcome, hot.root, now)
        else:
            hot.held(relpath, signature, _in_words(outcome), "time", now)

    def _known(self, hot: HotFolder, relpath: str, outcome: Known, now: float) -> None:
        job, source = self.ledger.job(outcome.job), self.ledger.source(hot.root, relpath)
        own = job is not None and (job.folder, job.relpath) == (hot.root, relpath)
        if job is None or not own or job.state != State.FAILED:
            self.log.say(f"{shown(relpath)}: {outcome.sentence}")
        else:
            self._tell(job)
        hot.finished(relpath, now)
        if job is None or not own or source is None or source.sha256 != job.sha256:
            return  # above all a result of ours, which is no original
        if job.state == State.DONE and hot.folder.originals is not None:
            # The same scan was dropped a second time: it follows the first one into the archive.
            self.ledger.published(job)
            self._deliver(job.id)

    # --- bringing jobs to their end ------------------------------------------------------

    def _deliver(self, number: int) -> None:
        with self._more:
            self._picker.deliveries.add(number)
            self._more.notify()

    def _do_jobs(self) -> None:
        """A thread: brings jobs to their end until the daemon ends."""
        while not self._stop.is_set():
            with self._more:
                try:
                    job = self._pick()
                except sqlite3.Error as error:
                    self.pauses.add(_of_ledger(error), EVERYTHING, time.monotonic())
                    job = None
                if job is None:
                    self._more.wait(1.0)
                    continue
                folder = self.hot[job.folder].folder  # as it is now, whatever a reload brings
            self._do(job, folder)

    def _do(self, job: Job, folder: Folder) -> None:
        try:
            after = self.work.advance(job, folder)
        except (Trouble, sqlite3.Error) as error:
            now = time.monotonic()
            self.pauses.add(error if isinstance(error, Trouble) else _of_ledger(error), job.folder, now)
            self._retry_at[job.id] = now
        except Exception as error:  # noqa: BLE001 - one bad job must not end the thread that does them all
            self.log.say(f"{shown(job.relpath)}: {_in_words(error)}")
            self._after_fault(job, folder, error)
        else:
            self._tell(after)
        finally:
            self.wake.set()

    def _after_fault(self, job: Job, folder: Folder, error: Exception) -> None:
        """A fault of our own is a failed attempt as well, so that it cannot go on for ever."""
        self._retry_at[job.id] = time.monotonic() + _RETRIES[-1]
        with contextlib.suppress(sqlite3.Error, OSError):
            now = self.ledger.job(job.id) or job
            if now.state == State.PUBLISHED:  # its result stands; only the original is still to be moved
                return
            if now.attempts + 1 >= MOST_ATTEMPTS:
                hint = "this is a fault of Scanmend: report it, with the log"
                self._tell(self.delivery.set_aside(now, folder, *_fault(error), hint))
            elif now.state in (State.RUNNING, State.RENDERED):
                self.ledger.blame(now, *_fault(error), "report this, with the log")

    def _pick(self) -> Job | None:
        now = time.monotonic()
        active = {root: hot.folder for root, hot in self.hot.items() if not self.pauses.standing(root, now)}
        return self._picker.pick(active)

    def _tell(self, job: Job) -> None:
        name = shown(job.relpath)
        if job.state == State.DONE:
            self.megapixels += job.megapixels
            self._pace.append((time.monotonic(), job.megapixels))
            self.log.say(f"{name}: {job.sentence} -> {shown(job.target or '')}")
            self.pauses.worked(job.folder)
        elif job.state == State.WAITING:
            wait = _RETRIES[min(job.attempts, len(_RETRIES)) - 1]
            self._retry_at[job.id] = time.monotonic() + wait
            self.log.say(f"{name}: {job.sentence}; attempt {job.attempts}, the next one in {duration(wait)}")
        elif job.state == State.FAILED:
            self.failures_seen += 1
            hint = f" ({job.hint})" if job.hint else ""
            self.log.say(f"{name}: failed: {job.sentence}{hint}")
        elif job.state == State.CANCELLED:
            self.log.say(f"{name}: {job.sentence}")

    def pace(self) -> float | None:
        """Megapixels a second over the last jobs; None while too few are done."""
        recent = [item for item in self._pace if time.monotonic() - item[0] < 600]
        if len(recent) < 2:
            return None
        span = recent[-1][0] - recent[0][0]
        return sum(amount for _, amount in recent[1:]) / span if span > 0 else None

    def _retry(self, now: float) -> None:
        for number, when in list(self._retry_at.items()):
            if when <= now and number not in self.work.running:
                self._put_back(number)
                del self._retry_at[number]

    def _put_back(self, number: int) -> None:
        """A job that nobody works on goes on from where it stands; RUNNING it was when the ledger failed."""
        job = self.ledger.job(number)
        if job is None:
            return
        if job.state in (State.RENDERED, State.PUBLISHED):
            self._deliver(number)
        elif job.state in (State.WAITING, State.RUNNING):
            self.ledger.requeue(job, lane=BACKLOG if job.state == State.WAITING else job.lane)
            with self._more:
                self._more.notify()

    def _try_again(self, now: float) -> None:
        """Lets work try whose pause is over."""
        if self.pauses.over(now):
            with self._more:
                self._more.notify_all()
            if not self.busy:
                self.pauses.forget(now)

    def _warm(self) -> None:
        """A thread: starts the engine before the first scan needs it."""
        with contextlib.suppress(Trouble):
            self.link.ready()

    # --- the configuration ---------------------------------------------------------------

    def _see_to_config(self, now: float) -> None:
        asked = self._reload_asked.is_set()
        self._reload_asked.clear()
        path = self.config.path
        if path is None:
            return
        stamp = _stamp(path)
        if stamp != self._config_stamp[0]:
            self._config_stamp = (stamp, now)  # it has to hold still first: editors write in steps
        elif asked or now - self._config_stamp[1] >= _RELOAD_QUIET:
            self._config_stamp = (stamp, math.inf)
            self._reload(path)

    def _reload(self, path: Path) -> None:
        self.notifier.reloading()
        try:
            fresh = configuration.load(path)
            configuration.check(fresh)
            self._adopt(fresh)
        except (ProfileError, ScanmendError, OSError) as error:
            if str(error) != self.config_error:
                self.log.say(f"{error}; the configuration stays as it was")
            self.config_error = str(error)
            self.reloads_failed += 1
        self.notifier.ready()

    def _adopt(self, fresh: Config) -> None:
        changes = configuration.diff(self.config, fresh)
        self.config_error, self.loaded = "", time.time()
        self.reloads_ok += 1
        if not changes:
            return
        for line in changes:
            self.log.say(f"configuration: {line}")
        skip = _own_places(fresh)
        wanted = {str(folder.watch): folder for folder in fresh.folders}
        in_flight = {root: hot.in_flight for root, hot in self.hot.items()}
        with self._more:
            for root, hot in list(self.hot.items()):
                if wanted.get(root) != hot.folder or hot.skip != skip:
                    hot.close()
                    del self.hot[root]
        for root, folder in wanted.items():
            if root not in self.hot:
                hot = HotFolder(folder, self.ledger, skip=skip, wake=self.wake, say=self.log.say)
                hot.in_flight = in_flight.get(root, hot.in_flight)
                hot.open(patient=True)
                with self._more:
                    self.hot[root] = hot
        needs_restart = fresh.engine != self.config.engine or fresh.status != self.config.status
        if needs_restart or fresh.state != self.config.state:
            self.log.say("engine, status and state take effect when the daemon is started again")
        self.config = fresh


_OPEN = (State.QUEUED, State.RUNNING, State.RENDERED, State.PUBLISHED, State.WAITING)


def _own_places(config: Config) -> frozenset[tuple[int, int]]:
    """Identities of the folders that we write to, wherever links and bind mounts may show them."""
    found = set()
    for folder in config.folders:
        for place in (folder.output, folder.failed, folder.originals, config.state):
            if place is not None:
                with contextlib.suppress(OSError):
                    there = os.stat(place)
                    found.add((there.st_dev, there.st_ino))
    return frozenset(found)


def _fault(error: Exception) -> tuple[str, str]:
    return "ScanmendError", _in_words(error)


def _stamp(path: Path | None) -> str | None:
    return None if path is None else disk.signature_of(Path(os.path.realpath(path)))


def _of_ledger(error: sqlite3.Error) -> Trouble:
    return Trouble(Where.STATE, f"the ledger takes no entry: {error}")


def _in_words(error: Exception) -> str:
    if isinstance(error, ScanmendError):
        return str(error)
    return (
        f"something went wrong that should not: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    )


def _version() -> str:
    from scanmend import __version__  # noqa: PLC0415 - read from the installed package, once

    return str(__version__)


def watch(config: Config, *, once: bool = False) -> int:
    """Runs the daemon in this process until it is told to stop; gives the exit code."""
    _stay_small()
    return Daemon(config, Log(sys.stderr), once=once).run()


def _stay_small() -> None:
    """Has glibc give memory back that a burst of scans has freed; elsewhere nothing happens.

    By default each thread has a heap of its own, and large pieces stay in them once a few were freed.
    """
    arenas, threshold, trim = -8, -3, -1
    with contextlib.suppress(OSError, AttributeError):
        tune = ctypes.CDLL(None).mallopt
        for option, value in ((arenas, 1), (threshold, 64 * 1024), (trim, 64 * 1024)):
            tune(option, value)
