from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scanmend.errors import UsageError
from scanmend_daemon import config, locks
from scanmend_daemon.config import Folder, Settle
from scanmend_daemon.disk import signature_of
from scanmend_daemon.hotfolder import HotFolder, Ripe
from scanmend_daemon.ledger import BACKLOG, FRESH, Ledger

from tests.daemon.seeing import common_folder, nobody


class Watched:
    """A hot folder that is polled, looked at with a clock of the test's own."""

    def __init__(self, root: Path, **changes: object) -> None:
        self.root = root
        folder = config.for_folder(root).folders[0]
        values = {"by": "polling", "settle": Settle(quiet=1, give_up=60), "poll": 10.0, **changes}
        self.folder: Folder = replace(folder, **values)  # type: ignore[arg-type]
        self.ledger = Ledger(root.parent / "ledger.sqlite")
        self.said: list[str] = []
        self.now = 1000.0
        self.hot = HotFolder(
            self.folder, self.ledger, skip=frozenset(), wake=threading.Event(), say=self.said.append
        )

    def write(self, name: str, data: bytes = b"scan", *, age: float = 0) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if age:
            os.utime(path, (1e9 - age, 1e9 - age))
        return path

    def look(self, after: float = 0.0) -> None:
        self.now += after
        for _ in range(50):  # a walk goes on in slices
            self.hot.look(self.now)
            if self.hot.next_due(self.now) > self.now:
                return

    def ripe(self, limit: int = 100, backlog: int = 100) -> list[Ripe]:
        return self.hot.ripe(self.now, limit, backlog)

    def names(self, limit: int = 100, backlog: int = 100) -> list[str]:
        return [found.entry.relpath for found in self.ripe(limit, backlog)]

    def account(self, name: str, content: str = "1") -> None:
        """The scan as it is now is a job."""
        signature = signature_of(self.root / name) or ""
        self.ledger.add(
            folder=str(self.root), relpath=name, sha256=content, profile_hash="p", profile={},
            signature=signature, size=1,
        )  # fmt: skip
        self.hot.finished(name, self.now)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "inbox").mkdir()
    made = Watched(tmp_path / "inbox")
    made.hot.open()
    yield made
    made.hot.close()
    made.ledger.close()


def test_what_lay_there_and_what_came_are_both_taken_in_their_lanes(watched: Watched) -> None:
    watched.write("old.tif", age=1000)
    watched.write("new.tif")
    watched.look()
    watched.look(1.5)

    found = {found.entry.relpath: found.lane for found in watched.ripe()}

    assert found == {"old.tif": BACKLOG, "new.tif": FRESH}


def test_a_scan_that_is_accounted_for_is_not_looked_at_again(watched: Watched) -> None:
    watched.write("a.tif")
    watched.look()
    watched.look(1.5)
    assert watched.names() == ["a.tif"]

    watched.account("a.tif")
    watched.look(20)
    watched.look(20)

    assert watched.names() == []
    assert watched.hot.idle


def test_a_scan_in_flight_is_not_offered_twice(watched: Watched) -> None:
    watched.write("a.tif")
    watched.look()
    watched.look(1.5)
    watched.names()

    watched.look(20)
    watched.look(20)

    assert watched.names() == []
    assert not watched.hot.idle


def test_a_scan_written_anew_while_it_was_taken_in_settles_at_once(watched: Watched) -> None:
    watched.write("SCAN0001.tif", b"first")
    watched.look()
    watched.look(1.5)
    watched.names()
    first = signature_of(watched.root / "SCAN0001.tif")
    watched.write("SCAN0001.tif", b"second content")

    watched.ledger.remember(str(watched.root), "SCAN0001.tif", first or "", "1", 1)
    watched.hot.finished("SCAN0001.tif", watched.now)
    watched.look(1.5)

    assert watched.names() == ["SCAN0001.tif"]


@pytest.mark.parametrize("name", [b"\xff.tif", b"new\nline.tif", b"n" * 251 + b".tif"])
def test_a_name_of_any_bytes_is_offered_as_it_is(watched: Watched, name: bytes) -> None:
    watched.write(os.fsdecode(name))
    watched.look()
    watched.look(1.5)

    assert watched.names() == [os.fsdecode(name)]


def test_the_newest_do_not_wait_behind_a_backlog(watched: Watched) -> None:
    for number in range(1000):
        watched.write(f"old{number}.tif", age=1000)
    watched.look()
    watched.write("new.tif")
    watched.look(11)
    watched.look(1.5)

    found = watched.ripe(limit=4, backlog=3)

    assert found[0].entry.relpath == "new.tif"
    assert len(found) == 4
    assert len(watched.ripe(limit=4, backlog=0)) == 0


def test_a_backlog_larger_than_the_room_comes_in_turn_and_whole(watched: Watched) -> None:
    names = {f"{number}.tif" for number in range(900)}
    for name in names:
        watched.write(name, age=1000)

    offered: list[str] = []
    for _ in range(400):
        watched.look(1.5)
        for name in watched.names(limit=50):
            offered.append(name)
            watched.account(name)
        if len(offered) == len(names):
            break

    assert sorted(offered) == sorted(names)


def test_a_held_scan_waits_until_it_changes(watched: Watched) -> None:
    path = watched.write("a.tif")
    watched.look()
    watched.look(1.5)
    watched.names()

    watched.hot.held("a.tif", signature_of(path) or "", "it ends in zeros", "person", watched.now)
    watched.look(100)
    assert watched.names() == []
    watched.write("a.tif", b"more")
    watched.look(11)
    watched.look(1.5)

    assert watched.names() == ["a.tif"]


def test_a_held_scan_is_released_by_any_thread(watched: Watched) -> None:
    path = watched.write("a.tif")
    watched.look()
    watched.look(1.5)
    watched.names()
    watched.hot.held("a.tif", signature_of(path) or "", "it ends in zeros", "person", watched.now)

    thread = threading.Thread(target=watched.hot.release, args=["a.tif"])
    thread.start()
    thread.join()
    watched.look(0.1)

    assert watched.names() == ["a.tif"]


def test_a_held_scan_that_was_taken_away_is_forgotten_without_an_event(watched: Watched) -> None:
    path = watched.write("a.tif")
    watched.look()
    watched.look(1.5)
    watched.names()
    watched.hot.held("a.tif", signature_of(path) or "", "it ends in zeros", "person", watched.now)
    path.unlink()
    path.mkdir()

    watched.look(11)

    assert not watched.hot.settling.held


def test_patience_with_a_damaged_scan_ends_and_begins_anew_with_another_content(watched: Watched) -> None:
    path = watched.write("a.tif")
    one = signature_of(path) or ""
    watched.hot.held("a.tif", one, "it ends too soon", "damaged", watched.now)
    assert watched.hot.patient("a.tif", one, watched.now + 59)
    assert not watched.hot.patient("a.tif", one, watched.now + 61)

    watched.look(61)
    assert watched.names() == ["a.tif"]
    watched.write("a.tif", b"longer")

    assert watched.hot.patient("a.tif", signature_of(path) or "", watched.now + 61)


def test_each_look_at_a_held_scan_says_nothing_new(watched: Watched) -> None:
    path = watched.write("a.tif")
    for _ in range(5):
        watched.hot.held("a.tif", signature_of(path) or "", "it is damaged", "time", watched.now)

    assert watched.said == ["a.tif waits: it is damaged"]


# --- the folder itself -------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_offline_and_comes_back(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "inbox")
    watched.hot.open()
    watched.look()
    assert "No such file" in watched.hot.offline

    (tmp_path / "inbox").mkdir()
    watched.hot._next_walk = watched.now
    watched.write("a.tif")
    watched.look()
    watched.look(1.5)

    assert watched.hot.offline == ""
    assert watched.names() == ["a.tif"]
    watched.hot.close()
    watched.ledger.close()


def test_a_folder_deleted_and_made_anew_is_looked_through_at_once(watched: Watched) -> None:
    watched.look()
    shutil.rmtree(watched.root)
    watched.root.mkdir()
    watched.write("a.tif")

    watched.look(0.1)
    watched.look(1.5)

    assert watched.names() == ["a.tif"]
    assert (watched.root / locks.MARKER).exists()


def test_a_folder_that_another_daemon_has_is_refused_and_after_a_reload_waited_for(
    watched: Watched, tmp_path: Path
) -> None:
    other = HotFolder(
        watched.folder, watched.ledger, skip=frozenset(), wake=threading.Event(), say=watched.said.append
    )
    with pytest.raises(UsageError, match="already watched"):
        other.open()

    other.open(patient=True)

    assert "already watched" in other.offline
    watched.hot.close()
    other._next_walk = 0
    other.look(5)
    assert other.offline == ""
    other.close()


def test_a_mount_point_without_its_disk_is_not_the_folder(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    watched = Watched(tmp_path / "inbox", require_mount=True)
    if os.path.ismount("/") and watched.root.stat().st_dev == Path("/").stat().st_dev:
        watched.hot.open()
        assert "nothing is mounted" in watched.hot.offline
        assert not (watched.root / locks.MARKER).exists()
    watched.ledger.close()


def test_one_folder_that_may_not_be_entered_does_not_take_the_others_offline() -> None:
    with common_folder() as place:
        (place / "inbox" / "closed").mkdir(parents=True)
        watched = Watched(place / "inbox")
        watched.hot.open()
        watched.write("closed/a.tif")
        watched.write("b.tif")
        for path in (place / "ledger.sqlite", place / "inbox", place / "inbox" / locks.MARKER):
            path.chmod(0o777)
        watched.look()
        (place / "inbox" / "closed").chmod(0)

        with nobody():
            watched.look(1.5)
            found = watched.names()

        assert watched.hot.offline == ""
        assert found == ["b.tif"]
        watched.hot.close()
        watched.ledger.close()


def test_what_is_no_scan_is_said_once(watched: Watched) -> None:
    watched.write("letter.pdf")
    (watched.root / "link.tif").symlink_to("/etc/passwd")
    os.mkfifo(watched.root / "pipe.tif")

    for _ in range(3):
        watched.look(11)
    watched.look(1.5)

    assert watched.names() == []
    assert sorted(watched.said)[:3] == [
        "letter.pdf is left out: .pdf is not a picture that Scanmend reads",
        "link.tif is left out: a symbolic link, and links are never followed",
        "pipe.tif is left out: a named pipe",
    ]
    assert len(watched.said) == 3


def test_what_had_to_make_room_for_fresh_scans_needs_no_further_walk(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    watched = Watched(tmp_path / "inbox", poll=86_400.0)
    for number in range(500):
        watched.write(f"old{number}.tif", age=1000)
    watched.hot.open()
    fresh = {f"new{number}.tif" for number in range(300)}
    for name in fresh:
        watched.write(name)
    came: list[str] = []
    for _ in range(40):
        watched.look(1.1)
        for name in watched.names():
            watched.account(name)
            came.append(name)
    watched.hot.close()
    watched.ledger.close()

    assert len(set(came)) == 800
    assert watched.hot.idle
