"""The whole daemon: real folders, real threads, a real engine."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scanmend.errors import UsageError
from scanmend_daemon import disk
from scanmend_daemon.daemon import Daemon
from scanmend_daemon.ledger import State
from scanmend_daemon.log import Log

from tests.core.serving import Server
from tests.daemon.keeping import files
from tests.daemon.running import WAIT, House, picture


@pytest.fixture
def house(tmp_path: Path, engine: Server, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(engine.address.parents[1]))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    return House(tmp_path)


def test_what_lay_there_and_what_comes_is_restored(house: House) -> None:
    house.drop("old.png", picture(1))
    with house.running():
        house.until_results("old_restored.png")
        house.drop("sub/new.png", picture(2))
        house.until_results("sub/new_restored.png")

    told = json.loads((house.output / "old_restored.png.scanmend.json").read_bytes())
    assert (told["source"], told["unchanged"]) == ("old.png", False)
    assert not [name for name in files(house.output) if "/." in f"/{name}"]
    assert not list((house.base / "state" / "spool").iterdir())


def test_a_restart_restores_nothing_twice(house: House) -> None:
    house.drop("a.png", picture(1))
    with house.running():
        house.until_results("a_restored.png")
        house.until_idle()
    before = files(house.output)

    for _ in range(2):
        with house.running():
            house.until_idle()

    assert files(house.output) == before
    assert house.said.count("taken in") == 1


def test_a_hundred_touches_are_one_job(house: House) -> None:
    path = house.drop("a.png", picture(1))
    with house.running() as daemon:
        for _ in range(100):
            os.utime(path)
            with path.open("r+b"):
                pass
        house.until_results("a_restored.png")
        for _ in range(10):
            os.utime(path)
        house.until_said("its content is as it was")
        house.until_idle()
        jobs = list(daemon.ledger.in_state(*State))

    assert len(jobs) == 1
    assert house.results() == ["a_restored.png"]


def test_names_of_all_kinds_and_twins_each_get_their_result(house: House) -> None:
    names = [b"\xff.png", b"new\nline.png", b"n" * 251 + b".png", "Ä.png".encode(), "A\u0308.PNG".encode()]
    for number, name in enumerate(names):
        house.drop(os.fsdecode(name), picture(number))

    with house.running():
        house.until(lambda: len(house.results()) == len(names))
        house.until_idle()

    assert "\n12:" not in house.said
    assert all(len(os.fsencode(Path(name).name)) <= 255 for name in house.results())


def test_a_scanner_that_begins_again_at_one_loses_nothing(house: House) -> None:
    house.configure(folder=f"    originals: {house.base / 'originals'}\n")
    scans = [picture(number) for number in range(4)]

    with house.running():
        for number, scan in enumerate(scans):
            house.drop("SCAN0001.png", scan)
            time.sleep(0.3 * (number % 2))  # some come while the one before is at work
        house.until(lambda: not (house.inbox / "SCAN0001.png").exists())
        house.until_idle()

    kept = files(house.base / "originals")
    assert scans[-1] in kept.values()
    assert len(kept) == len(house.results())
    assert set(kept.values()) <= set(scans)


def test_one_content_under_two_names_is_restored_once(house: House) -> None:
    house.drop("a.png", picture(1))
    house.drop("b.png", picture(1))

    with house.running() as daemon:
        house.until_results("a_restored.png", "b_restored.png")
        house.until_idle()
        renders = daemon.work.stages.seconds["render"][1]

    assert renders == 1


def test_a_scan_dropped_again_follows_its_original(house: House) -> None:
    house.configure(folder=f"    originals: {house.base / 'originals'}\n")
    with house.running():
        house.drop("a.png", picture(1))
        house.until(lambda: files(house.base / "originals"))
        house.drop("a.png", picture(1))
        house.until(lambda: not (house.inbox / "a.png").exists())
        house.until_idle()
        (house.base / "originals" / "a.png").rename(house.inbox / "a.png")  # the very same file
        house.until(lambda: not (house.inbox / "a.png").exists())
        house.until_idle()

    assert list(files(house.base / "originals")) == ["a.png"]
    assert house.results() == ["a_restored.png"]


def test_a_result_in_the_inbox_goes_round_no_loop(house: House) -> None:
    with house.running():
        house.drop("a.png", picture(1))
        house.until_results("a_restored.png")
        result = (house.output / "a_restored.png").read_bytes()
        house.drop("back.png", result)
        house.until_said("back.png: it is a result of ours")
        house.until_idle()
    shutil.rmtree(house.base / "state")
    (house.inbox / "a.png").unlink()

    with house.running():
        house.until_said("back.png: it is a result of Scanmend already")
        house.until_idle()

    assert house.results() == ["a_restored.png"]


def test_bad_files_fail_with_a_sentence_and_stop_nothing(house: House) -> None:
    house.configure(folder="    failed: ./failed\n")
    house.drop("pdf.tif", b"%PDF-1.7\n%rest")
    house.drop("text.png", b"this is no picture")
    house.drop("half.png", picture(1)[:2000])
    house.drop("letter.pdf", b"%PDF-1.7\n")

    with house.running() as daemon:
        house.drop("good.png", picture(2))
        house.until_results("good_restored.png")
        house.until(lambda: len(daemon.ledger.latest(State.FAILED, limit=9)) == 3)
        house.drop("half.png", picture(1))
        house.until_results("half_restored.png")
        house.until_idle()

    failed = files(house.base / "failed")
    assert sorted(name for name in failed if name.endswith(".txt")) == ["pdf.tif.txt", "text.png.txt"]
    assert b"PDF" in failed["pdf.tif.txt"]
    assert b"What to do: " in failed["pdf.tif.txt"]
    assert "letter.pdf is left out" in house.said


def test_limits_are_told_and_a_retry_after_raising_them_succeeds(house: House) -> None:
    house.configure(folder="")
    text = house.path.read_text()
    house.path.write_text(text.replace("{min_free: 0}", "{min_free: 0, max_megapixels: 0.001}"))
    path = house.drop("a.png", picture(1))

    with house.running() as daemon:
        house.until_said("a.png: failed")
        assert "max_megapixels" in house.said
        house.configure()
        house.until(lambda: daemon.reloads_ok)
        house.act("retry", file=str(path))
        house.until_results("a_restored.png")
        house.until_idle()

    assert not files(house.base / "inbox-failed")


def test_a_half_written_scan_is_held_until_it_is_released(house: House) -> None:
    data = bytearray(picture(1, form="BMP", side=128))
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path = house.drop("half.bmp", bytes(data))

    with house.running():
        house.until_said("half.bmp waits: it ends in zeros")
        told = house.act("explain", file=str(path))
        assert told["state"] == "held"
        house.act("release", file=str(path))
        house.until_results("half_restored.bmp")


# --- people --------------------------------------------------------------------------------


def test_a_paused_folder_rests_and_shuts_no_other_out(house: House) -> None:
    other = house.base / "other"
    other.mkdir()
    house.configure(f"  - watch: {other}\n    settle: 0.1s\n    limits: {{min_free: 0}}\n")
    with house.running() as daemon:
        house.act("pause", folder=str(house.inbox))
        for number in range(40):
            daemon.ledger.add(
                folder=str(house.inbox), relpath=f"{number}.png", sha256=str(number), profile_hash="p",
                profile={}, signature="", size=1,
            )  # fmt: skip
        house.drop("b.png", picture(1), folder=other)
        house.until(lambda: house.results(house.base / "other-restored") == ["b_restored.png"])

        assert daemon.ledger.waiting(str(house.inbox)) == 40


def test_a_folders_backlog_shuts_no_other_out(house: House) -> None:
    other = house.base / "other"
    other.mkdir()
    house.configure(f"  - watch: {other}\n    settle: 0.1s\n    limits: {{min_free: 0}}\n")
    for number in range(60):
        house.drop(f"{number}.png", picture(number))

    with house.running():
        house.until(house.results)
        house.drop("b.png", picture(99), folder=other)
        house.until(lambda: house.results(house.base / "other-restored"))

        assert len(house.results()) < 60


def test_a_scan_on_a_flaw_of_the_disk_stops_none_but_itself(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = disk._pieces

    def flawed(source: int, stop: Callable[[], bool]) -> Iterator[bytes]:
        if Path(f"/proc/self/fd/{source}").readlink().name == "flawed.png":
            raise disk.ReadError(errno.EIO, os.strerror(errno.EIO))
        return pieces(source, stop)

    monkeypatch.setattr(disk, "_pieces", flawed)
    house.drop("flawed.png", picture(0))
    with house.running() as daemon:
        for number in range(5):
            house.drop(f"{number}.png", picture(number + 1))
        house.until_results(*(f"{number}_restored.png" for number in range(5)))
        house.until(lambda: len(daemon.control.snapshot()["waiting"]) == 1)  # it is up to half a second old
        waiting = daemon.control.snapshot()["waiting"]
        paused = bool(daemon.pauses)

    assert not paused
    assert [(scan["file"], "Input/output error" in scan["reason"]) for scan in waiting] == [
        ("flawed.png", True)
    ]


def test_cancel_retry_and_reprocess_in_the_states_they_meet(house: House) -> None:
    with house.running() as daemon:
        house.act("pause", folder=str(house.inbox))
        path = house.drop("a.png", picture(1))
        with pytest.raises(UsageError, match="never taken in"):
            house.act("cancel", file=str(path))
        with pytest.raises(UsageError, match="is not held"):
            house.act("release", file=str(path))
        house.act("resume", folder=str(house.inbox))
        house.until_results("a_restored.png")
        house.until_idle()
        with pytest.raises(UsageError, match="done"):
            house.act("cancel", file=str(path))
        with pytest.raises(UsageError, match="needs no other try"):
            house.act("retry", file=str(path))

        house.act("reprocess", file=str(path))
        house.until_said("very settings")
        house.configure(folder="    profile: strong\n")
        house.until(lambda: daemon.reloads_ok)
        answer = house.act("reprocess", folder=str(house.inbox))
        assert answer["count"] == 1
        house.until_results("a_restored.png", "a_restored-2.png")
        assert house.act("verify")["ok"]


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("retry", {"job": "none"}, "no job none"),
        ("retry", {"job": 999}, "no job 999"),
        ("retry", {}, "not said which"),
        ("fly", {}, "nothing that can be asked"),
        ("explain", {"file": "/elsewhere/a.tif"}, "does not lie in a hot folder"),
        ("pause", {"folder": "/elsewhere"}, "is not a hot folder"),
        ("explain", {"file": "/else\ud800where"}, "does not lie"),
    ],
)
def test_what_cannot_be_done_is_said(
    house: House, name: str, arguments: dict[str, object], words: str
) -> None:
    with house.running(), pytest.raises(UsageError, match=words):
        house.act(name, **arguments)


# --- the folder, the configuration, the surroundings ---------------------------------------


def test_an_output_folder_deleted_under_way_is_made_again(house: House) -> None:
    with house.running():
        house.drop("a.png", picture(1))
        house.until_results("a_restored.png")
        shutil.rmtree(house.output)
        house.drop("b.png", picture(2))
        house.until_results("b_restored.png")


def test_a_root_deleted_and_made_anew_is_watched_again(house: House) -> None:
    with house.running():
        house.drop("a.png", picture(1))
        house.until_results("a_restored.png")
        shutil.rmtree(house.inbox)
        house.until_said("is offline")
        house.drop("b.png", picture(2))
        house.until_results("b_restored.png")


def test_a_file_that_becomes_a_folder_and_one_that_vanishes_stop_nothing(house: House) -> None:
    with house.running():
        for number in range(20):
            path = house.drop(f"{number}.png", picture(number))
            path.unlink()
            if number % 2:
                path.mkdir()
        house.drop("good.png", picture(99))
        house.until_results("good_restored.png")
        house.until_idle()


def test_a_reload_takes_a_folder_away_and_gives_it_another_output(house: House) -> None:
    other = house.base / "other"
    other.mkdir()
    with house.running() as daemon:
        for number in range(6):
            house.drop(f"{number}.png", picture(number))
        house.until(house.results)
        house.configure(
            f"  - watch: {other}\n    settle: 0.1s\n    limits: {{min_free: 0}}\n",
            folder=f"    output: {house.base / 'elsewhere'}\n",
        )
        house.until(lambda: daemon.reloads_ok == 1)
        house.drop("later.png", picture(7))
        house.drop("b.png", picture(8), folder=other)
        house.until(lambda: "later_restored.png" in house.results(house.base / "elsewhere"))
        house.until(lambda: house.results(house.base / "other-restored"))
        house.configure()
        house.until(lambda: daemon.reloads_ok == 2)
        house.until_idle()

    both = house.results() + house.results(house.base / "elsewhere")
    assert sorted(both) == sorted([*(f"{number}_restored.png" for number in range(6)), "later_restored.png"])


def test_a_broken_configuration_changes_nothing_and_is_told(house: House) -> None:
    with house.running() as daemon:
        house.configure(folder="    profiel: strong\n")
        house.until(lambda: daemon.reloads_failed)
        house.drop("a.png", picture(1))
        house.until_results("a_restored.png")
        told = daemon.control.snapshot()["config"]["error"]

    assert "profile" in told


def test_a_second_daemon_is_refused_and_named(house: House) -> None:
    with house.running():
        with pytest.raises(UsageError, match=f"process {os.getpid()}"):
            Daemon(house.load(), Log(house.out))
        text = house.path.read_text().replace("state:", "state: elsewhere\n#")
        house.path.write_text(text)
        second = Daemon(house.load(), Log(house.out))
        try:
            with pytest.raises(UsageError, match="already watched"):
                second._open()
        finally:
            second._close()


def test_a_garbled_ledger_doubles_nothing(house: House) -> None:
    house.drop("a.png", picture(1))
    with house.running():
        house.until_results("a_restored.png")
        house.until_idle()
    before = files(house.output)
    for path in (house.base / "state").glob("ledger.sqlite*"):
        path.write_bytes(b"\0garbled" * 999)

    with house.running() as daemon:
        house.until(lambda: daemon.ledger.latest(State.DONE, limit=1))
        house.until_idle()

    assert files(house.output) == before
    assert "was damaged" in house.said


def test_a_full_state_disk_pauses_work_and_ends_nothing(house: House) -> None:
    with house.running() as daemon:
        begin = daemon.ledger._db.execute("PRAGMA page_count").fetchone()[0]
        daemon.ledger._db.execute(f"PRAGMA max_page_count={begin}")
        for number in range(30):
            house.drop(f"{number}.png", picture(1))
        house.until_said("the ledger takes no entry")
        daemon.ledger._db.execute("PRAGMA max_page_count=1000000")
        house.until(lambda: len(house.results()) == 30)
        house.until_idle()

    assert "should not" not in house.said


# --- as a process --------------------------------------------------------------------------


def watch(house: House, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scanmend", "watch", *more],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )


def test_once_ends_when_everything_is_done_and_says_how_it_went(house: House) -> None:
    house.drop("a.png", picture(1))

    good = watch(house, str(house.path), "--once")
    house.drop("b.png", b"no picture")
    bad = watch(house, str(house.path), "--once")

    assert (good.returncode, bad.returncode) == (0, 1), good.stderr + bad.stderr
    assert house.results() == ["a_restored.png"]


def test_once_with_a_folder_that_is_not_there_ends_as_well(house: House) -> None:
    house.drop("a.png", picture(1))
    house.configure(f"  - watch: {house.base / 'nowhere'}\n    limits: {{min_free: 0}}\n")

    done = watch(house, str(house.path), "--once")

    assert done.returncode == 1
    assert house.results() == ["a_restored.png"]


def test_the_daemon_itself_stays_small(house: House) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("memory is read from /proc")
    process = subprocess.Popen(
        [sys.executable, "-m", "scanmend", "watch", str(house.path)], stderr=subprocess.PIPE, text=True
    )
    try:
        for number in range(30):
            house.drop(f"{number}.png", picture(number))
        house.until(lambda: len(house.results()) == 30)
        status = Path(f"/proc/{process.pid}/status").read_text()
        maps = Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.terminate()
        print(process.communicate(timeout=WAIT)[1])
    resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024
    print(f"{resident:.1f} MB")

    assert resident < 60
    assert "numpy" not in maps
    assert "torch" not in maps
