"""A hot folder with scans in it, a real daemon to run on it, and the judge of what came of it.

The judge knows two questions. `broken_promises`: what must hold at every instant, also right after a kill:
no original lost, nothing half done to be seen, no foreign file touched. `unfinished`: what must hold once a
daemon has run in peace afterwards: one right result for each scan, nothing left over.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scanmend.serve.client import Engine, EngineFault

REPO = Path(__file__).parents[3]
RIGS = Path(__file__).parent
WAIT = 90.0
"""Seconds for anything to happen; a busy machine is no bug."""
FOREIGN = b"somebody else's file, which happens to have this name\n"
_OURS, _SIDECAR = ".scanmend-folder", ".scanmend.json"
_WRONG_WORDS = ("Traceback", "should not", "work cannot go on")


def picture(seed: int, kind: str, side: int = 64) -> bytes:
    """A small scan with enough noise to be restored."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, side)[None, :, None] * np.ones((side, 1, 3))
    pixels = np.clip(ramp + random.normal(0, 12, ramp.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


@dataclass(frozen=True)
class Plot:
    """What is set up before the daemon starts.

    Attributes:
        originals: "keep", or "move" to an archive.
        good: scans by name; bad: files that are none; foreign: files in the way, below the scene's folder.
        results: the name that each scan's result gets.
    """

    originals: str
    good: Mapping[str, bytes]
    bad: Mapping[str, bytes]
    foreign: Mapping[str, bytes]
    results: Mapping[str, str]


ONE, TWO = picture(1, "tiff"), picture(2, "png")
MOVED = Plot(
    originals="move",
    good={"one.tif": ONE, "two.png": TWO},
    bad={"bad.tif": b"this is no picture\n"},
    foreign={"output/one_restored.tif": FOREIGN, "archive/two.png": FOREIGN},
    results={"one.tif": "one_restored-2.tif", "two.png": "two_restored.png"},
)
KEPT = Plot(
    originals="keep",
    good={"one.tif": ONE, "sub/again.tif": ONE, "two.png": TWO},
    bad={},
    foreign={"output/two_restored.png.scanmend.json": FOREIGN},
    results={
        "one.tif": "one_restored.tif",
        "sub/again.tif": "sub/again_restored.tif",
        "two.png": "two_restored-2.png",
    },
)


@dataclass(frozen=True)
class Run:
    """How a daemon's run ended: its exit code, negative for a signal, and all it said."""

    code: int
    text: str


@dataclass
class Scene:
    """A hot folder below `home`; the archive may lie elsewhere."""

    home: Path
    plot: Plot
    runtime: Path
    right: dict[str, bytes] = field(default_factory=dict)  # scan -> bytes of its result
    archive_at: Path | None = None
    quiet: str = "0.1s"
    extra: str = ""

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    @property
    def output(self) -> Path:
        return self.home / "output"

    @property
    def failed(self) -> Path:
        return self.home / "failed"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def archive(self) -> Path:
        return self.archive_at or self.home / "archive"

    @property
    def config(self) -> Path:
        return self.home / "watch.yaml"

    def place(self, name: str) -> Path:
        """Where a foreign file lies."""
        head, _, tail = name.partition("/")
        return self.archive / tail if head == "archive" else self.home / name

    def set_up(self) -> Scene:
        """Puts everything in its place; returns itself."""
        for name, data in {**self.plot.good, **self.plot.bad}.items():
            _write(self.inbox / name, data)
        for name, data in self.plot.foreign.items():
            _write(self.place(name), data)
        originals = self.archive if self.plot.originals == "move" else "keep"
        self.config.write_text(
            f"scanmend_daemon: 1\n"
            f"folders:\n"
            f"  - watch: {self.inbox}\n"
            f"    output: {self.output}\n"
            f"    failed: {self.failed}\n"
            f"    originals: {originals}\n"
            f"    settle: {{quiet: {self.quiet}, give_up: 1s}}\n"
            f"    by: polling\n"
            f"    poll: 0.5s\n"
            f"    limits: {{min_free: 0}}\n"
            f"{self.extra}"
            f"status: {{http: off}}\n"
            f"state: {self.state}\n",
            encoding="utf-8",
        )
        self.config.chmod(0o600)
        return self

    # --- running -------------------------------------------------------------------------

    def command(self, *, mutant: str = "", once: bool = True) -> list[str]:
        """The daemon's command line; `mutant` names one of `mutants`."""
        words = ["-m", "scanmend"] if not mutant else [str(RIGS / "mutants.py"), mutant]
        return [sys.executable, *words, "watch", str(self.config), *(["--once"] if once else [])]

    def environment(self) -> dict[str, str]:
        paths = [str(REPO / name) for name in ("core", "daemon", "models", "install")]
        return {
            **os.environ,
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_STATE_HOME": str(self.runtime / "state"),
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, command: Sequence[str], **more: Any) -> subprocess.Popen[str]:
        """Starts a process that speaks into one pipe."""
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, **more}
        return subprocess.Popen(command, text=True, env=self.environment(), cwd=self.home, **more)

    def run(self, *, mutant: str = "") -> Run:
        """Runs the daemon in peace until everything is done."""
        with self.start(self.command(mutant=mutant)) as process:
            return _ended(process)

    def traced(self, at: int, do: str = "kill", *, mutant: str = "", **more: Any) -> Traced:
        """Runs the daemon and strikes at its `at`-th change; 0 only counts."""
        with tempfile.NamedTemporaryFile(prefix="sm-calls-", suffix=".log") as file:
            return self._traced(Path(file.name), at, do, mutant, more)

    def _traced(self, log: Path, at: int, do: str, mutant: str, more: Mapping[str, Any]) -> Traced:
        below = [f"{self.home}/", f"{self.archive}/"]
        frozen = more.get("frozen")
        spec = {"command": self.command(mutant=mutant), "below": below, "at": at, "do": do, "log": str(log)}
        spec |= {key: value for key, value in more.items() if key != "frozen"}
        words = [sys.executable, str(RIGS / "tracer.py"), json.dumps(spec)]
        with self.start(words, stdin=subprocess.PIPE) as process:
            if frozen is not None:
                _when_frozen(process, frozen)
            run = _ended(process)
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        assert lines, run.text
        assert "status" in lines[-1], run.text
        return Traced(Run(lines[-1]["status"], run.text), lines[:-1], lines[-1]["fired"])

    # --- judging -------------------------------------------------------------------------

    def broken_promises(self) -> list[str]:
        """What is wrong at this instant, in sentences; in order while a daemon runs, too."""
        found = []
        for name, data in self.plot.foreign.items():
            if _read(self.place(name)) != data:
                found.append(f"the foreign file {name} was touched")
        kept = {_read(path) for path in self._keeping()}
        for name, data in {**self.plot.good, **self.plot.bad}.items():
            if data not in kept:
                found.append(f"the original {name} is lost")
        return found + list(self._half_done())

    def _keeping(self) -> Iterator[Path]:
        for folder in (self.inbox, self.archive, self.failed, self.state / "spool"):
            yield from _files(folder)

    def _half_done(self) -> Iterator[str]:
        right = set(self.right.values())
        originals = set(self.plot.good.values()) | set(self.plot.bad.values())
        for path in self._visible(self.output):
            name, data = str(path.relative_to(self.output)), _read(path)
            if f"output/{name}" in self.plot.foreign or data is None:
                continue
            if name.endswith(_SIDECAR):
                if not _whole_sidecar(data, path, set(self.plot.good.values())):
                    yield f"the sidecar {name} is not whole"
            elif data not in right:
                yield f"{name} ({len(data)} bytes) can be seen and is no right result"
        for path in self._visible(self.archive):
            foreign = f"archive/{path.relative_to(self.archive)}" in self.plot.foreign
            if not foreign and (data := _read(path)) is not None and data not in originals:
                yield f"{path.relative_to(self.archive)} in the archive is no original"
        for path in self._visible(self.failed):
            data = _read(path)
            if data is not None and data not in originals and not data.endswith(b"\n"):
                yield f"{path.name} among the failures is not whole"

    def _visible(self, folder: Path) -> Iterator[Path]:
        return (path for path in _files(folder) if not path.name.startswith("."))

    def unfinished(self, run: Run) -> list[str]:
        """What is wrong after a daemon has run in peace."""
        found = [f"the daemon said {word!r}: {run.text}" for word in _WRONG_WORDS if word in run.text]
        if run.code not in (0, 1):
            found.append(f"the daemon ended with {run.code}: {run.text}")
        found += self._wrong_results() + self._wrong_originals() + self._left_over()
        return found + self._wrong_ledger() + self.broken_promises()

    def _wrong_results(self) -> list[str]:
        """The content decides: each scan's result once, under whatever free name, its sidecar beside it."""
        there = {
            str(path.relative_to(self.output)): _read(path)
            for path in self._visible(self.output)
            if f"output/{path.relative_to(self.output)}" not in self.plot.foreign
        }
        results = {name: data for name, data in there.items() if not name.endswith(_SIDECAR)}
        wanted, found = Counter(self.right[scan] for scan in self.plot.good), Counter(results.values())
        wrong = []
        if found != wanted:
            wrong.append(f"{sum(wanted.values())} results should be there, and there are {sorted(results)}")
        if {f"{name}{_SIDECAR}" for name in results} != there.keys() - results.keys():
            wrong.append(f"results and sidecars do not match: {sorted(there)}")
        return wrong

    def _wrong_originals(self) -> list[str]:
        moved = self.plot.originals == "move"
        here = {str(path.relative_to(self.inbox)) for path in _files(self.inbox)} - {_OURS}
        wanted = set(self.plot.bad) | (set() if moved else set(self.plot.good))
        found = [f"the hot folder holds {sorted(here)}"] if here != wanted else []
        if moved:
            archived = Counter(_read(path) for path in self._visible(self.archive))
            for data, number in Counter(self.plot.good.values()).items():
                if archived[data] != number:
                    names = [name for name, content in self.plot.good.items() if content == data]
                    found.append(f"{names} lie {archived[data]} times in the archive")
        for name, data in self.plot.bad.items():
            scans = [path for path in self._visible(self.failed) if _read(path) == data]
            notes = [_read(path.with_name(f"{path.name}.txt")) or b"" for path in scans]
            if not any(b"scanmend retry" in note for note in notes):
                found.append(f"{name} is not among the failures")
        return found

    def _left_over(self) -> list[str]:
        folders = [self.output, self.archive, self.failed, self.inbox]
        hidden = [path for folder in folders for path in _files(folder) if path.name.startswith(".")]
        found = [f"{path} is left over" for path in hidden if path.name != _OURS]
        found += [f"{path} is left in the spool" for path in _files(self.state / "spool")]
        return found + [f"{path} is left over" for path in self.state.glob("damaged-*")]

    def _wrong_ledger(self) -> list[str]:
        rows, sound = self.jobs()
        found = [] if sound == "ok" else [f"the ledger is damaged: {sound}"]
        ends = sorted((relpath, state) for relpath, state, _ in rows)
        wanted = sorted(
            [(name, "done") for name in self.plot.good] + [(name, "failed") for name in self.plot.bad]
        )
        if ends != wanted:
            found.append(f"the ledger says {ends}")
        return found + [f"{name} was blamed {n} times" for name, _, n in rows if n]

    def jobs(self) -> tuple[list[tuple[str, str, int]], str]:
        """Path, state and attempts of each job, and what SQLite thinks of its file."""
        file = self.state / "ledger.sqlite"
        if not file.exists():
            return [], "no ledger"
        database = sqlite3.connect(file, timeout=10)
        try:
            sound = str(database.execute("PRAGMA integrity_check").fetchone()[0])
            rows = database.execute("SELECT relpath, state, attempts FROM jobs").fetchall()
        except sqlite3.DatabaseError as error:
            return [], str(error)
        finally:
            database.close()
        return [(os.fsdecode(relpath), state, attempts) for relpath, state, attempts in rows], sound


@dataclass(frozen=True)
class Traced:
    """A traced run: how it ended, the calls that counted, and how often the fault was put in."""

    run: Run
    calls: list[dict[str, Any]]
    fired: int

    def name(self, number: int) -> str:
        """A call in words that are the same in each run."""
        call = self.calls[number - 1]
        paths = " ".join(path.rpartition("/")[2] for path in call["paths"])
        return re.sub(r"[0-9a-f]{8,}", "#", f"{call['call']} {paths}")


# --- the engine --------------------------------------------------------------------------


@contextmanager
def engine_running(*options: str, environment: Mapping[str, str] = {}) -> Iterator[Path]:
    """One engine for all daemons of a test; yields the runtime folder that they share with it."""
    with tempfile.TemporaryDirectory(prefix="sm-run-") as name:
        runtime = Path(name)
        scene = Scene(runtime, KEPT, runtime)
        command = [sys.executable, "-m", "scanmend", "serve", "--device", "cpu", "--idle-exit", "3600"]
        everything = {**scene.environment(), **environment}
        with (runtime / "engine.log").open("wb") as log:
            process = subprocess.Popen([*command, *options], env=everything, stdout=log, stderr=log)
        try:
            _wait_for_engine(runtime / "scanmend" / "engine.sock")
            yield runtime
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_engine(address: Path) -> None:
    deadline = time.monotonic() + WAIT
    while not _answers(address):
        assert time.monotonic() < deadline, "the engine did not start"
        time.sleep(0.1)


def _answers(address: Path) -> bool:
    try:
        Engine(str(address)).health()
    except EngineFault:
        return False
    return True


def wait_for_engine(runtime: Path, *, busy: bool) -> None:
    """Waits until the engine renders something, or until no job of a killed daemon is left in it."""
    engine = Engine(str(runtime / "scanmend" / "engine.sock"))
    deadline = time.monotonic() + WAIT
    while _busy(engine, busy=busy) != busy:
        assert time.monotonic() < deadline, f"the engine never came to {'work' if busy else 'rest'}"
        time.sleep(0.02)


def _busy(engine: Engine, *, busy: bool) -> bool:
    health = engine.health()
    renderers = [worker["job"] for worker in health["workers"] if worker["kind"] == "render"]
    return any(renderers) if busy else bool(health["running"] or health["queue"])


def right_results(plot: Plot, runtime: Path) -> dict[str, bytes]:
    """What each scan's result is, byte for byte: from a run to which nothing happens."""
    with fresh(plot, runtime) as scene:
        run = scene.run()
        assert run.code in (0, 1), run.text
        return {scan: (scene.output / name).read_bytes() for scan, name in plot.results.items()}


@contextmanager
def fresh(
    plot: Plot, runtime: Path, right: Mapping[str, bytes] = {}, archive_on: Path | None = None
) -> Iterator[Scene]:
    """A scene of its own, removed afterwards; `archive_on` is a folder on another disk."""
    home = Path(tempfile.mkdtemp(prefix="sm-"))
    archive = None if archive_on is None else Path(tempfile.mkdtemp(prefix="sm-", dir=archive_on))
    try:
        yield Scene(home, plot, runtime, dict(right), archive).set_up()
    finally:
        shutil.rmtree(home, ignore_errors=True)
        if archive is not None:
            shutil.rmtree(archive, ignore_errors=True)


# --- small helpers -----------------------------------------------------------------------


def _ended(process: subprocess.Popen[str]) -> Run:
    try:
        text, _ = process.communicate(timeout=WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
        text += "\nit did not end by itself: work cannot go on"
    return Run(process.returncode, text)


def _when_frozen(process: subprocess.Popen[str], then: Callable[[], None]) -> None:
    """Does something while the daemon stands still before the call, and lets the tracer kill it then."""
    assert process.stdout is not None
    for line in process.stdout:
        if line == "frozen\n":
            then()
            return


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def _read(path: Path) -> bytes | None:
    """A file's bytes; None where it is gone."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _whole_sidecar(data: bytes, path: Path, scans: set[bytes]) -> bool:
    try:
        values = json.loads(data)
    except ValueError:
        return False
    known = {hashlib.sha256(scan).hexdigest() for scan in scans}
    return values["source_sha256"] in known and path.name == f"{values['target']}.scanmend.json"
