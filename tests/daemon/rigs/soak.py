"""A daemon among careless people, on a bad day: for minutes or a night, each step chosen by a seed.

Scans come by rename, as slow streams, are written over and deleted; the daemon and its engine are killed;
the output's disk fills up and is freed. Then everything holds still, and the judge looks.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image
from scanmend.serve.client import Engine, EngineFault

from tests.daemon.rigs.scene import WAIT, Plot, Scene, picture

_TICK = 0.1
_ENDINGS = {".tif": "tiff", ".png": "png"}
_SIDECAR = ".scanmend.json"
_ACTIONS = {
    "drop": 30, "stream": 12, "go_on": 60, "write_over": 6, "delete": 3, "look": 20,
    "kill_daemon": 3, "kill_engine": 0.7, "fill": 2, "free": 4,
}  # fmt: skip
_MOST_WAITING = 25
"""Scans in the hot folder at once: a soak is to find faults, not to measure speed."""


@dataclass
class Soak:
    """One bad day.

    Attributes:
        scene: with an empty hot folder; originals are moved.
        seed: of all that is chosen.
        wrong: violations, in sentences.
        did: how often each thing was done.
    """

    scene: Scene
    seed: int
    wrong: list[str] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - a day that can be lived again
        self.given: dict[str, bytes] = {}  # content of each scan that was given and is whole, by its hash
        self.left: set[str] = set()  # hashes of those that nobody took away again
        self.names: dict[str, str] = {}  # name -> hash of what was last put there
        self.streams: dict[str, tuple[io.FileIO, bytes, int]] = {}
        self.process: subprocess.Popen[str] | None = None
        self.number = 0

    # --- the day -------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        """Lives through it, then lets everything come to rest, and judges."""
        end = time.monotonic() + seconds
        with (self.scene.home / "daemon.log").open("w") as log:
            try:
                while time.monotonic() < end:
                    self._see_to_daemon(log)
                    (action,) = self.chance.choices(list(_ACTIONS), list(_ACTIONS.values()))
                    self.did[action] += bool(getattr(self, f"_{action}")())
                    time.sleep(_TICK * self.chance.random())
                self._rest(log)
            finally:
                self._kill_daemon()
                self._kill_engine()
        self._judge()

    def _see_to_daemon(self, log: io.TextIOWrapper) -> None:
        if self.process is None or self.process.poll() is not None:
            if self.process is not None and self.process.returncode not in (0, -signal.SIGKILL):
                self.wrong.append(f"the daemon ended by itself with {self.process.returncode}")
            self.process = self.scene.start(self.scene.command(once=False), stdout=log)

    def _rest(self, log: io.TextIOWrapper) -> None:
        self._free()
        while self.streams:
            self._go_on()
        deadline = time.monotonic() + 2 * WAIT
        while not self._at_rest():
            self._see_to_daemon(log)
            if time.monotonic() > deadline:
                self.wrong.append(f"it never came to rest: {self._states()}, {sorted(self._scans())}")
                break
            time.sleep(0.25)
        assert self.process is not None
        self.process.terminate()
        self.process.wait(WAIT)

    def _at_rest(self) -> bool:
        status = self.scene.state / "status.json"
        try:
            folder = json.loads(status.read_bytes())["folders"][0]
        except (OSError, ValueError, IndexError):
            return False
        busy = folder["queued"] + folder["running"] + folder["settling"] + folder["held"]
        done = sum(1 for path in self.scene.output.glob(f"*{_SIDECAR}"))
        return not busy and not self._scans() and done >= len(self.left)

    def _scans(self) -> list[str]:
        return [path.name for path in self.scene.inbox.iterdir() if not path.name.startswith(".")]

    # --- what people do ------------------------------------------------------------------

    def _new(self) -> tuple[str, bytes]:
        self.number += 1
        ending = self.chance.choice(list(_ENDINGS))
        data = picture(self.seed * 100_000 + self.number, _ENDINGS[ending], 48)
        return f"scan{self.number % 40:04d}{ending}", data

    def _gave(self, name: str, data: bytes) -> None:
        digest = hashlib.sha256(data).hexdigest()
        self.given[digest] = data
        self.left.add(digest)
        self.names[name] = digest

    def _took_away(self, name: str) -> None:
        """What lay there may or may not have been taken in before."""
        self.left.discard(self.names.pop(name, ""))

    def _drop(self) -> bool:
        if len(self._scans()) > _MOST_WAITING:
            return False
        name, data = self._new()
        if name in self.streams or (self.scene.inbox / name).exists():
            return False
        part = self.scene.inbox / f".{name}.part"
        part.write_bytes(data)
        part.rename(self.scene.inbox / name)
        self._gave(name, data)
        return True

    def _stream(self) -> bool:
        name, data = self._new()
        if len(self.streams) > 3 or name in self.streams or (self.scene.inbox / name).exists():
            return False
        self.streams[name] = ((self.scene.inbox / name).open("xb", buffering=0), data, 0)
        return True

    def _go_on(self) -> bool:
        if not self.streams:
            return False
        name = self.chance.choice(list(self.streams))
        file, data, done = self.streams.pop(name)
        piece = data[done : done + self.chance.randint(200, 3000)]
        file.write(piece)
        if done + len(piece) < len(data):
            self.streams[name] = (file, data, done + len(piece))
        else:
            file.close()
            self._gave(name, data)
        return True

    def _write_over(self) -> bool:
        names = [name for name in self._scans() if name not in self.streams and name in self.names]
        if not names:
            return False
        name = self.chance.choice(names)
        data = picture(self.seed * 100_000 + 50_000 + self.number, _ENDINGS[Path(name).suffix], 48)
        self.number += 1
        try:
            file = (self.scene.inbox / name).open("r+b", buffering=0)
        except FileNotFoundError:  # it was taken to the archive just now
            return False
        with file:
            # If it is moved away while it is written, what was written is the daemon's problem no more.
            self._took_away(name)
            file.truncate(0)
            file.write(data)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), (self.scene.inbox / name).stat()):
                    self.given[hashlib.sha256(data).hexdigest()] = data
                    self.names[name] = hashlib.sha256(data).hexdigest()
        return True

    def _delete(self) -> bool:
        names = [name for name in self._scans() if name not in self.streams]
        if not names:
            return False
        name = self.chance.choice(names)
        self._took_away(name)
        (self.scene.inbox / name).unlink(missing_ok=True)
        return True

    # --- what fate does ------------------------------------------------------------------

    def _kill_daemon(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.kill()
        self.process.wait()
        return True

    def _kill_engine(self) -> bool:
        try:
            pid = int(Engine(str(self.scene.runtime / "scanmend" / "engine.sock")).health()["pid"])
            os.kill(pid, signal.SIGKILL)
        except (EngineFault, ProcessLookupError):
            return False
        return True

    def _fill(self) -> bool:
        if not os.path.ismount(self.scene.output):
            return False
        with contextlib.suppress(OSError), (self.scene.output / ".filler").open("ab", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        return True

    def _free(self) -> bool:
        filler = self.scene.output / ".filler"
        there = filler.exists()
        filler.unlink(missing_ok=True)
        return there

    # --- judging -------------------------------------------------------------------------

    def _look(self) -> bool:
        """At any instant: what can be seen is whole."""
        seen = [path for path in self.scene.output.glob("*") if not path.name.startswith(".")]
        for path in self.chance.sample(seen, min(5, len(seen))):
            with contextlib.suppress(FileNotFoundError):
                self.wrong += [f"{path.name} can be seen, and {why}" for why in _not_whole(path)]
        return bool(seen)

    def _judge(self) -> None:
        text = (self.scene.home / "daemon.log").read_text()
        self.wrong += [f"the daemon said {word!r}" for word in ("Traceback", "should not") if word in text]
        archived = Counter(map(_hash, self._visible(self.scene.archive)))
        reports = [json.loads(path.read_bytes()) for path in self.scene.output.glob(f"*{_SIDECAR}")]
        delivered = Counter(report["source_sha256"] for report in reports)
        results = [path for path in self._visible(self.scene.output) if not path.name.endswith(_SIDECAR)]
        for digest in self.left:
            if archived[digest] != 1 or delivered[digest] != 1:
                self.wrong.append(f"{digest[:8]}: {archived[digest]} originals, {delivered[digest]} results")
        self.wrong += [f"{d[:8]} was delivered {n} times" for d, n in delivered.items() if n > 1]
        if {report["target"] for report in reports} != {path.name for path in results}:
            self.wrong.append("results and sidecars do not match")
        for path in results:
            self.wrong += [f"{path.name} {why}" for why in _not_whole(path)]
        self._judge_rest()

    def _judge_rest(self) -> None:
        scene = self.scene
        for folder in (scene.output, scene.archive, scene.inbox, scene.failed):
            hidden = [path for path in _files(folder) if path.name.startswith(".")]
            self.wrong += [f"{path} is left over" for path in hidden if path.name != ".scanmend-folder"]
        self.wrong += [f"{path.name} is left in the spool" for path in _files(scene.state / "spool")]
        states = self._states()
        ended = {"done", "cancelled", "skipped"}
        self.wrong += [f"{n} jobs are {state}" for state, n in states.items() if state not in ended]

    def _states(self) -> Counter[str]:
        with contextlib.closing(sqlite3.connect(self.scene.state / "ledger.sqlite", timeout=10)) as database:
            rows = database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state").fetchall()
        return Counter(dict(rows))

    def _visible(self, folder: Path) -> list[Path]:
        return [path for path in _files(folder) if not path.name.startswith(".")]


def nothing_yet() -> Plot:
    """An empty hot folder whose originals are moved to the archive."""
    return Plot("move", {}, {}, {}, {})


def _not_whole(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    try:
        if path.name.endswith(_SIDECAR):
            json.loads(data)
        else:
            Image.open(io.BytesIO(data)).load()
    except (OSError, ValueError, SyntaxError) as error:
        yield f"is not whole: {error}"


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _files(folder: Path) -> list[Path]:
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]
