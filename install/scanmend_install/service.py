"""Has the system start the hot folder: writes what it needs for that, and tells it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scanmend.errors import ScanmendError, UsageError

from scanmend_install import launchd, systemd, tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "Written by scanmend service install"  # files without it are somebody else's
_STEM = "scanmend-watch"
_PATIENCE = 60  # seconds for the service manager


@dataclass(frozen=True)
class Service:
    """A hot folder as a service.

    Attributes:
        config: its configuration file, absolute.
        folders: what it writes to: hot folders, results, failures, originals, state.
        page: whether it opens a loopback port.
        gpu: whether its engine computes on a graphics card.
        system: whether the whole machine has it, instead of the person who installs it.
        user: whom it runs as, for the whole machine; empty: a user of its own.
        command: what starts the `scanmend` command.
    """

    config: Path
    folders: tuple[Path, ...] = ()
    page: bool = True
    gpu: bool = False
    system: bool = False
    user: str = ""
    command: tuple[str, ...] = field(default_factory=lambda: (sys.executable, "-m", "scanmend"))

    @property
    def name(self) -> str:
        """What the system calls it: one name for each configuration file's."""
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.config.stem).strip("-.")
        return _STEM if stem in {"", "watch"} else f"{_STEM}-{stem}"

    @property
    def start(self) -> tuple[str, ...]:
        """The command that watches."""
        return (*self.command, "watch", str(self.config))


class Manager(Protocol):
    """What a service manager's module offers."""

    PROGRAM: str

    def text(self, service: Service, mark: str, /) -> bytes:
        """The file that it reads."""

    def place(self, service: Service, /) -> Path:
        """Where that belongs."""

    def starting(self, service: Service, path: Path, /) -> list[list[str]]:
        """The commands that read it and start the service."""

    def stopping(self, service: Service, path: Path, /) -> list[list[str]]:
        """The commands that stop it."""

    def forgetting(self, service: Service, /) -> list[list[str]]:
        """The commands once the file is gone."""

    def asking(self, service: Service, /) -> list[str]:
        """The command that tells how it is."""

    def remarks(self, service: Service, /) -> list[str]:
        """What a person should know."""


def text(service: Service, platform: str = sys.platform) -> bytes:
    """The file that the service manager reads: a systemd unit, a launchd list or a Windows task.

    Raises:
        UsageError: a path cannot stand in such a file, or this system's manager is not known.
    """
    for path in (service.config, *service.folders):
        refuse_odd(str(path))
    return _manager(platform).text(service, MARK)


def place(service: Service, platform: str = sys.platform) -> Path:
    """Where that file belongs."""
    return _manager(platform).place(service)


def install(service: Service, platform: str = sys.platform) -> list[str]:
    """Writes the file, has it read and the service started; returns what to tell the person.

    Raises:
        UsageError: something else stands there, or this system has no such service manager.
        ScanmendError: the service manager refuses.
    """
    manager, path = _manager(platform), place(service, platform)
    need(manager.PROGRAM)
    refuse_foreign(path)
    content = text(service, platform)
    if path.exists():  # one that runs has the old settings
        for command in manager.stopping(service, path):
            run(command, may_fail=True)
    try:
        write(path, content)
    except OSError as cause:
        hint = "run it as root" if service.system else ""
        raise UsageError(f"{path} cannot be written: {cause.strerror}", hint=hint) from cause
    for command in manager.starting(service, path):
        run(command)
    return [f"{path} is written and {service.name} started", *manager.remarks(service)]


def uninstall(service: Service, platform: str = sys.platform) -> list[str]:
    """Stops the service and takes its file away; scans, results and the ledger stay.

    Raises:
        UsageError: it is not installed, or the file there is somebody else's.
    """
    manager, path = _manager(platform), place(service, platform)
    if not path.exists():
        raise UsageError(f"{service.name} is not installed: there is no {path}")
    need(manager.PROGRAM)
    refuse_foreign(path)
    for command in manager.stopping(service, path):
        run(command, may_fail=True)  # it may have been stopped or forgotten already
    path.unlink()
    for command in manager.forgetting(service):
        run(command)
    return [f"{service.name} is stopped and {path} removed; scans, results and the ledger stay as they are"]


def status(service: Service, platform: str = sys.platform) -> tuple[int, str]:
    """What the service manager says about it: 0 where it runs, and its words."""
    manager, path = _manager(platform), place(service, platform)
    if not path.exists():
        raise UsageError(f"{service.name} is not installed", hint="scanmend service install does that")
    need(manager.PROGRAM)
    done = started(manager.asking(service))
    return done.returncode, (done.stdout + done.stderr).strip()


def _manager(platform: str) -> Manager:
    known = {"linux": systemd, "darwin": launchd, "win32": tasks}
    if platform not in known:
        raise UsageError(
            f"Scanmend knows no service manager of {platform}",
            hint="have scanmend watch started",
        )
    return known[platform]


def need(program: str) -> None:
    """Raises UsageError where a program is not on this system."""
    if shutil.which(program) is None:
        raise UsageError(
            f"{program} is not on this system, so nothing can be installed",
            hint="scanmend service show prints what would be written",
        )


def refuse_odd(path: str) -> None:
    """A line break could forge a setting, and bytes that are no text no service manager takes."""
    if not path.isprintable():
        raise UsageError(f"{path!r} cannot stand in a service's file", hint="rename the folder")


def refuse_foreign(path: Path) -> None:
    """What somebody else wrote under that name is neither replaced nor removed."""
    if not path.exists():
        return
    if MARK.encode() not in path.read_bytes().replace(b"\0", b""):  # Windows' tasks are UTF-16
        raise UsageError(f"{path} was not written by Scanmend", hint="move it elsewhere first")


def write(path: Path, content: bytes) -> None:
    """Writes a file in one step, readable by all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sibling = path.with_name(f".{path.name}.part")
    sibling.write_bytes(content)
    sibling.chmod(0o644)
    sibling.replace(path)


def run(command: Sequence[str], *, may_fail: bool = False) -> None:
    """Runs a service manager's command.

    Raises:
        ScanmendError: it fails, and may not.
    """
    done = started(command)
    if done.returncode and not may_fail:
        said = " ".join((done.stderr or done.stdout).split())[:500]
        raise ScanmendError(
            f"{' '.join(command)} failed: {said}", hint="scanmend service show prints the file"
        )


def started(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """How a command ended, and what it said."""
    try:
        return subprocess.run(  # noqa: S603 - the words are ours
            command, capture_output=True, text=True, errors="replace", timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise ScanmendError(f"{command[0]} does not answer: {cause}") from cause
