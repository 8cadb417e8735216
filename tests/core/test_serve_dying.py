"""Workers and servers die: by signal, by standing still, by taking all memory. Nothing else is harmed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scanmend.serve.client import EngineFault

from .serving import STRONG, WAIT, Server, alive, launch, noisy, scan_file, serving, until

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path."""
    made = Path(tempfile.mkdtemp(prefix="sm-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def at_work(server: Server, source: Path, target: Path) -> str:
    """A job whose worker has begun to write; its id."""
    job = server.restore(source, target)
    until(lambda: next(server.engine.events(job)).get("stage") == "restore")
    return job


def still_works(server: Server, folder: Path) -> bool:
    scan = scan_file(folder / "small.png", 64)
    return bool(server.end(server.restore(scan, folder / "small.part"))["state"] == "done")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_worker_fails_its_job_alone_and_a_new_one_takes_over(tmp_path: Path, number: int) -> None:
    with serving() as server:
        job = at_work(server, scan_file(tmp_path / "a.png", 1600), tmp_path / "part")
        waiting = server.restore(scan_file(tmp_path / "b.png", 64), tmp_path / "b.part")
        before = server.worker("render")["pid"]

        os.kill(before, number)
        end = server.end(job)
        next_end = server.end(waiting)

        assert (end["state"], end["crash"], end["report"]) == ("failed", f"signal {int(number)}", None)
        assert str(tmp_path / "a.png") in end["error"]["message"]
        assert end["error"]["exit_code"] == 6
        assert not (tmp_path / "part").exists()
        assert next_end["state"] == "done"
        assert server.worker("render")["pid"] != before


def test_a_worker_that_is_killed_while_idle_is_not_missed(tmp_path: Path) -> None:
    with serving() as server:
        assert still_works(server, tmp_path)
        pid = server.worker("render")["pid"]

        os.kill(pid, signal.SIGKILL)
        until(lambda: server.worker("render")["pid"] is None)
        (tmp_path / "small.part").unlink()

        assert still_works(server, tmp_path)


def test_a_job_that_met_a_dead_worker_is_given_to_a_new_one(tmp_path: Path) -> None:
    with serving() as server:
        assert still_works(server, tmp_path)
        scan = scan_file(tmp_path / "a.png", 64)
        for number in range(5):  # the job and the news of the death race
            os.kill(server.worker("render")["pid"], signal.SIGKILL)

            end = server.end(server.restore(scan, tmp_path / f"part{number}"))

            assert end["state"] == "done"


def test_a_worker_that_stands_still_is_ended_after_its_time(tmp_path: Path) -> None:
    with serving("--patience", "1") as server:
        assert still_works(server, tmp_path)
        scan = scan_file(tmp_path / "a.png", 300)
        pid = server.worker("render")["pid"]
        os.kill(pid, signal.SIGSTOP)

        end = server.end(server.restore(scan, tmp_path / "part"))
        (tmp_path / "small.part").unlink()

        assert (end["state"], end["crash"]) == ("failed", "hang")
        assert "stood still" in end["error"]["message"]
        assert not alive(pid)
        assert still_works(server, tmp_path)


def test_a_slow_worker_that_gets_on_is_left_alone(tmp_path: Path) -> None:
    pages = np.stack([noisy(256, 256)] * 32)
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="rgb", metadata=None)
    patience, for_its_size = 2.0, 2 * pages[..., 0].size / 1e6
    with serving("--patience", str(patience)) as server:
        assert still_works(server, tmp_path)

        end = server.end(server.restore(tmp_path / "a.tif", tmp_path / "part"))

    assert end["state"] == "done"
    if end["report"]["seconds"] <= patience + for_its_size:
        pytest.skip("this machine restores the scan before its time is up, so its patience was not tried")


def test_a_worker_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    with serving() as roomy:
        assert still_works(roomy, tmp_path)
        idle = roomy.worker("render")["resident"]
    (tmp_path / "small.part").unlink()
    allowed = idle // 2**20 + 60  # enough for a small scan; a whole tile takes more
    with serving("--memory", f"{allowed}MiB") as server:
        end = server.end(server.restore(scan_file(tmp_path / "a.png", 1600), tmp_path / "part"))

        assert (end["state"], end["crash"], end["error"]["class"]) == ("failed", "memory", "OutOfMemory")
        assert f"{allowed} MiB" in end["error"]["message"]
        assert not (tmp_path / "part").exists()
        assert still_works(server, tmp_path)


def test_a_probe_that_needs_too_much_memory_fails_in_a_sentence(tmp_path: Path) -> None:
    bomb, side = tmp_path / "a.bmp", 12_000
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    bomb.write_bytes(head)
    os.truncate(bomb, 54 + 3 * side * side)
    with serving("--memory", "500MiB") as server:
        end = server.end(server.engine.submit({"kind": "probe", "source": {"path": str(bomb)}}))
        small = scan_file(tmp_path / "b.png", 64)
        after = server.end(server.engine.submit({"kind": "probe", "source": {"path": str(small)}}))

    assert (end["state"], end["error"]["class"]) == ("failed", "OutOfMemory")
    assert after["state"] == "done"


def test_workers_die_with_a_server_that_is_killed(tmp_path: Path, folder: Path) -> None:
    with serving(folder=folder) as server:
        at_work(server, scan_file(tmp_path / "a.png", 1600), tmp_path / "part")
        keeper = server.engine.keep()
        until(lambda: all(worker["pid"] for worker in server.engine.health()["workers"]))
        pids = [worker["pid"] for worker in server.engine.health()["workers"]]

        server.process.kill()
        until(lambda: not any(map(alive, pids)))

        until(lambda: not keeper.alive())
        keeper.close()


def test_a_socket_that_a_killed_server_left_is_replaced(folder: Path) -> None:
    with serving(folder=folder) as server:
        server.process.kill()
        server.process.wait()
        left = server.address.lstat()
        assert stat.S_ISSOCK(left.st_mode)

        with serving(folder=folder) as second:
            mode = second.address.lstat().st_mode

            assert second.engine.health()["pid"] == second.process.pid
            assert stat.S_IMODE(mode) == 0o600
        assert not server.address.exists()


def test_samples_that_a_killed_server_left_are_cleared_away(folder: Path) -> None:
    with serving(folder=folder) as server:
        shape = {"shape": [10, 10, 3], "dtype": "uint8"}
        server.engine.submit({"source": {"pixels": shape}, "profile": STRONG})
        lock = server.address.with_name("engine.sock.lock")
        left = Path(lock.read_text(encoding="utf-8"))
        server.process.kill()
        server.process.wait()
        assert len(list(left.iterdir())) == 1

        with serving(folder=folder):
            assert not left.exists()
            new = Path(lock.read_text(encoding="utf-8"))
            assert new.is_dir()
    assert not new.exists()


def test_what_is_no_socket_is_never_removed(folder: Path) -> None:
    place = folder / "scanmend" / "engine.sock"
    place.parent.mkdir(mode=0o700)
    place.write_text("mine", encoding="ascii")

    process = launch(folder)
    said, _ = process.communicate(timeout=WAIT)

    assert process.returncode == 2
    assert "is no socket" in said
    assert place.read_text(encoding="ascii") == "mine"


def test_a_symbolic_link_in_the_place_of_the_socket_is_not_followed(folder: Path) -> None:
    place = folder / "scanmend" / "engine.sock"
    place.parent.mkdir(mode=0o700)
    elsewhere = folder / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(elsewhere))
        place.symlink_to(elsewhere)

        process = launch(folder)
        process.communicate(timeout=WAIT)

    assert process.returncode == 2
    assert place.is_symlink()


def test_of_servers_started_at_once_one_stays_and_the_others_say_so(folder: Path) -> None:
    with serving(folder=folder) as server:
        others = [launch(folder) for _ in range(4)]
        said = [other.communicate(timeout=WAIT)[0] for other in others]

        assert [other.returncode for other in others] == [0] * 4
        assert all(line == f"scanmend serve runs already on {server.address}\n" for line in said)
        assert server.engine.health()["pid"] == server.process.pid


def test_a_race_from_nothing_leaves_exactly_one(folder: Path) -> None:
    racers = [launch(folder) for _ in range(4)]
    server = Server(racers[0], folder / "scanmend" / "engine.sock")
    try:
        until(lambda: sum(racer.poll() is not None for racer in racers) == 3)
        until(server.address.exists)
        winner = [racer for racer in racers if racer.poll() is None]

        assert [racer.returncode for racer in racers if racer.returncode is not None] == [0] * 3
        assert server.engine.health()["pid"] == winner[0].pid
    finally:
        for racer in racers:
            racer.terminate()
            racer.communicate(timeout=WAIT)


def test_asked_to_end_it_cancels_within_a_tile_and_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    with serving(folder=folder) as server:
        job = at_work(server, scan_file(tmp_path / "a.png", 1600), tmp_path / "part")
        events = server.engine.events(job)
        next(events)
        pid = server.worker("render")["pid"]

        server.process.terminate()
        end = list(events)[-1]
        said, _ = server.process.communicate(timeout=WAIT)

    assert end["state"] == "cancelled"
    assert server.process.returncode == 0
    assert said == f"scanmend serve listens on {server.address} and {server.shared}\n"
    assert not alive(pid)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]
    assert not server.address.exists()


def test_it_ends_when_idle_and_not_before(tmp_path: Path, folder: Path) -> None:
    with serving("--idle-exit", "0.5", folder=folder) as server:
        keeper = server.engine.keep()
        assert still_works(server, tmp_path)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(timeout=1.0)

        keeper.close()
        server.process.wait(timeout=WAIT)

    assert server.process.returncode == 0


def test_a_job_keeps_an_idle_server(tmp_path: Path) -> None:
    with serving("--idle-exit", "0.3") as server:
        job = server.restore(scan_file(tmp_path / "a.png", 400), tmp_path / "part")

        assert server.end(job)["state"] == "done"
        server.process.wait(timeout=WAIT)
        with pytest.raises(EngineFault):
            server.engine.health()
