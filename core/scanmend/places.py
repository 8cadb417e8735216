"""Where Scanmend keeps its own files on this system: settings, state, sockets."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs


def config_folder() -> Path:
    """A person's own profiles and settings; it need not exist."""
    return platformdirs.user_config_path("scanmend", appauthor=False, roaming=True)


def data_folder() -> Path:
    """What a person has brought in to stay, such as weights of their own; it need not exist."""
    return platformdirs.user_data_path("scanmend", appauthor=False)


def state_folder() -> Path:
    """What must outlive a restart: the hot folder's ledgers and private copies; it need not exist."""
    return platformdirs.user_state_path("scanmend", appauthor=False)


def runtime_folder() -> Path:
    """Sockets and locks, for this person alone: made with mode 0700 if it is not there.

    Where the system has no such folder (a service without a login, a container) it lies with the
    state, and never in a folder that others can write to.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    folder = _runtime_base() / "scanmend"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    return folder


def shared_socket() -> Path:
    """Where the engine listens as well, for programs in a sandbox: they see a home, and no runtime folder.

    Nothing is made; the folder is meant for this person alone.
    """
    return state_folder() / "run" / "engine.sock"


def _runtime_base() -> Path:
    if sys.platform in ("win32", "darwin"):
        return platformdirs.user_runtime_path()
    given = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    login = Path(f"/run/user/{os.getuid()}")
    if given.is_absolute():  # the XDG specification has relative paths ignored
        return given
    return login if os.access(login, os.W_OK) else state_folder() / "run"
