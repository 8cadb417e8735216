"""`scanmend plugin`: brings Filters > Restore into a person's GIMPs, tries it there, takes it away."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanmend_plugin import checking, installing, machine, paths
from scanmend_plugin.checking import Line
from scanmend_plugin.layout import NAME
from scanmend_plugin.paths import Gimp

from scanmend.cli import out
from scanmend.errors import ScanmendError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_LEFT_OUT = "left out"  # what cannot work there is no failure, as long as there is another GIMP
_DONE = {"missing": "installed", "old": "upgraded", "current": "current"}
_WORDS = {
    "installed": ("the plug-in is now in {}", "the plug-in would be put into {}"),
    "upgraded": ("the plug-in in {} was replaced", "the plug-in in {} would be replaced"),
    "current": ("the plug-in in {} was up to date", "the plug-in in {} is up to date"),
}


@dataclass
class _Told:
    """What became of one GIMP."""

    gimp: Gimp
    state: str
    lines: list[Line] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(line.ok for line in self.lines)

    def values(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "gimp": self.gimp.title,
            "kind": self.gimp.kind,
            "version": self.gimp.version,
            "folder": str(self.gimp.plug_ins / NAME),
            "program": list(self.gimp.program),
            "state": self.state,
            "ok": self.ok,
            "checks": [{"ok": line.ok, "found": line.found, "to_do": line.to_do} for line in self.lines],
        }


def install(wanted: str | None, *, dry_run: bool, check: bool, json: bool) -> int:
    """Installs the plug-in into every GIMP, or those wanted; returns 1 where something is wrong."""
    command = installing.working_command()
    if os.environ.get("SUDO_USER"):
        out.remark("this is for root's own GIMP; for yourself, run it without sudo")

    def act(gimp: Gimp) -> _Told:
        told = _installed(gimp, command, dry_run=dry_run)
        if check and not dry_run and told.ok:
            told.lines += checking.tried(gimp)
        return told

    told = [_where_possible(gimp, act) for gimp in _meant(wanted)]
    changed = any(one.state in {"installed", "upgraded"} for one in told)
    after = (
        "Start GIMP anew; the plug-in is in its menu Filters > Restore." if changed and not dry_run else ""
    )
    return _tell(told, json=json, after=after)


def uninstall(wanted: str | None, *, dry_run: bool, json: bool) -> int:
    """Removes the plug-in from every GIMP, or from those wanted; returns 1 where that failed."""
    return _tell(
        [_with(gimp, lambda one: _removed(one, dry_run=dry_run)) for gimp in _meant(wanted)], json=json
    )


def check(wanted: str | None, *, json: bool) -> int:
    """Starts every GIMP, or those wanted, without a display; returns 1 where something is wrong."""
    command = installing.working_command()

    def act(gimp: Gimp) -> _Told:
        line = checking.installed(gimp, command)
        return _Told(gimp, "checked", [line, *checking.tried(gimp)])

    return _tell([_where_possible(gimp, act) for gimp in _meant(wanted)], json=json)


def _meant(wanted: str | None) -> list[Gimp]:
    """The GIMPs that are meant: all, those of a version, or that of a folder of plug-ins.

    Raises:
        UsageError: there is none.
    """
    system = machine.this()
    if wanted is None:
        found = paths.find(system, machine.said_by)
        if not found:
            hint = "install GIMP 3, or name the folder that it reads plug-ins from with --gimp"
            raise UsageError("no GIMP was found", hint=hint)
        return found
    if not re.fullmatch(r"\d+(\.\d+)*", wanted):
        return [_of_folder(Path(os.path.abspath(wanted)))]  # noqa: PTH100 - a link stays one
    version = ".".join(wanted.split(".")[:2])
    if version not in {"2", "3"} and not paths.supported(version):
        raise UsageError(f"there is no plug-in for GIMP {wanted}", hint="2.10, 3.0 and later have one")
    found = paths.find(system, machine.said_by)
    fitting = [gimp for gimp in found if version in {gimp.version, str(gimp.generation)}]
    if not fitting and version in {"2", "3"}:
        raise UsageError(f"no GIMP {version} was found", hint=f"name its version, such as {version}.0")
    folder = paths.settings_folder(system, "system", version)
    return fitting or [Gimp("system", version, folder / "plug-ins")]


def _of_folder(folder: Path) -> Gimp:
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", hint="name the folder that a GIMP reads plug-ins from")
    versions = [part for part in folder.parts if re.fullmatch(r"2\.\d+|3\.\d+", part)]
    if not versions:
        hint = "name a folder such as .../GIMP/3.0/plug-ins"
        raise UsageError(f"{folder} does not tell which GIMP it is of", hint=hint)
    return Gimp("folder", versions[-1], folder)


def _where_possible(gimp: Gimp, act: Callable[[Gimp], _Told]) -> _Told:
    """As `_with`, but GIMPs in which the plug-in cannot run are left out."""
    against = paths.obstacle(machine.this(), gimp)
    if against:
        return _Told(gimp, _LEFT_OUT, [Line(False, against.sentence, against.hint)])
    return _with(gimp, act)


def _with(gimp: Gimp, act: Callable[[Gimp], _Told]) -> _Told:
    """What became of one GIMP, whatever it was: the others have their turn all the same."""
    try:
        return act(gimp)
    except ScanmendError as error:
        return _Told(gimp, "failed", [Line(False, error.message, error.hint)])


def _installed(gimp: Gimp, command: Sequence[str], *, dry_run: bool) -> _Told:
    plug_ins = Path(gimp.plug_ins)
    before = installing.look(plug_ins, gimp.generation, command)
    if before.state == "foreign":
        return _Told(gimp, "failed", [checking.installed(gimp, command)])
    if before.state != "current" and not dry_run:
        checking.first_start(gimp)
        installing.install(plug_ins, gimp.generation, command)
    state = _DONE[before.state]
    return _Told(gimp, state, [Line(True, _WORDS[state][dry_run].format(plug_ins / NAME))])


def _removed(gimp: Gimp, *, dry_run: bool) -> _Told:
    plug_ins = Path(gimp.plug_ins)
    if dry_run:
        there = installing.look(plug_ins, gimp.generation, ()).state in {"current", "old"}
        words = f"{plug_ins / NAME} would be removed" if there else "the plug-in is not installed"
        return _Told(gimp, "removed" if there else "missing", [Line(True, words)])
    there, left = installing.uninstall(plug_ins)
    if not there:
        return _Told(gimp, "missing", [Line(True, "the plug-in is not installed")])
    stays = f"; these files in it are yours and stay: {', '.join(left)}" if left else ""
    return _Told(gimp, "removed", [Line(True, f"{plug_ins / NAME} was removed{stays}")])


def _tell(told: list[_Told], *, json: bool, after: str = "") -> int:
    possible = [one for one in told if one.state != _LEFT_OUT]
    ok = bool(possible) and all(one.ok for one in possible)
    if json:
        out.json_document({"ok": ok, "gimps": [one.values() for one in told]})
        return int(not ok)
    for one in told:
        for line in one.lines:
            sign = "ok" if line.ok else "--" if one.state == _LEFT_OUT else "DO"
            out.say(f"{sign}  {one.gimp.title}: {line.found}")
            if line.to_do:
                out.say(f"    -> {line.to_do}")
    if after:
        out.say(after)
    return int(not ok)
