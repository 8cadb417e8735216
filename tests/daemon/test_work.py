from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scanmend.errors import Cancelled
from scanmend_daemon import work
from scanmend_daemon.config import Limits
from scanmend_daemon.ledger import FRESH, Job, State
from scanmend_daemon.trouble import Failure, Trouble, Where
from scanmend_daemon.work import MOST_ATTEMPTS

from tests.daemon.keeping import Bench, restored, sha


def running(bench: Bench, name: str = "a.tif", data: bytes = b"scan") -> Job:
    bench.drop(name, data)
    bench.taken(name)
    job = bench.ledger.take(bench.root, FRESH)
    assert job is not None
    return job


def test_a_scan_that_fails_for_its_own_sake_is_not_tried_again(bench: Bench) -> None:
    bench.engine.render_fault = Failure("DamagedFile", "a.tif ends too soon", "scan it again")

    job = bench.work.advance(running(bench), bench.folder)

    assert (job.state, job.sentence) == (State.FAILED, "a.tif ends too soon")
    assert not bench.litter()


@pytest.mark.parametrize(
    ("crash", "words"),
    [
        ("signal 11", "it ended the engine (signal 11), 3 times"),
        ("hang", "it made the engine hang, 3 times"),
        ("memory", "it took too much memory, 3 times"),
        (None, "the engine failed on it, 3 times"),
    ],
)
def test_a_scan_that_the_engine_dies_of_is_set_aside_after_three_times(
    bench: Bench, crash: str | None, words: str
) -> None:
    bench.engine.render_fault = Failure("EngineError", "it is gone", crash=crash)
    job = running(bench)

    states = []
    for _ in range(MOST_ATTEMPTS):
        job = bench.work.advance(job, bench.folder)
        states.append(job.state)
        if job.state == State.WAITING:
            bench.ledger.requeue(job)
            job = bench.ledger.take(bench.root, FRESH) or job

    assert states == [State.WAITING, State.WAITING, State.FAILED]
    assert (job.sentence or "").startswith(words)
    assert job.attempts == 3


@pytest.mark.parametrize(
    "fault",
    [
        Trouble(Where.ENGINE, "no engine"),
        Failure("PublishError", "no room in /out"),
        Failure("ModelError", "the model is not installed"),
    ],
)
def test_what_the_surroundings_lack_costs_no_attempt(bench: Bench, fault: Exception) -> None:
    bench.engine.render_fault = fault
    job = running(bench)

    with pytest.raises(Trouble):
        bench.work.advance(job, bench.folder)

    now = bench.job(job.id)
    assert (now.state, now.attempts) == (State.QUEUED, 0)


def test_a_model_that_only_a_scans_own_settings_name_is_its_own_failure(bench: Bench) -> None:
    bench.drop("a.yaml", b"noise: {strength: 0.3}\n")
    bench.engine.render_fault = Failure("ModelError", "the model is not installed")

    job = bench.work.advance(running(bench), bench.folder)

    assert job.state == State.FAILED


def test_a_full_output_disk_waits_and_names_the_room(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    job = running(bench)
    bench.folder = replace(bench.folder, limits=Limits(min_free=100))
    monkeypatch.setattr(work.disk, "free_bytes", lambda _: 50)

    with pytest.raises(Trouble, match="50 bytes left"):
        bench.work.advance(job, bench.folder)
    assert bench.job(job.id).state == State.QUEUED


def test_an_output_folder_deleted_at_any_moment_is_made_again(bench: Bench) -> None:
    bench.engine.during = lambda: shutil.rmtree(bench.output)
    job = running(bench)
    with pytest.raises(Trouble):  # nobody can write there just now
        bench.work.advance(job, bench.folder)
    bench.engine.during = lambda: None

    bench.finish()

    assert bench.results() == {"a_restored.tif": restored(b"scan")}


def test_an_output_folder_deleted_before_publishing_means_rendering_again(bench: Bench) -> None:
    job = running(bench)
    bench.work._published = lambda job, _folder: job  # type: ignore[method-assign]
    bench.work.advance(job, bench.folder)
    del bench.work._published
    shutil.rmtree(bench.output)

    bench.finish()

    assert bench.job(job.id).state == State.DONE
    assert bench.results() == {"a_restored.tif": restored(b"scan")}


def test_an_output_whose_disk_is_gone_waits_and_is_not_made(bench: Bench) -> None:
    bench.folder = replace(bench.folder, output=bench.base / "unmounted" / "output")

    with pytest.raises(Trouble, match="is not there"):
        bench.work.advance(running(bench), bench.folder)
    assert not (bench.base / "unmounted").exists()


def test_a_private_copy_that_was_spoilt_is_read_anew(bench: Bench) -> None:
    job = running(bench)
    (bench.spool / job.sha256).write_bytes(b"spoilt")

    lost = bench.work.advance(job, bench.folder)
    assert lost.state == State.FAILED
    ((name, _),) = bench.ledger.asked_again(bench.root, 10)
    bench.again(name)
    bench.finish()

    assert bench.job(job.id).state == State.DONE
    assert bench.results() == {"a_restored.tif": restored(b"scan")}


def test_a_result_that_cannot_be_read_back_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(path: Path, **_: Any) -> dict[str, Any]:
        raise Failure("DamagedFile", "it ends too soon")

    monkeypatch.setattr(bench.engine, "probe", torn)
    job = running_without_probe(bench)

    after = bench.work.advance(job, bench.folder)

    assert after.state == State.WAITING
    assert "cannot be read back" in (after.sentence or "")
    assert not bench.results()


def running_without_probe(bench: Bench) -> Job:
    bench.drop("a.tif", b"scan")
    (bench.spool / sha(b"scan")).write_bytes(b"scan")
    resolved = bench.profiles.resolve(bench.folder, "a.tif")
    bench.ledger.add(
        folder=bench.root, relpath="a.tif", sha256=sha(b"scan"), profile_hash=resolved.digest,
        profile=resolved.values, signature="", size=4,
    )  # fmt: skip
    job = bench.ledger.take(bench.root, FRESH)
    assert job is not None
    return job


def test_a_result_with_fewer_pages_is_not_published(bench: Bench) -> None:
    bench.engine.answer = {"pages": 3}

    after = bench.work.advance(running(bench), bench.folder)

    assert "1 pages, the scan 3" in (after.sentence or "")


def test_work_begun_too_often_ends_even_if_it_never_failed(bench: Bench) -> None:
    """A scan that takes the whole machine down leaves no word about its attempts."""
    job = running(bench)
    for _ in range(25):
        bench.ledger.requeue(bench.job(job.id), cut_off=True)
        bench.ledger.take(bench.root, FRESH)

    after = bench.work.advance(bench.job(job.id), bench.folder)

    assert after.state == State.FAILED
    assert "26 times" in (after.sentence or "")


def test_a_job_cancelled_while_it_runs_leaves_nothing(bench: Bench) -> None:
    job = running(bench)

    def cancel() -> None:
        bench.work.running[job.id].cancelled.set()
        raise Cancelled("stopped")

    bench.engine.during = cancel

    after = bench.work.advance(job, bench.folder)

    assert after.state == State.CANCELLED
    assert not bench.results()
    assert not bench.litter()
    assert not list(bench.spool.iterdir())


def test_a_job_cancelled_in_its_last_moment_is_not_published(bench: Bench) -> None:
    job = running(bench)
    bench.engine.during = lambda: (bench.work.running[job.id].cancelled.set(), None)[1]

    assert bench.work.advance(job, bench.folder).state == State.CANCELLED
    assert not bench.results()


def test_a_stop_of_the_daemon_puts_the_job_back(bench: Bench) -> None:
    bench.engine.render_fault = Cancelled("the daemon ends")
    job = running(bench)

    after = bench.work.advance(job, bench.folder)

    assert (after.state, after.attempts) == (State.QUEUED, 0)
    assert not bench.litter()


def test_two_threads_with_one_content_run_the_engine_once(bench: Bench) -> None:
    one, two = running(bench, "a.tif"), running(bench, "b.tif")
    both = threading.Barrier(2, timeout=20)
    bench.engine.during = lambda: None

    def advance(job: Job) -> None:
        both.wait()
        bench.work.advance(job, bench.folder)

    threads = [threading.Thread(target=advance, args=[job]) for job in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(bench.engine.runs) == 1
    assert sorted(bench.results()) == ["a_restored.tif", "b_restored.tif"]


def test_a_result_that_somebody_changed_is_not_copied_for_a_twin(bench: Bench) -> None:
    bench.restore("a.tif", b"scan")
    (bench.output / "a_restored.tif").write_bytes(b"retouched")

    bench.restore("b.tif", b"scan")

    assert bench.results()["b_restored.tif"] == restored(b"scan")


def test_an_output_moved_to_another_disk_with_its_old_name_taken_renders_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_args: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    job = running(bench)
    publish = bench.delivery.publish
    monkeypatch.setattr(bench.delivery, "publish", elsewhere)
    assert bench.work.advance(job, bench.folder).state == State.QUEUED
    monkeypatch.setattr(bench.delivery, "publish", publish)

    bench.finish()

    assert bench.results() == {"a_restored.tif": restored(b"scan")}
    assert not bench.litter()


@pytest.mark.parametrize(
    "fault",
    [Trouble(Where.OUTPUT, "the disk is full"), Trouble(Where.ENGINE, "no engine"), Cancelled("stop")],
)
def test_surroundings_that_stay_unfit_for_hours_never_count_as_work_begun(
    bench: Bench, fault: Exception
) -> None:
    bench.engine.render_fault = fault
    job = running(bench)
    for _ in range(30):
        with contextlib.suppress(Trouble):
            bench.work.advance(job, bench.folder)
        job = bench.ledger.take(bench.root, FRESH) or bench.job(job.id)
    bench.engine.render_fault = None

    after = bench.work.advance(job, bench.folder)

    assert after.state == State.DONE


def test_a_part_that_the_disk_does_not_let_go_is_not_held_against_the_scan(bench: Bench) -> None:
    job = running(bench)
    bench.delivery.part_of(job, bench.folder).mkdir(parents=True)  # which no unlink removes

    after = bench.work._stopped(job, bench.folder, work.Progress(job))

    assert (after.state, after.attempts) == (State.QUEUED, 0)
