"""Durable steps on disk, each of which can be repeated after a kill at any instruction."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from scanmend.errors import Cancelled
from scanmend.publish import sync_folder

_PIECE = 2**20

ENVIRONMENT = {
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOTCONN,
    errno.ETIMEDOUT, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV, errno.ENXIO,
    errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EAGAIN, errno.ECONNRESET,
}  # fmt: skip
"""Errors that speak about the disk, the share or the permissions, and not about the scan."""


class ReadError(OSError):
    """The source of a copy cannot be read; other errors of a copy speak about its target."""


def copy_hashed(
    source: int, target: Path, *, mode: int = 0o666, stop: Callable[[], bool] = lambda: False
) -> str:
    """Copies an open file to a new one, syncs it, and gives the SHA-256 of what was written.

    Raises:
        FileExistsError: something stands at the target.
        Cancelled: `stop` said so; the target is removed.
        ReadError: the source does not answer; the target is removed.
        OSError: the target cannot be written, and is removed.
    """
    digest = hashlib.sha256()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
    try:
        try:
            for piece in _pieces(source, stop):
                digest.update(piece)
                _write_all(handle, piece)
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        remove(target)
        raise
    return digest.hexdigest()


def _pieces(source: int, stop: Callable[[], bool]) -> Iterator[bytes]:
    offset = 0
    while True:
        try:
            piece = os.pread(source, _PIECE, offset)
        except OSError as error:
            raise ReadError(error.errno, error.strerror) from error
        if not piece:
            return
        if stop():
            raise Cancelled("the copy was stopped on request")
        yield piece
        offset += len(piece)


def _write_all(handle: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(handle, view) :]


def write_new(target: Path, data: bytes) -> None:
    """Writes and syncs a small file in place of one of ours that a kill may have left there."""
    remove(target)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with open(handle, "wb", buffering=0) as file:
        _write_all(file.fileno(), data)
        os.fsync(file.fileno())


def write_over(target: Path, data: bytes) -> None:
    """Replaces a small file of ours in one step; a reader sees the old one or the new one."""
    beside = target.with_name(f".{target.name}.new")
    beside.write_bytes(data)
    beside.replace(target)


def hold_fast(path: Path) -> None:
    """Syncs a file that somebody else wrote, and its name, as far as the system lets us; it may be gone.

    Scanners sync nothing: for half a minute a power cut would take the scan, or leave it full of zeros.

    Raises:
        OSError: the disk failed.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(path.parent)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise


def hash_of(path: Path) -> str | None:
    """SHA-256 of a regular file; None where there is none, or something else stands there.

    Raises:
        OSError: it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            return None
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # asked first: Python opens no folder as a file
        os.close(handle)
        return None
    with open(handle, "rb", buffering=0) as file:
        digest = hashlib.sha256()
        while piece := file.read(_PIECE):
            digest.update(piece)
        return digest.hexdigest()


def signature_of(path: Path) -> str | None:
    """A file's identity as `walk.Entry.signature` gives it; None where it is not a regular file."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return signature(found) if stat.S_ISREG(found.st_mode) else None


def signature(found: os.stat_result) -> str:
    """Inode, size and time of change: a hint that spares reading; the content decides."""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def make_folders(folder: Path) -> None:
    """Makes a folder and those above it, each of them synced into its parent."""
    if folder.is_dir():
        return
    make_folders(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
    sync_folder(folder.parent)


def remove(path: Path) -> None:
    """Removes a file of ours, which may be gone already."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def free_bytes(folder: Path) -> int | None:
    """Room on the disk of a folder, or of the nearest folder above that is there."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError, AttributeError):
            found = os.statvfs(place)
            return found.f_bavail * found.f_frsize
    return None
