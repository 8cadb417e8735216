"""The system refuses the daemon's changes on disk, one by one and for a while: no crash, no loss, no blame.

Also disks that are really full: the folder pauses, and goes on by itself when there is room again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.daemon.rigs import tracer
from tests.daemon.rigs.points import chosen
from tests.daemon.rigs.scene import KEPT, MOVED, WAIT, Plot, Run, Scene, engine_running, fresh, right_results

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(tracer.usable()), reason=tracer.usable() or "usable"),
]
SECONDS = 75.0
_WRITING = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
_SYNCING = (errno.EIO, errno.ENOSPC)
_NAMING = (errno.EACCES, errno.EIO, errno.EROFS, errno.ENOSPC, errno.EPERM)
_OPENING = (errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ENOSPC, errno.EIO)
ERRORS = {
    "write": _WRITING, "pwrite64": _WRITING, "ftruncate": _WRITING, "fallocate": _WRITING,
    "fsync": _SYNCING, "fdatasync": _SYNCING, "open": _OPENING, "openat": _OPENING,
}  # fmt: skip
_CRASHES = ("Traceback", "should not")
_BEST_EFFORT = ("among the failures", "/failed/")
"""The folder for failures is a courtesy: a note that cannot be written costs no scan, and the log tells."""


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    with engine_running() as folder:
        yield folder


@pytest.mark.parametrize("calls", [1, 12])
def test_whatever_change_is_refused_nothing_is_lost_and_nobody_is_blamed(runtime: Path, calls: int) -> None:
    right = right_results(MOVED, runtime)
    with fresh(MOVED, runtime, right) as scene:
        record = scene.traced(0)
    choice = random.Random(calls)  # noqa: S311 - a sample, no secret
    points, fired = 0, 0
    wrongs: list[str] = []
    for number in chosen(record, SECONDS, seed=calls):
        number_of = choice.choice(ERRORS.get(record.calls[number - 1]["call"], _NAMING))
        with fresh(MOVED, runtime, right) as scene:
            struck, wrong = _refused(scene, number, calls, number_of)
        points, fired, wrongs = points + 1, fired + struck, wrongs + wrong
    print(f"{fired} of {points} points struck, of {len(record.calls)} calls, {len(wrongs)} violations")

    assert not wrongs, "\n".join(wrongs)
    assert fired >= 0.9 * points > 0


def _refused(scene: Scene, number: int, calls: int, error: int) -> tuple[bool, list[str]]:
    """Refuses a few changes from one on, then lets a daemon run in peace; what was wrong."""
    traced = scene.traced(number, "error", until=number + calls - 1, errno=error)
    if not traced.fired:
        return False, []
    text = traced.run.text
    wrong = [f"the daemon said {word!r}: {text}" for word in _CRASHES if word in text]
    if traced.run.code < 0:
        wrong.append(f"the daemon died of signal {-traced.run.code}")
    wrong += scene.broken_promises()
    after = scene.unfinished(scene.run())
    wrong += [line for line in after if not any(word in line for word in _BEST_EFFORT)]
    return True, [f"{errno.errorcode[error]} at {number}, {traced.name(number)}: {line}" for line in wrong]


# --- disks that are full -----------------------------------------------------------------

_NOTHING_YET = Plot("move", {}, {}, {}, {})


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(("full", "size"), [("output", 2**20), ("archive", 2**20), ("state", 80 * 2**20)])
def test_a_full_disk_pauses_the_folder_until_there_is_room_again(runtime: Path, full: str, size: int) -> None:
    right = right_results(MOVED, runtime)
    with fresh(_NOTHING_YET, runtime) as scene, _disk(scene.home / full, size), _running(scene) as told:
        process, log = told
        _wait_for((scene.state / "status.json").exists)
        _fill(scene.home / full)
        scene.plot = Plot("move", KEPT.good, {}, {}, {})
        scene.right = {**right, "sub/again.tif": right["one.tif"]}
        scene.set_up()
        _wait_for(lambda: "not fit for work" in log.read_text())
        while_full = scene.broken_promises()
        (scene.home / full / ".filler").unlink()
        _wait_for(lambda: log.read_text().count(" -> ") == len(scene.plot.good))
        _end(process)

        assert not while_full
        assert not scene.unfinished(Run(0, log.read_text()))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting needs root")
def test_a_hot_folder_on_a_full_disk_is_emptied_all_the_same(runtime: Path) -> None:
    right = right_results(MOVED, runtime)
    with fresh(_NOTHING_YET, runtime) as scene, _disk(scene.inbox, 2**20):
        scene.plot, scene.right = Plot("move", MOVED.good, {}, {}, {}), right
        scene.set_up()
        _fill(scene.inbox)
        run = scene.run()
        (scene.inbox / ".filler").unlink()

        assert not scene.unfinished(run)


@contextmanager
def _disk(place: Path, size: int) -> Iterator[None]:
    """A file system of its own, of so many bytes."""
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _fill(place: Path) -> None:
    """Leaves not a byte: first in large pieces, then in small ones."""
    with (place / ".filler").open("wb", buffering=0) as file:
        for piece in (b"x" * 2**16, b"x"):
            with contextlib.suppress(OSError):
                while file.write(piece):
                    pass


@contextmanager
def _running(scene: Scene) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A daemon that goes on and on, and the file that takes what it says."""
    place = scene.home / "daemon.log"
    with place.open("w") as log:
        process = scene.start(scene.command(once=False), stdout=log)
    try:
        yield process, place
    finally:
        process.kill()
        process.wait()


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT) == 0


def _wait_for(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not happens():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)
