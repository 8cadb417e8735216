"""Starts a GIMP without a display and has it say whether it knows the plug-in and reaches the engine."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import scanmend
from scanmend.errors import UsageError

from scanmend_plugin import installing, machine
from scanmend_plugin.layout import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend_plugin.paths import Gimp

INSTALL = "scanmend plugin install gimp"
_PROCEDURE = "plug-in-scanmend-restore"
_LIMIT = 180.0  # seconds: the first start of a new GIMP asks all its plug-ins, and an engine is started
_NO_PYTHON = "no Python"
_BY_HAND = "start it by hand, then check again"


@dataclass(frozen=True)
class Line:
    """What was looked at, whether it is well, and what to do if not."""

    ok: bool
    found: str
    to_do: str = ""


def installed(gimp: Gimp, command: Sequence[str]) -> Line:
    """Whether the plug-in stands there as this Scanmend writes it.

    Args:
        gimp: whose folder of plug-ins is looked at.
        command: what `installing.working_command` gives.
    """
    plug_ins = Path(gimp.plug_ins)
    at, folder = installing.look(plug_ins, gimp.generation, command), plug_ins / NAME
    if at.state == "missing":
        return Line(False, f"the plug-in is not in {plug_ins}", INSTALL)
    if at.state == "foreign":
        return Line(False, f"{folder} was not written by Scanmend", f"move it elsewhere, then {INSTALL}")
    if at.state == "old":
        what = "differs from this one's" if at.version == scanmend.__version__ else f"is of {at.version}"
        return Line(False, f"the plug-in in {folder} {what}", INSTALL)
    return Line(True, f"the plug-in of Scanmend {at.version} is in {folder}")


def tried(gimp: Gimp) -> list[Line]:
    """Whether the plug-in works in a GIMP, as far as that can be started; nothing where it is missing."""
    plug_ins = Path(gimp.plug_ins)
    if not (plug_ins / NAME).is_dir():
        return []
    if not gimp.program:
        return [Line(True, "its program was not found, so it was not started")]
    return _judged(_asked(gimp, plug_ins))


def first_start(gimp: Gimp) -> None:
    """Has a GIMP that was never started make its settings folder, which it does in a folder's absence alone.

    It would otherwise miss what it keeps there, and not take over the settings of an older GIMP.

    Raises:
        UsageError: it cannot be started.
    """
    folder = Path(gimp.plug_ins).parent
    if folder.is_dir():
        return
    with contextlib.suppress(OSError):
        if gimp.program:
            machine.run([*gimp.program, *_options(gimp.generation, "0", "pass")], _LIMIT)
    if not folder.is_dir():
        sentence = f"{gimp.title} was never started here: there is no {folder}"
        raise UsageError(sentence, hint="start it once, then run this again")


def _asked(gimp: Gimp, plug_ins: Path) -> dict[str, Any] | Line:
    """What GIMP answers to the probe; a line where it gives no answer."""
    try:
        # Beside its settings, where every GIMP may read and write, whatever sandbox it is in.
        work = Path(tempfile.mkdtemp(prefix=".scanmend-", dir=plug_ins.parent))
    except OSError as cause:
        sentence = f"{plug_ins.parent} cannot be written to: {cause.strerror}"
        return Line(False, sentence, "change its permissions")
    try:
        answer = work / "answer.json"
        asked = {"folder": plug_ins / NAME, "answer": answer, "pattern": f"^{_PROCEDURE}"}
        _write_probe(work / "probe.py", {name: str(value) for name, value in asked.items()})
        code, printed = machine.run([*gimp.program, *_batch(gimp.generation, work)], _LIMIT)
        if answer.exists():
            return {**json.loads(answer.read_bytes()), "printed": printed}
        return _silent(code, printed, no_python=(work / _NO_PYTHON).exists())
    except OSError as cause:
        sentence = f"{' '.join(gimp.program)} cannot be started: {cause.strerror or cause}"
        return Line(False, sentence, _BY_HAND)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_probe(path: Path, asked: dict[str, str]) -> None:
    text = (resources.files("scanmend_plugin") / "payload" / "probe.py").read_text(encoding="utf-8")
    # JSON's text is Python's too, and as ASCII it is so whatever encoding the host believes in.
    literal = json.dumps(json.dumps(asked))
    path.write_text(text.replace("(ASKED)", f"(json.loads({literal}))"), encoding="utf-8")


def _batch(generation: Literal[2, 3], work: Path) -> list[str]:
    """The options that have GIMP run the probe and end."""
    run = f"import io; exec(io.open(u{json.dumps(str(work / 'probe.py'))}, 'rb').read())"
    scheme = (
        '(if (= 0 (car (gimp-procedural-db-proc-exists "python-fu-eval")))'
        f" (close-output-port (open-output-file {_scheme(str(work / _NO_PYTHON))}))"
        f" (python-fu-eval RUN-NONINTERACTIVE {_scheme(run)}))"
    )
    return _options(generation, scheme, run)


def _options(generation: Literal[2, 3], scheme: str, python: str) -> list[str]:
    """The options that have a GIMP do something without a display: Scheme in 2.10, which may lack Python."""
    if generation == 3:
        return ["-idf", "--batch-interpreter=python-fu-eval", "-b", python, "--quit"]
    return ["-idf", "--batch-interpreter=plug-in-script-fu-eval", "-b", scheme, "-b", "(gimp-quit 1)"]


def _scheme(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _silent(code: int, printed: str, *, no_python: bool) -> Line:
    if no_python:
        return Line(False, "this GIMP has no Python, which its plug-ins need", "take GIMP 3, which has")
    if code == -1:
        return Line(False, f"GIMP did not answer within {_LIMIT:.0f} seconds", _BY_HAND)
    return Line(False, f"GIMP did not answer: {_last(printed)}", _BY_HAND)


def _judged(said: dict[str, Any] | Line) -> list[Line]:
    if isinstance(said, Line):
        return [said]
    known = said.get("procedures", [])
    if "raised" in said:
        lines = [Line(False, f"the plug-in cannot be tried in it: {said['raised']}", INSTALL)]
    elif _PROCEDURE not in known:
        sentence = f"it does not know {_PROCEDURE}: {_last(said['printed'], about='Error')}"
        lines = [Line(False, sentence, f"{INSTALL}, and see what GIMP says in a terminal")]
    else:
        lines = [Line(True, f"it knows {_PROCEDURE} and {len(known) - 1} more of the plug-in's procedures")]
    return [*lines, *_engine(said)]


def _engine(said: dict[str, Any]) -> list[Line]:
    found = said.get("engine")
    if found is None:
        return []
    if "sentence" in found:
        return [Line(False, found["sentence"], _way_in(said["sandbox"]) or found["hint"])]
    if found["version"] != scanmend.__version__:
        text = f"the engine that it reaches is of Scanmend {found['version']}, not {scanmend.__version__}"
        return [Line(False, text, "end that engine: scanmend serve starts anew when it is needed")]
    how = f"answers at {found['running']}" if "running" in found else "starts when it is needed"
    return [Line(True, f"the engine {how}, and both speak the same protocol")]


def _way_in(sandbox: str) -> str:
    """What to do where GIMP may not start a program of this system."""
    how = "scanmend service install --engine has the system start it when GIMP asks"
    return f"{how} from its {sandbox}" if sandbox else ""


def _last(printed: str, about: str = "") -> str:
    """The last line that says something about the subject, or at all."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    fitting = [line for line in lines if about in line] or lines
    return fitting[-1][:300] if fitting else "it said nothing"
