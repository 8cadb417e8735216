"""A real engine process for tests, in a folder whose path is short enough for a Unix socket."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scanmend import profile
from scanmend.serve.client import HEADER, PROTOCOL, Engine, EngineFault

WAIT = 60.0
"""Seconds for anything to happen; a busy machine is no bug."""
STRONG = profile.to_dict(profile.load("strong"))
COMMAND = [sys.executable, "-m", "scanmend", "serve", "--device", "cpu", "--backend", "torch"]


@dataclass
class Server:
    """A running engine process."""

    process: subprocess.Popen[str]
    address: Path

    @property
    def shared(self) -> Path:
        """Where it listens as well, for sandboxes."""
        return self.address.parents[1] / "state" / "scanmend" / "run" / "engine.sock"

    @property
    def engine(self) -> Engine:
        return Engine(str(self.address))

    def worker(self, kind: str) -> dict[str, Any]:
        found = [worker for worker in self.engine.health()["workers"] if worker["kind"] == kind]
        return dict(found[0])

    def restore(self, source: Path, target: Path, **more: Any) -> str:
        """Submits a job for a file; its id."""
        return self.engine.submit(
            {"source": {"path": str(source)}, "target": {"path": str(target)}, "profile": STRONG, **more}
        )

    def end(self, job: str) -> dict[str, Any]:
        """The last event of a job."""
        return list(self.engine.events(job))[-1]

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """A request made by hand; its status, and all that came."""
        wanted = {"Host": "localhost", HEADER: PROTOCOL, "Content-Length": str(len(body)), **(headers or {})}
        lines = [f"{name}: {value}" for name, value in wanted.items() if value]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "Connection: close", "", ""])
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(WAIT)
            line.connect(str(self.address))
            with contextlib.suppress(BrokenPipeError):  # it has answered before it had read all
                line.sendall(head.encode() + body)
            answer = b""
            while piece := _received(line):
                answer += piece
        return int(answer.split(None, 2)[1]), answer


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(65536)
    except ConnectionResetError:
        return b""


def launch(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Starts `scanmend serve`, and waits for nothing."""
    return subprocess.Popen(
        [*COMMAND, *options],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "XDG_STATE_HOME": str(folder / "state")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def serving(*options: str, folder: Path | None = None, name: str = "engine.sock") -> Iterator[Server]:
    """A server that answers, and that is gone afterwards, with its workers."""
    place = folder or Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    process = launch(place, *options)
    server = Server(process, place / "scanmend" / name)
    try:
        until(lambda: answers(server))
        yield server
    finally:
        print("before its end:", process.poll())  # seen where a test fails
        process.terminate()
        try:
            print(process.communicate(timeout=WAIT)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            print(process.communicate()[0])
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


def answers(server: Server) -> bool:
    try:
        return bool(server.engine.health())
    except EngineFault as fault:
        if server.process.poll() is not None:
            raise AssertionError(server.process.communicate()[0]) from fault
        return False


def until(what: Callable[[], Any], seconds: float = WAIT) -> Any:
    """Polls until something holds; fails after a deadline."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def noisy(height: int, width: int, *, seed: int = 5, channels: int = 3) -> np.ndarray[Any, Any]:
    """A shaded picture with noise that the strong profile takes out: (H, W, C) uint8."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    tone = 120 + 60 * np.sin(columns / 47) * np.cos(rows / 61)
    grain = np.random.default_rng(seed).normal(0, 14, (height, width, channels))
    return np.clip(np.rint(tone[..., None] + grain), 0, 255).astype(np.uint8)


def scan_file(path: Path, side: int = 96, *, width: int = 0) -> Path:
    """A noisy scan on disk."""
    Image.fromarray(noisy(side, width or side)).save(path)
    return path
