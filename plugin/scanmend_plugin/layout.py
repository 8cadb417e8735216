"""What the plug-in's folder holds: everything that GIMP starts, from this installation of Scanmend."""

from __future__ import annotations

import json
import os
import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import scanmend
from scanmend import places, profile
from scanmend.serve import client

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAME = "scanmend"
"""The plug-in's folder, and with `.py` the file in it that GIMP starts: GIMP wants them alike."""
DESCRIPTION = "scanmend.json"
MARK = "Written by scanmend plugin install"
"""Folders without it are somebody else's."""

_SHIPPED = (".py", ".mo", ".png", ".svg")  # not the translators' texts, nor what Python compiles
_PROGRAM, _DATA = 0o755, 0o644


def lay_out(
    folder: Path,
    gimp: Literal[2, 3],
    *,
    command: Sequence[str] | None = None,
    addresses: Sequence[str] | None = None,
) -> None:
    """Makes the plug-in's folder as GIMP reads it; nothing may stand there yet.

    Args:
        folder: `.../plug-ins/scanmend`; the folders above it are made where they are missing.
        gimp: which GIMP it is for.
        command: what starts the engine; that of this installation if not given.
        addresses: where engines are looked for; the usual places of this person if not given.

    Raises:
        FileExistsError: something stands there.
        OSError: a file cannot be written.
    """
    folder.mkdir(mode=_PROGRAM, parents=True)
    payload = Path(str(resources.files("scanmend_plugin"))) / "payload"
    _copy(payload / f"gimp{gimp}.py", folder / f"{NAME}.py")
    (folder / f"{NAME}.py").chmod(_PROGRAM)
    _copy(Path(client.__file__), folder / "scanmend_client.py")
    for part in ("scanmend_front", f"scanmend_gimp{gimp}", "locale"):
        for source in _files(payload / part):
            _copy(source, folder / source.relative_to(payload))
    described = description(
        gimp,
        default_command() if command is None else command,
        default_addresses() if addresses is None else addresses,
    )
    described["files"] = sorted(
        [DESCRIPTION, *(file.relative_to(folder).as_posix() for file in _files(folder))]
    )
    text = json.dumps(described, indent=2) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="ascii")
    (folder / DESCRIPTION).chmod(_DATA)


def description(gimp: int, command: Sequence[str], addresses: Sequence[str]) -> dict[str, Any]:
    """What the plug-in is told about the Scanmend that installed it, JSON-ready."""
    shipped = [listed for listed in profile.listing() if listed.path is None]
    known = profile.keys()
    groups = {key.rpartition(".")[0] for key in known}
    return {
        "mark": MARK,
        "gimp": gimp,
        "version": scanmend.__version__,
        "protocol": client.PROTOCOL,
        "command": list(command),
        "addresses": list(addresses),
        "profiles": [{"name": listed.name, "purpose": listed.purpose} for listed in shipped],
        "keys": [key for key in known if key not in groups],
    }


def default_command() -> list[str]:
    """What starts the engine of this installation, whatever the environment that GIMP has set.

    The interpreter's links stay: behind those of a virtual environment lies another Python.
    """
    return [sys.executable, "-I", "-m", "scanmend", "serve"]


def default_addresses() -> list[str]:
    """Where an engine of this person listens, the nearest first."""
    usual = client.default_address()
    shared = [] if sys.platform == "win32" else [str(places.shared_socket())]
    return list(dict.fromkeys([usual, *shared]))


def _files(folder: Path) -> Iterable[Path]:
    found = (Path(base) / name for base, _, names in os.walk(folder) for name in names)
    return (path for path in found if path.suffix in _SHIPPED and path.parent.name != "__pycache__")


def _copy(source: Path, target: Path) -> None:
    """The bytes alone: a package may lie in a store whose files nobody may write to."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(_DATA)
