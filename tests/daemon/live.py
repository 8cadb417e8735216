"""A daemon that really runs on a hot folder, and what can be seen of it from outside."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scanmend.errors import ScanmendError
from scanmend_daemon import asking

REPO = Path(__file__).parents[2]
PATIENCE = 120.0
"""Seconds for anything to happen; a busy machine is no bug."""
SIDECAR = ".scanmend.json"
OFF = "scanmend: 1\nnoise: {strength: off}\njpeg: {strength: off}\n"
"""A profile that does nothing: the result is a copy, byte for byte."""


@dataclass(frozen=True)
class Result:
    """A published result, as its sidecar tells: `made_from` is the hash of the bytes it came from."""

    name: str
    made_from: str
    profile: Mapping[str, Any]
    data: bytes


class Hot:
    """A home of its own with a hot folder `inbox`, and the daemon that watches it.

    Args:
        home: an empty folder with a short name, for sockets lie below it.
        runtime: where the engine's socket lies; shared where several daemons share an engine.
        inbox: the hot folder, if it is not `home/inbox`.
        folder: further lines of the folder's configuration, in flow style.
    """

    def __init__(
        self, home: Path, runtime: Path, *, inbox: Path | None = None, folder: str = "", profile: str = OFF
    ) -> None:
        self.home, self.runtime = home, runtime
        self.inbox = inbox or home / "inbox"
        self.output, self.failed, self.state = home / "output", home / "failed", home / "state"
        self.config, self.profile = home / "watch.yaml", home / "profile.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.profile.write_text(profile, encoding="utf-8")
        self.configure(folder)

    def configure(self, folder: str, more: Sequence[str] = ()) -> None:
        """Writes the configuration; `more` are further folders, whole."""
        first = (
            f"watch: {self.inbox}, output: {self.output}, failed: {self.failed}, profile: {self.profile}, "
            f"limits: {{min_free: 0}}{', ' if folder else ''}{folder}"
        )
        folders = "".join(f"  - {{{each}}}\n" for each in (first, *more))
        self.config.write_text(
            f"scanmend_daemon: 1\nfolders:\n{folders}status: {{http: off}}\nstate: {self.state}\n"
        )
        self.config.chmod(0o600)

    # --- the process ---------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        """Of the daemon, and of whoever asks it something: nothing of the real home is used."""
        paths = [str(REPO / name) for name in ("core", "daemon", "models", "install")]
        mine = {
            "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(paths),
        }  # fmt: skip
        others = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return {**others, **mine}

    def start(self, *before: str, place: str | None = None) -> Hot:
        """Starts the daemon and waits until it watches.

        Args:
            before: words before its command line.
            place: what is watched, if it is not this configuration; "" leaves it to the daemon.
        """
        named = [str(self.config) if place is None else place]
        command = [*before, sys.executable, "-m", "scanmend", "watch", *filter(None, named)]
        seen = self.log.count("watching ")
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.environment, cwd=self.home, stdout=log, stderr=log
            )
        self.until(lambda: self.log.count("watching ") > seen, "the daemon watches")
        return self

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of Scanmend's, to its end."""
        command = [sys.executable, "-m", "scanmend", *words]
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def signal(self, number: int) -> None:
        """Sends the daemon a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        """Ends the daemon, kindly if possible; stopping twice does no harm."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # --- what can be seen ----------------------------------------------------------------

    @property
    def log(self) -> str:
        """All the daemon said so far."""
        path = self.home / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def until(self, met: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Waits for something to come about while the daemon runs; gives what `met` gave."""
        deadline = time.monotonic() + patience
        while not (found := met()):
            assert self.process is None or self.process.poll() is None, f"the daemon ended: {self.log}"
            assert time.monotonic() < deadline, f"not in {patience:g} s: {what}\n{self.log[-8000:]}"
            time.sleep(0.05)
        return found

    def asked(self) -> asking.Daemon:
        """The daemon as `scanmend status` finds it."""
        (daemon,) = asking.found(self.state)
        return daemon

    def view(self, number: int = 0) -> Mapping[str, Any]:
        """Its snapshot's row of one folder; empty while it does not answer."""
        try:
            return dict(self.asked().view["folders"][number])
        except (ScanmendError, LookupError):
            return {}

    def explained(self, relpath: str) -> dict[str, Any]:
        """What the daemon says of one scan."""
        return self.asked().act("explain", {"file": str(self.inbox / relpath)})

    def results(self, below: str = "") -> list[Result]:
        """Everything published so far, in the order of names; each has its sidecar."""
        place = self.output / below
        names = [Path(where, name) for where, _, found in os.walk(place) for name in found]
        visible = [
            path for path in names if not path.name.startswith(".") and not path.name.endswith(SIDECAR)
        ]
        return [self._result(path) for path in sorted(visible)]

    def _result(self, path: Path) -> Result:
        values = json.loads(path.with_name(path.name + SIDECAR).read_bytes())
        name = str(path.relative_to(self.output))
        return Result(name, values["source_sha256"], values["profile"], path.read_bytes())

    def published(self, digest: str) -> bool:
        """Whether a content has its result."""
        return any(result.made_from == digest for result in self.results())


def hashed(data: bytes) -> str:
    """As sidecars name a content."""
    return hashlib.sha256(data).hexdigest()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder whose sockets' names stay short enough."""
    made = Path(tempfile.mkdtemp(prefix="hot-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def mounted(origin: Path, at: Path, *options: str) -> Iterator[Path]:
    """A folder shown at a second place, as a share is: what others write behind it makes no event."""
    at.mkdir(parents=True, exist_ok=True)
    subprocess.run(["bindfs", "-o", "nonempty", *options, str(origin), str(at)], check=True, timeout=30)
    try:
        yield at
    finally:
        unmount(at)


def unmount(place: Path) -> None:
    """Takes a mount away, used or not; one that is gone already does no harm."""
    subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True, timeout=30)


def bindfs_usable() -> str:
    """Why there can be no such mount; empty where there can."""
    if shutil.which("bindfs") is None:
        return "there is no bindfs"
    return "" if os.geteuid() == 0 and Path("/dev/fuse").exists() else "mounting needs root and FUSE"
