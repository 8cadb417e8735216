"""Jobs that somebody has stopped: the engine is free for the next one within a second."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .serving import STRONG, Server, noisy, scan_file, serving, until

BEST = {**STRONG, "quality": "best"}
SECOND = 1.0
BUSY = 3.0
"""What a machine may take that runs other tests beside."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        keeper = running.engine.keep()
        until(lambda: running.worker("render")["state"] == "ready")
        yield running
        keeper.close()


def at_work(server: Server, side: int, **more: Any) -> str:
    """A job for pixels in the best quality that is among its tiles; its id."""
    shape = {"shape": [side, side, 3], "dtype": "uint8"}
    job = server.engine.submit({"source": {"pixels": shape}, "profile": BEST, **more})
    server.engine.put_pixels(job, noisy(side, side).tobytes())
    until(lambda: next(server.engine.events(job)).get("stage") == "restore")
    return job


def stopped(server: Server, job: str) -> tuple[dict[str, Any], float]:
    """Stops a job; its last event, and the seconds until the engine had nothing to do."""
    began = time.monotonic()
    server.engine.cancel(job)
    end = server.end(job)
    until(lambda: server.worker("render")["state"] != "busy")
    return end, time.monotonic() - began


def test_the_best_quality_stops_between_two_layers_and_not_at_the_end_of_a_tile(server: Server) -> None:
    pid = server.worker("render")["pid"]
    took = []
    for _ in range(3):
        end, seconds = stopped(server, at_work(server, 1600))
        took.append(seconds)
        assert (end["state"], end["crash"]) == ("cancelled", None)

    print("seconds until idle:", took)
    assert min(took) < SECOND
    assert max(took) < BUSY
    assert server.worker("render")["pid"] == pid  # it has listened


def test_a_worker_that_does_not_listen_is_replaced_by_a_warm_one(server: Server) -> None:
    job = at_work(server, 1600)
    pid = server.worker("render")["pid"]
    os.kill(pid, signal.SIGSTOP)

    end, seconds = stopped(server, job)

    assert (end["state"], end["crash"], end["error"]["class"]) == ("cancelled", None, "Cancelled")
    assert seconds < BUSY
    until(lambda: server.worker("render")["state"] == "ready")
    assert server.worker("render")["pid"] != pid
    assert server.engine.health()["networks"]


def test_a_job_that_waits_for_a_worker_to_start_ends_at_once(tmp_path: Path) -> None:
    with serving() as fresh:
        job = fresh.restore(scan_file(tmp_path / "a.png", 900), tmp_path / "part")
        until(lambda: fresh.engine.health()["running"] == [job])

        end, seconds = stopped(fresh, job)
        after = fresh.end(fresh.restore(scan_file(tmp_path / "b.png", 64), tmp_path / "b.part"))

    assert (end["state"], end["crash"]) == ("cancelled", None)
    assert seconds < SECOND
    assert after["state"] == "done"
    assert not (tmp_path / "part").exists()
