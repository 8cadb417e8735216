"""Opens a scan so that no link, pipe or device exchanged for it at the last moment is ever read.

Every part of the name is opened relative to the folder before it, without following links, and what
came of it is looked at through the descriptor: a name can be exchanged, an open file cannot.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from scanmend.errors import UnsupportedFormat, UsageError

from scanmend_daemon.walk import Entry, entry_of, odd_kind
from scanmend_daemon.words import shown

_BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.stat in os.supports_dir_fd


def open_scan_file(root: str, relpath: str) -> int:
    """A descriptor of a scan, for reading; the caller closes it.

    Raises:
        UsageError: the name leads out of the folder.
        UnsupportedFormat: it is no regular file, or a folder on the way is a link.
        OSError: it is gone (`FileNotFoundError`), may not be read, or the disk is at fault.
    """
    with _parent(root, relpath) as (place, name):
        try:
            fd = os.open(name, _reading(), dir_fd=place)
        except OSError as error:
            _explain(place, name, relpath)  # a link, a socket: say so instead of "too many levels"
            raise _named(error, relpath) from error
    try:
        _refuse_odd(os.fstat(fd).st_mode, relpath)
    except BaseException:
        os.close(fd)
        raise
    return fd


def stat_scan(root: str, relpath: str) -> Entry | None:
    """The scan as it is now; None if it is gone.

    Raises:
        UsageError, UnsupportedFormat, OSError: as `open_scan_file`.
    """
    try:
        with _parent(root, relpath) as (place, name):
            info = os.stat(name, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _refuse_odd(info.st_mode, relpath)
    return entry_of(relpath, info)


@contextmanager
def _parent(root: str, relpath: str) -> Iterator[tuple[int | None, str]]:
    """The folder that a scan lies in, opened, and the scan's name in it."""
    *folders, name = _parts(relpath)
    if not _BY_DESCRIPTOR:  # Windows: links need a privilege there
        yield None, os.path.join(root, *folders, name)
        return
    place = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = _inner(place, folder, relpath)
            os.close(place)
            place = inner
        yield place, name
    finally:
        os.close(place)


def _inner(place: int, folder: str, relpath: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(folder, flags, dir_fd=place)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            _refuse_linked_folder(place, folder, relpath)
        raise _named(error, relpath) from error


def _parts(relpath: str) -> list[str]:
    parts = relpath.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise UsageError(f"{shown(relpath)!r} does not name a file below the hot folder")
    return parts


def _reading() -> int:
    # O_NONBLOCK: opening a named pipe must not wait for somebody to write to it.
    names = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY", "O_NOINHERIT")
    return os.O_RDONLY | sum(getattr(os, name, 0) for name in names)


def _explain(place: int | None, name: str, relpath: str) -> None:
    try:
        mode = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
    except OSError:
        return
    _refuse_odd(mode, relpath)


def _refuse_odd(mode: int, relpath: str) -> None:
    kind = odd_kind(mode)
    if kind is not None:
        raise UnsupportedFormat(f"{shown(relpath)} is not a file but {kind}", hint="put the file itself here")


def _refuse_linked_folder(place: int, folder: str, relpath: str) -> None:
    try:
        mode = os.stat(folder, dir_fd=place, follow_symlinks=False).st_mode
    except OSError:
        return
    if not stat.S_ISDIR(mode):
        raise UnsupportedFormat(
            f"{shown(relpath)} cannot be reached: {shown(folder)} is {odd_kind(mode) or 'a file'}",
            hint="put the scans themselves into the hot folder",
        )


def _named(error: OSError, relpath: str) -> OSError:
    """The same error, naming the whole path instead of its last part."""
    return type(error)(error.errno, error.strerror, relpath)
