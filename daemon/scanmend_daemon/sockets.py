"""Unix sockets whatever the length of their path, and the loopback port beside them."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from scanmend.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIX = hasattr(socket, "AF_UNIX")
"""Whether this Python has Unix sockets; that of Windows has not."""
_LONGEST = 100  # bytes of a path: 104 of macOS and 108 of Linux, less the end
_FOLDERS = Path("/proc/self/fd")


def listen_here(path: Path) -> socket.socket:
    """A listening socket of mode 0600 at `path`, in place of one that a dead daemon left.

    The caller holds the lock of the folder, so nobody else can be listening there.

    Raises:
        UsageError: something that is no socket is in the way, or it cannot be made.
    """
    if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
        raise UsageError(f"{path} is in the way: it is no socket", hint="move it elsewhere")
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        with _address(path) as address:
            before = os.umask(0o177)  # the mode must be right from the first moment on
            try:
                made.bind(address)
            finally:
                os.umask(before)
        made.listen(64)
    except OSError as cause:
        made.close()
        raise UsageError(f"{path}: the control socket cannot be made: {cause.strerror or cause}") from cause
    return made


def connect(path: Path, timeout: float | None) -> socket.socket:
    """A connection to the socket at `path`.

    Raises:
        OSError: nobody listens there.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(timeout)
        with _address(path) as address:
            made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def listen_on(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes any that is free.

    Raises:
        UsageError: the port is in use, or the address is not this machine's.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere this would share the port with whoever has it
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(64)
    except OSError as cause:
        made.close()
        raise UsageError(
            f"the status page cannot have {host}:{port}: {cause.strerror or cause}",
            hint="choose another port under status: http, or turn the page off with http: off",
        ) from cause
    return made


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """The path as a socket's address, which the system bounds far below what a path may have."""
    if len(os.fsencode(path)) <= _LONGEST or not _FOLDERS.is_dir():
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield str(_FOLDERS / str(folder) / path.name)
    finally:
        os.close(folder)
