"""Finds the daemons of whoever asks, and asks them; the command line's side of the control socket."""

from __future__ import annotations

import http.client
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanmend import errors, places
from scanmend.errors import ScanmendError, UsageError

from scanmend_daemon import sockets, words

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTROL, STATUS = "control.sock", "status.json"  # in a daemon's state folder
_SOON = 10  # seconds in which a daemon tells how it is
_LARGEST = 64 * 2**20  # bytes of an answer


@dataclass(frozen=True)
class Daemon:
    """A daemon's state folder, whether it runs or not.

    Attributes:
        state: the folder.
        view: its snapshot; `running` in it says whether it answered just now.
        page: the status page's address with the token; None where there is none.
    """

    state: Path
    view: Mapping[str, Any]
    page: str | None

    @property
    def running(self) -> bool:
        """Whether it answered."""
        return bool(self.view.get("running"))

    def act(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Has the daemon do something; where none runs, it is done to the ledger itself.

        Raises:
            ScanmendError: the daemon's own, or it does not answer.
        """
        if self.running:
            return _ask(self.state, "POST", f"/actions/{name}", arguments, timeout=None)
        from scanmend_daemon import control  # noqa: PLC0415 - heavier than asking, and seldom needed

        with control.offline(self.state) as view:
            return view.act(name, arguments)


def found(state: Path | None = None) -> list[Daemon]:
    """The daemons of this person, or the one of a state folder that lies elsewhere.

    Raises:
        UsageError: the named folder is no daemon's, or a daemon does not answer.
    """
    if state is not None:
        daemon = _look(state)
        if daemon is None:
            raise UsageError(f"{words.shown(state)} is not the state folder of a hot folder")
        return [daemon]
    home = places.state_folder() / "watch"
    folders = sorted(home.iterdir()) if home.is_dir() else []
    return [daemon for daemon in map(_look, folders) if daemon]


def _look(state: Path) -> Daemon | None:
    """A state folder's daemon, asked live if it runs; None where there never was one."""
    try:
        view = _ask(state, "GET", f"/{STATUS}", None, timeout=_SOON)
        page = _ask(state, "GET", "/address", None, timeout=_SOON)["page"]
    except _Nobody:
        view, page = _left_behind(state), None
    return Daemon(state, view, page) if view else None


def _left_behind(state: Path) -> dict[str, Any]:
    """What a daemon wrote down last, before it ended."""
    try:
        view = json.loads((state / STATUS).read_bytes())
    except (OSError, ValueError):
        return {}
    return {**view, "running": False} if isinstance(view, dict) else {}


class _Nobody(Exception):  # noqa: N818 - reads as the sentence it stands for
    """No daemon listens."""


class _Connection(http.client.HTTPConnection):
    """HTTP through a Unix socket."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = sockets.connect(self._path, self.timeout)


def _ask(
    state: Path, method: str, path: str, values: Mapping[str, Any] | None, *, timeout: float | None
) -> dict[str, Any]:
    body = None if values is None else json.dumps(values)  # ASCII: also names that are no text
    connection, headers = _door(state, timeout)
    try:
        connection.request(
            method, path, body, headers | ({"content-type": "application/json"} if body else {})
        )
        answer = connection.getresponse()
        told, code = json.loads(answer.read(_LARGEST)), answer.status
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as cause:
        raise _Nobody from cause
    except PermissionError as cause:
        raise UsageError(f"{words.shown(state)} belongs to somebody else", hint="ask as them") from cause
    except (OSError, http.client.HTTPException, ValueError) as cause:
        raise UsageError(
            f"the hot folder's daemon ({words.shown(state)}) does not answer: {cause}",
            hint="look at its log, or stop and start it",
        ) from cause
    finally:
        connection.close()
    if code != http.client.OK:
        raise _error_of(told)
    return dict(told)


def _door(state: Path, timeout: float | None) -> tuple[http.client.HTTPConnection, dict[str, str]]:
    """The way to the daemon, and what has to be shown there."""
    if sockets.UNIX:
        return _Connection(state / CONTROL, timeout), {}
    try:
        key = json.loads((state / CONTROL).with_suffix(".json").read_bytes())
    except (OSError, ValueError) as cause:
        raise _Nobody from cause
    return http.client.HTTPConnection("127.0.0.1", key["port"], timeout=timeout), {
        "scanmend-token": key["token"]
    }


def _error_of(told: Mapping[str, Any]) -> ScanmendError:
    """The daemon's error as the exception that it was."""
    kind = getattr(errors, str(told.get("class")), ScanmendError)
    if not (isinstance(kind, type) and issubclass(kind, ScanmendError)):
        kind = ScanmendError
    return kind(str(told.get("message")), hint=str(told.get("hint", "")))


def in_full(path: str) -> str:
    """A path from the root on; links on the way are followed, but the last name may be one itself."""
    folder, name = os.path.split(os.path.abspath(path))
    return str(Path(os.path.realpath(folder), name))
