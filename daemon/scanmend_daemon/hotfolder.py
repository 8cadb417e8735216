"""One hot folder as the main loop sees it: what lies in it, what settles, what is ripe.

Everything here runs in the main loop's thread; other threads only set the wake-up event.
"""

from __future__ import annotations

import itertools
import math
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scanmend.endings import SUFFIXES
from scanmend.errors import ScanmendError, UsageError

from scanmend_daemon import locks, mounts, safely
from scanmend_daemon.config import Folder
from scanmend_daemon.ignore import Ignore
from scanmend_daemon.ledger import BACKLOG, FRESH, Ledger
from scanmend_daemon.settle import Settling
from scanmend_daemon.walk import Entry, Oddity, walk
from scanmend_daemon.watcher import Watcher
from scanmend_daemon.words import shown

_BATCH = 500
_SLICE = 0.05
"""Seconds that one call may walk, so that a folder with 100,000 scans does not keep others waiting."""
_SETTLING = 512
_REMEMBERED = 2000
_SHARE = 200
"""A walk is followed by a rest of so many times its own length: half a percent of one core at most."""
_RETRY = 5.0
_UNNOTICED = 3.0


@dataclass(frozen=True)
class Ripe:
    """A settled scan, to be taken in."""

    folder: Folder
    entry: Entry
    lane: int


class HotFolder:
    """Watches one folder.

    Args:
        folder: its configuration.
        ledger: tells which files are accounted for.
        skip: identities of folders of our own, which are never walked into.
        wake: set when there is something to look at.
        say: takes a sentence for the log.

    Attributes:
        offline: why the folder cannot be looked at, or "".
        missed: scans that a look found although events should have told.
    """

    def __init__(
        self,
        folder: Folder,
        ledger: Ledger,
        *,
        skip: frozenset[tuple[int, int]],
        wake: threading.Event,
        say: Callable[[str], None],
    ) -> None:
        self.folder, self.ledger, self.skip, self.wake, self.say = folder, ledger, skip, wake, say
        self.root = str(folder.watch)
        self.ignore = Ignore(folder.ignore)
        self.settling = Settling(_SETTLING, quiet=folder.settle.quiet, give_up=folder.settle.give_up)
        self.in_flight: set[str] = set()
        self.offline, self.by, self.restarts, self.missed = "", "polling", 0, 0
        self.last_scan: float | None = None  # wall clock, for people
        self.walked = False  # through to the end, at least once
        self._lock: locks.Lock | None = None
        self._watcher: Watcher | None = None
        self._walker: Iterator[Entry | Oddity] | None = None
        self._left: deque[tuple[Entry, bool]] = deque()  # without room so far, and whether fresh
        self._began = self._worked = 0.0
        self._next_walk = -math.inf
        self._since_ns = 0
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._hinted: OrderedDict[str, float] = OrderedDict()
        self._unnoticed: OrderedDict[str, float] = OrderedDict()
        self._bad_since: dict[str, tuple[str, float]] = {}
        self._released: deque[str] = deque()
        self._walk_again = False
        self._restarts = 0  # of watchers that ended with the folder's going offline

    # --- beginning and end ---------------------------------------------------------------

    def open(self, *, patient: bool = False) -> None:
        """Takes the folder's lock and begins to watch; a folder that is not there counts as offline.

        Args:
            patient: a folder that another daemon watches counts as offline as well.

        Raises:
            UsageError: another daemon watches it.
        """
        try:
            self._hold()
        except UsageError as error:
            if not patient:
                raise
            self._go_offline(error)
        except OSError as error:
            self._go_offline(error)

    def _hold(self) -> None:
        if self.folder.require_mount and str(mounts.filesystem_of(self.root).mount_point) == "/":
            raise FileNotFoundError(2, "nothing is mounted there", self.root)
        known = f"marked:{self.root}"
        create = not (self.folder.require_mount and self.ledger.setting(known))
        self._lock = locks.hold_folder(self.root, create=create)
        if self.folder.require_mount:
            self.ledger.set_setting(known, "1")
        self._since_ns = self._touched()
        if self._watcher is None:
            self._watcher = Watcher(
                self.root, by=self.folder.by, recursive=self.folder.recursive, wake=self.wake
            )
            self._watcher.start()

    def _touched(self) -> int:
        """The time by the disk's own clock: scans that are younger have just come."""
        path = os.path.join(self.root, locks.MARKER)
        try:
            os.utime(path)
            return os.stat(path).st_mtime_ns
        except OSError:
            return 2**63

    def close(self) -> None:
        """Stops watching and gives the lock back."""
        if self._watcher is not None:
            self._restarts = self.restarts + 1
            self._watcher.stop()
            self._watcher = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # --- looking -------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """One round: hints, a slice of a walk, another look at what settles."""
        try:
            while self._released:
                self.settling.release(self._released.popleft(), now)
            self._stay(now)
            self._take_hints(now)
            self._walk_on(now)
            self._look_again(now)
            self._count_missed(now)
        except UsageError as error:  # another daemon took the folder while it was offline
            self._go_offline(error)
        except OSError as error:
            self._go_offline(error)

    def _stay(self, now: float) -> None:
        if self._lock is None or not self._lock.held:
            if now < self._next_walk and self._lock is None:
                return
            self.close()
            self._hold()
            self._drop_walk()  # it may be on its way through a folder that was replaced
            self._next_walk = now
        if self._watcher is not None:
            health = self._watcher.check(now)
            self.by, self.restarts = health.by, self._restarts + health.restarts
            if health.reason and self.folder.by != "polling":  # who asked for it knows
                self._tell("", f"{shown(self.root)}: {health.reason}")

    def _go_offline(self, error: Exception) -> None:
        sentence = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if not self.offline:
            self.say(f"{shown(self.root)} is offline: {sentence}; it is looked for again")
        self.offline = sentence
        self._drop_walk()
        self.close()
        self._next_walk = time.monotonic() + _RETRY

    def _online(self) -> None:
        if self.offline:
            self.say(f"{shown(self.root)} is back")
            self.offline = ""

    def _take_hints(self, now: float) -> None:
        if self._watcher is None:
            return
        hints = self._watcher.hints()
        for relpath in hints.renamed:
            self.settling.renamed_in(relpath, now)
        for relpath in hints.paths | hints.renamed:
            self._unnoticed.pop(relpath, None)
            _remember(self._hinted, relpath, now)
            self._hint(relpath, now)
        if hints.overflow:
            self._walk_soon(now)

    def _hint(self, relpath: str, now: float) -> None:
        if relpath.lower().endswith((".yaml", ".yml")):
            return self._settings_changed(now)
        if self.ignore.why(relpath, is_dir=False) or relpath in self.in_flight:
            return None
        try:
            entry = safely.stat_scan(self.root, relpath)
        except (ScanmendError, OSError):
            return self._hinted_folder(relpath, now)
        if entry is None:
            self.settling.gone(relpath)
        elif os.path.splitext(relpath)[1].lower() in SUFFIXES:
            self._show([entry], now, fresh=True)
        return None

    def _hinted_folder(self, relpath: str, now: float) -> None:
        """A new sub-folder may have been filled before it was watched: the walk finds out."""
        if os.path.isdir(os.path.join(self.root, relpath)):
            self._walk_soon(now + 0.2)

    def _walk_soon(self, when: float) -> None:
        """Asks for a walk; one that is on its way may have passed already, and is followed by another."""
        self._next_walk = min(self._next_walk, when)
        self._walk_again = self._walker is not None

    def _settings_changed(self, now: float) -> None:
        for relpath, hold in list(self.settling.held.items()):
            if hold.again < math.inf:
                self.settling.release(relpath, now)

    # --- walking -------------------------------------------------------------------------

    def _walk_on(self, now: float) -> None:
        self._left.extend((entry, False) for entry in self.settling.displaced())
        if self._walker is None:
            if now >= self._next_walk:
                self._begin_walk(now)
        elif self._left and now - self._began > self._rest():
            self._drop_walk()
            self._begin_walk(now)
        began = time.monotonic()
        while self._step(now):
            if time.monotonic() - began > _SLICE:
                break
        self._worked += time.monotonic() - began

    def _begin_walk(self, now: float) -> None:
        self._walk_again = False
        self._walker = walk(self.root, ignore=self.ignore, recursive=self.folder.recursive, skip=self.skip)
        self._began, self._worked = now, 0.0

    def _step(self, now: float) -> bool:
        """Some names more; False when there are no more, or no room for what they are."""
        if self._left:
            return self._place_left(now)
        if self._walker is None:
            return False
        found = list(itertools.islice(self._walker, _BATCH))
        self._online()
        for oddity in found:
            if isinstance(oddity, Oddity):
                self._tell(oddity.relpath, f"{shown(oddity.relpath)} is left out: {oddity.reason}")
        entries = [entry for entry in found if isinstance(entry, Entry)]
        self._show(entries, now, fresh=False)
        if len(found) < _BATCH:
            self._end_walk(now)
            return False
        return not self._left

    def _place_left(self, now: float) -> bool:
        while self._left:
            entry, fresh = self._left[0]
            if not self.settling.saw(entry, now, fresh=fresh):
                return False
            self._left.popleft()
        return True

    def _end_walk(self, now: float) -> None:
        if self._left:
            return  # ended only when all it found has its place
        self._walker = None
        self.walked, self.last_scan = True, time.time()
        self._next_walk = now + (max(0.2, self._worked) if self._walk_again else self._rest())
        self._forget_vanished()

    def _forget_vanished(self) -> None:
        """What is held until a person sees to it may have been taken away without an event."""
        for relpath, hold in list(self.settling.held.items()):
            if hold.again == math.inf and self._stat(relpath) is None:
                self.settling.gone(relpath)

    def _stat(self, relpath: str) -> Entry | None:
        """The scan as it is now; None if it is gone, or can no longer be looked at.

        Raises:
            OSError: the whole folder is out of reach.
        """
        try:
            return safely.stat_scan(self.root, relpath)
        except ScanmendError:
            return None
        except OSError:
            os.stat(self.root)
            return None

    def _rest(self) -> float:
        usual = self.folder.rescan if self.by == "events" else self.folder.poll
        return max(usual, _SHARE * self._worked)

    def _drop_walk(self) -> None:
        if self._walker is not None:
            close = getattr(self._walker, "close", None)
            if close:
                close()
        self._walker = None
        self._left.clear()

    def _show(self, entries: list[Entry], now: float, *, fresh: bool) -> None:
        """Lets those settle that the ledger does not account for."""
        known = self.ledger.sources(self.root, [entry.relpath for entry in entries]) if entries else {}
        for entry in entries:
            source = known.get(entry.relpath)
            if (source and source.signature == entry.signature) or entry.relpath in self.in_flight:
                continue
            if not fresh:
                self._note_unnoticed(entry, now)
            young = fresh or entry.mtime_ns >= self._since_ns
            if not self.settling.saw(entry, now, fresh=young):
                self._left.append((entry, young))

    def _note_unnoticed(self, entry: Entry, now: float) -> None:
        """A scan that events should have told of; it counts as missed if they do not in a moment."""
        settling = entry.relpath in self.settling.held or entry.relpath in self._hinted
        if self.walked and self.by == "events" and not settling and entry.relpath not in self._unnoticed:
            _remember(self._unnoticed, entry.relpath, now)
            _remember(self._hinted, entry.relpath, now)

    def _count_missed(self, now: float) -> None:
        while self._unnoticed:
            relpath, when = next(iter(self._unnoticed.items()))
            if now - when < _UNNOTICED:
                return
            del self._unnoticed[relpath]
            self.missed += 1

    # --- settling ------------------------------------------------------------------------

    def _look_again(self, now: float) -> None:
        for relpath in self.settling.due(now):
            entry = self._stat(relpath)
            if entry is None:
                self.settling.gone(relpath)
            else:
                self.settling.saw(entry, now)

    def ripe(self, now: float, limit: int, backlog: int) -> list[Ripe]:
        """At most `limit` settled scans, `backlog` of them old ones; they count as in flight from now on."""
        if self.offline or self._lock is None:
            return []
        found = self.settling.ripe(now, limit, backlog=backlog)
        self.in_flight.update(entry.relpath for entry in found)
        return [Ripe(self.folder, entry, self._lane(entry)) for entry in found]

    def _lane(self, entry: Entry) -> int:
        return FRESH if entry.relpath in self._hinted or entry.mtime_ns >= self._since_ns else BACKLOG

    def patient(self, relpath: str, signature: str, now: float) -> bool:
        """Whether a damaged scan may still be on its way, rather than having been so for too long."""
        since = self._bad_since.get(relpath)
        if since is None or since[0] != signature:
            return True
        return now - since[1] < self.folder.settle.give_up

    def held(self, relpath: str, signature: str, reason: str, kind: str, now: float) -> None:
        """A scan that could not be taken in waits, for as long as `kind` says."""
        self.in_flight.discard(relpath)
        again = {"time": _RETRY, "settings": 2.0, "damaged": self.folder.settle.give_up}.get(kind, math.inf)
        if kind == "damaged":
            if self.patient(relpath, signature, now) and self._bad_since.get(relpath, ("",))[0] != signature:
                self._bad_since[relpath] = (signature, now)
                while len(self._bad_since) > _REMEMBERED:
                    del self._bad_since[next(iter(self._bad_since))]
            again = max(0.1, self._bad_since[relpath][1] + self.folder.settle.give_up - now)
        self.settling.hold(relpath, signature, reason, now, again=again)
        self._tell(relpath, f"{shown(relpath)} waits: {reason}")
        self._hint(relpath, now)

    def release(self, relpath: str) -> None:
        """A person lets a scan through that is held; any thread may call this."""
        self._released.append(relpath)
        self.wake.set()

    def finished(self, relpath: str, now: float) -> None:
        """A scan is accounted for in the ledger, as it was; it may have been written anew meanwhile."""
        self.in_flight.discard(relpath)
        self._bad_since.pop(relpath, None)
        self.settling.gone(relpath)
        self._hinted.pop(relpath, None)
        self._hint(relpath, now)

    def lost_sight(self, relpath: str, now: float) -> None:
        """A scan changed or vanished while it was taken in."""
        self.in_flight.discard(relpath)
        self._hint(relpath, now)

    def next_due(self, now: float) -> float:
        """When the next round has something to do."""
        if self._walker is not None and not self._left:
            return now
        due = self.settling.next_due(now)
        return min(self._next_walk, math.inf if due is None else due)

    @property
    def idle(self) -> bool:
        """Whether everything that lies in the folder is accounted for or held."""
        return self.walked and not self._left and not len(self.settling) and not self.in_flight

    def _tell(self, relpath: str, sentence: str) -> None:
        """Says something once, not at every walk."""
        key = (relpath, sentence)
        if key in self._told:
            return
        _remember(self._told, key, None)
        self.say(sentence)


def _remember(names: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
    names[key] = value
    while len(names) > _REMEMBERED:
        names.popitem(last=False)
