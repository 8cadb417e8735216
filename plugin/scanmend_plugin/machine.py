"""What is asked of the machine that Scanmend runs on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from scanmend_plugin.paths import System

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ANSWERS_WITHIN = 20.0  # seconds for a program to say its version: Flatpak's first start takes a few

_DESKTOP = ("/usr/local/bin", "/usr/bin", "/bin")


def this() -> System:
    """The machine under this process."""
    return System(sys.platform, Path.home(), os.environ, _listing, _real, _registered())


def said_by(words: Sequence[str]) -> str:
    """What a program prints; empty where it does not run, or takes too long."""
    try:
        return run(words, _ANSWERS_WITHIN)[1]
    except OSError:
        return ""


def run(words: Sequence[str], limit: float) -> tuple[int, str]:
    """Runs a program as a person's desktop would start it; its status, and all that it printed.

    A program that takes longer than `limit` seconds is ended with all that it started, and its status is -1.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - the words are ours, or GIMP's where it was found
        list(words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(words[0]),
        start_new_session=True,
    )
    with process:
        try:
            said, _ = process.communicate(timeout=limit)
        except BaseException as cause:
            _end(process)
            if not isinstance(cause, subprocess.TimeoutExpired):
                raise
            return -1, ""
    return process.returncode, said.decode("utf-8", "replace")


def environment(program: str, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment as the desktop gives it, in which a GIMP finds its own Python before any other.

    A terminal may have an active virtual environment: its Python knows nothing of GIMP, and plug-ins that
    ask for `python3` would get it.

    Args:
        program: what will be started.
        given: the environment to start from.
    """
    ours = {sys.prefix, given.get("VIRTUAL_ENV", "")} - {"", sys.base_prefix}
    folders = [folder for folder in given.get("PATH", "").split(os.pathsep) if folder]
    if os.name != "nt":
        beside = [os.path.dirname(program)] if os.path.isabs(program) else []  # noqa: PTH117, PTH120 - text
        folders = [*beside, *_DESKTOP, *folders]
    path = [folder for folder in dict.fromkeys(folders) if Path(folder).parent not in map(Path, ours)]
    kept = {name: text for name, text in given.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "PATH": os.pathsep.join(path)}


def _end(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _listing(folder: PurePath) -> Sequence[str]:
    try:
        return [path.name for path in Path(folder).iterdir()]
    except OSError:
        return ()


def _real(path: PurePath) -> PurePath:
    return Path(os.path.realpath(path))


def _registered() -> Sequence[str]:
    """Where Windows' registry says that GIMP was installed, by its installer's entries."""
    if sys.platform != "win32":
        return ()
    import winreg  # noqa: PLC0415 - on Windows alone

    found = []
    for root in (winreg.HKEY_LOCAL_MACHINE, winreg.HKEY_CURRENT_USER):
        for name in ("GIMP-3_is1", "GIMP-2_is1"):
            key = rf"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{name}"
            with contextlib.suppress(OSError), winreg.OpenKey(root, key) as entry:
                found.append(str(winreg.QueryValueEx(entry, "InstallLocation")[0]))
    return found
