from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from scanmend.errors import Cancelled
from scanmend_daemon import disk


def copied(source: Path, target: Path, stop: bool = False) -> str:  # noqa: FBT001, FBT002
    handle = os.open(source, os.O_RDONLY)
    try:
        return disk.copy_hashed(handle, target, stop=lambda: stop)
    finally:
        os.close(handle)


def descriptors() -> int:
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.is_dir() else 0


def test_a_copy_has_the_bytes_and_tells_their_hash(tmp_path: Path) -> None:
    data = os.urandom(3 * 2**20 + 17)
    (tmp_path / "a").write_bytes(data)

    digest = copied(tmp_path / "a", tmp_path / "b")

    assert (tmp_path / "b").read_bytes() == data
    assert digest == hashlib.sha256(data).hexdigest() == disk.hash_of(tmp_path / "b")


def test_a_copy_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")

    with pytest.raises(FileExistsError):
        copied(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"old"


def test_a_stopped_copy_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")

    with pytest.raises(Cancelled):
        copied(tmp_path / "a", tmp_path / "b", stop=True)
    assert not (tmp_path / "b").exists()


def test_a_source_that_cannot_be_read_is_told_from_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(disk.ReadError) as found:
        copied(tmp_path, tmp_path / "b")  # a folder opens and does not read
    assert found.value.errno == errno.EISDIR
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "nothing"])
def test_only_a_regular_file_has_a_hash_and_no_descriptor_is_left_open(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "x"
    if kind == "folder":
        place.mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(tmp_path)
    before = descriptors()

    assert disk.hash_of(place) is None
    assert disk.signature_of(place) is None
    assert descriptors() == before


def test_folders_are_made_with_those_above_them_and_a_second_time_nothing_happens(tmp_path: Path) -> None:
    disk.make_folders(tmp_path / "a" / "b" / "c")
    disk.make_folders(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c").is_dir()


def test_a_small_file_is_replaced_whole(tmp_path: Path) -> None:
    disk.write_over(tmp_path / "status.json", b"1")
    disk.write_over(tmp_path / "status.json", b"2")

    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("status.json", b"2")]


def test_room_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    there, not_yet = disk.free_bytes(tmp_path), disk.free_bytes(tmp_path / "a" / "b")

    assert there is not None
    assert not_yet is not None
    assert abs(there - not_yet) < 2**30
