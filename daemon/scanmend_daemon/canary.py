"""Whether events still arrive: a touched file must be told, and a new watch must find room."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from typing import Literal

from scanmend_daemon.locks import MARKER

Answer = Literal["sent", "heard", "silent", "dead"]

EVERY = 60.0
PATIENCE = 10.0
_IN_DELETE_SELF = 0x400
_MORE = {"max_user_watches": 524288, "max_user_instances": 1024}
_DOUBT = 2.0  # a process that was stopped wakes up with its events still queued: ask twice


class Canary:
    """Touches the marker file now and then and listens for the event that must follow."""

    def __init__(self) -> None:
        self._sent: float | None = None
        self._next = -float("inf")
        self._doubt: float | None = None

    def ask(self, root: str, now: float, heard: threading.Event) -> Answer:
        """Goes on with the experiment.

        Returns:
            sent: just touched, or would have been. heard: its event came. dead: it did not come in
            time. silent: nothing to say yet.
        """
        if self._sent is not None:
            return self._listen(self._sent, now, heard)
        if now < self._next:
            return "silent"
        self._next = now + EVERY
        heard.clear()
        self._sent = now if _touch(os.path.join(root, MARKER)) else None
        self._doubt = None
        return "sent"

    def _listen(self, sent: float, now: float, heard: threading.Event) -> Answer:
        if heard.is_set():
            self._sent = None
            return "heard"
        if now - sent < PATIENCE:
            return "silent"
        if self._doubt is None:
            self._doubt = now
        return "dead" if now - self._doubt >= _DOUBT else "silent"


def _touch(marker: str) -> bool:
    """Gives cause for an event without changing anything; False where that is not possible."""
    try:
        if not sys.platform.startswith("linux"):
            os.utime(marker)
            return True
        # Closing a file that was open for writing is an event even where nothing was written.
        os.close(os.open(marker, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:  # no marker yet, or a folder that may only be read: then without a canary
        return False
    return True


def shortage(root: str) -> str:
    """Why no further folder could be watched, as a sentence; empty while there is room.

    Watchdog keeps silent when the system refuses a watch on a new sub-folder, so this asks for one
    more and gives it back.
    """
    if not sys.platform.startswith("linux"):
        return ""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        return limit_reached(ctypes.get_errno())
    try:
        added = libc.inotify_add_watch(fd, os.fsencode(root), _IN_DELETE_SELF)
        return "" if added >= 0 else limit_reached(ctypes.get_errno())
    finally:
        os.close(fd)


def limit_reached(number: int | None) -> str:
    """The sentence for an error number that stands for a limit of inotify; empty for any other."""
    name = {errno.ENOSPC: "max_user_watches", errno.EMFILE: "max_user_instances"}.get(number or 0)
    if name is None:
        return ""
    return (
        f"the system's limit of watched folders is reached (raise it: sysctl fs.inotify.{name}={_MORE[name]})"
    )
