"""Has systemd start the engine when a program asks for it that cannot start it itself, from its sandbox."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from scanmend import places
from scanmend.errors import UsageError

from scanmend_install import service, systemd

NAME = "scanmend-engine"
_SYSTEMCTL = (systemd.PROGRAM, "--user")

_SOCKET = """\
# {mark} --engine
[Unit]
Description=Scanmend's engine, for programs in a sandbox

[Socket]
ListenStream={address}
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"""

_SERVICE = """\
# {mark} --engine
[Unit]
Description=Scanmend's engine
Requires={name}.socket
After={name}.socket

[Service]
ExecStart={start}
KillMode=mixed
TimeoutStopSec=30
# A scan that takes all memory costs its worker, not the engine.
OOMPolicy=continue
SyslogIdentifier={name}
Environment=PYTHONUNBUFFERED=1
"""


@dataclass(frozen=True)
class Engine:
    """An engine that systemd starts for one person.

    Attributes:
        address: the socket that systemd listens on meanwhile.
        command: what starts the engine.
    """

    address: Path
    command: tuple[str, ...]

    @classmethod
    def usual(cls) -> Engine:
        """This installation's, where sandboxed programs look for it."""
        return cls(places.shared_socket(), (sys.executable, "-m", "scanmend", "serve"))


def texts(engine: Engine) -> dict[Path, bytes]:
    """The units by where they belong.

    Raises:
        UsageError: the address cannot stand in a unit.
    """
    service.refuse_odd(str(engine.address))
    start = " ".join(systemd.argument(word) for word in engine.command)
    socket = _SOCKET.format(mark=service.MARK, address=str(engine.address).replace("%", "%%"))
    serving = _SERVICE.format(mark=service.MARK, name=NAME, start=start) + systemd.ANYONE
    folder = systemd.user_folder()
    return {folder / f"{NAME}.socket": socket.encode(), folder / f"{NAME}.service": serving.encode()}


def install(engine: Engine, platform: str = sys.platform) -> list[str]:
    """Writes the units and has systemd listen; returns what to tell the person.

    Raises:
        UsageError: this system has no systemd, or somebody else's units stand there.
        ScanmendError: systemd refuses.
    """
    _need(platform)
    units = texts(engine)
    for path in units:
        service.refuse_foreign(path)
    _stop()
    for path, text in units.items():
        try:
            service.write(path, text)
        except OSError as cause:
            raise UsageError(f"{path} cannot be written: {cause.strerror}") from cause
    service.run([*_SYSTEMCTL, "daemon-reload"])
    service.run([*_SYSTEMCTL, "enable", "--now", f"{NAME}.socket"])
    return [f"systemd listens on {engine.address} and starts the engine when it is asked for"]


def uninstall(platform: str = sys.platform) -> list[str]:
    """Stops the engine that systemd started, and takes the units away.

    Raises:
        UsageError: they are not installed, or are somebody else's.
    """
    _need(platform)
    there = [path for path in texts(Engine.usual()) if path.exists()]
    if not there:
        raise UsageError(f"{NAME} is not installed")
    for path in there:
        service.refuse_foreign(path)
    _stop()
    for path in there:
        path.unlink()
    service.run([*_SYSTEMCTL, "daemon-reload"])
    return [f"{path} is removed" for path in there]


def status(platform: str = sys.platform) -> tuple[int, str]:
    """What systemd says about the socket: 0 where it listens, and its words.

    Raises:
        UsageError: this system has no systemd, or the units are not installed.
    """
    _need(platform)
    if not any(path.exists() for path in texts(Engine.usual())):
        raise UsageError(f"{NAME} is not installed", hint="scanmend service install --engine does that")
    done = service.started([*_SYSTEMCTL, "status", "--no-pager", f"{NAME}.socket"])
    return done.returncode, (done.stdout + done.stderr).strip()


def _stop() -> None:
    """It may not run, nor be known."""
    units = [f"{NAME}.socket", f"{NAME}.service"]
    service.run([*_SYSTEMCTL, "disable", "--now", *units], may_fail=True)


def _need(platform: str) -> None:
    if not platform.startswith("linux"):
        raise UsageError(
            "on this system programs start the engine themselves, without a service",
            hint="scanmend plugin check gimp tells whether GIMP can",
        )
    service.need(systemd.PROGRAM)
