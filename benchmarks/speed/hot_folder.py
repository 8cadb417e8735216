"""The hot folder's own costs: latency, idle time, memory, and a backlog against `scanmend restore`.

    python benchmarks/speed/hot_folder.py latency | idle | memory | backlog [--runs N] [--files N]

Real daemons and a real engine process, in folders of their own below a temporary one.

- latency: from the end of the quiet time to the engine's start on a scan, with a warm engine.
- idle: processor time of the daemon with 20 empty folders, and of its engine, over a minute.
- memory: the daemon's resident memory with nothing, after scans of 16 x 16 pixels, and while it walks
  through 100,000 files that it knows.
- backlog: a folder of small scans, restored by `scanmend watch --once` and by `scanmend restore`, in
  turn; the quiet time is 0.1 s, and both start from nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import tifffile
from scanmend.serve.client import Engine, EngineFault

_COMMAND = [sys.executable, "-m", "scanmend"]
_QUIET = 0.5


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="hf-", dir=options.folder) as name:
        _MEASURES[options.measure](Path(name), options)


def latency(home: Path, options: argparse.Namespace) -> None:
    """Seconds from a scan's quiet time being over to the engine working on it."""
    inbox = home / "inbox"
    inbox.mkdir()
    seconds = []
    with _daemon(home, [inbox], quiet=_QUIET):
        engine = Engine(_socket(home))
        for number in range(options.runs + 1):
            _make_scan(inbox / f"{number}.tif", 256, seed=number)
            due = time.monotonic() + _QUIET
            _until(lambda: _renders(engine), nap=0.002)
            seconds.append(time.monotonic() - due)
            _until(lambda n=number: (home / "inbox-restored" / f"{n}_restored.tif").exists(), nap=0.02)
    seconds = seconds[1:]  # the first one loads the network
    print(f"{statistics.median(seconds):.3f} s median, {max(seconds):.3f} s at most, of {len(seconds)} scans")


def idle(home: Path, options: argparse.Namespace) -> None:
    """Share of one core that a daemon with 20 folders takes while nothing happens."""
    inboxes = [home / f"inbox-{number}" for number in range(20)]
    for inbox in inboxes:
        inbox.mkdir()
    with _daemon(home, inboxes, quiet=5.0) as daemon:
        time.sleep(20)
        shares = [_share(daemon, options.seconds) for _ in range(options.runs)]
        engine = psutil.Process(Engine(_socket(home)).health()["pid"])
        engines = _share(engine, options.seconds) + sum(
            _share(child, 1.0) for child in engine.children(recursive=True)
        )
        print(f"daemon {statistics.median(shares):.2%} of one core ({', '.join(f'{s:.2%}' for s in shares)})")
        print(f"engine {engines:.2%} of one core; daemon {_resident(daemon):.1f} MB resident")


def memory(home: Path, options: argparse.Namespace) -> None:
    """Resident memory of the daemon at rest, after many scans, and while walking through very many."""
    inbox = home / "inbox"
    inbox.mkdir()
    with _daemon(home, [inbox], quiet=0.1) as daemon:
        time.sleep(5)
        print(f"{_resident(daemon):6.1f} MB at rest")
        done = 0
        while done < options.files:
            for number in range(done, min(done + 500, options.files)):
                _make_scan(inbox / f"{number:06}.tif", 16, seed=number, noise=0)
            done = min(done + 500, options.files)
            _until(lambda n=done: _count(home / "inbox-restored") >= n, nap=0.2, most=3600)
            print(f"{_resident(daemon):6.1f} MB after {done} scans", flush=True)
    _know_many(home, inbox, 100_000)
    with _daemon(home, [inbox], quiet=0.1) as daemon:
        for _ in range(6):
            time.sleep(10)
            print(f"{_resident(daemon):6.1f} MB with 100,000 known files", flush=True)


def backlog(home: Path, options: argparse.Namespace) -> None:
    """Ratio of the times of `scanmend restore` and `scanmend watch --once` on the same scans."""
    ratios = []
    for run in range(options.runs):
        times = {}
        for way in ("watch", "restore") if run % 2 else ("restore", "watch"):
            inbox = home / f"{way}-{run}"
            inbox.mkdir()
            for number in range(options.files):
                _make_scan(inbox / f"{number:04}.tif", options.side, seed=1000 * run + number)
            times[way] = _timed(home, inbox, way)
        ratios.append(times["restore"] / times["watch"])
        print(
            f"  restore {times['restore']:.1f} s, watch {times['watch']:.1f} s: {ratios[-1]:.3f}", flush=True
        )
    pixels = options.files * options.side**2 / 1e6
    print(f"{statistics.median(ratios):.3f} of the throughput of scanmend restore ({pixels:.1f} MP a run)")


def _timed(home: Path, inbox: Path, way: str) -> float:
    own = home / f"own-{inbox.name}"  # a ledger and an engine that know nothing of the runs before
    environment = _environment(own)
    began = time.monotonic()
    if way == "restore":
        words = ["restore", str(inbox), "-o", f"{inbox}-restored", "--quiet"]
    else:
        words = ["watch", str(_config(own, [inbox], 0.1)), "--once"]
    with (home / f"{inbox.name}.log").open("wb") as log:
        subprocess.run([*_COMMAND, *words], env=environment, stderr=log, stdout=log, check=True)
    seconds = time.monotonic() - began
    _end_engine(environment)
    return seconds


# --- folders, daemons, scans -----------------------------------------------------------------


@contextlib.contextmanager
def _daemon(home: Path, inboxes: list[Path], quiet: float) -> Iterator[psutil.Process]:
    environment = _environment(home)
    with (home / "watch.log").open("ab") as log:
        words = [*_COMMAND, "watch", str(_config(home, inboxes, quiet))]
        process = subprocess.Popen(words, env=environment, stderr=log)
        try:
            _until(lambda: _warm(home), nap=0.1, most=120)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)
            _end_engine(environment)


def _renders(engine: Engine) -> bool:
    workers = engine.health()["workers"]
    return any(worker["kind"] == "render" and worker["state"] == "busy" for worker in workers)


def _warm(home: Path) -> bool:
    try:
        workers = Engine(_socket(home)).health()["workers"]
    except EngineFault:
        return False
    return any(worker["kind"] == "render" and worker["state"] == "ready" for worker in workers)


def _environment(home: Path) -> dict[str, str]:
    for name in ("run", "state"):
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.environ | {"XDG_RUNTIME_DIR": str(home / "run"), "XDG_STATE_HOME": str(home / "state")}


def _socket(home: Path) -> str:
    return str(home / "run" / "scanmend" / "engine.sock")


def _end_engine(environment: dict[str, str]) -> None:
    with contextlib.suppress(EngineFault, psutil.NoSuchProcess):
        socket = Path(environment["XDG_RUNTIME_DIR"]) / "scanmend" / "engine.sock"
        engine = psutil.Process(Engine(str(socket)).health()["pid"])
        engine.terminate()
        engine.wait(30)


def _config(home: Path, inboxes: list[Path], quiet: float) -> Path:
    lines = ["scanmend_daemon: 1", "status: {http: off}", f"state: {home / 'daemon'}", "folders:"]
    lines += [f"  - {{watch: {inbox}, settle: {quiet}s, limits: {{min_free: 1MiB}}}}" for inbox in inboxes]
    path = home / "watch.yaml"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def _make_scan(path: Path, side: int, *, seed: int, noise: float = 12.0) -> None:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(60, 190, side)[None, :, None] + np.linspace(-20, 20, side)[:, None, None]
    pixels = np.clip(ramp + rng.normal(0, noise, (side, side, 3)), 0, 255).astype(np.uint8)
    part = path.with_name(f".{path.name}.part")
    tifffile.imwrite(part, pixels, photometric="rgb")
    part.rename(path)


def _know_many(home: Path, inbox: Path, count: int) -> None:
    """Files that the ledger takes for restored, made without restoring them."""
    from scanmend_daemon.disk import signature_of  # noqa: PLC0415 - this measure alone
    from scanmend_daemon.ledger import Ledger  # noqa: PLC0415

    ledger = Ledger(home / "daemon" / "ledger.sqlite")
    with ledger._commit():  # noqa: SLF001 - one commit for all: this is no scan's ledger
        for number in range(count):
            name = f"{number % 100:02}/known-{number:06}.tif"
            (inbox / name).parent.mkdir(exist_ok=True)
            (inbox / name).touch()
            ledger._remember(str(inbox), name, signature_of(inbox / name) or "", "0" * 64, 1)  # noqa: SLF001
    ledger.close()


def _count(folder: Path) -> int:
    return sum(entry.name.endswith(".tif") for entry in os.scandir(folder)) if folder.exists() else 0


def _share(process: psutil.Process, seconds: float) -> float:
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def _resident(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def _until(done: Callable[[], bool], *, nap: float, most: float = 120.0) -> None:
    deadline = time.monotonic() + most
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("it did not happen in time; the log is in the folder of --folder")
        time.sleep(nap)


_MEASURES = {"latency": latency, "idle": idle, "memory": memory, "backlog": backlog}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("measure", choices=_MEASURES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--side", type=int, default=640, help="of the backlog's scans, in pixels")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a look at the idle daemon")
    parser.add_argument("--folder", default="/tmp", help="where the temporary folder is made")  # noqa: S108
    return parser.parse_args()


if __name__ == "__main__":
    main()
