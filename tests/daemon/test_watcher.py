from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scanmend_daemon import bell
from scanmend_daemon.bell import Bell, Hints
from scanmend_daemon.locks import MARKER
from scanmend_daemon.watcher import Health, Watcher
from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent

from tests.daemon.seeing import common_folder, descriptors, eventually, mounted, nobody

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tried with inotify")

WELL = Health("events", alive=True, restarts=0, reason="")


class Ear:
    """A watcher and everything its hints have told."""

    def __init__(self, root: Path, **options: object) -> None:
        self.root = root
        self.wake = threading.Event()
        self.watcher = Watcher(str(root), wake=self.wake, **options)  # type: ignore[arg-type]
        self.watcher.start()
        self.forget()

    def forget(self) -> None:
        self.watcher.hints()
        self.wake.clear()
        self.paths: set[str] = set()
        self.renamed: set[str] = set()
        self.overflow = False

    def told(self, *names: str) -> bool:
        hints = self.watcher.hints()
        self.paths |= hints.paths
        self.renamed |= hints.renamed
        self.overflow |= hints.overflow
        return set(names) <= self.paths


@contextmanager
def listening(root: Path, **options: object) -> Iterator[Ear]:
    threads, files = threading.active_count(), descriptors()
    ear = Ear(root, **options)
    try:
        yield ear
    finally:
        ear.watcher.stop()
    assert eventually(lambda: threading.active_count() == threads)
    assert descriptors() == files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / MARKER).write_text("{}")
    return folder


def test_a_new_scan_wakes_and_is_named(root: Path) -> None:
    with listening(root) as ear:
        (root / "scan.tif").write_bytes(b"x")

        assert ear.wake.wait(10)
        assert eventually(lambda: ear.told("scan.tif"))
        assert not ear.renamed
        assert not ear.overflow
        assert ear.watcher.check(0) == WELL


def test_a_scan_that_is_renamed_or_moved_in_is_told_from_one_that_is_written(
    root: Path, tmp_path: Path
) -> None:
    (root / "old.tif").write_bytes(b"x")
    (root / ".upload.tif").write_bytes(b"x")
    (tmp_path / "outside.tif").write_bytes(b"x")
    with listening(root) as ear:
        (root / "old.tif").rename(root / "new.tif")
        (root / ".upload.tif").rename(root / "upload.tif")
        (tmp_path / "outside.tif").rename(root / "inside.tif")
        (root / "written.tif").write_bytes(b"x")

        assert eventually(lambda: ear.told("old.tif", "new.tif", "upload.tif", "inside.tif", "written.tif"))
        assert ear.renamed == {"new.tif", "upload.tif", "inside.tif"}


def test_a_scan_that_is_deleted_or_moved_out_is_named(root: Path, tmp_path: Path) -> None:
    for name in ("deleted.tif", "moved.tif"):
        (root / name).write_bytes(b"x")
    with listening(root) as ear:
        (root / "deleted.tif").unlink()
        (root / "moved.tif").rename(tmp_path / "moved.tif")

        assert eventually(lambda: ear.told("deleted.tif", "moved.tif"))


@pytest.mark.parametrize("name", [b"\xff\xfe.tif", b"n" * 251 + b".tif", b"new\nline.tif", "ä.tif".encode()])
def test_every_name_that_the_disk_allows_is_told(root: Path, name: bytes) -> None:
    with listening(root) as ear:
        (root / os.fsdecode(name)).touch()

        assert eventually(lambda: ear.told(os.fsdecode(name)))


def test_a_root_with_an_odd_name_is_watched(tmp_path: Path) -> None:
    root = tmp_path / os.fsdecode(b"scans \xff")
    root.mkdir()
    with listening(root) as ear:
        (root / "scan.tif").write_bytes(b"x")

        assert eventually(lambda: ear.told("scan.tif"))


def test_hidden_names_and_the_marker_wake_nobody(root: Path) -> None:
    (root / ".trash").mkdir()
    with listening(root) as ear:
        for name in (".part.tif", ".trash/a.tif", MARKER):
            (root / name).write_bytes(b"x")
        ear.watcher.check(0)  # sends the canary
        assert eventually(ear.watcher._bell.canary_heard.is_set)

        assert not ear.wake.is_set()
        assert not ear.watcher.hints().paths


def test_scans_in_a_burst_of_new_folders_are_told_or_a_walk_is_asked_for(root: Path) -> None:
    names = [f"{folder}/{inner}/scan.tif" for folder in range(30) for inner in range(3)]
    with listening(root) as ear:
        for name in names:
            (root / name).parent.mkdir(parents=True)
            (root / name).write_bytes(b"x")

        assert eventually(lambda: ear.told() and ear.overflow)
        ear.forget()
        assert eventually(lambda: len(list(ear.watcher._observer.emitters)) == 1)  # type: ignore[union-attr]
        later = [f"{folder}/0/later.tif" for folder in range(30)]
        for name in later:
            (root / name).write_bytes(b"x")
        assert eventually(lambda: ear.told(*later)), "the new folders are not watched"


def test_a_folder_moved_in_with_scans_asks_for_a_walk(root: Path, tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "scan.tif").write_bytes(b"x")
    with listening(root) as ear:
        (tmp_path / "album").rename(root / "album")

        assert eventually(lambda: ear.told() and ear.overflow)


def test_without_sub_folders_only_the_folder_itself_is_told_of(root: Path) -> None:
    (root / "sub").mkdir()
    with listening(root, recursive=False) as ear:
        (root / "sub" / "deep.tif").write_bytes(b"x")
        (root / "near.tif").write_bytes(b"x")

        assert eventually(lambda: ear.told("near.tif"))
        assert ear.paths == {"near.tif"}


def test_hints_are_bounded_and_say_so(tmp_path: Path) -> None:
    wake = threading.Event()
    heard = Bell(str(tmp_path), wake)
    for number in range(2 * bell.MOST_HINTS):
        heard.dispatch(FileMovedEvent(f"{tmp_path}/{number}.part", f"{tmp_path}/{number}.tif"))

    hints = heard.taken()

    assert hints.overflow
    assert len(hints.paths) == bell.MOST_HINTS
    assert hints.renamed <= hints.paths
    assert heard.taken() == Hints(frozenset(), overflow=True, renamed=frozenset()), "the burst is over"
    assert heard.taken() == Hints(frozenset(), overflow=False, renamed=frozenset())


def test_a_flood_that_is_taken_in_sips_asks_for_walks_too_and_a_trickle_for_none(tmp_path: Path) -> None:
    flood, trickle = Bell(str(tmp_path), threading.Event()), Bell(str(tmp_path), threading.Event())
    asked = {flood: 0, trickle: 0}
    for number in range(10_000):
        for heard in (flood, trickle):
            heard.dispatch(FileCreatedEvent(f"{tmp_path}/{number % 3}.tif"))
            if number % 100 == 99:
                asked[heard] += heard.taken().overflow
        if number % 100 == 99:
            asked[trickle] += trickle.taken().overflow
    asked[flood] += flood.taken().overflow

    assert 2 <= asked[flood] <= 5
    assert flood.taken().overflow is False
    assert asked[trickle] == 0


@pytest.mark.parametrize("path", ["/somewhere/else.tif", 7, b"\xff", None])
def test_an_event_that_makes_no_sense_asks_for_a_walk_and_ends_nothing(tmp_path: Path, path: object) -> None:
    heard = Bell(str(tmp_path), threading.Event())
    event: FileSystemEvent = FileCreatedEvent("x")
    event.src_path = path  # type: ignore[assignment]

    heard.dispatch(event)

    assert heard.taken().overflow == (path is not None)


def test_a_root_deleted_and_made_anew_is_watched_again(root: Path) -> None:
    with listening(root) as ear:
        shutil.rmtree(root)
        gone = ear.watcher.check(1)
        root.mkdir()
        back = ear.watcher.check(2)
        ear.told()
        assert ear.overflow, "what came in between must be walked to"
        (root / "scan.tif").write_bytes(b"x")

        assert (gone.alive, gone.by, gone.reason) == (
            False, "polling", "it cannot be reached: No such file or directory",
        )  # fmt: skip
        assert back == Health("events", alive=True, restarts=1, reason="")
        assert eventually(lambda: ear.told("scan.tif"))


def test_a_root_exchanged_between_two_checks_is_watched_in_its_place(root: Path, tmp_path: Path) -> None:
    with listening(root) as ear:
        ear.watcher.check(0)
        root.rename(tmp_path / "away")
        root.mkdir()
        assert ear.watcher.check(1).restarts == 1
        ear.forget()
        (tmp_path / "away" / "wrong.tif").write_bytes(b"x")
        (root / "right.tif").write_bytes(b"x")

        assert eventually(lambda: ear.told("right.tif"))
        assert ear.paths == {"right.tif"}


def test_a_root_deleted_and_made_anew_unseen_is_noticed_even_with_the_same_inode(root: Path) -> None:
    with listening(root) as ear:
        ear.watcher.check(0)
        shutil.rmtree(root)
        root.mkdir()

        assert eventually(lambda: ear.watcher.check(1).restarts == 1)
        (root / "scan.tif").write_bytes(b"x")
        assert eventually(lambda: ear.told("scan.tif"))


def test_a_root_that_comes_later_is_watched_from_then_on(tmp_path: Path) -> None:
    root = tmp_path / "later"
    with listening(root) as ear:
        assert not ear.watcher.check(0).alive
        root.mkdir()
        assert ear.watcher.check(1) == WELL
        (root / "scan.tif").write_bytes(b"x")

        assert eventually(lambda: ear.told("scan.tif"))


def test_a_mount_that_is_taken_off_and_put_back_is_watched_again(tmp_path: Path) -> None:
    point = tmp_path / "disk"
    with mounted("mount", "-t", "tmpfs", "none", at=point):
        ear = Ear(point)
        assert ear.watcher.check(0) == WELL
    try:
        uncovered = ear.watcher.check(1)
        with mounted("mount", "-t", "tmpfs", "none", at=point):
            covered = ear.watcher.check(100)
            (point / "scan.tif").write_bytes(b"x")
            assert eventually(lambda: ear.told("scan.tif"))
            ear.watcher.stop()
    finally:
        ear.watcher.stop()

    assert (uncovered.restarts, covered.restarts) == (1, 2)
    assert covered.by == "events"


def test_a_dead_emitter_is_replaced_although_its_observer_lives(root: Path) -> None:
    with listening(root) as ear:
        observer = ear.watcher._observer
        assert observer is not None
        for emitter in observer.emitters:
            emitter.stop()
            emitter.join()
        assert observer.is_alive()

        assert ear.watcher.check(1) == Health("events", alive=True, restarts=1, reason="")
        (root / "scan.tif").write_bytes(b"x")
        assert eventually(lambda: ear.told("scan.tif"))


def test_a_watch_that_dies_again_and_again_is_rebuilt_ever_more_rarely(root: Path) -> None:
    with listening(root) as ear:
        for second in range(120):
            health = ear.watcher.check(second)
            if ear.watcher._observer is not None:
                ear.watcher._observer.stop()

    assert 3 <= health.restarts <= 6


def _blind(watcher: Watcher) -> None:
    """Events are read and lead nowhere: all threads are alive, and nothing arrives."""
    assert watcher._observer is not None
    watcher._observer._handlers.clear()


def test_the_canary_notices_that_events_no_longer_arrive_and_that_they_do_again(root: Path) -> None:
    with listening(root) as ear:
        check = ear.watcher.check
        assert check(0) == WELL
        assert eventually(lambda: check(1) == WELL and ear.watcher._canary._sent is None)
        _blind(ear.watcher)
        assert [check(now) for now in (30, 61, 65, 72)] == [WELL] * 4
        ear.forget()

        deaf = check(75)

        assert deaf == Health("polling", alive=True, restarts=1, reason="its events do not arrive")
        ear.told()
        assert ear.overflow, "what was missed must be walked to"
        assert check(76).by == "polling"
        assert eventually(lambda: check(77).by == "events")


def test_the_canary_that_sings_late_because_we_were_stopped_is_heard(root: Path) -> None:
    with listening(root) as ear:
        ear.watcher.check(0)
        assert eventually(ear.watcher._bell.canary_heard.is_set)

        assert ear.watcher.check(10_000) == WELL


def test_the_canary_leaves_the_marker_as_it_was(root: Path) -> None:
    before = (root / MARKER).stat()
    with listening(root) as ear:
        for now in range(0, 600, 10):
            assert eventually(
                lambda: ear.watcher._canary._sent is None or ear.watcher._bell.canary_heard.is_set()
            )
            ear.watcher.check(now)

    after = (root / MARKER).stat()
    assert (after.st_mtime_ns, after.st_size, after.st_ino) == (
        before.st_mtime_ns,
        before.st_size,
        before.st_ino,
    )


def test_a_folder_that_may_only_be_read_is_watched_without_a_canary() -> None:
    with common_folder() as folder:
        (folder / "in").mkdir(mode=0o755)
        (folder / "in" / MARKER).write_text("{}")
        (folder / "in" / MARKER).chmod(0o444)
        with nobody(), listening(folder / "in") as ear:
            healths = {ear.watcher.check(now) for now in range(0, 1000, 7)}

    assert healths == {WELL}


def test_polling_uses_no_thread_and_no_descriptor(root: Path) -> None:
    before = threading.active_count(), descriptors()
    with listening(root, by="polling") as ear:
        during = threading.active_count(), descriptors()
        health = ear.watcher.check(0)

    assert during == before
    assert health == Health("polling", alive=True, restarts=0, reason="the configuration asks for polling")


def test_behind_fuse_others_write_unseen_so_it_is_polled_with_events_on_top(tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    (tmp_path / "behind" / MARKER).write_text("{}")
    with mounted("bindfs", tmp_path / "behind", at=tmp_path / "mount") as mount:
        with listening(mount) as ear:
            health = ear.watcher.check(0)
            (tmp_path / "behind" / "unseen.tif").write_bytes(b"x")
            (mount / "seen.tif").write_bytes(b"x")
            assert eventually(lambda: ear.told("seen.tif"))
            unseen = "unseen.tif" not in ear.paths
        with listening(mount, by="events") as ear:
            trusted = ear.watcher.check(0)

    assert (health.by, health.alive) == ("polling", True)
    assert health.reason.startswith("others may write to its disk (fuse")
    assert unseen, "if this disk tells of others' writes, it need not be polled"
    assert trusted == WELL


def test_starting_and_stopping_many_times_leaves_nothing_behind(root: Path) -> None:
    for _ in range(20):
        with listening(root) as ear:
            (root / "scan.tif").write_bytes(b"x")
            assert eventually(lambda ear=ear: ear.told("scan.tif"))  # type: ignore[misc]


def test_a_stopped_watcher_may_be_stopped_again_and_started_again(root: Path) -> None:
    with listening(root) as ear:
        ear.watcher.stop()
        ear.watcher.stop()
        ear.watcher.start()
        ear.watcher.start()
        (root / "scan.tif").write_bytes(b"x")

        assert eventually(lambda: ear.told("scan.tif"))


FLOODED = """
import os, sys, threading, time
from scanmend_daemon.watcher import Watcher
wake = threading.Event()
watcher = Watcher(sys.argv[1], wake=wake)
watcher.start()
watcher.hints()
wake.clear()
print("watching", flush=True)
sys.stdin.readline()
wake.wait(20)
told, found, walks, last = set(), set(), 0, time.monotonic()
while time.monotonic() < last + 1:
    time.sleep(0.02)
    hints = watcher.hints()
    told |= hints.paths
    if hints.overflow:
        walks += 1
        found |= set(os.listdir(sys.argv[1]))
    if hints.paths or hints.overflow:
        last = time.monotonic()
print(len(told), len(told | found), walks, watcher.check(0).alive, flush=True)
watcher.stop()
"""


def test_what_an_overflown_queue_of_the_kernel_loses_is_found_by_the_walks_it_asks_for(root: Path) -> None:
    command = [sys.executable, "-c", FLOODED, str(root)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        daemon.send_signal(signal.SIGSTOP)
        for number in range(20_000):
            os.close(os.open(f"{root}/{number}.tif", os.O_CREAT | os.O_WRONLY))
        daemon.send_signal(signal.SIGCONT)
        said, _ = daemon.communicate("\n")

    told, known, walks, alive = said.split()
    assert int(told) < 20_000, "nothing was lost: the fault did not fire"
    assert int(known) == 20_001  # with the marker
    assert 1 <= int(walks) <= 10
    assert alive == "True"


SHORT = """
import os, sys, threading, time
from scanmend_daemon.canary import shortage
from scanmend_daemon.watcher import Watcher

def limit(name, number):
    with open(f"/proc/sys/user/max_inotify_{name}", "w") as file:
        file.write(str(number))

root, script = sys.argv[1:3]
watcher = Watcher(root, wake=threading.Event())
def say(now):
    health = watcher.check(now)
    print(health.by, health.alive, health.restarts, health.reason, sep="|", flush=True)
exec(script)
watcher.stop()
"""


def in_a_small_namespace(root: Path, script: str) -> list[str]:
    if shutil.which("unshare") is None:
        pytest.skip("a namespace of one's own needs unshare")
    command = ["unshare", "-U", "-r", sys.executable, "-c", SHORT, str(root), script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr or "Read-only file system" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip(f"user namespaces do not work here: {done.stderr.strip()[-200:]}")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


FULL = (
    "the system's limit of watched folders is reached (raise it: sysctl fs.inotify.max_user_watches=524288)"
)


def test_running_out_of_watches_after_the_start_is_noticed_and_so_is_new_room(root: Path) -> None:
    told = in_a_small_namespace(
        root,
        """
limit("watches", 6)
watcher.start()
say(0)
for number in range(12): os.mkdir(f"{root}/{number}")
until = time.monotonic() + 20
while not shortage(root) and time.monotonic() < until: time.sleep(0.01)
watcher._bell.canary_heard.wait(20)
say(1); say(61)
watcher._bell.canary_heard.wait(20)
say(62)
limit("watches", 100)
say(122); say(123)
""",
    )

    assert told[0] == "events|True|0|"
    assert told[2] == f"polling|True|0|{FULL}"
    assert told[3] == told[2]
    assert told[4] == "events|True|1|"
    assert told[5] == "events|True|1|"


@pytest.mark.parametrize(
    ("scarce", "name"), [("watches", "max_user_watches"), ("instances", "max_user_instances")]
)
def test_without_room_from_the_start_the_folder_is_polled_and_the_cure_is_named(
    root: Path, scarce: str, name: str
) -> None:
    told = in_a_small_namespace(
        root,
        f"""
limit("{scarce}", 0)
watcher.start()
say(0); say(3)
limit("{scarce}", 100)
say(400)
""",
    )

    assert told[0].startswith("polling|True|0|the system's limit of watched folders is reached")
    assert f"sysctl fs.inotify.{name}=" in told[0]
    assert told[1] == told[0]
    assert told[2] == "events|True|0|"


def test_a_tree_that_is_too_large_from_the_start_is_polled(root: Path) -> None:
    for number in range(12):
        (root / str(number)).mkdir()

    told = in_a_small_namespace(root, 'limit("watches", 6); watcher.start(); say(0)')

    assert told == [f"polling|True|0|{FULL}"]


def test_seeing_needs_none_of_the_heavy_libraries() -> None:
    code = (
        "from scanmend_daemon import lease, locks, mounts, safely, settle, walk, watcher; import sys;"
        "print(sorted({'numpy', 'torch', 'PIL', 'rich'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
