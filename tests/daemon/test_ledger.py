from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scanmend.errors import PublishError
from scanmend_daemon.ledger import BACKLOG, FRESH, Job, Ledger, State

ODD = os.fsdecode(b"sub/\xff\nscan.tif")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger.sqlite")
    yield made
    made.close()


def add(ledger: Ledger, relpath: str = "a.tif", **changes: Any) -> Job:
    values = {"folder": "/in", "sha256": "1" * 64, "profile_hash": "p", "profile": {"name": "gentle"}}
    return ledger.add(**{**values, "relpath": relpath, "signature": "1:2:3", "size": 5, **changes})[0]


def test_a_name_of_any_bytes_comes_back_as_it_was(ledger: Ledger) -> None:
    job = add(ledger, ODD)

    assert job.relpath == ODD
    assert ledger.of_file("/in", ODD) == [job]
    assert ledger.sources("/in", [ODD])[ODD].job == job.id


def test_a_content_under_a_name_with_a_profile_is_one_job(ledger: Ledger) -> None:
    first = add(ledger)
    values = {"folder": "/in", "relpath": "a.tif", "profile": {}, "signature": "9:9:9", "size": 5}

    again, new = ledger.add(sha256="1" * 64, profile_hash="p", **values)  # type: ignore[arg-type]
    other, other_new = ledger.add(sha256="1" * 64, profile_hash="q", **values)  # type: ignore[arg-type]

    assert (again.id, new) == (first.id, False)
    assert other_new
    assert (first.revision, other.revision) == (1, 2)


def test_the_signature_of_another_content_is_never_a_jobs(ledger: Ledger) -> None:
    job = add(ledger)

    ledger.remember("/in", "a.tif", "7:7:7", "another content", job.id)

    found = ledger.job(job.id)
    assert found is not None
    assert found.signature == "1:2:3"


def test_fresh_scans_and_the_backlog_have_lanes_of_their_own(ledger: Ledger) -> None:
    old, new = add(ledger, lane=BACKLOG), add(ledger, "b.tif", lane=FRESH)

    taken = [ledger.take("/in", FRESH), ledger.take("/in", FRESH), ledger.take("/in", BACKLOG)]

    assert [job and job.id for job in taken] == [new.id, None, old.id]
    assert taken[2] is not None
    assert taken[2].state == State.RUNNING
    assert taken[2].starts == 1


def test_two_threads_never_take_one_job(ledger: Ledger) -> None:
    for number in range(60):
        add(ledger, f"{number}.tif")
    taken: list[int] = []

    def work() -> None:
        while job := ledger.take("/in", FRESH):
            taken.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == list(range(1, 61))


@pytest.mark.parametrize("move", ["requeue", "retry", "skip"])
def test_a_job_that_has_moved_on_is_not_pulled_back(ledger: Ledger, move: str) -> None:
    seen = add(ledger)
    ledger.take("/in", FRESH)

    done = ledger.skip(seen, "cancelled") if move == "skip" else getattr(ledger, move)(seen)

    assert done is False
    found = ledger.job(seen.id)
    assert found is not None
    assert found.state == State.RUNNING


def test_jobs_that_wait_are_counted_for_each_folder(ledger: Ledger) -> None:
    add(ledger)
    add(ledger, folder="/other")
    add(ledger, "b.tif", folder="/other")

    assert (ledger.waiting(), ledger.waiting("/in"), ledger.waiting("/other")) == (3, 1, 2)
    assert ledger.count() == {"/in": {"queued": 1}, "/other": {"queued": 2}}


def test_a_scan_that_was_moved_away_counts_as_new_when_it_comes_back(ledger: Ledger) -> None:
    stays, moves = add(ledger), add(ledger, "b.tif")

    ledger.done(stays, "restored")
    ledger.done(moves, "restored", moved=True)

    known = ledger.sources("/in", ["a.tif", "b.tif"])
    assert (known["a.tif"].signature, known["b.tif"].signature) == ("1:2:3", "")


def test_asking_again_marks_and_answering_takes_the_mark_off(ledger: Ledger) -> None:
    add(ledger)
    add(ledger, "b.tif")

    marked = ledger.ask_again("/in")
    ledger.answered("/in", "a.tif")

    assert marked == 2
    assert [name for name, _ in ledger.asked_again("/in", 10)] == ["b.tif"]


def test_what_was_committed_is_there_for_the_next_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    first = Ledger(path)
    job = add(first)
    first.rendered(job, part="/out/.p", target="/out/a", key="a", out_sha256="2", report={"seconds": 1.5})
    first.close()

    second = Ledger(path)
    found = second.job(job.id)
    second.close()

    assert found is not None
    assert (found.state, found.target, found.report, found.seconds) == (
        State.RENDERED, "/out/a", {"seconds": 1.5}, 1.5,
    )  # fmt: skip


def test_a_ledger_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    before = path.read_bytes()

    with pytest.raises(PublishError, match="later version"):
        Ledger(path)
    assert path.read_bytes() == before


def test_every_commit_is_synced(ledger: Ledger) -> None:
    assert ledger._db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert ledger._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_counts_follow_every_move(ledger: Ledger) -> None:
    one, two = add(ledger), add(ledger, "b.tif", folder="/other")
    add(ledger)  # is there already
    ledger.take("/in", FRESH)
    ledger.fail(one, "DamagedFile", "it is torn", "", note=None)
    ledger.fail(two, "FormatError", "it is none", "", note=None)
    ledger.retry(ledger.job(two.id) or two)

    assert ledger.count() == {"/in": {"failed": 1}, "/other": {"queued": 1}}
    assert ledger.failures_by_class() == {"DamagedFile": 1}


def test_no_question_of_the_main_loop_takes_longer_for_a_long_history(ledger: Ledger) -> None:
    """Counted in steps of SQLite's machine, which a busy computer does not change."""

    def steps() -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        ledger._db.set_progress_handler(step, 1)
        ledger.count()
        ledger.failures_by_class()
        ledger.waiting("/in")
        ledger.take("/in", BACKLOG)
        ledger.asked_again("/in", 10)
        ledger.sources("/in", ["1.tif", "none.tif"])
        ledger.of_file("/in", "1.tif")
        ledger.twin("1", "p")
        ledger.made("1")
        ledger.in_use("1")
        ledger.setting("paused:/in")
        list(ledger.in_state(State.QUEUED, State.WAITING, limit=50))
        ledger.latest(State.DONE, State.FAILED, limit=20)
        ledger._db.set_progress_handler(None, 0)
        return count

    def fill(first: int, last: int) -> None:
        jobs = ((b"/in", b"%d.tif" % n, str(n), "p", "{}", "done", n, n) for n in range(first, last))
        with ledger._commit():
            ledger._db.executemany(
                "INSERT INTO jobs (folder, relpath, sha256, profile_hash, profile, state, created, updated) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                jobs,
            )
            ledger._db.execute(
                "INSERT OR IGNORE INTO sources SELECT folder, relpath, '', sha256, id, 0 FROM jobs"
            )

    fill(0, 100)
    few = steps()
    fill(100, 10_000)
    many = steps()

    assert many < few * 1.3


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id FROM jobs WHERE state = ? AND folder = ? AND lane = ? ORDER BY id LIMIT 1",
        "SELECT COUNT(*) FROM jobs WHERE state = ? AND folder = ?",
        "SELECT * FROM jobs WHERE state = ? ORDER BY updated DESC LIMIT ?",
        "SELECT * FROM jobs WHERE target_key = ? AND id <> ? AND state IN (?, ?)",
        "SELECT * FROM jobs WHERE out_sha256 = ? LIMIT 1",
        "SELECT * FROM jobs WHERE sha256 = ? AND state = ? LIMIT 1",
        "SELECT * FROM sources WHERE folder = ? AND again = 1 LIMIT ?",
        "SELECT COALESCE(MAX(revision), 0) + 1 FROM jobs WHERE folder = ? AND relpath = ?",
    ],
)
def test_what_is_asked_often_is_answered_by_an_index(ledger: Ledger, query: str) -> None:
    values = ("x",) * query.count("?")

    plan = " / ".join(row[3] for row in ledger._db.execute(f"EXPLAIN QUERY PLAN {query}", values))

    assert "SCAN" not in plan.replace("SCAN jobs USING COVERING INDEX", "")
    assert "TEMP B-TREE" not in plan
