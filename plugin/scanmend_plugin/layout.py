"""What the plug-in's folder holds: everything that GIMP starts, from this installation of Scanmend."""

from __future__ import annotations

import json
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import scanmend
from scanmend import places, profile
from scanmend.serve import client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "scanmend"
"""The plug-in's folder, and with `.py` the file in it that GIMP starts: GIMP wants them alike."""
DESCRIPTION = "scanmend.json"
MARK = "Written by scanmend plugin install"
"""Folders whose description lacks it are somebody else's."""

_SHIPPED = {".py", ".mo", ".png", ".svg"}  # not the translators' texts, nor what Python compiles
_FOLDER, _PROGRAM, _DATA = 0o755, 0o755, 0o644


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
    inside = contents(gimp, command=command, addresses=addresses)
    folder.mkdir(mode=_FOLDER, parents=True)
    for name, content in inside.items():
        path = folder / name
        path.parent.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(_PROGRAM if name == f"{NAME}.py" else _DATA)


def contents(
    gimp: Literal[2, 3], *, command: Sequence[str] | None = None, addresses: Sequence[str] | None = None
) -> dict[str, bytes]:
    """Every file of the plug-in's folder by its name in it, with slashes; arguments as of `lay_out`."""
    payload = Path(str(resources.files("scanmend_plugin"))) / "payload"
    inside = {
        f"{NAME}.py": (payload / f"gimp{gimp}.py").read_bytes(),
        "scanmend_client.py": Path(client.__file__).read_bytes(),
    }
    for part in ("scanmend_front", f"scanmend_gimp{gimp}", "locale"):
        inside |= {file.relative_to(payload).as_posix(): file.read_bytes() for file in _files(payload / part)}
    described = {
        **_description(command or default_command(), addresses or default_addresses()),
        "mark": MARK,
        "files": sorted([*inside, DESCRIPTION]),
    }
    inside[DESCRIPTION] = (json.dumps(described, indent=2) + "\n").encode("ascii")
    return inside


def default_command(*, flags: Sequence[str] = ("-I",)) -> list[str]:
    """What starts the engine of this installation, whatever the environment that GIMP has set.

    The interpreter's links stay: behind those of a virtual environment lies another Python.
    """
    return [sys.executable, *flags, "-m", "scanmend", "serve"]


def default_addresses() -> list[str]:
    """Where an engine of this person listens, the nearest first."""
    usual = client.default_address()
    shared = [] if sys.platform == "win32" else [str(places.shared_socket())]
    return list(dict.fromkeys([usual, *shared]))


def _description(command: Sequence[str], addresses: Sequence[str]) -> dict[str, Any]:
    shipped = [listed for listed in profile.listing() if listed.path is None]
    known = profile.keys()
    groups = {key.rpartition(".")[0] for key in known}
    return {
        "version": scanmend.__version__,
        "protocol": client.PROTOCOL,
        "command": list(command),
        "addresses": list(addresses),
        "profiles": [{"name": listed.name, "purpose": listed.purpose} for listed in shipped],
        "keys": [key for key in known if key not in groups],
    }


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in _SHIPPED and path.is_file())
