from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scanmend.errors import UnsupportedFormat, UsageError
from scanmend_daemon.safely import open_scan_file, stat_scan

from tests.daemon.seeing import common_folder, descriptors, nobody

SWAP = """
import os, sys, time
def a_moment():
    until = time.perf_counter() + 0.0001
    while time.perf_counter() < until: pass
os.chdir(sys.argv[1])
while True:
    os.rename("scan.tif", "aside")
    os.symlink(sys.argv[2], "scan.tif"); a_moment(); os.unlink("scan.tif")
    os.mkfifo("scan.tif"); a_moment(); os.unlink("scan.tif")
    os.rename("aside", "scan.tif"); a_moment()
    os.rename("sub", "sub.aside")
    os.symlink(sys.argv[3], "sub"); a_moment(); os.unlink("sub")
    os.rename("sub.aside", "sub"); a_moment()
"""


def read(root: Path, relpath: str) -> bytes:
    fd = open_scan_file(str(root), relpath)
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_a_scan_is_opened_and_looked_at_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "scan.tif").write_bytes(b"scan")

    entry = stat_scan(str(tmp_path), "a/b/scan.tif")

    assert read(tmp_path, "a/b/scan.tif") == b"scan"
    assert entry is not None
    assert (entry.relpath, entry.size) == ("a/b/scan.tif", 4)


def test_undecodable_names_are_opened(tmp_path: Path) -> None:
    relpath = os.fsdecode(b"\xff/\xfe.tif")
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    (tmp_path / relpath).write_bytes(b"scan")

    assert read(tmp_path, relpath) == b"scan"


def test_the_descriptor_is_for_reading_and_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "scan.tif").write_bytes(b"scan")

    fd = open_scan_file(str(tmp_path), "scan.tif")
    try:
        assert not os.get_inheritable(fd)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
    finally:
        os.close(fd)


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_link, "a symbolic link, and links are never followed"),
        (_dangling, "a symbolic link, and links are never followed"),
        (_pipe, "a named pipe"),
        (_socket, "a socket"),
        (Path.mkdir, "a folder"),
    ],
)
def test_what_is_no_file_is_refused_in_words(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / "x.tif")
    before = descriptors()

    for act in (open_scan_file, stat_scan):
        with pytest.raises(UnsupportedFormat, match=f"x.tif is not a file but {words}"):
            act(str(tmp_path), "x.tif")

    assert descriptors() == before


def test_a_folder_on_the_way_that_is_a_link_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "scan.tif").write_bytes(b"scan")
    (tmp_path / "link").symlink_to("real")
    before = descriptors()

    for act in (open_scan_file, stat_scan):
        with pytest.raises(
            UnsupportedFormat, match=r"link/scan\.tif cannot be reached: link is a symbolic link"
        ):
            act(str(tmp_path), "link/scan.tif")

    assert descriptors() == before


@pytest.mark.parametrize(
    "relpath", ["../x.tif", "a/../../x.tif", "/etc/hostname", "", "a//b.tif", "./a.tif", "a\0b"]
)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, relpath: str) -> None:
    for act in (open_scan_file, stat_scan):
        with pytest.raises(UsageError):
            act(str(tmp_path), relpath)


@pytest.mark.parametrize("relpath", ["gone.tif", "gone/scan.tif"])
def test_what_is_gone_is_said_to_be_gone(tmp_path: Path, relpath: str) -> None:
    assert stat_scan(str(tmp_path), relpath) is None
    with pytest.raises(FileNotFoundError) as caught:
        open_scan_file(str(tmp_path), relpath)
    assert caught.value.filename == relpath


def test_a_file_that_may_not_be_read_keeps_its_error_number() -> None:
    with common_folder() as root:
        (root / "scan.tif").write_bytes(b"scan")
        (root / "scan.tif").chmod(0)
        with nobody(), pytest.raises(PermissionError) as caught:
            open_scan_file(str(root), "scan.tif")

    assert (caught.value.errno, caught.value.filename) == (errno.EACCES, "scan.tif")


def test_a_pipe_without_a_writer_does_not_keep_us_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    code = "import sys; from scanmend_daemon.safely import open_scan_file as o; o(sys.argv[1], 'pipe.tif')"

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=20, check=False
    )

    assert "is not a file but a named pipe" in done.stderr


def test_links_exchanged_for_scans_at_the_last_moment_are_never_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "in", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (outside / "scan.tif").write_bytes(b"secret")
    for place in (root, root / "sub"):
        (place / "scan.tif").write_bytes(b"scan")
    before = descriptors()
    seen: dict[str, int] = {}
    command = [sys.executable, "-c", SWAP, str(root), str(outside / "scan.tif"), str(outside)]
    with subprocess.Popen(command) as swapper:
        try:
            for _ in range(4000):
                for relpath in ("scan.tif", "sub/scan.tif"):
                    try:
                        outcome = read(root, relpath).decode()
                    except UnsupportedFormat:
                        outcome = "refused"
                    except OSError as error:
                        outcome = errno.errorcode[error.errno or 0]
                    seen[outcome] = seen.get(outcome, 0) + 1
        finally:
            swapper.kill()

    # ELOOP and ENOTDIR: it was a link when it was opened, and none any more when it was looked at.
    assert seen.keys() <= {"scan", "refused", "ENOENT", "ELOOP", "ENOTDIR", "ENXIO"}, seen
    assert seen["scan"] > 100
    assert len(seen) > 1, "nothing was ever exchanged"
    assert descriptors() == before


def test_what_is_opened_stays_the_file_it_was(tmp_path: Path) -> None:
    (tmp_path / "scan.tif").write_bytes(b"first")
    fd = open_scan_file(str(tmp_path), "scan.tif")
    (tmp_path / "scan.tif").unlink()
    (tmp_path / "scan.tif").symlink_to("/etc/hostname")

    with os.fdopen(fd, "rb") as file:
        assert stat.S_ISREG(os.fstat(fd).st_mode)
        assert file.read() == b"first"
