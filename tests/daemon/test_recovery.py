from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from scanmend.errors import PublishError
from scanmend_daemon import recovery
from scanmend_daemon.ledger import FRESH, State

from tests.daemon.keeping import Bench, restored, sha


def garble(bench: Bench) -> None:
    bench.ledger.close()
    for path in bench.state.glob("ledger.sqlite*"):
        path.write_bytes(b"\0garbled" * 1000)


def test_a_job_that_was_at_work_is_begun_again_and_its_half_part_removed(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")
    bench.taken("a.tif")
    job = bench.ledger.take(bench.root, FRESH)
    assert job is not None
    part = bench.delivery.part_of(job, bench.folder)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")

    bench.reopen()

    assert bench.job(job.id).state == State.QUEUED
    assert not part.exists()
    bench.finish()
    assert bench.results() == {"a_restored.tif": restored(b"scan")}


def test_copies_that_no_job_needs_are_swept_and_others_stay(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")
    bench.taken("a.tif")
    (bench.spool / ".in-1234").write_bytes(b"half a copy")
    (bench.spool / ("0" * 64)).write_bytes(b"of a job that is done")
    (bench.spool / "folder").mkdir()

    bench.reopen()

    assert sorted(os.listdir(bench.spool)) == sorted([sha(b"scan"), "folder"])  # noqa: PTH208


def test_a_garbled_ledger_is_set_aside_and_results_are_known_by_their_sidecars(bench: Bench) -> None:
    for number in range(5):
        bench.restore("SCAN0001.tif", b"%d" % number)
    bench.restore("b.tif", b"other")
    before = bench.results()
    garble(bench)

    bench.open()
    for name in ("SCAN0001.tif", "b.tif"):
        bench.taken(name)
    bench.finish()

    assert bench.results() == before
    assert len(bench.engine.runs) == 6
    assert len(list(bench.state.glob("damaged-*/ledger.sqlite"))) == 1
    assert any("was damaged" in line for line in bench.said)


@pytest.mark.parametrize("how", ["garbled", "deleted"])
def test_private_copies_that_a_lost_ledger_knew_are_set_aside(bench: Bench, how: str) -> None:
    """The copy may be the last there is of a scan that was taken from the hot folder meanwhile."""
    bench.drop("a.tif", b"scan")
    bench.taken("a.tif")
    (bench.inbox / "a.tif").unlink()
    garble(bench)
    if how == "deleted":
        for path in bench.state.glob("ledger.sqlite*"):
            path.unlink()

    bench.open()

    assert [p.read_bytes() for p in bench.state.glob("damaged-*/spool/*")] == [b"scan"]
    assert not list(bench.spool.iterdir())


@pytest.mark.parametrize("error", ["disk I/O error", "database or disk is full", "database is locked"])
def test_a_ledger_that_cannot_be_read_just_now_is_not_damaged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def refuse(_path: Path) -> None:
        raise sqlite3.OperationalError(error)

    bench.restore("a.tif", b"scan")
    monkeypatch.setattr(recovery, "Ledger", refuse)

    with pytest.raises(PublishError, match=error):
        recovery.open_ledger(bench.state, bench.said.append)
    assert not list(bench.state.glob("damaged-*"))


def test_starting_again_and_again_changes_nothing(moving: Bench) -> None:
    job = moving.restore("a.tif", b"scan")

    for _ in range(3):
        moving.reopen()
        moving.finish()

    assert moving.job(job.id) == job
    assert len(moving.engine.runs) == 1


def test_only_the_last_previews_are_kept(bench: Bench) -> None:
    for number in range(300):
        for which in ("before", "after"):
            (bench.state / "previews" / f"{number}-{which}.jpg").touch()

    bench.reopen()

    left = {int(p.name.split("-")[0]) for p in (bench.state / "previews").iterdir()}
    assert left == set(range(100, 300))
