"""What events say about a hot folder, as hints: collected in a thread that must never fail."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

from watchdog.events import FileSystemEvent, FileSystemEventHandler

from scanmend_daemon.locks import MARKER

MOST_HINTS = 4096
_BURST = 1024  # the kernel's queue holds 16 times as many events, and nobody says when it overflows


@dataclass(frozen=True)
class Hints:
    """What events told since the last time.

    Attributes:
        paths: names below the folder worth a look; they may be gone, or be anything.
        overflow: there was more than `paths` tells, or may have been, or a folder came: walk through
            everything.
        renamed: those of `paths` that came by a rename.
    """

    paths: frozenset[str]
    overflow: bool
    renamed: frozenset[str]


class Bell(FileSystemEventHandler):
    """Notes which names events spoke of. Runs in the observer's thread, which an exception would end.

    Args:
        root: the folder, as an absolute path.
        wake: set when there are hints.
    """

    def __init__(self, root: str, wake: threading.Event) -> None:
        super().__init__()
        real = os.path.realpath(root)  # macOS tells real paths whatever was asked for
        self._prefixes = tuple({os.path.join(root, ""), os.path.join(real, "")})
        self._wake = wake
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._renamed: set[str] = set()
        self._overflow = False
        self._new = 0  # events since the last call
        self._burst = 0  # events since the last call that found none
        self.canary_heard = threading.Event()

    def taken(self) -> Hints:
        """What was noted since the last call."""
        with self._lock:
            overflow = self._lost() or self._overflow
            hints = Hints(frozenset(self._paths), overflow, frozenset(self._renamed))
            self._paths.clear()
            self._renamed.clear()
            self._overflow = False
        return hints

    def _lost(self) -> bool:
        """Whether so many events came that some may be missing: asked while they come, and after the last."""
        self._burst += self._new
        over, self._new = self._new == 0, 0
        if self._burst < (_BURST if over else MOST_HINTS):
            self._burst = 0 if over else self._burst
            return False
        self._burst = 0 if over else _BURST
        return True

    def ring_for_all(self) -> None:
        """Asks for a walk through everything."""
        with self._lock:
            self._overflow = True
        self._wake.set()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Called by watchdog for every event."""
        try:
            self._note(event)
        except Exception:  # noqa: BLE001 - it would end the thread, and the process would go on blind
            self.ring_for_all()

    def _note(self, event: FileSystemEvent) -> None:
        with self._lock:
            self._new += 1
        came = event.event_type == "moved"
        for path, renamed in ((event.src_path, False), (event.dest_path, came)):
            if path:
                self._hint(os.fsdecode(path), renamed=renamed, folder=event.is_directory)

    def _hint(self, path: str, *, renamed: bool, folder: bool) -> None:
        relpath = self._below(path)
        if relpath is None:
            self.ring_for_all()
        elif relpath == MARKER:
            self.canary_heard.set()
        elif relpath and not any(part.startswith(".") for part in relpath.split("/")):
            self._add(relpath, renamed=renamed, folder=folder)

    def _below(self, path: str) -> str | None:
        """The name below the root, empty for the root itself; None if it lies elsewhere."""
        for prefix in self._prefixes:
            if path.startswith(prefix):
                return path[len(prefix) :].replace(os.sep, "/")
            if path + os.sep == prefix:
                return ""
        return None

    def _add(self, relpath: str, *, renamed: bool, folder: bool) -> None:
        with self._lock:
            if folder or len(self._paths) >= MOST_HINTS:
                self._overflow = True
            else:
                self._paths.add(relpath)
                if renamed:
                    self._renamed.add(relpath)
        self._wake.set()
