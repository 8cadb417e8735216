"""The hot folder as a systemd unit, for one person or for the machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scanmend_install.service import Service

PROGRAM = "systemctl"
_HOMES = ("/home", "/root", "/run/user")
_STATE, _RUNTIME, _CACHE = "/var/lib/scanmend", "/run/scanmend", "/var/cache/scanmend"

_HEAD = """\
# {mark}; install again after a change of folders.
[Unit]
Description=Scanmend hot folder ({config})
# No RequiresMountsFor: it would stop the service together with a share, for which it waits by itself.
After={after}
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart={start}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
# A wrong command line or configuration does not get better by itself.
RestartPreventExitStatus=2 3
WatchdogSec=60
# The scan in work ends within a tile, then its worker is killed; what is lost is done again.
KillMode=mixed
TimeoutStopSec=90
# A scan that takes all memory costs its worker, not the service.
OOMPolicy=continue
Nice=10
CPUWeight=30
IOSchedulingClass=idle
SyslogIdentifier=scanmend
Environment=PYTHONUNBUFFERED=1
"""

# What a user's manager can enforce without privileges. There is no MemoryDenyWriteExecute in any
# unit: the networks' processor code is made while they run.
ANYONE = """
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
"""

_MACHINE = """
{who}
StateDirectory=scanmend
StateDirectoryMode=0750
RuntimeDirectory=scanmend
RuntimeDirectoryMode=0750
CacheDirectory=scanmend
Environment=XDG_STATE_HOME={state} XDG_RUNTIME_DIR={runtime}
Environment=XDG_CACHE_HOME={cache} XDG_CONFIG_HOME=/etc HOME={state}

ProtectSystem=strict
{paths}
ProtectHome={home}
PrivateTmp=yes
PrivateMounts=yes
PrivateDevices={devices}
DevicePolicy=closed
{device_rules}PrivateNetwork={offline}
RestrictAddressFamilies={families}
{addresses}PrivateUsers=yes
PrivateIPC=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
CapabilityBoundingSet=
AmbientCapabilities=
RemoveIPC=yes
KeyringMode=private
SystemCallFilter=~@privileged @obsolete
"""

_TAIL = """
[Install]
WantedBy={wanted}
"""


def text(service: Service, mark: str) -> bytes:
    """The unit."""
    head = _HEAD.format(
        mark=mark,
        config=_plain(str(service.config)),
        after="local-fs.target remote-fs.target" if service.system else "default.target",
        start=" ".join(argument(word) for word in service.start),
    )
    wanted = "multi-user.target" if service.system else "default.target"
    if not service.system:
        head = head.replace("After=default.target\n", "")
    machine = _machine(service) if service.system else ""
    return (head + ANYONE + machine + _TAIL.format(wanted=wanted)).encode()


def place(service: Service) -> Path:
    """Where the unit belongs."""
    if service.system:
        return Path("/etc/systemd/system") / f"{service.name}.service"
    return user_folder() / f"{service.name}.service"


def user_folder() -> Path:
    """Where a person's own units belong."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "systemd" / "user"


def starting(service: Service, path: Path) -> list[list[str]]:  # noqa: ARG001 - as the others have it
    """Has the unit read, started now and at each start of the machine or session."""
    enabling = ["enable", "--now", f"{service.name}.service"]
    return [[*_systemctl(service), "daemon-reload"], [*_systemctl(service), *enabling]]


def stopping(service: Service, path: Path) -> list[list[str]]:  # noqa: ARG001
    """Stops it, now and for the future."""
    return [[*_systemctl(service), "disable", "--now", f"{service.name}.service"]]


def forgetting(service: Service) -> list[list[str]]:
    """What follows when the unit's file is gone."""
    return [[*_systemctl(service), "daemon-reload"]]


def asking(service: Service) -> list[str]:
    """How it is."""
    return [*_systemctl(service), "status", "--no-pager", f"{service.name}.service"]


def remarks(service: Service) -> list[str]:
    """What a person should know."""
    if service.system:
        home = f"{_STATE}/scanmend/watch"
        return [f"its ledger lies in {home}: scanmend status --state {home}/NAME asks it"]
    return ["it runs while you are logged in; loginctl enable-linger lets it run always"]


def _systemctl(service: Service) -> list[str]:
    return [PROGRAM, "--system" if service.system else "--user"]


def _machine(service: Service) -> str:
    needed = [*service.folders, service.config, Path(service.command[0])]
    at_home = any(str(path).startswith(tuple(f"{home}/" for home in _HOMES)) for path in needed)
    card = "DeviceAllow=char-nvidia* rw\nDeviceAllow=char-drm rw\n"
    nowhere = "IPAddressDeny=any\n"
    return _MACHINE.format(
        who=f"User={_plain(service.user)}" if service.user else "DynamicUser=yes",
        state=_STATE,
        runtime=_RUNTIME,
        cache=_CACHE,
        paths=_paths(service.folders),
        home="read-only" if at_home else "yes",
        devices="no" if service.gpu else "yes",
        device_rules=card if service.gpu else "",
        offline="no" if service.page else "yes",
        families="AF_UNIX AF_INET AF_INET6" if service.page else "AF_UNIX",
        addresses=f"{nowhere}IPAddressAllow=localhost\n" if service.page else nowhere,
    )


def _paths(folders: Iterable[Path]) -> str:
    """The folders that may be written to; the dash lets one be missing, as a share may be."""
    lines = [f"ReadWritePaths={_quoted(f'-{folder}')}" for folder in dict.fromkeys(folders)]
    return "\n".join(lines) or "# nothing beside the state may be written to"


def argument(word: str) -> str:
    """A word of a command line."""
    return _quoted(word).replace("$", "$$")


def _quoted(word: str) -> str:
    """A word in quotes, as systemd.syntax(7) and its specifiers want it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("%", "%%")
