"""Where GIMPs lie on Linux, Windows and macOS, and where each reads a person's plug-ins.

Everything here is worked out from a `System`, which holds all that is asked of the machine: so the places
of each system can be worked out, and tested, on any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Kind = Literal["system", "Flatpak", "Snap", "AppImage", "folder"]
"""How a GIMP came to the machine; "system" is a package, an installer or a build of one's own."""

FLATPAK = "org.gimp.GIMP"
_PROGRAM = re.compile(r"gimp(-console)?(-\d+(\.\d+)?)?(\.exe)?")
_APP_IMAGE = re.compile(r"gimp\b.*\.appimage", re.IGNORECASE)
_WINDOWS_PROGRAM = re.compile(r"gimp-console-\d+\.\d+\.exe", re.IGNORECASE)


@dataclass(frozen=True)
class System:
    """What is asked of the machine.

    Attributes:
        platform: as `sys.platform` names it.
        home: the person's folder; its class says how paths are written here.
        environ: the environment.
        listing: the names that a folder holds; none where it is none or may not be read.
        real: a path without links.
        installed: folders that Windows' registry names as GIMP's.
    """

    platform: str
    home: PurePath
    environ: Mapping[str, str]
    listing: Callable[[PurePath], Sequence[str]]
    real: Callable[[PurePath], PurePath] = field(default=lambda path: path)
    installed: Sequence[str] = ()

    def path(self, text: str) -> PurePath:
        """A path as this system writes it."""
        return type(self.home)(text)

    def folder(self, variable: str) -> PurePath | None:
        """The absolute path that an environment variable holds."""
        text = self.environ.get(variable, "").strip()
        return self.path(text) if text and self.path(text).is_absolute() else None

    def exists(self, path: PurePath) -> bool:
        """Whether something of that name is there."""
        return path.name in self.listing(path.parent)


@dataclass(frozen=True)
class Program:
    """What starts a GIMP, and how it came here."""

    kind: Kind
    words: tuple[str, ...]


@dataclass(frozen=True)
class Gimp:
    """A GIMP of this person.

    Attributes:
        kind: how it came here.
        version: that its settings folder is named after, such as "3.0".
        plug_ins: the folder from which it reads this person's plug-ins; it need not exist.
        program: what starts it; empty where only its settings were found.
    """

    kind: Kind
    version: str
    plug_ins: PurePath
    program: tuple[str, ...] = ()

    @property
    def generation(self) -> Literal[2, 3]:
        """Which of the two plug-ins it takes."""
        return 2 if self.version.startswith("2.") else 3

    @property
    def title(self) -> str:
        """What people call it."""
        return f"GIMP {self.version}" + ("" if self.kind in {"system", "folder"} else f" ({self.kind})")


def find(system: System, said_by: Callable[[Sequence[str]], str]) -> list[Gimp]:
    """Every GIMP 2.10 and 3 of this person: those that can be started, and those that left settings.

    Args:
        system: the machine.
        said_by: what a program prints when it is run with these words; empty where it does not run.
    """
    startable: dict[tuple[Kind, str], Program] = {}
    for program in programs(system):
        version = version_in(said_by([*program.words, "--version"]))
        if version:
            startable.setdefault((program.kind, version), program)
    gimps = [
        Gimp(kind, version, settings_folder(system, kind, version) / "plug-ins", program.words)
        for (kind, version), program in startable.items()
    ]
    taken = {gimp.plug_ins for gimp in gimps}
    for kind, base in settings_bases(system):
        places = ((version, base / version / "plug-ins") for version in system.listing(base))
        gimps += [Gimp(kind, version, at) for version, at in places if supported(version) and at not in taken]
    return sorted(gimps, key=lambda gimp: (_numbers(gimp.version), gimp.kind), reverse=True)


def supported(version: str) -> bool:
    """Whether there is a plug-in for the GIMP whose settings folder has this name."""
    return re.fullmatch(r"2\.10|3\.\d{1,3}", version) is not None


def version_in(said: str) -> str:
    """The version that GIMP's settings folder is named after, from what `--version` prints; "" if none."""
    found = re.search(r"version (\d+\.\d+)\b", said)
    return found[1] if found and supported(found[1]) else ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


# --- settings folders --------------------------------------------------------------------


def settings_bases(system: System) -> list[tuple[Kind, PurePath]]:
    """The folders in which GIMPs keep one folder for each version, with who owns them."""
    bases: list[tuple[Kind, PurePath]] = [("system", _usual_base(system))]
    if system.platform not in {"win32", "darwin"}:
        bases += [("Flatpak", _flatpak_base(system)), ("Snap", _snap_base(system))]
    return bases


def settings_folder(system: System, kind: Kind, version: str) -> PurePath:
    """Where a GIMP keeps its settings, whether it has been started yet or not."""
    usual = _usual_base(system)
    if kind == "Snap":
        return _snap_base(system) / version
    if kind == "Flatpak":
        # Its sandbox shows the usual folder where there is one, and has its own where there is none.
        return (usual if system.exists(usual) else _flatpak_base(system)) / version
    moved = system.environ.get(f"GIMP{version[0]}_DIRECTORY", "").strip()
    return system.home / moved if moved else usual / version


def _usual_base(system: System) -> PurePath:
    if system.platform == "win32":
        roaming = system.folder("APPDATA") or system.home / "AppData" / "Roaming"
        return roaming / "GIMP"
    if system.platform == "darwin":
        return system.home / "Library" / "Application Support" / "GIMP"
    return (system.folder("XDG_CONFIG_HOME") or system.home / ".config") / "GIMP"


def _flatpak_base(system: System) -> PurePath:
    return system.home / ".var" / "app" / FLATPAK / "config" / "GIMP"


def _snap_base(system: System) -> PurePath:
    """The data of the revision in use: `current` is a link to it, else the highest number is it."""
    snap = system.home / "snap" / "gimp"
    names = system.listing(snap)
    numbers = sorted((name for name in names if name.isdecimal()), key=int)
    revision = numbers[-1] if numbers and "current" not in names else "current"
    return snap / revision / ".config" / "GIMP"


# --- programs ----------------------------------------------------------------------------


def programs(system: System) -> list[Program]:
    """Everything that may start a GIMP, those without a window first, each once."""
    found: dict[tuple[str, ...], Program] = {}
    for program in _candidates(system):
        real = (str(system.real(system.path(program.words[0]))), *program.words[1:])
        found.setdefault(real, program)
    return sorted(found.values(), key=lambda program: "console" not in program.words[0])


def _candidates(system: System) -> Iterator[Program]:
    if system.platform == "win32":
        yield from _on_windows(system)
        return
    for folder in _search_path(system):
        kind: Kind = "Snap" if folder.parts[-2:] == ("snap", "bin") else "system"
        yield from _in_folder(system, kind, folder, _PROGRAM)
    if system.platform == "darwin":
        yield from _on_macos(system)
        return
    yield from _flatpaks(system)
    for name in ("Applications", "AppImages", ".local/bin", "bin", "Downloads", "Desktop"):
        yield from _in_folder(system, "AppImage", system.home / name, _APP_IMAGE)


def _in_folder(system: System, kind: Kind, folder: PurePath, names: re.Pattern[str]) -> Iterator[Program]:
    for name in sorted(system.listing(folder)):
        if names.fullmatch(name):
            yield Program(kind, (str(folder / name),))


def _search_path(system: System) -> Iterable[PurePath]:
    texts = system.environ.get("PATH", "").split(":")
    return (system.path(text) for text in texts if text.startswith("/"))


def _flatpaks(system: System) -> Iterator[Program]:
    data = system.folder("XDG_DATA_HOME") or system.home / ".local" / "share"
    for base in (data / "flatpak", system.path("/var/lib/flatpak")):
        if system.exists(base / "app" / FLATPAK):
            yield Program("Flatpak", ("flatpak", "run", FLATPAK))
            return


def _on_windows(system: System) -> Iterator[Program]:
    bases = [system.folder(name) for name in ("ProgramFiles", "ProgramW6432", "ProgramFiles(x86)")]
    local = system.folder("LOCALAPPDATA")
    bases.append(local / "Programs" if local else None)
    homes = [system.path(text) for text in system.installed]
    for base in bases:
        if base is not None:
            homes += [base / name for name in system.listing(base) if name.upper().startswith("GIMP")]
    for home in homes:
        yield from _in_folder(system, "system", home / "bin", _WINDOWS_PROGRAM)


def _on_macos(system: System) -> Iterator[Program]:
    for base in (system.path("/Applications"), system.home / "Applications"):
        for name in sorted(system.listing(base)):
            if name.startswith("GIMP") and name.endswith(".app"):
                yield from _in_folder(system, "system", base / name / "Contents" / "MacOS", _PROGRAM)


# --- what stands in the way --------------------------------------------------------------


@dataclass(frozen=True)
class Obstacle:
    """Why the plug-in cannot run in a GIMP, and what to do."""

    sentence: str
    hint: str


def obstacle(system: System, gimp: Gimp) -> Obstacle | None:
    """What is known against the plug-in's running in a GIMP."""
    if gimp.kind == "Snap" and gimp.generation == 3:
        return Obstacle(
            "GIMP 3 of the Snap store loads no plug-ins from a home folder",
            "take GIMP from your distribution, from Flathub, or as an AppImage",
        )
    if gimp.kind == "system" and gimp.generation == 2 and _lacks_python(system, gimp):
        return Obstacle("this GIMP 2.10 has no Python, which its plug-ins need", "take GIMP 3, which has")
    return None


def _lacks_python(system: System, gimp: Gimp) -> bool:
    """Whether a package of GIMP 2.10 was found without the file that tells it where Python is."""
    if system.platform in {"win32", "darwin"} or not gimp.program:
        return False  # their installers bring Python 2 along
    prefix = system.real(system.path(gimp.program[0])).parent.parent
    libraries = [
        prefix / "lib",
        prefix / "lib64",
        *(prefix / "lib" / name for name in system.listing(prefix / "lib")),
    ]
    own = [library / "gimp" / "2.0" for library in libraries if system.exists(library / "gimp" / "2.0")]
    return bool(own) and not any(system.exists(folder / "interpreters" / "pygimp.interp") for folder in own)
