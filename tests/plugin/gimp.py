"""A real GIMP 3 and a real GIMP 2.10 for tests: batch runs without a display, windows on an unseen screen.

They come from the folder that SCANMEND_GIMP_TOOLS names, which holds four scripts: gimp-root builds a Debian
folder with a GIMP in it (minutes, once; it stays in the cache), gimp-in, gimp-batch and gimp-screenshot run
commands, scripts and windows in there. Without them a GIMP 3 of the system's own serves for batch runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.core.serving import Server

Version = Literal[2, 3]

NOWHERE = "/nowhere/scanmend"
"""An engine that does not run, and a command that does not exist: what a run without an engine gets."""

FOUND = [f"PYTHONPATH={os.environ['PYTHONPATH']}"] if "PYTHONPATH" in os.environ else []
"""For `env`: by it a started engine, whose environment is its own, finds an uninstalled Scanmend."""

_CODE = """
import io as _io, json as _json
def answer(values):
    with _io.open({answer!r}, 'wb') as file:
        file.write(_json.dumps(values).encode('ascii'))
with _io.open({script!r}, encoding='utf-8') as _file:
    _text = _file.read()
exec(compile(_text.encode('utf-8'), {script!r}, 'exec'))
"""
# What the system's own GIMP is told to run; gimp-batch does the same for the others.
_START = """
import sys, traceback
ARGS = {args!r}
_status = 1
try:
    exec(compile(open({script!r}).read(), 'script.py', 'exec'))
    _status = 0
except BaseException:
    traceback.print_exc()
sys.stdout.flush()
sys.stderr.flush()
open({status!r}, 'w').write(str(_status))
"""
# Each look at the layers starts with a line of its own; `now` notes the time; `await` waits for a file
# that the test makes in the folder of the pictures; keys for the search wait until it has the keyboard.
_STEPS = """
eval "$(declare -f layers | sed '1s/layers/look/')"
layers() { echo "= layers"; look; }
now() { echo "= $1 $(date +%s.%N)"; }
await() { for _ in $(seq 1200); do if [ -e "/out/$1" ]; then return 0; fi; sleep 0.1; done; return 1; }
action() { focus_main; key slash; wait_window 'Search Actions'; text "$1"; sleep 1.5; key Return; }
"""
_LAYER = re.compile(r"^(\d+) (.*) (\d+) (\d+) ([0-9a-f]{40})$")


@dataclass(frozen=True)
class Ran:
    """How a script in GIMP ended: 0 ran through, 1 raised, 3 GIMP itself failed; and what it answered."""

    code: int
    out: str
    err: str
    values: dict[str, Any]

    @property
    def well(self) -> dict[str, Any]:
        """The answer of a script that ran through."""
        assert self.code == 0, f"the script in GIMP ended with {self.code}:\n{self.out}\n{self.err}"
        return self.values


@dataclass(frozen=True)
class Layer:
    """A layer as GIMP's window held it: sha1 is that of its samples."""

    image: int
    name: str
    width: int
    height: int
    sha1: str


@dataclass(frozen=True)
class Seen:
    """What the steps in GIMP's window left: pictures in `folder`, one tuple for each call of `layers`."""

    code: int
    out: str
    err: str
    folder: Path
    layers: list[tuple[Layer, ...]] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    @property
    def log(self) -> str:
        """What GIMP itself said."""
        return (self.folder / "gimp.log").read_text(encoding="utf-8", errors="replace")

    def well(self) -> Seen:
        """Itself, after steps that all went through."""
        assert self.code == 0, f"the steps ended with {self.code}:\n{self.out}\n{self.err}\n{self.log}"
        return self


@dataclass(frozen=True)
class Around:
    """What a run has around it.

    Attributes:
        env: environment variables for GIMP. Without SCANMEND_ENGINE among them there is no engine.
        show: folders of this machine that are to be seen inside, at their own paths.
        home: a folder that keeps GIMP's settings over several runs; a fresh one if not given.
        plug_in: another plug-in folder than the usual one; None for none.
        timeout: seconds; the run is ended and fails after them.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    show: Iterable[Path] = ()
    home: Path | None = None
    plug_in: Path | Literal["usual"] | None = "usual"
    timeout: float = 300.0

    def variables(self) -> dict[str, str]:
        """The environment, in which there is no engine unless one is named."""
        return {"SCANMEND_ENGINE": NOWHERE, "SCANMEND_COMMAND": json.dumps([NOWHERE]), **self.env}

    def options(self, usual: Path | None) -> list[str]:
        """What the tools are told of it."""
        words = [word for name, value in self.variables().items() for word in ("-e", f"{name}={value}")]
        words += [word for folder in self.show for word in ("-b", str(folder))]
        if self.home is not None:
            words += ["-H", str(self.home)]
        if (plug_in := self.installed(usual)) is not None:
            words += ["-p", str(plug_in)]
        return words

    def installed(self, usual: Path | None) -> Path | None:
        """The plug-in's folder, where one is wanted."""
        return usual if self.plug_in == "usual" else self.plug_in


class Gimp(ABC):
    """One GIMP with the plug-in `plug_in` (a folder named scanmend)."""

    version: Version
    plug_in: Path

    def run(self, script: str | Path, *args: object, **around: Any) -> Ran:
        """Runs Python inside GIMP without a display.

        A script finds what GIMP's own batch Python has, its arguments in ARGS, and answer(dict), which
        hands JSON back; further arguments are those of Around.
        """
        work = Path(tempfile.mkdtemp(prefix="sg-", dir="/tmp"))
        given, answered = work / "given.py", work / "answer.json"
        try:
            given.write_text(
                script.read_text(encoding="utf-8") if isinstance(script, Path) else script, encoding="utf-8"
            )
            (work / "script.py").write_text(_CODE.format(answer=str(answered), script=str(given)))
            done = self._batch(work, [str(arg) for arg in args], Around(**around))
            values = json.loads(answered.read_bytes()) if answered.exists() else {}
            return Ran(done.returncode, done.stdout, done.stderr, values)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @abstractmethod
    def _batch(self, work: Path, args: list[str], around: Around) -> subprocess.CompletedProcess[str]: ...


@dataclass(frozen=True)
class RootedGimp(Gimp):
    """A GIMP in a folder of its own that the tools have built."""

    tools: Path
    version: Version
    plug_in: Path

    def window(self, steps: str, *images: Path, out: Path, **around: Any) -> Seen:
        """Opens images in GIMP's window and takes the steps, a bash text.

        Besides the steps that gimp-screenshot has (shot, key, text, click, wait_window, focus_main,
        action, py, layers)
        there are `now NAME`, which notes the time, and `await NAME`, which waits for a file of that
        name in `out`. Pictures land there too.
        """
        wanted = Around(**around)
        out.mkdir(parents=True, exist_ok=True)
        path = out / "steps.sh"
        path.write_text(_STEPS + steps, encoding="utf-8")
        words = [str(self.tools / "gimp-screenshot"), str(self.version), *wanted.options(self.plug_in)]
        words += [word for image in images for word in ("-i", str(image))]
        done = finished([*words, "-o", str(out), str(path)], out, wanted.timeout)
        layers, times = _seen(done.stdout)
        return Seen(done.returncode, done.stdout, done.stderr, out, layers, times)

    def inside(self, *command: object, **around: Any) -> Ran:
        """Runs a command beside GIMP, in its folder: its Python 2.7, say."""
        wanted = Around(**{"plug_in": None, **around})
        words = [str(self.tools / "gimp-in"), str(self.version), *wanted.options(None)]
        done = finished([*words, "--", *map(str, command)], Path("/"), wanted.timeout)
        return Ran(done.returncode, done.stdout, done.stderr, {})

    def _batch(self, work: Path, args: list[str], around: Around) -> subprocess.CompletedProcess[str]:
        words = [str(self.tools / "gimp-batch"), str(self.version), *around.options(self.plug_in)]
        return finished([*words, str(work / "script.py"), *args], work, around.timeout)


@dataclass(frozen=True)
class SystemGimp(Gimp):
    """The GIMP 3 of this machine, with a home folder of its own; it has no window here."""

    program: str
    version: Version
    plug_in: Path

    def _batch(self, work: Path, args: list[str], around: Around) -> subprocess.CompletedProcess[str]:
        home = around.home or work / "home"
        place = home / "gimp" / "plug-ins" / "scanmend"
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        if (plug_in := around.installed(self.plug_in)) is not None:
            shutil.copytree(plug_in, place)
        status, start = work / "status", work / "start.py"
        status.write_text("3")
        start.write_text(_START.format(args=args, script=str(work / "script.py"), status=str(status)))
        env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        env |= {"HOME": str(home), "GIMP3_DIRECTORY": str(home / "gimp"), **around.variables()}
        words = [self.program, "-i", "-d", "-f", "--quit", "--batch-interpreter=python-fu-eval"]
        done = finished([*words, "-b", f"exec(open({str(start)!r}).read())"], work, around.timeout, env)
        return subprocess.CompletedProcess(words, int(status.read_text()), done.stdout, done.stderr)


def reaching(
    server: Server, *, show: Iterable[Path] = (), env: Mapping[str, str] | None = None, **around: Any
) -> dict[str, Any]:
    """Arguments for `run` and `window` with which the plug-in finds a running engine."""
    here = {"SCANMEND_ENGINE": str(server.address), **(env or {})}
    return {"env": here, "show": [server.address.parent.parent, *show], **around}


def stages(server: Server) -> list[str]:
    """What the engine's jobs are at that run now.

    Asked job by job, not by their events: a job that is attached ends when its last listener leaves.
    """
    answers = [server.ask("GET", f"/v1/jobs/{job}")[1] for job in server.engine.health()["running"]]
    return [json.loads(answer.partition(b"\r\n\r\n")[2]).get("stage", "") for answer in answers]


def rooted(version: Version, plug_in: Path) -> RootedGimp | str:
    """The GIMP that the tools build, which takes minutes the first time; or why there is none."""
    tools = os.environ.get("SCANMEND_GIMP_TOOLS")
    if not tools or not (Path(tools) / "gimp-root").exists():
        return "SCANMEND_GIMP_TOOLS names no folder with gimp-root in it"
    if os.geteuid() != 0:
        return "the folder with a GIMP in it can be built and entered by root alone"
    done = finished([str(Path(tools) / "gimp-root"), str(version)], Path("/"), 3600)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"gimp-root {version} could not build a GIMP: {said}"
    return RootedGimp(Path(tools), version, plug_in)


def on_system(plug_in: Path) -> SystemGimp | None:
    """The GIMP 3 that is installed on this machine, if one is."""
    for name in ("gimp-console", "gimp-console-3", "gimp-console-3.0", "gimp-console-3.2"):
        if program := shutil.which(name):
            said = finished([program, "--version"], Path("/"), 60).stdout
            if re.search(r"\b3\.\d+\.\d+", said):
                return SystemGimp(program, 3, plug_in)
    return None


def finished(
    words: Sequence[str], folder: Path, timeout: float, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command run to its end in `folder`; with all that it started it is killed after `timeout` seconds."""
    process = subprocess.Popen(
        list(words), cwd=folder, env=env, start_new_session=True, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, err = process.communicate(timeout=timeout)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        print(*process.communicate(), sep="\n")  # seen where a test fails
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _seen(out: str) -> tuple[list[tuple[Layer, ...]], dict[str, float]]:
    looks: list[list[Layer]] = []
    times = {}
    for line in out.splitlines():
        if line == "= layers":
            looks.append([])
        elif line.startswith("= "):
            name, time = line[2:].rsplit(" ", 1)
            times[name] = float(time)
        elif looks and (found := _LAYER.match(line)):
            looks[-1].append(Layer(int(found[1]), found[2], int(found[3]), int(found[4]), found[5]))
    return [tuple(look) for look in looks], times
