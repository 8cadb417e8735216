"""One daemon for a state folder, one daemon for a hot folder: locks that die with their holder.

The lock is the kernel's, on an open file: it ends with the process, however that ends. What the file
says is for people alone. A hot folder's lock file, `.scanmend-folder`, is at the same time the mark
that tells the mounted folder from the empty mount point below it; it is never removed.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
from datetime import datetime, timezone
from types import TracebackType

from scanmend import places
from scanmend.errors import UsageError

from scanmend_daemon.words import shown

MARKER = ".scanmend-folder"
_NOTE = "Scanmend watches this folder and locks this file while it runs. It may be deleted when it does not."
_BYTES = 4096  # no note of ours is longer
_SHIELDED = 2**30  # Windows: the byte to lock, where nobody reads


class Lock:
    """A lock that is held, until released or until the process ends."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self._fd: int | None = fd

    @property
    def held(self) -> bool:
        """Whether the file at the path is still the one that is locked.

        It is not after a remount, or after somebody replaced or deleted it: lock it anew then.
        """
        if self._fd is None:
            return False
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    def release(self) -> None:
        """Gives the lock back; a second time does nothing. The file stays."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> Lock:  # noqa: PYI034 - typing.Self came with Python 3.11
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def hold_instance(state: str | os.PathLike[str]) -> Lock:
    """The lock on a state folder: two daemons never share a ledger.

    Raises:
        UsageError: another process holds it; the sentence names it.
        OSError: the folder cannot be written.
    """
    folder = os.fspath(state)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "lock")
    return _hold(path, _open(path), f"{shown(folder)} is in use by another Scanmend daemon")


def hold_folder(root: str | os.PathLike[str], *, create: bool = True) -> Lock:
    """The lock on a hot folder: two daemons never restore the same scans.

    Where the folder may not be written, and holds no marker yet, the lock lies in this person's
    runtime folder: it keeps their own daemons apart, and cannot keep off others'.

    Args:
        root: the folder.
        create: False refuses a folder without a marker (`FileNotFoundError`): it may be the empty
            mount point of a disk that is not mounted.

    Raises:
        UsageError: another process holds it; the sentence names it.
        OSError: the folder cannot be read.
    """
    folder = os.fspath(root)
    path = os.path.join(folder, MARKER)
    sentence = f"{shown(folder)} is already watched by another Scanmend daemon"
    try:
        return _hold(path, _open(path, create=create), sentence)
    except PermissionError:
        pass
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    info = os.stat(folder)
    path = str(places.runtime_folder() / f"folder-{info.st_dev:x}-{info.st_ino:x}.lock")
    return _hold(path, _open(path), sentence)


def _open(path: str, *, create: bool = True) -> int:
    """The lock file, opened for writing if that is allowed, else for reading."""
    extra = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT"))
    try:
        fd = os.open(path, os.O_RDWR | extra | (os.O_CREAT if create else 0), 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UsageError(
                f"{shown(path)} is a link", hint="remove it: Scanmend locks this file"
            ) from error
        refused = error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        if not (refused and os.path.exists(path)):
            raise
        fd = os.open(path, os.O_RDONLY | extra)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UsageError(f"{shown(path)} is not a file", hint="remove it: Scanmend locks this file")
    return fd


def _hold(path: str, fd: int, sentence: str) -> Lock:
    try:
        ours = _locked(fd)
        holder = "" if ours else _holder(fd)
        if ours:
            _write_note(fd)
    except BaseException:
        os.close(fd)
        raise
    if not ours:
        os.close(fd)
        raise UsageError(f"{sentence}{holder}", hint="stop that one first, or watch another folder")
    return Lock(path, fd)


def _locked(fd: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows alone

            os.lseek(fd, _SHIELDED, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not there on Windows

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES, errno.EDEADLK}:
            return False
        raise
    return True


def _write_note(fd: int) -> None:
    """Who holds the lock, for the sentence that a second daemon gives."""
    note = {
        "note": _NOTE,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    try:
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, json.dumps(note, indent=1).encode("ascii") + b"\n")
    except OSError:  # opened for reading only, or a full disk: the lock holds all the same
        return


def _holder(fd: int) -> str:
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        note = json.loads(os.read(fd, _BYTES))
        return f": process {int(note['pid'])} on {note['host']:.80}, since {note['since']:.40}"
    except (OSError, ValueError, TypeError, KeyError):  # nothing, or not ours: the lock speaks for itself
        return ""
