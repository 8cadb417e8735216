"""More than the system tells, and folders that come and go: scans are restored all the same."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon import zoo
from tests.daemon.live import Hot, bindfs_usable, hashed, mounted, short_folder, unmount
from tests.daemon.rigs.scene import engine_running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it is about inotify and mounts")
QUICK = "settle: {quiet: 0.3s}"
SCANS_AMONG = int(os.environ.get("SCANMEND_SCANS_AMONG", "8"))
"""Every eighth of the twenty thousand is a scan, the others are to be ignored; 1 makes all of them scans."""
QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
_LIMITED = 'echo "$0" > /proc/sys/user/max_inotify_watches && exec "$@"'


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    with engine_running() as folder:
        yield folder


@pytest.fixture
def hot(runtime: Path) -> Iterator[Hot]:
    with short_folder() as home:
        hot = Hot(home, runtime, folder=QUICK)
        yield hot
        hot.stop()


@pytest.fixture
def share(runtime: Path) -> Iterator[tuple[Hot, Path]]:
    """A daemon with a share for its hot folder, not mounted yet, and the folder on the server."""
    if why := bindfs_usable():
        pytest.skip(why)
    with short_folder() as home:
        hot = Hot(home, runtime, folder=f"{QUICK}, poll: 0.5s, require_mount: true")
        (home / "server").mkdir()
        yield hot, home / "server"
        hot.stop()
        unmount(hot.inbox)


def drop(place: Path, name: str, seed: int = 1) -> str:
    """Puts a scan there in one step; its hash."""
    data = zoo.picture("png", seed)
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(data)
    return hashed(data)


def restored(hot: Hot, digest: str) -> None:
    hot.until(lambda: hot.published(digest), "it is restored")


def known(hot: Hot) -> int:
    """For how many files the ledger accounts."""
    database = sqlite3.connect(f"file:{hot.state}/ledger.sqlite?mode=ro", uri=True)
    try:
        return int(database.execute("SELECT COUNT(*) FROM sources").fetchone()[0])
    finally:
        database.close()


def asleep(hot: Hot) -> None:
    """Stops the daemon's process where it is."""
    assert hot.process
    hot.signal(signal.SIGSTOP)
    stat = Path(f"/proc/{hot.process.pid}/stat")
    hot.until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it stands still")


# --- events that are lost ----------------------------------------------------------------


def test_scans_whose_events_were_lost_are_found_at_once_and_counted_as_missed(hot: Hot) -> None:
    hot.configure(f"{QUICK}, ignore: ['*.draft.png'], rescan: 1h")
    hot.start()
    restored(hot, drop(hot.inbox, "before.png", 0))
    asleep(hot)
    for number in range(int(QUEUE.read_text()) // 2):  # each is created and closed
        (hot.inbox / f"{number}.draft.png").touch()
    last = [drop(hot.inbox, f"sub {seed % 3}/late {seed}.png", seed) for seed in range(1, 31)]
    hot.signal(signal.SIGCONT)
    began = time.monotonic()
    hot.until(lambda: set(last) <= {result.made_from for result in hot.results()}, "all are restored")
    took = time.monotonic() - began
    hot.until(lambda: hot.view()["missed_events"] > 0, "the missed ones are counted", 30)

    assert len(hot.results()) == 31
    assert took < 60, "it took as long as if nobody had noticed"


@pytest.mark.slow
def test_of_twenty_thousand_files_in_one_moment_no_scan_is_lost(hot: Hot) -> None:
    hot.configure(f"{QUICK}, ignore: ['*.draft.png'], rescan: 1h")
    (hot.inbox / "scanmend.yaml").write_text("noise: {strength: 1, level: 20}\n")
    hot.start()
    restored(hot, drop(hot.inbox, "first.png"))
    (made,) = hot.results()  # what is our own work is looked at, noted and left alone: the cheapest of scans
    hot.until(lambda: hot.view()["done"] == 1, "it is done")
    asleep(hot)
    for number in range(20_000):
        place = hot.inbox / f"{number % 40}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.{'draft.png' if number % SCANS_AMONG else 'png'}").write_bytes(made.data)
    hot.signal(signal.SIGCONT)
    began = time.monotonic()
    hot.until(lambda: known(hot) == 1 + 20_000 // SCANS_AMONG, "all are seen", 600)
    print(f"{20_000 // SCANS_AMONG:,} scans among 20,000 files were seen in {time.monotonic() - began:.0f} s")
    hot.until(lambda: hot.view()["missed_events"] > 0, "the missed ones are counted", 30)
    restored(hot, drop(hot.inbox, "fresh.png", 2))

    assert len(hot.results()) == 2


def test_where_watches_run_out_the_folder_is_polled_with_one_warning(hot: Hot) -> None:
    if subprocess.run(["unshare", "-U", "-r", "true"], check=False, capture_output=True).returncode:
        pytest.skip("there are no user namespaces here")
    for number in range(12):
        (hot.inbox / f"{number}").mkdir()
    hot.configure(f"{QUICK}, poll: 0.5s")
    hot.start("unshare", "-U", "-r", "sh", "-c", _LIMITED, "6")
    digests = [drop(hot.inbox, f"{number}/scan.png", number) for number in range(12)]
    digests += [drop(hot.inbox, f"new {number}/scan.png", 20 + number) for number in range(3)]
    for digest in digests:
        restored(hot, digest)
    row = hot.view()

    assert row["by"] == "polling"
    assert hot.log.count("fs.inotify.max_user_watches") == 1
    assert len(hot.results()) == 15


# --- folders that come and go ------------------------------------------------------------


def test_a_folder_that_is_removed_and_made_anew_is_watched_again(hot: Hot) -> None:
    hot.start()
    restored(hot, drop(hot.inbox, "one.png", 1))
    shutil.rmtree(hot.inbox)
    hot.until(lambda: hot.view().get("state") == "offline", "it is offline")
    hot.inbox.mkdir()
    drop(hot.inbox, "one.png", 1)
    restored(hot, drop(hot.inbox, "sub/two.png", 2))
    hot.until(lambda: hot.view()["state"] == "watching" and hot.view()["by"] == "events", "events are back")
    restored(hot, drop(hot.inbox, "three.png", 3))

    assert hot.log.count("is offline") == 1
    assert hot.log.count("is back") == 1
    names = [result.name for result in hot.results()]
    assert names == ["one_restored.png", "sub/two_restored.png", "three_restored.png"]


def test_a_folder_that_is_renamed_no_longer_counts_and_the_new_one_of_its_name_does(hot: Hot) -> None:
    hot.start()
    restored(hot, drop(hot.inbox, "one.png", 1))
    away = hot.home / "away"
    hot.inbox.rename(away)
    stray = drop(away, "stray.png", 2)
    hot.inbox.mkdir()
    restored(hot, drop(hot.inbox, "three.png", 3))
    restored(hot, drop(hot.inbox, "sub/four.png", 4))

    assert not hot.published(stray)
    assert hot.view()["state"] == "watching"


def test_a_folder_whose_sub_folders_come_and_go_all_the_time_loses_no_scan(hot: Hot) -> None:
    hot.start()
    digests = []
    for turn in range(30):
        place = hot.inbox / f"sub {turn % 3}"
        place.mkdir(exist_ok=True)
        if turn % 2:
            place.rename(hot.inbox / f"album {turn}")
            place = hot.inbox / f"album {turn}"
        digests.append(drop(place, f"{turn}.png", turn))
        (hot.inbox / "gone").mkdir()
        (hot.inbox / "gone").rmdir()
    for digest in digests:
        restored(hot, digest)

    assert len(hot.results()) >= 30  # one that moved with its folder has two names, and two results
    assert "Traceback" not in hot.log


# --- shares ------------------------------------------------------------------------------


def test_a_share_that_is_not_mounted_is_waited_for_and_nothing_is_put_in_its_place(
    share: tuple[Hot, Path],
) -> None:
    hot, server = share
    stray = drop(hot.inbox, "stray.png", 9)  # on the disk below the mount point
    hot.start()
    hot.until(lambda: hot.view().get("state") == "offline", "it is offline")
    time.sleep(6)  # longer than the pause after which it is looked for
    below = sorted(path.name for path in hot.inbox.iterdir())
    with mounted(server, hot.inbox):
        restored(hot, drop(server, "one.png", 1))
        hot.stop()

    assert below == ["stray.png"]
    assert not hot.published(stray)


def test_a_share_that_goes_is_offline_and_comes_back_by_itself(share: tuple[Hot, Path]) -> None:
    hot, server = share
    with mounted(server, hot.inbox):
        hot.start()
        restored(hot, drop(server, "one.png", 1))
    hot.until(lambda: hot.view().get("state") == "offline", "it is offline")
    stray = drop(hot.inbox, "stray.png", 9)
    late = drop(server, "two.png", 2)  # while nobody sees it
    with mounted(server, hot.inbox):
        restored(hot, late)
        restored(hot, drop(server, "three.png", 3))
        hot.stop()

    assert not hot.published(stray)
    assert len(hot.results()) == 3
    assert sorted(path.name for path in hot.inbox.iterdir()) == ["stray.png"]


def test_a_share_whose_server_dies_is_offline_and_other_folders_go_on(share: tuple[Hot, Path]) -> None:
    hot, server = share
    other = hot.home / "other"
    other.mkdir()
    second = f"watch: {other}, output: {hot.output}/other, profile: {hot.profile}, limits: {{min_free: 0}}"
    hot.configure(f"{QUICK}, poll: 0.5s, require_mount: true", [f"{second}, {QUICK}"])
    with mounted(server, hot.inbox):
        hot.start()
        restored(hot, drop(server, "one.png", 1))
        kill_server(hot.inbox)
        hot.until(lambda: hot.view().get("state") == "offline", "it is offline")
        reason = hot.view()["reason"]
        restored(hot, drop(other, "two.png", 2))
    late = drop(server, "three.png", 3)
    with mounted(server, hot.inbox):
        restored(hot, late)
        hot.stop()

    assert reason
    assert hot.log.count("is back") == 1


def test_a_share_that_hangs_for_a_while_goes_on_where_it_was(share: tuple[Hot, Path]) -> None:
    hot, server = share
    with mounted(server, hot.inbox):
        hot.start()
        restored(hot, drop(server, "one.png", 1))
        os.kill(server_of(hot.inbox), signal.SIGSTOP)
        late = drop(server, "two.png", 2)
        time.sleep(3)
        os.kill(server_of(hot.inbox), signal.SIGCONT)
        restored(hot, late)
        hot.stop()

    assert len(hot.results()) == 2
    assert "Traceback" not in hot.log


def server_of(mount: Path) -> int:
    """The process that serves a mount."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"bindfs") and os.fsencode(mount) in words:
            return int(process.name)
    raise AssertionError(f"nobody serves {mount}")


def kill_server(mount: Path) -> None:
    os.kill(server_of(mount), signal.SIGKILL)


# --- two daemons -------------------------------------------------------------------------


def test_a_second_daemon_on_the_same_folder_is_refused_and_told_of_the_first(hot: Hot, runtime: Path) -> None:
    hot.start()
    assert hot.process
    with short_folder() as home:
        second = Hot(home, runtime, inbox=hot.inbox, folder=QUICK)
        link = home / "link"
        link.symlink_to(hot.inbox)
        (home / "third").mkdir()
        third = Hot(home / "third", runtime, inbox=link, folder=QUICK)
        runs = [daemon.run("watch", str(daemon.config)) for daemon in (second, third, hot)]
    restored(hot, drop(hot.inbox, "one.png"))

    assert [run.returncode for run in runs] == [2, 2, 2]
    for run in runs:
        assert str(hot.process.pid) in run.stderr
        assert "Traceback" not in run.stderr


def test_after_the_first_daemon_was_killed_a_second_one_takes_its_place(hot: Hot) -> None:
    hot.start()
    restored(hot, drop(hot.inbox, "one.png", 1))
    assert hot.process
    hot.signal(signal.SIGKILL)
    hot.process.wait()
    (hot.home / "log").unlink()
    hot.start()
    restored(hot, drop(hot.inbox, "two.png", 2))

    assert len(hot.results()) == 2
