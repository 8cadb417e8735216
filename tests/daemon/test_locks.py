from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scanmend.errors import UsageError
from scanmend_daemon import locks
from scanmend_daemon.locks import MARKER, hold_folder, hold_instance

from tests.daemon.seeing import common_folder, descriptors, eventually, mounted, nobody

HOLDER = """
import sys
from scanmend_daemon import locks
lock = getattr(locks, sys.argv[1])(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(function: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a lock until it is killed or told to end."""
    command = [sys.executable, "-c", HOLDER, function, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        yield other


@pytest.mark.parametrize("function", ["hold_folder", "hold_instance"])
def test_a_second_process_is_refused_by_the_name_of_the_first(tmp_path: Path, function: str) -> None:
    before = descriptors()
    with holder(function, tmp_path) as other:
        with pytest.raises(UsageError) as caught:
            getattr(locks, function)(tmp_path)
        assert f"process {other.pid} on {socket.gethostname()}, since 20" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
        assert descriptors() == before + 2  # the pipes to the other process


@pytest.mark.parametrize("function", ["hold_folder", "hold_instance"])
def test_kill_frees_the_lock(tmp_path: Path, function: str) -> None:
    with holder(function, tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()

        with getattr(locks, function)(tmp_path) as lock:
            assert lock.held


def test_two_holders_in_one_process_are_two_all_the_same(tmp_path: Path) -> None:
    with hold_folder(tmp_path), pytest.raises(UsageError, match="is already watched"):
        hold_folder(tmp_path)


def test_a_lock_given_back_is_free_and_giving_it_back_twice_harms_nobody(tmp_path: Path) -> None:
    first = hold_folder(tmp_path)
    first.release()
    with hold_folder(tmp_path) as second:
        first.release()

        assert second.held
        assert not first.held
        with pytest.raises(UsageError):
            hold_folder(tmp_path)


def test_a_program_that_we_start_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = hold_folder(tmp_path)
    with subprocess.Popen(["sleep", "30"], close_fds=False) as child:
        lock.release()
        try:
            with hold_folder(tmp_path) as again:
                assert again.held
        finally:
            child.kill()


def test_the_marker_says_what_it_is_for_and_stays(tmp_path: Path) -> None:
    with hold_folder(tmp_path):
        note = json.loads((tmp_path / MARKER).read_text())
    after = (tmp_path / MARKER).exists()

    assert note["pid"] == os.getpid()
    assert "Scanmend watches this folder" in note["note"]
    assert after


def test_a_folder_without_a_marker_may_be_an_empty_mount_point(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold_folder(tmp_path, create=False)
    assert not (tmp_path / MARKER).exists()

    hold_folder(tmp_path).release()

    with hold_folder(tmp_path, create=False) as lock:
        assert lock.held


def test_a_folder_that_is_missing_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        hold_folder(tmp_path / "missing")

    assert not (tmp_path / "missing").exists()


def test_a_state_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with hold_instance(tmp_path / "watch" / "prints"):
        mode = (tmp_path / "watch" / "prints").stat().st_mode

    assert mode & 0o777 == 0o700


def test_a_marker_that_was_deleted_replaced_or_covered_no_longer_counts_as_held(tmp_path: Path) -> None:
    deleted, replaced, covered = (tmp_path / name for name in ("deleted", "replaced", "covered"))
    held = {}
    for folder in (deleted, replaced, covered):
        folder.mkdir()
        held[folder] = hold_folder(folder)
    (deleted / MARKER).unlink()
    (replaced / MARKER).rename(replaced / "old")
    (replaced / MARKER).write_text("{}")
    with mounted("mount", "-t", "tmpfs", "none", at=covered):
        states = [lock.held for lock in held.values()]

    assert states == [False, False, False]
    assert held[covered].held, "the disk was taken off again"
    for lock in held.values():
        lock.release()


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"pid": "x"}', b"\xff" * 9000])
def test_whatever_the_file_says_the_lock_is_what_counts(tmp_path: Path, content: bytes) -> None:
    with holder("hold_folder", tmp_path):
        (tmp_path / MARKER).write_bytes(content)

        with pytest.raises(UsageError, match="is already watched by another Scanmend daemon"):
            hold_folder(tmp_path)


def test_a_marker_that_is_no_file_is_refused(tmp_path: Path) -> None:
    before = descriptors()
    for name, make in (("link", lambda path: path.symlink_to("/etc/passwd")), ("pipe", os.mkfifo)):
        (tmp_path / name).mkdir()
        make(tmp_path / name / MARKER)

        with pytest.raises(UsageError, match="remove it: Scanmend locks this file"):
            hold_folder(tmp_path / name)

    assert descriptors() == before


def test_a_folder_that_may_only_be_read_is_locked_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with common_folder() as root:
        (root / "in").mkdir(mode=0o755)
        (root / "run").mkdir(mode=0o777)
        (root / "run").chmod(0o777)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(root / "run"))
        monkeypatch.setattr(os, "getuid", os.geteuid)
        with nobody(), hold_folder(root / "in") as lock:
            assert lock.held
            with pytest.raises(UsageError, match="is already watched"):
                hold_folder(root / "in")

        assert not (root / "in" / MARKER).exists()


def test_a_marker_that_may_only_be_read_keeps_other_people_out_too() -> None:
    with common_folder() as root:
        (root / "in").mkdir(mode=0o755)
        with hold_folder(root / "in"), nobody(), pytest.raises(UsageError, match=f"process {os.getpid()}"):
            hold_folder(root / "in")
        with nobody(), hold_folder(root / "in") as lock:
            assert lock.held
            assert lock.path == str(root / "in" / MARKER)


def test_a_read_only_disk_is_locked_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "disk").mkdir()
    with (
        mounted("mount", "-t", "tmpfs", "-o", "ro", "none", at=tmp_path / "in") as folder,
        hold_folder(folder) as lock,
    ):
        assert lock.path.startswith(str(tmp_path / "scanmend" / "folder-"))
        with pytest.raises(UsageError, match="is already watched"):
            hold_folder(folder)


def test_two_that_start_at_once_never_both_hold(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, "hold_folder", str(tmp_path)]
    several = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(6)
    ]
    try:
        settled = eventually(lambda: sum(one.poll() is not None for one in several) == 5, within=30)
    finally:
        told = []
        for one in several:
            one.kill()
            told.append(one.communicate()[0])

    assert settled
    assert sorted(told) == [b""] * 5 + [b"held\n"]
