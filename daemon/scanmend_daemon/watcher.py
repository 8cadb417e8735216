"""The bell on a hot folder's door: events wake the daemon early, and nothing more.

Every event source loses events, most of them silently: queues overflow, watches run out, a folder is
deleted and made anew, another machine writes. What lies in the folder is found by walking through it;
a `Watcher` only says when, and keeps its event threads alive, or says that it cannot.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
)

from scanmend_daemon.bell import Bell, Hints
from scanmend_daemon.canary import Canary, limit_reached, shortage
from scanmend_daemon.mounts import filesystem_of

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

__all__ = ["By", "Health", "Hints", "Watcher"]

By = Literal["events", "polling"]

_BACK_OFF = (0.0, 1.0, 5.0, 30.0, 300.0)  # seconds after the n-th rebuild in a row
_IN_A_ROW = 600.0  # rebuilds further apart than this have nothing to do with each other

# Being written to is no news: settling looks for itself. Leaving it out spares the queue most events.
_WANTED: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileMovedEvent,
    FileClosedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
]


@dataclass(frozen=True)
class Health:
    """How a folder is being watched.

    Attributes:
        by: "polling" where events cannot be relied on: walk often.
        alive: False while the folder is not there.
        restarts: how often the watch was rebuilt.
        reason: why it is polled or not there; empty where all is well.
    """

    by: By
    alive: bool
    restarts: int
    reason: str


class Watcher:
    """Rings a bell when something happens in a hot folder.

    Args:
        root: the folder; it need not be there yet.
        by: "events" trusts events also where the disk is another machine's; "polling" never uses
            them; "auto" decides by the disk.
        recursive: whether sub-folders are watched.
        wake: set when there are hints.
    """

    def __init__(
        self,
        root: str,
        *,
        by: Literal["auto", "events", "polling"] = "auto",
        recursive: bool = True,
        wake: threading.Event,
    ) -> None:
        self._root = os.path.abspath(root)
        self._asked = by
        self._recursive = recursive
        self._bell = Bell(self._root, wake)
        self._observer: BaseObserver | None = None
        self._identity: tuple[int, int] | None = None
        self._canary = Canary()
        self._builds = 0
        self._in_a_row = 0
        self._last_rebuild = -float("inf")
        self._error = ""  # why there is no watch
        self._unseen = ""  # why a working watch does not see everything
        self._short = ""
        self._deaf = ""

    def start(self) -> None:
        """Builds the watch, where there is something to watch; `check` says how that went."""
        if self._asked != "polling" and self._observer is None:
            self._build()

    def stop(self) -> None:
        """Ends all threads; the watcher may be started again."""
        self._take_down()

    def hints(self) -> Hints:
        """What events told since the last call."""
        return self._bell.taken()

    def check(self, now: float) -> Health:
        """Sees to the watch: rebuilds what has died, sends the canary, falls back to polling.

        Cheap enough for every few seconds; events that do not arrive are noticed within about a
        minute and a quarter of calls.

        Args:
            now: monotonic seconds.
        """
        if self._asked == "polling":
            return self._health("the configuration asks for polling")
        try:
            info = os.stat(self._root)
        except OSError as error:
            self._take_down()
            return self._health(f"it cannot be reached: {error.strerror}", alive=False)
        self._supervise((info.st_dev, info.st_ino), now)
        if self._observer is None:
            return self._health(self._error or "its watch is being rebuilt")
        return self._health(self._unseen or self._short or self._deaf)

    def _health(self, reason: str, *, alive: bool = True) -> Health:
        return Health("polling" if reason else "events", alive, max(self._builds - 1, 0), reason)

    def _supervise(self, identity: tuple[int, int], now: float) -> None:
        if self._observer is None or identity != self._identity or not _all_alive(self._observer):
            self._rebuild(now)
        elif not self._unseen:
            self._listen(now)

    def _listen(self, now: float) -> None:
        answer = self._canary.ask(self._root, now, self._bell.canary_heard)
        if answer == "heard":
            self._deaf, self._in_a_row = "", 0
        elif answer == "dead":
            self._deaf = "its events do not arrive"
            self._rebuild(now)
        elif answer == "sent":
            before, self._short = self._short, shortage(self._root)
            if before and not self._short:
                self._rebuild(now)  # there is room again: watch what had to be left out

    def _rebuild(self, now: float) -> None:
        if now - self._last_rebuild > _IN_A_ROW:
            self._in_a_row = 0
        if self._in_a_row and now - self._last_rebuild < _BACK_OFF[min(self._in_a_row, len(_BACK_OFF)) - 1]:
            return
        self._last_rebuild = now
        self._in_a_row += 1
        self._take_down()
        self._build()

    def _build(self) -> None:
        try:
            info = os.stat(self._root)
            disk = filesystem_of(self._root)
            self._observer = _observe(self._root, self._bell, recursive=self._recursive)
        except OSError as error:
            self._error = limit_reached(error.errno) or f"its events cannot be had: {error.strerror or error}"
            return
        self._identity = (info.st_dev, info.st_ino)
        self._builds += 1
        self._error = ""
        self._canary = Canary()
        unseen = self._asked == "auto" and disk.unseen
        self._unseen = f"others may write to its disk ({disk.kind}) without an event" if unseen else ""
        self._short = shortage(self._root)
        self._bell.ring_for_all()  # for whatever came before the watch was there

    def _take_down(self) -> None:
        observer, self._observer, self._identity = self._observer, None, None
        if observer is not None:
            _end(observer)


def _observe(root: str, bell: Bell, *, recursive: bool) -> BaseObserver:
    """A started observer of the folder."""
    observer, wanted = _observer()
    try:
        observer.schedule(bell, root, recursive=recursive, event_filter=wanted)
        observer.start()
    except BaseException:
        _end(observer)
        raise
    return observer


def _observer() -> tuple[BaseObserver, list[type[FileSystemEvent]] | None]:
    if sys.platform.startswith("linux"):
        from watchdog.observers.inotify import InotifyObserver  # noqa: PLC0415 - Linux alone

        # It says so loudly when a new folder is found twice, which does no harm.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        # Only the full events tell a file that was moved in from elsewhere from one that is being written.
        return InotifyObserver(generate_full_events=True), _WANTED
    from watchdog.observers import Observer  # noqa: PLC0415

    return Observer(), None


def _end(observer: BaseObserver) -> None:
    observer.stop()
    with contextlib.suppress(RuntimeError):  # it was never started
        observer.join()


def _all_alive(observer: BaseObserver) -> bool:
    # The observer outlives its emitters: after its folder is deleted it is alive and blind.
    emitters = observer.emitters
    return observer.is_alive() and bool(emitters) and all(emitter.is_alive() for emitter in emitters)
