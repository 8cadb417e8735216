"""The hot folder as a launchd agent of macOS."""

from __future__ import annotations

import os
import plistlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scanmend_install.service import Service

PROGRAM = "launchctl"


def text(service: Service, mark: str) -> bytes:
    """The property list."""
    log = str(_log(service))
    values: dict[str, object] = {
        "Label": _label(service),
        "ProgramArguments": list(service.start),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "ExitTimeOut": 90,
        "StandardOutPath": log,
        "StandardErrorPath": log,
        "EnvironmentVariables": {"PYTHONUNBUFFERED": "1"},
    }
    if service.system and service.user:
        values["UserName"] = service.user
    written = plistlib.dumps(values)
    return written.replace(b"<plist", f"<!-- {mark} -->\n<plist".encode(), 1)


def place(service: Service) -> Path:
    """Where the list belongs."""
    base = Path("/Library/LaunchDaemons") if service.system else Path.home() / "Library" / "LaunchAgents"
    return base / f"{_label(service)}.plist"


def starting(service: Service, path: Path) -> list[list[str]]:
    """Loads the agent, which starts it."""
    return [[PROGRAM, "bootstrap", _domain(service), str(path)]]


def stopping(service: Service, path: Path) -> list[list[str]]:  # noqa: ARG001 - as the others have it
    """Unloads the agent, which stops it."""
    return [[PROGRAM, "bootout", f"{_domain(service)}/{_label(service)}"]]


def forgetting(service: Service) -> list[list[str]]:  # noqa: ARG001
    """Nothing follows."""
    return []


def asking(service: Service) -> list[str]:
    """How it is."""
    return [PROGRAM, "print", f"{_domain(service)}/{_label(service)}"]


def remarks(service: Service) -> list[str]:
    """What a person should know."""
    return [
        f"its log is {_log(service)}",
        "macOS asks once whether Python may read your folders: say yes",
    ]


def _label(service: Service) -> str:
    return service.name.replace("scanmend-", "scanmend.", 1)


def _domain(service: Service) -> str:
    return "system" if service.system else f"gui/{os.getuid()}"


def _log(service: Service) -> Path:
    base = Path("/Library/Logs") if service.system else Path.home() / "Library" / "Logs"
    return base / f"{service.name}.log"
