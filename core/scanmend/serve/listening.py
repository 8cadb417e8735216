"""Where a server listens: sockets of its own or handed over by systemd, or a port; and that it is alone."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanmend.errors import UsageError
from scanmend.serve.door import Door

_LONGEST = 103  # bytes of a Unix socket's path: 104 on macOS, 108 on Linux, less the end
_BACKLOG = 128
_FIRST_HANDED = 3  # SD_LISTEN_FDS_START
_LISTENS = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix
_UNIX_DOOR = Door(frozenset({"localhost", "scanmend"}))


@dataclass(frozen=True)
class Place:
    """Where to listen.

    Attributes:
        address: of the Unix socket; or of the token file (.json), for loopback TCP.
        port: for TCP; 0 takes any that is free.
        shared: of a second socket, where programs in a sandbox look; done without where it cannot be had.
        handed: sockets that were given to this process, listening already.
    """

    address: Path
    port: int = 0
    shared: Path | None = None
    handed: tuple[socket.socket, ...] = ()


@dataclass(frozen=True)
class Ears:
    """What a server listens with.

    Attributes:
        sockets: listening.
        door: who is let in.
        where: that in words.
        lock: file descriptor of the lock that is held.
    """

    sockets: tuple[socket.socket, ...]
    door: Door
    where: str
    lock: int


@contextmanager
def opened(place: Place) -> Iterator[Ears | None]:
    """Listens; None where another server listens at the address.

    One that was handed sockets then serves these alone: whoever knocks there gets no other answer.

    Raises:
        UsageError: it cannot listen there.
    """
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(_only_one(place.address))
        alone = lock is not None
        names = [stack.enter_context(ear).getsockname() for ear in place.handed]
        if lock is None and names:
            lock = stack.enter_context(_only_one(Path(names[0])))
        if lock is None:
            yield None
            return
        ears, door = list(place.handed), _UNIX_DOOR
        if alone and str(place.address) not in names:
            ear, door, name = stack.enter_context(_own(place))
            ears.append(ear)
            names.append(name)
        if alone and place.shared and str(place.shared) not in names:
            with contextlib.suppress(UsageError):  # a home on a network share takes no sockets
                ears.append(stack.enter_context(_second(place.shared)))
                names.append(str(place.shared))
        yield Ears(tuple(ears), door, " and ".join(names), lock)


def handed_over() -> tuple[socket.socket, ...]:
    """The sockets that systemd has opened for this process, as sd_listen_fds(3) says; none elsewhere.

    Raises:
        UsageError: one of them is no Unix socket that listens, or others may write to it.
    """
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return ()
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    last = _FIRST_HANDED + (int(count) if count.isdecimal() else 0)
    return tuple(_handed(number) for number in range(_FIRST_HANDED, last))


def _handed(number: int) -> socket.socket:
    os.set_inheritable(number, False)  # workers have no business with it
    ear = socket.socket(fileno=number)
    try:
        _check_handed(ear)
    except BaseException:
        ear.close()
        raise
    return ear


def _check_handed(ear: socket.socket) -> None:
    name = ear.getsockname() if ear.family == getattr(socket, "AF_UNIX", None) else ""
    if not (isinstance(name, str) and name and ear.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)):
        raise UsageError("what was handed over is no Unix socket that listens", hint="ListenStream=/a/path")
    if stat.S_IMODE(Path(name).stat().st_mode) & 0o022:
        raise UsageError(f"others may write to the socket {name}", hint="SocketMode=0600")


# --- alone -------------------------------------------------------------------------------


@contextmanager
def _only_one(address: Path) -> Iterator[int | None]:
    """Holds the lock beside the address; None where another server holds it. A killed one frees it."""
    place = address.with_name(f"{address.name}.lock")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be opened: {error.strerror}", hint="choose another --socket"
        ) from error
    try:
        yield handle if _locked(handle) else None
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- sockets of its own ------------------------------------------------------------------


@contextmanager
def _own(place: Place) -> Iterator[tuple[socket.socket, Door, str]]:
    """The socket at the address, or the port; the lock is held."""
    tcp = place.address.suffix == ".json"
    listener, door, where = _tcp(place) if tcp else (_unix(place.address), _UNIX_DOOR, str(place.address))
    mine = place.address.lstat()
    try:
        yield listener, door, where
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            if os.path.samestat(place.address.lstat(), mine):
                place.address.unlink()


@contextmanager
def _second(path: Path) -> Iterator[socket.socket]:
    """A socket beside the first one; its folder becomes this user's alone.

    Raises:
        UsageError: another server has it, or it cannot be listened on.
    """
    with _only_one(path) as lock:
        if lock is None:
            raise UsageError(f"another engine listens on {path}")
        try:
            path.parent.chmod(0o700)
        except OSError as error:
            raise UsageError(f"{path.parent} belongs to another user") from error
        with _own(Place(path)) as (listener, _door, _where):
            yield listener


def _unix(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST:
        raise UsageError(f"{path} is too long for a socket", hint="choose a shorter path with --socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _clear(path)
        mask = os.umask(0o177)  # the mode has to be right from the first moment on
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(f"{path} cannot be listened on: {error.strerror}") from error
    except UsageError:
        listener.close()
        raise
    return listener


def _clear(path: Path) -> None:
    """Removes the socket that a killed server left: a living one would hold the lock."""
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise UsageError(f"{path} is in the way: it is no socket", hint="move it elsewhere")
    if _is_listened_on(path):
        raise UsageError(
            f"another program listens on {path}", hint="if that is systemd, it starts the engine when asked"
        )
    path.unlink()


def _is_listened_on(path: Path) -> bool:
    """Whether a socket is in use, asked of the kernel: a knock would have systemd start another engine."""
    try:
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="surrogateescape").splitlines()[1:]
    except OSError:
        return False  # only Linux says, and only there systemd listens
    words = [line.split(None, 7) for line in lines]
    return any(len(line) == 8 and line[7] == str(path) and int(line[3], 16) & _LISTENS for line in words)


# --- a port ------------------------------------------------------------------------------


def _tcp(place: Place) -> tuple[socket.socket, Door, str]:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", place.port))
        listener.listen(_BACKLOG)
        port, token = listener.getsockname()[1], secrets.token_urlsafe(32)
        _write_token(place.address, {"port": port, "token": token})
    except OSError as error:
        listener.close()
        raise UsageError(
            f"port {place.port} on this machine cannot be listened on: {error.strerror}",
            hint="choose another --tcp",
        ) from error
    hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
    return listener, Door(hosts, token), f"127.0.0.1:{port}, token in {place.address}"


def _write_token(path: Path, values: dict[str, Any]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump(values, file)
    part.replace(path)
