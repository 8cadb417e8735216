from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend_daemon import mounts
from scanmend_daemon.mounts import filesystem_of, is_inside, same_place

from tests.daemon.seeing import mounted


def table(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Lets the machine appear to have these mounts, which no test can make for real."""
    found = [mounts._parsed(line) for line in lines]
    monkeypatch.setattr(mounts, "_mounts", lambda: [mount for mount in found if mount])


@pytest.mark.parametrize(
    ("kind", "network", "unseen"),
    [
        ("ext4", False, False),
        ("btrfs", False, False),
        ("fuseblk", False, False),
        ("tmpfs", False, False),
        ("nfs4", True, True),
        ("cifs", True, True),
        ("smb3", True, True),
        ("9p", True, True),
        ("fuse.sshfs", True, True),
        ("fuse.bindfs", False, True),
        ("fuse.mergerfs", False, True),
    ],
)
def test_a_disk_is_told_by_its_kind(
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    network: bool,  # noqa: FBT001
    unseen: bool,  # noqa: FBT001
) -> None:
    table(
        monkeypatch,
        "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        f"99 21 0:50 / /srv/scans rw,relatime shared:7 master:2 - {kind} server:/export rw",
    )

    disk = filesystem_of("/srv/scans/inbox/not-there-yet")

    assert (disk.kind, disk.network, disk.unseen, disk.mount_point) == (kind, network, unseen, "/srv/scans")


def test_names_that_only_begin_alike_lie_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    table(
        monkeypatch,
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw",
        "99 21 0:50 / /srv/scans rw - nfs4 server:/export rw",
    )

    assert filesystem_of("/srv/scans-local").kind == "ext4"


def test_of_two_mounts_on_one_point_the_later_covers_the_earlier(monkeypatch: pytest.MonkeyPatch) -> None:
    table(
        monkeypatch,
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw",
        "30 21 0:40 / /srv/scans rw - autofs systemd-1 rw",
        "31 30 0:50 / /srv/scans rw - nfs4 server:/export rw",
    )

    assert filesystem_of("/srv/scans/inbox").kind == "nfs4"


def test_where_the_system_does_not_tell_nothing_is_taken_for_a_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table(monkeypatch)

    disk = filesystem_of("/")

    assert (disk.kind, disk.network, disk.mount_point) == ("unknown", False, "/")


@given(st.text(st.characters(codec="utf-8")))
def test_a_line_of_any_form_is_read_or_passed_over(line: str) -> None:
    mounts._parsed(line)
    mounts._parsed(f"1 2 3:4 /{line} /{line} - {line}")


def test_a_mount_whose_name_has_spaces_and_odd_bytes_is_found(tmp_path: Path) -> None:
    point = tmp_path / os.fsdecode(b"my scans \\ \xff")
    with mounted("mount", "-t", "tmpfs", "none", at=point):
        disk = filesystem_of(point / "inbox")

    assert disk == mounts.Filesystem("tmpfs", network=False, unseen=False, mount_point=str(point))


def test_a_fuse_mount_is_seen_to_hide_writers(tmp_path: Path) -> None:
    (tmp_path / "behind").mkdir()
    with mounted("bindfs", tmp_path / "behind", at=tmp_path / "mount") as mount:
        disk = filesystem_of(mount)

    assert disk.kind.startswith("fuse")
    assert disk.unseen
    assert not filesystem_of(tmp_path).unseen


def test_inside_is_what_lies_below_whether_it_exists_or_not(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "inbox").mkdir()

    assert is_inside(tmp_path / "in", tmp_path / "in")
    assert is_inside(tmp_path / "in" / "sub", tmp_path / "in")
    assert is_inside(tmp_path / "in" / "new" / "er", tmp_path / "in")
    assert is_inside(tmp_path / "none" / "x", tmp_path / "none")
    assert not is_inside(tmp_path / "in", tmp_path / "in" / "sub")
    assert not is_inside(tmp_path / "inbox", tmp_path / "in")
    assert not is_inside(tmp_path / "none-more", tmp_path / "none")


def test_links_do_not_hide_where_a_folder_lies(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("in/sub")
    (tmp_path / "other").symlink_to("in")

    assert is_inside(tmp_path / "link" / "out", tmp_path / "in")
    assert is_inside(tmp_path / "in" / "out", tmp_path / "other")
    assert same_place(tmp_path / "link", tmp_path / "in" / "sub")
    assert same_place(tmp_path / "other" / "new", tmp_path / "in" / "new")
    assert not same_place(tmp_path / "link", tmp_path / "in")
    assert not same_place(tmp_path / "in" / "new", tmp_path / "in" / "sub")


def test_bind_mounts_do_not_hide_where_a_folder_lies(tmp_path: Path) -> None:
    (tmp_path / "in" / "sub" / "deep").mkdir(parents=True)
    with (
        mounted("mount", "--bind", tmp_path / "in", at=tmp_path / "whole"),
        mounted("mount", "--bind", tmp_path / "in" / "sub", at=tmp_path / "part"),
    ):
        assert is_inside(tmp_path / "whole" / "out", tmp_path / "in")
        assert is_inside(tmp_path / "part", tmp_path / "in")
        assert is_inside(tmp_path / "part" / "out", tmp_path / "in")
        assert is_inside(tmp_path / "in" / "sub" / "deep", tmp_path / "part")
        assert not is_inside(tmp_path / "in", tmp_path / "part")
        assert same_place(tmp_path / "part" / "new", tmp_path / "in" / "sub" / "new")


def test_a_folder_mounted_below_another_counts_as_inside_by_its_first_name_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere" / "out").mkdir(parents=True)
    with mounted("mount", "--bind", tmp_path / "elsewhere", at=tmp_path / "in" / "sub"):
        assert is_inside(tmp_path / "elsewhere" / "out", tmp_path / "in")
        assert is_inside(tmp_path / "elsewhere" / "new", tmp_path / "in")

    assert not is_inside(tmp_path / "elsewhere" / "out", tmp_path / "in")


def test_another_disk_mounted_below_is_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    with mounted("mount", "-t", "tmpfs", "none", at=tmp_path / "in" / "disk") as disk:
        assert is_inside(disk / "new", tmp_path / "in")
        assert not is_inside(tmp_path / "new", disk)
        assert not is_inside(tmp_path / "in", disk)
