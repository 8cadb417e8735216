from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from scanmend_daemon import delivery
from scanmend_daemon.ledger import FRESH, Job, State

from tests.daemon.keeping import Bench, restored, sha

REPORT = {"source_sha256": "x", "megapixels": 1.0, "seconds": 1.0}


def rendered(bench: Bench, name: str = "a.tif", data: bytes = b"scan") -> Job:
    """A job whose part lies complete in the output folder, with its name reserved."""
    bench.drop(name, data)
    bench.taken(name)
    job = bench.ledger.take(bench.root, FRESH)
    assert job is not None
    part = bench.delivery.part_of(job, bench.folder)
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(restored(data))
    return bench.delivery.reserve(
        job, bench.folder, part, out_sha256=sha(restored(data)), report=dict(REPORT)
    )


# --- the result --------------------------------------------------------------------------


def test_a_result_gets_its_name_and_its_sidecar(bench: Bench) -> None:
    job = bench.delivery.publish(rendered(bench), bench.folder)

    told = json.loads((bench.output / "a_restored.tif.scanmend.json").read_bytes())
    assert job.state == State.PUBLISHED
    assert bench.results() == {"a_restored.tif": restored(b"scan")}
    assert (told["source"], told["target"]) == ("a.tif", "a_restored.tif")


def test_publishing_may_be_cut_off_and_done_again(bench: Bench) -> None:
    job = rendered(bench)
    bench.delivery.publish(job, bench.folder)

    again = bench.delivery.publish(job, bench.folder)

    assert again.target == str(bench.output / "a_restored.tif")
    assert list(bench.results()) == ["a_restored.tif"]


@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere", "sidecar alone"])
def test_what_has_taken_the_name_meanwhile_stays_and_the_result_gets_the_next(
    bench: Bench, kind: str
) -> None:
    job = rendered(bench)
    taken = bench.output / "a_restored.tif"
    if kind == "file":
        taken.write_bytes(b"foreign")
    elif kind == "folder":
        taken.mkdir()
    elif kind == "link to nowhere":
        taken.symlink_to("nowhere")
    else:
        (bench.output / "a_restored.tif.scanmend.json").write_bytes(b"foreign")

    job = bench.delivery.publish(job, bench.folder)

    assert job.target == str(bench.output / "a_restored-2.tif")
    assert os.path.lexists(taken) == (kind != "sidecar alone")
    assert not bench.litter()
    if kind != "sidecar alone":
        assert not (bench.output / "a_restored.tif.scanmend.json").exists()


def test_a_part_that_is_gone_is_rendered_again_and_leaves_no_sidecar(bench: Bench) -> None:
    job = rendered(bench)
    Path(job.part or "").unlink()

    with pytest.raises(LookupError):
        bench.delivery.publish(job, bench.folder)
    assert not os.listdir(bench.output)  # noqa: PTH208 - hidden ones too


def test_names_that_some_disks_take_for_one_are_not_both_given(bench: Bench) -> None:
    one, two = rendered(bench, "Ä.tif", b"1"), rendered(bench, "a\u0308.TIF", b"2")

    names = [Path(job.target or "").name for job in (one, two)]

    assert names == ["Ä_restored.tif", "a\u0308_restored-2.TIF"]


def test_a_reserved_name_is_not_given_twice(bench: Bench) -> None:
    one, two = rendered(bench, "a.tif", b"1"), rendered(bench, "a.tif", b"2")

    assert (one.target, two.target) == tuple(
        str(bench.output / name) for name in ("a_restored.tif", "a_restored-2.tif")
    )


# --- the original ------------------------------------------------------------------------


def test_an_original_moves_once_its_result_stands(moving: Bench) -> None:
    job = moving.restore("sub/a.tif", b"scan")

    assert job.state == State.DONE
    assert not (moving.inbox / "sub" / "a.tif").exists()
    assert (moving.archive / "sub" / "a.tif").read_bytes() == b"scan"
    assert not moving.litter()


def test_a_scan_that_was_changed_stays_and_what_was_restored_is_kept(moving: Bench) -> None:
    moving.engine.during = lambda: (moving.drop("a.tif", b"newer"), None)[1]

    moving.restore("a.tif", b"scan")

    assert (moving.inbox / "a.tif").read_bytes() == b"newer"
    assert (moving.archive / "a.tif").read_bytes() == b"scan"


def test_a_scan_taken_away_meanwhile_is_archived_from_the_private_copy(moving: Bench) -> None:
    moving.engine.during = (moving.inbox / "a.tif").unlink

    moving.restore("a.tif", b"scan")

    assert (moving.archive / "a.tif").read_bytes() == b"scan"


def test_the_same_scan_dropped_twice_lies_in_the_archive_once(moving: Bench) -> None:
    job = moving.restore("a.tif", b"scan")
    moving.drop("a.tif", b"scan")
    moving.take("a.tif")

    moving.ledger.published(job)
    moving.finish()

    assert not (moving.inbox / "a.tif").exists()
    assert os.listdir(moving.archive) == ["a.tif"]  # noqa: PTH208
    assert len(moving.engine.runs) == 1


def test_a_job_that_goes_the_way_again_keeps_its_sentence(moving: Bench) -> None:
    job = moving.restore("a.tif", b"scan")

    moving.ledger.published(job)
    moving.finish()

    assert moving.job(job.id).sentence == job.sentence


def test_scans_of_one_name_lie_side_by_side_in_the_archive(moving: Bench) -> None:
    for number in range(3):
        moving.restore("SCAN0001.tif", b"scan %d" % number)

    names = ["SCAN0001.tif", "SCAN0001-2.tif", "SCAN0001-3.tif"]
    assert [(moving.archive / name).read_bytes() for name in names] == [b"scan 0", b"scan 1", b"scan 2"]


def test_a_name_reserved_in_the_archive_and_taken_by_another_is_exchanged(moving: Bench) -> None:
    """Two folders may archive to one: the loser of the race must not wait for ever."""
    job = moving.delivery.publish(rendered(moving), moving.folder)
    moving.archive.mkdir()
    moving.ledger.archiving(job, str(moving.archive / "a.tif"))
    (moving.archive / "a.tif").write_bytes(b"another scan")

    done = moving.delivery.dispose(moving.job(job.id), moving.folder, "restored")

    assert done.state == State.DONE
    assert (moving.archive / "a.tif").read_bytes() == b"another scan"
    assert (moving.archive / "a-2.tif").read_bytes() == b"scan"


def test_a_file_that_is_not_the_original_is_never_removed_for_it(moving: Bench) -> None:
    """A result put where its scan had been, its job's original archived: it is somebody's only copy."""
    job = moving.restore("a.tif", b"scan")
    path = moving.drop("a.tif", b"something else")
    with moving.ledger._commit():
        moving.ledger._set(job.id, signature=delivery.disk.signature_of(path), state=State.PUBLISHED)

    moving.finish()

    assert path.read_bytes() == b"something else"
    assert moving.job(job.id).state == State.DONE


def test_an_original_that_was_archived_and_tidied_away_does_not_stop_the_folder(moving: Bench) -> None:
    job = moving.restore("a.tif", b"scan")
    (moving.archive / "a.tif").unlink()

    moving.ledger.published(job)
    moving.finish()

    assert moving.job(job.id).state == State.DONE
    assert any("no longer there" in line for line in moving.said)


def test_an_original_moves_across_file_systems_with_its_time(
    moving: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Path("/dev/shm")  # noqa: S108
    if not memory.is_dir() or memory.stat().st_dev == moving.base.stat().st_dev:
        pytest.skip("there is no second file system at hand")
    job = moving.delivery.publish(rendered(moving), moving.folder)
    os.utime(moving.inbox / "a.tif", ns=(1, 10**18))
    moving.take("a.tif")
    archive = memory / f"scanmend-test-{os.getpid()}"
    monkeypatch.setattr(moving, "folder", delivery.replace(moving.folder, originals=archive))
    try:
        moving.delivery.dispose(moving.job(job.id), moving.folder, "restored")

        assert not (moving.inbox / "a.tif").exists()
        assert (archive / "a.tif").read_bytes() == b"scan"
        assert (archive / "a.tif").stat().st_mtime_ns == 10**18
        assert not moving.litter()
    finally:
        for path in archive.iterdir():
            path.unlink()
        archive.rmdir()


def test_an_original_on_its_way_comes_back_when_originals_are_kept_after_all(moving: Bench) -> None:
    job = moving.delivery.publish(rendered(moving), moving.folder)
    moving.ledger.archiving(job, str(moving.archive / "a.tif"))
    (moving.inbox / "a.tif").rename(moving.delivery.moving(job))
    kept = delivery.replace(moving.folder, originals=None)

    moving.delivery.dispose(moving.job(job.id), kept, "restored")

    assert (moving.inbox / "a.tif").read_bytes() == b"scan"
    assert not moving.litter()


def test_two_names_of_one_file_are_told_from_a_move_that_was_made(moving: Bench) -> None:
    """After a power cut some file systems show both; a rename of these does nothing and says nothing."""
    job = moving.delivery.publish(rendered(moving), moving.folder)
    moving.ledger.archiving(job, str(moving.archive / "a.tif"))
    (moving.delivery.moving(job)).hardlink_to(moving.inbox / "a.tif")
    moving.archive.mkdir()

    moving.delivery.dispose(moving.job(job.id), moving.folder, "restored")

    assert not (moving.inbox / "a.tif").exists()
    assert (moving.archive / "a.tif").read_bytes() == b"scan"
    assert not moving.litter()


def test_an_archive_that_refuses_leaves_the_original_where_it_is(
    moving: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    job = moving.delivery.publish(rendered(moving), moving.folder)
    monkeypatch.setattr(delivery.disk, "make_folders", refuse)

    done = moving.delivery.dispose(job, moving.folder, "restored")

    assert done.state == State.DONE
    assert (moving.inbox / "a.tif").read_bytes() == b"scan"
    assert any("stays where it is" in line for line in moving.said)


def test_the_private_copy_is_dropped_when_no_job_needs_it(bench: Bench) -> None:
    bench.restore("a.tif", b"scan")

    assert not list(bench.spool.iterdir())


# --- failures ----------------------------------------------------------------------------


def failed(bench: Bench, name: str = "a.tif", data: bytes = b"scan", sentence: str = "it is torn") -> Job:
    bench.drop(name, data)
    job = bench.taken(name)
    return bench.delivery.set_aside(job, bench.folder, "DamagedFile", sentence, "scan it again")


def test_a_failure_leaves_a_link_and_a_sentence(bench: Bench) -> None:
    job = failed(bench, "sub/a.tif")

    scan, note = bench.failed / "sub" / "a.tif", bench.failed / "sub" / "a.tif.txt"
    assert job.state == State.FAILED
    assert scan.samefile(bench.inbox / "sub" / "a.tif")
    assert note.read_text() == (
        f"it is torn.\nWhat to do: scan it again.\nThen say: scanmend retry {job.id}\n"
    )
    assert not list(bench.spool.iterdir())


def test_a_scan_whose_file_has_gone_is_kept_among_the_failures(bench: Bench) -> None:
    bench.drop("a.tif", b"scan")
    job = bench.taken("a.tif")
    (bench.inbox / "a.tif").unlink()

    bench.delivery.set_aside(job, bench.folder, "DamagedFile", "it is torn", "")

    assert (bench.failed / "a.tif").read_bytes() == b"scan"


def test_what_lies_among_the_failures_is_never_replaced(bench: Bench) -> None:
    bench.failed.mkdir()
    (bench.failed / "a.tif").write_bytes(b"foreign")
    (bench.failed / "a-2.tif.txt").write_bytes(b"foreign")

    job = failed(bench)

    assert job.note == str(bench.failed / "a-3.tif.txt")
    assert (bench.failed / "a.tif").read_bytes() == (bench.failed / "a-2.tif.txt").read_bytes() == b"foreign"


def test_a_second_failure_takes_the_first_ones_note_back(bench: Bench) -> None:
    job = failed(bench)
    bench.again("a.tif")
    bench.delivery.set_aside(bench.job(job.id), bench.folder, "DamagedFile", "it is burnt", "")

    assert sorted(os.listdir(bench.failed)) == ["a.tif", "a.tif.txt"]  # noqa: PTH208
    assert "it is burnt" in (bench.failed / "a.tif.txt").read_text()


def test_after_a_success_no_failure_stands_and_no_copy_is_kept_for_it(bench: Bench) -> None:
    bad = failed(bench, data=b"torn scan")

    bench.restore("a.tif", b"whole scan")

    assert bench.job(bad.id).state == State.SKIPPED
    assert not (bench.failed / "a.tif.txt").exists()
    assert (bench.failed / "a.tif").read_bytes() == b"torn scan"  # the only copy there is
    assert not list(bench.spool.iterdir())


def test_a_mere_link_among_the_failures_goes_with_its_note(bench: Bench) -> None:
    failed(bench)
    bench.again("a.tif")
    bench.finish()

    assert not os.listdir(bench.failed)  # noqa: PTH208
    assert (bench.inbox / "a.tif").read_bytes() == b"scan"


def test_where_no_note_can_be_written_the_private_copy_stays_if_it_is_the_last(bench: Bench) -> None:
    bench.failed.write_bytes(b"no folder")
    kept = failed(bench)
    bench.drop("b.tif", b"gone")
    gone = bench.taken("b.tif")
    (bench.inbox / "b.tif").unlink()
    gone = bench.delivery.set_aside(gone, bench.folder, "DamagedFile", "it is torn", "")

    assert (kept.note, gone.note) == ("", None)
    assert [path.name for path in bench.spool.iterdir()] == [sha(b"gone")]
