from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scanmend_daemon import disk, intake
from scanmend_daemon.config import Limits
from scanmend_daemon.intake import Gone, Held, Known, Taken
from scanmend_daemon.ledger import State
from scanmend_daemon.trouble import Failure, Trouble, Where

from tests.daemon.keeping import GOOD, Bench, restored, sha

TORN = Failure("DamagedFile", "a.tif ends too soon", "scan it again")


def test_a_scan_becomes_a_job_with_a_private_copy(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")

    outcome = bench.take("a.tif")

    assert isinstance(outcome, Taken)
    assert outcome.new
    assert (outcome.job.state, outcome.job.sha256) == (State.QUEUED, sha(b"scan"))
    assert (bench.spool / sha(b"scan")).read_bytes() == b"scan"
    assert (bench.inbox / "a.tif").read_bytes() == b"scan"


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.tif", b"new\nline.tif", b"n" * 251 + b".tif", b" .tif", b"-rf.tif"]
)
def test_a_scan_of_any_name_goes_its_whole_way(moving: Bench, name: bytes) -> None:
    job = moving.restore(os.fsdecode(name), b"scan")

    assert job.state == State.DONE, job.sentence
    assert list(moving.results().values()) == [restored(b"scan")]


def test_a_scan_that_changed_since_it_was_seen_is_left_for_a_later_look(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")

    outcome = bench.intake.take(bench.folder, "a.tif", "1:2:3")

    assert isinstance(outcome, Gone)
    assert not list(bench.ledger.in_state(*State))


def test_a_scan_that_changes_while_it_is_copied_is_left_for_a_later_look(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bench.drop("a.tif", b"scan")
    copy = disk.copy_hashed

    def changing(*args: Any, **more: Any) -> str:
        with path.open("ab") as file:
            file.write(b" and more")
        return copy(*args, **more)

    monkeypatch.setattr(intake.disk, "copy_hashed", changing)

    assert isinstance(bench.take("a.tif"), Gone)
    assert not list(bench.spool.iterdir())


def test_a_scan_that_vanished_is_gone(bench: Bench) -> None:
    assert isinstance(bench.take("a.tif"), Gone)


def test_a_folder_in_a_scans_place_is_held(bench: Bench) -> None:
    (bench.inbox / "a.tif").mkdir()

    outcome = bench.take("a.tif")

    assert isinstance(outcome, Held)
    assert "folder" in outcome.reason


def test_a_writer_holds_its_scan(bench: Bench) -> None:
    path = bench.drop("a.tif", b"scan")

    with path.open("r+b"):
        outcome = bench.take("a.tif")

    if isinstance(outcome, Taken):
        pytest.skip("this file system does not tell of writers")
    assert isinstance(outcome, Held)
    assert outcome.kind == "time"


def test_a_damaged_scan_is_held_and_becomes_a_failure_when_patience_ends(bench: Bench) -> None:
    bench.drop("a.tif", b"half a scan")
    bench.engine.answer = TORN

    patient, done = bench.take("a.tif"), bench.take("a.tif", patient=False)

    assert isinstance(patient, Held)
    assert patient.kind == "damaged"
    assert isinstance(done, Known)
    assert bench.job(done.job).state == State.FAILED
    assert "ends too soon" in (bench.failed / "a.tif.txt").read_text()


def test_a_damaged_scan_that_is_completed_later_is_restored_and_its_note_withdrawn(bench: Bench) -> None:
    path = bench.drop("a.tif", b"half a scan")
    bench.engine.answer = TORN
    bench.take("a.tif", patient=False)
    bench.engine.answer = GOOD
    with path.open("ab") as file:
        file.write(b" and the rest")

    bench.taken("a.tif")
    bench.finish()

    assert bench.results() == {"a_restored.tif": restored(b"half a scan and the rest")}
    assert not os.listdir(bench.failed)  # noqa: PTH208


@pytest.mark.parametrize(
    "failure",
    [
        Failure("UnsupportedFormat", "a.tif is a PDF", "export its pages as TIFF"),
        Failure("LimitExceeded", "a.tif has 2000 megapixels", "raise limits.max_megapixels"),
    ],
)
def test_what_cannot_be_restored_fails_at_once_with_a_sentence(bench: Bench, failure: Failure) -> None:
    bench.drop("a.tif", b"scan")
    bench.engine.answer = failure

    outcome = bench.take("a.tif")

    assert isinstance(outcome, Known)
    job = bench.job(outcome.job)
    assert (job.state, job.failure, job.sentence) == (State.FAILED, failure.kind, failure.sentence)
    assert failure.hint in (bench.failed / "a.tif.txt").read_text()
    assert not list(bench.spool.iterdir())


def test_a_refused_scan_is_never_in_the_queue(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread would take it from there before its note is written."""
    bench.drop("a.tif", b"scan")
    bench.engine.answer = Failure("LimitExceeded", "too large")
    seen = []
    set_aside = bench.delivery.set_aside

    def looking(*args: Any) -> Any:
        seen.append(bench.ledger.take(bench.root, 0))
        return set_aside(*args)

    monkeypatch.setattr(bench.delivery, "set_aside", looking)
    bench.take("a.tif")

    assert seen == [None]


def test_a_file_that_is_too_large_is_not_even_copied_and_may_be_retried(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")
    usual = bench.folder
    bench.folder = replace(usual, limits=Limits(max_bytes=3, min_free=0))
    outcome = bench.take("a.tif")
    assert isinstance(outcome, Known)
    assert "more than the 3 bytes allowed" in (bench.job(outcome.job).sentence or "")

    bench.folder = usual
    bench.again("a.tif")
    bench.finish()

    assert bench.results() == {"a_restored.tif": restored(b"scan")}
    assert bench.job(outcome.job).state == State.SKIPPED
    assert not os.listdir(bench.failed)  # noqa: PTH208


def test_a_scan_that_crashes_the_reader_fails_after_three_times(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")
    bench.engine.answer = Failure("EngineError", "the reader ended", crash="signal 11")

    outcomes = [bench.take("a.tif") for _ in range(3)]

    assert [type(outcome) for outcome in outcomes] == [Held, Held, Known]


def test_a_scan_that_ends_in_zeros_waits_for_a_person(bench: Bench) -> None:
    path = bench.drop("a.tif", b"scan")
    bench.engine.answer = {**GOOD, "zero_tail": True}
    held = bench.take("a.tif")
    assert isinstance(held, Held)
    assert held.kind == "person"
    assert "scanmend release" in held.reason

    bench.intake.released.add((bench.root, "a.tif", disk.signature_of(path) or ""))

    assert isinstance(bench.take("a.tif"), Taken)


def test_zeros_may_be_accepted_for_a_folder_or_by_asking_again(bench: Bench) -> None:
    bench.engine.answer = {**GOOD, "zero_tail": True}
    bench.drop("a.tif", b"1")
    bench.drop("b.tif", b"2")

    asked = bench.take("a.tif", again=True)
    bench.settle(zero_tail="accept")
    accepted = bench.take("b.tif")

    assert isinstance(asked, Taken)
    assert isinstance(accepted, Taken)


# --- the same again ----------------------------------------------------------------------


def test_the_same_content_under_the_same_name_is_known(bench: Bench) -> None:
    job = bench.restore("a.tif", b"scan")
    bench.drop("a.tif", b"scan")

    outcome = bench.take("a.tif")

    assert isinstance(outcome, Known)
    assert outcome.job == job.id
    assert len(bench.engine.runs) == 1


def test_the_same_content_under_two_names_is_rendered_once_and_published_twice(bench: Bench) -> None:
    bench.restore("a.tif", b"scan")
    bench.restore("b.tif", b"scan")

    assert bench.engine.runs == [sha(b"scan")]
    assert bench.results() == dict.fromkeys(("a_restored.tif", "b_restored.tif"), restored(b"scan"))


def test_a_name_that_is_used_again_is_a_new_revision(bench: Bench) -> None:
    jobs = [bench.restore("SCAN0001.tif", b"%d" % number) for number in range(3)]

    assert [job.revision for job in jobs] == [1, 2, 3]
    assert sorted(bench.results()) == [
        "SCAN0001_restored-2.tif", "SCAN0001_restored-3.tif", "SCAN0001_restored.tif",
    ]  # fmt: skip


def test_a_result_put_into_the_inbox_is_left_alone_by_its_hash(moving: Bench) -> None:
    moving.restore("a.tif", b"scan")
    moving.drop("a_restored.tif", restored(b"scan"))
    moving.drop("a.tif", restored(b"scan"))  # even under its scan's name

    outcomes = [moving.take("a_restored.tif"), moving.take("a.tif")]
    again = moving.again("a.tif")
    moving.finish()

    assert all(isinstance(outcome, Known) for outcome in (*outcomes, again))
    assert len(moving.results()) == 1
    assert (moving.inbox / "a.tif").read_bytes() == restored(b"scan")


def test_a_result_whose_ledger_is_lost_is_left_alone_by_its_mark(bench: Bench) -> None:
    bench.drop("a_restored.tif", b"a result")
    bench.engine.answer = {**GOOD, "restored_by_scanmend": True}

    outcome = bench.take("a_restored.tif")
    again = bench.again("a_restored.tif")

    assert isinstance(outcome, Known)
    assert isinstance(again, Known)
    assert bench.job(outcome.job).state == State.SKIPPED
    assert not list(bench.spool.iterdir())
    bench.finish()
    assert not bench.results()


# --- surroundings ------------------------------------------------------------------------


def test_a_full_disk_of_ours_is_nobodys_fault(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.drop("a.tif", b"scan")
    monkeypatch.setattr(intake.disk, "free_bytes", lambda _: 10)

    with pytest.raises(Trouble, match="10 bytes left") as found:
        bench.take("a.tif")
    assert found.value.where == Where.STATE


def test_an_unreadable_disk_is_the_folders_trouble(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_more: Any) -> str:
        raise disk.ReadError(errno.EIO, "Input/output error")

    bench.drop("a.tif", b"scan")
    monkeypatch.setattr(intake.disk, "copy_hashed", broken)

    with pytest.raises(Trouble, match="Input/output error") as found:
        bench.take("a.tif")
    assert found.value.where == Where.FOLDER


def test_without_an_engine_nothing_is_noted_and_nothing_left(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")
    bench.engine.answer = Trouble(Where.ENGINE, "no engine")

    with pytest.raises(Trouble):
        bench.take("a.tif")
    assert not list(bench.spool.iterdir())
    assert not list(bench.ledger.in_state(*State))


# --- settings beside the scan ------------------------------------------------------------


def test_a_scan_may_have_to_wait_for_its_settings(bench: Bench) -> None:
    bench.folder = replace(bench.folder, sidecar="required")
    bench.drop("a.tif", b"scan")
    waits = bench.take("a.tif")
    assert isinstance(waits, Held)
    assert waits.kind == "settings"

    bench.drop("a.yaml", b"noise: {strength: 0.3}\n")

    job = bench.taken("a.tif")
    assert job.profile["noise"]["strength"] == 0.3
    assert job.profile["own"] is True


def test_broken_settings_hold_the_scan_and_say_where(bench: Bench) -> None:
    bench.drop("sub/a.tif", b"scan")
    bench.drop("sub/scanmend.yaml", b"nosie: 1\n")

    held = bench.take("sub/a.tif")

    assert isinstance(held, Held)
    assert held.kind == "settings"
    assert "sub/scanmend.yaml" in held.reason
    assert "noise" in held.reason


def test_a_changed_profile_restores_anew_only_when_asked(bench: Bench) -> None:
    bench.restore("a.tif", b"scan")
    bench.folder = replace(bench.folder, profile="strong")

    untouched, asked = bench.take("a.tif"), bench.again("a.tif")
    bench.finish()

    assert isinstance(untouched, Known)
    assert isinstance(asked, Taken)
    assert sorted(bench.results()) == ["a_restored-2.tif", "a_restored.tif"]


def test_asking_again_with_the_same_settings_does_nothing(bench: Bench) -> None:
    bench.restore("a.tif", b"scan")

    outcome = bench.again("a.tif")

    assert isinstance(outcome, Known)
    assert "very settings" in outcome.sentence


def test_a_scan_whose_original_was_moved_is_restored_again_from_there(moving: Bench) -> None:
    moving.restore("a.tif", b"scan")
    moving.folder = replace(moving.folder, profile="strong")
    origin = moving.archive / "a.tif"

    outcome = moving.intake.take(
        moving.folder, "a.tif", disk.signature_of(origin) or "", again=True, origin=origin
    )
    moving.finish()

    assert isinstance(outcome, Taken)
    assert len(moving.results()) == 2
    assert [p.name for p in Path(moving.archive).iterdir()] == ["a.tif"]
