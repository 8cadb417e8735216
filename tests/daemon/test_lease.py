from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from scanmend_daemon.lease import writer_of

from tests.daemon.seeing import common_folder, mounted, nobody

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")

WRITER = """
import sys
with open(sys.argv[1], sys.argv[2]) as file:
    print("open", flush=True)
    sys.stdin.read()
"""
ASKER = """
import os, sys
from scanmend_daemon.lease import writer_of
print("asking", flush=True)
fd = os.open(sys.argv[1], os.O_RDONLY)
answers = [writer_of(fd) for _ in range(20000)]
print(answers.count(True), answers.count(None), flush=True)
"""


def asked(path: Path) -> bool | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return writer_of(fd)
    finally:
        os.close(fd)


def answer_while(path: Path, mode: str) -> bool | None:
    """What is said while another process has the file open."""
    command = [sys.executable, "-c", WRITER, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        return asked(path)


@pytest.mark.parametrize(("mode", "answer"), [("a", True), ("r+", True), ("r", False)])
def test_a_writer_is_seen_and_a_reader_does_not_count(tmp_path: Path, mode: str, answer: bool) -> None:  # noqa: FBT001
    path = tmp_path / "scan.tif"
    path.write_bytes(b"scan")

    assert asked(path) is False
    assert answer_while(path, mode) is answer
    assert asked(path) is False


def test_writers_through_a_fuse_mount_are_seen_and_those_behind_it_are_not(tmp_path: Path) -> None:
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "scan.tif").write_bytes(b"scan")
    with mounted("bindfs", behind, at=tmp_path / "mount") as mount:
        through, direct = answer_while(mount / "scan.tif", "a"), None
        command = [sys.executable, "-c", WRITER, str(behind / "scan.tif"), "a"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            direct = asked(mount / "scan.tif")

    assert through is True
    assert direct is not True


def test_a_file_of_somebody_else_gives_no_answer() -> None:
    with common_folder() as root:
        path = root / "scan.tif"
        path.write_bytes(b"scan")
        path.chmod(0o644)
        with nobody():
            assert asked(path) is None


def test_what_is_no_file_gives_no_answer() -> None:
    here, there = os.pipe()
    try:
        assert writer_of(here) is None
    finally:
        os.close(here)
        os.close(there)


def test_a_writer_that_comes_while_we_ask_neither_ends_us_nor_waits(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    path.write_bytes(b"scan")
    command = [sys.executable, "-c", ASKER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout is not None
        asker.stdout.readline()
        while asker.poll() is None:
            os.close(os.open(path, os.O_WRONLY))
        told = asker.stdout.read().split()

    assert asker.returncode == 0, "the signal of a broken lease ended the process"
    assert int(told[0]) > 0, "the writer never came in between"
