"""The hot folder as a task of the Windows Task Scheduler, which starts it at logon.

Not a Windows service: those see neither the person's mapped drives nor their permissions.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from scanmend_install.service import Service

PROGRAM = "schtasks"
_SPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_SETTINGS = {
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "false",
    "StopIfGoingOnBatteries": "false",
    "StartWhenAvailable": "true",
    "ExecutionTimeLimit": "PT0S",  # for ever
    "Priority": "7",  # below what people work with
}


def text(service: Service, mark: str) -> bytes:
    """The task, in the UTF-16 that the scheduler wants."""
    task = ET.Element("Task", {"version": "1.2", "xmlns": _SPACE})
    about = ET.SubElement(task, "RegistrationInfo")
    ET.SubElement(about, "Description").text = f"Scanmend hot folder ({service.config}). {mark}."
    trigger = "BootTrigger" if service.system else "LogonTrigger"
    ET.SubElement(ET.SubElement(ET.SubElement(task, "Triggers"), trigger), "Enabled").text = "true"
    principal = ET.SubElement(ET.SubElement(task, "Principals"), "Principal", {"id": "Author"})
    if service.system:
        ET.SubElement(principal, "UserId").text = service.user or "S-1-5-19"  # the local service
    else:
        ET.SubElement(principal, "LogonType").text = "InteractiveToken"
    ET.SubElement(principal, "RunLevel").text = "LeastPrivilege"
    settings = ET.SubElement(task, "Settings")
    for key, value in _SETTINGS.items():
        ET.SubElement(settings, key).text = value
    again = ET.SubElement(settings, "RestartOnFailure")
    ET.SubElement(again, "Interval").text = "PT1M"
    ET.SubElement(again, "Count").text = "99"
    action = ET.SubElement(ET.SubElement(task, "Actions", {"Context": "Author"}), "Exec")
    program, *rest = service.start
    ET.SubElement(action, "Command").text = _windowless(program)
    ET.SubElement(action, "Arguments").text = subprocess.list2cmdline(rest)
    ET.indent(task)
    return ET.tostring(task, encoding="utf-16", xml_declaration=True)


def place(service: Service) -> Path:
    """Where the task is kept; the scheduler has a copy."""
    base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    return Path(base) / "scanmend" / f"{service.name}.xml"


def starting(service: Service, path: Path) -> list[list[str]]:
    """Registers the task and runs it."""
    name = ["/TN", service.name]
    return [[PROGRAM, "/Create", *name, "/XML", str(path), "/F"], [PROGRAM, "/Run", *name]]


def stopping(service: Service, path: Path) -> list[list[str]]:  # noqa: ARG001 - as the others have it
    """Ends the task and takes it from the scheduler."""
    name = ["/TN", service.name]
    return [[PROGRAM, "/End", *name], [PROGRAM, "/Delete", *name, "/F"]]


def forgetting(service: Service) -> list[list[str]]:  # noqa: ARG001
    """Nothing follows."""
    return []


def asking(service: Service) -> list[str]:
    """How it is."""
    return [PROGRAM, "/Query", "/TN", service.name, "/V", "/FO", "LIST"]


def remarks(service: Service) -> list[str]:  # noqa: ARG001
    """What a person should know."""
    return ["name folders on a server as \\\\server\\share: letters of drives are each person's own"]


def _windowless(program: str) -> str:
    """Pythonw beside python, so that no empty window stands on the screen."""
    path = PureWindowsPath(program)
    return str(path.with_name("pythonw.exe")) if path.name.lower() == "python.exe" else program
