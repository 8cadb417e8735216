from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend_daemon.ignore import Ignore
from scanmend_daemon.walk import Entry, Oddity, walk

from tests.daemon.seeing import common_folder, descriptors, mounted, nobody

NOTHING = Ignore()


def scans(root: Path | str, **options: object) -> set[str]:
    found = walk(str(root), ignore=NOTHING, **options)  # type: ignore[arg-type]
    return {item.relpath for item in found if isinstance(item, Entry)}


def oddities(root: Path | str, **options: object) -> dict[str, Oddity]:
    found = walk(str(root), ignore=NOTHING, **options)  # type: ignore[arg-type]
    return {item.relpath: item for item in found if isinstance(item, Oddity)}


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_pictures_are_found_in_all_folders_whatever_the_case_of_their_ending(tmp_path: Path) -> None:
    make(tmp_path, "a.tif", "B.TIFF", "c/d.JpG", "c/e/f.png", "g.webp", "h.avif", "i.bmp", "j.jpe")

    assert scans(tmp_path) == {
        "a.tif",
        "B.TIFF",
        "c/d.JpG",
        "c/e/f.png",
        "g.webp",
        "h.avif",
        "i.bmp",
        "j.jpe",
    }


def test_an_entry_says_what_stat_says(tmp_path: Path) -> None:
    make(tmp_path, "a.tif")
    os.link(tmp_path / "a.tif", tmp_path / "b.txt")
    info = (tmp_path / "a.tif").stat()

    (entry,) = (item for item in walk(str(tmp_path), ignore=NOTHING) if isinstance(item, Entry))

    assert entry == Entry("a.tif", 1, info.st_mtime_ns, info.st_ino, info.st_dev, 2)
    assert entry.signature == f"{info.st_ino}:1:{info.st_mtime_ns}"


def test_hidden_names_ignored_names_and_sidecars_are_left_out_without_a_word(tmp_path: Path) -> None:
    make(
        tmp_path, ".a.tif", ".scanmend-folder", "~$b.tif", "@eaDir/c.tif", "d.part", "e.yaml", "scanmend.YML"
    )
    make(tmp_path, ".hidden/f.tif", "drafts/g.tif", "h.bak.tif")

    found = list(walk(str(tmp_path), ignore=Ignore(["drafts/", "*.bak.tif"])))

    assert found == []


def test_what_is_no_picture_is_named_with_its_reason(tmp_path: Path) -> None:
    make(tmp_path, "letter.pdf", "README", "aim.tif")
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "link.tif").symlink_to("aim.tif")
    (tmp_path / "folder").symlink_to("/etc")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.tif"))

        odd = oddities(tmp_path)

    assert {name: item.reason for name, item in odd.items()} == {
        "letter.pdf": ".pdf is not a picture that Scanmend reads",
        "README": "a name without an ending is not a picture that Scanmend reads",
        "pipe.tif": "a named pipe",
        "link.tif": "a symbolic link, and links are never followed",
        "folder": "a symbolic link, and links are never followed",
        "socket.tif": "a socket",
    }
    assert not any(item.unread for item in odd.values())


def test_a_device_is_no_scan(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes device files")
    os.mknod(tmp_path / "null.tif", 0o20666, os.makedev(1, 3))

    assert oddities(tmp_path)["null.tif"].reason == "a device"


@pytest.mark.parametrize("name", [b"\xff\xfe.tif", b"n" * 251 + b".tif", b"new\nline.tif", "ä.tif".encode()])
def test_every_name_that_the_disk_allows_is_found_and_found_again(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).touch()

    (relpath,) = scans(tmp_path)

    assert os.fsencode(relpath) == name


@given(
    tree=st.sets(
        st.lists(
            st.sampled_from(["a", "b.tif", "c.jpg", ".h", "x.tmp", "s.yaml"]), min_size=1, max_size=4
        ).map(tuple),
        max_size=12,
    ),
    recursive=st.booleans(),
)
def test_a_walk_finds_what_a_plain_search_finds(tree: set[tuple[str, ...]], recursive: bool) -> None:  # noqa: FBT001
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for parts in tree:
            path = root.joinpath(*parts)
            if not any(place.is_file() for place in [path, *path.parents]) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        wanted = {
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.is_file() and path.suffix in {".tif", ".jpg"}
        }
        visible = {
            name
            for name in wanted
            if not any(part in {".h", "x.tmp"} for part in name.split("/")) and (recursive or "/" not in name)
        }

        assert scans(root, recursive=recursive) == visible


def test_a_root_that_is_missing_is_an_error_and_so_is_one_that_is_a_file(tmp_path: Path) -> None:
    make(tmp_path, "file.tif")

    with pytest.raises(FileNotFoundError):
        scans(tmp_path / "missing")
    with pytest.raises(NotADirectoryError):
        scans(tmp_path / "file.tif")


def test_a_root_reached_through_a_link_is_walked(tmp_path: Path) -> None:
    make(tmp_path, "real/a.tif")
    (tmp_path / "link").symlink_to("real")

    assert scans(tmp_path / "link") == {"a.tif"}


def test_folders_of_our_own_are_skipped_by_identity_also_under_another_name(tmp_path: Path) -> None:
    make(tmp_path, "in/a.tif", "in/out/b.tif")
    info = (tmp_path / "in" / "out").stat()
    (tmp_path / "in" / "out").rename(tmp_path / "in" / "renamed")

    assert scans(tmp_path / "in", skip=frozenset({(info.st_dev, info.st_ino)})) == {"a.tif"}


def test_depth_is_bounded_and_the_rest_is_named(tmp_path: Path) -> None:
    make(tmp_path, "1/2/3/deep.tif", "1/2/near.tif")

    assert scans(tmp_path, max_depth=2) == {"1/2/near.tif"}
    assert oddities(tmp_path, max_depth=2)["1/2/3"].unread


def test_a_folder_mounted_into_itself_is_walked_once(tmp_path: Path) -> None:
    make(tmp_path, "in/a.tif")
    with mounted("mount", "--bind", tmp_path / "in", at=tmp_path / "in" / "again"):
        assert scans(tmp_path / "in") == {"a.tif"}
        assert oddities(tmp_path / "in")["again"].reason == "the same folder as one that it lies in"


def test_a_closed_folder_is_named_and_does_not_end_the_walk() -> None:
    with common_folder() as root:
        make(root, "closed/a.tif", "open/b.tif")
        (root / "closed").chmod(0)
        with nobody():
            found, odd = scans(root), oddities(root)

    assert found == {"open/b.tif"}
    assert odd["closed"].unread
    assert odd["closed"].reason == "it cannot be looked at: Permission denied"


def test_folders_that_vanish_or_turn_into_links_during_the_walk_lead_nowhere(tmp_path: Path) -> None:
    make(tmp_path, "outside/secret.tif", *[f"in/{number}/a.tif" for number in range(20)])
    stream = walk(str(tmp_path / "in"), ignore=NOTHING)
    found = [next(stream)]
    for folder in (tmp_path / "in").iterdir():  # their names have been read by now
        if folder.name == found[0].relpath.split("/")[0]:
            continue
        (folder / "a.tif").unlink()
        folder.rmdir()
        if int(folder.name) % 2:
            folder.symlink_to(tmp_path / "outside")

    found += list(stream)

    assert sum(isinstance(item, Entry) for item in found) == 1
    linked = [item for item in found if isinstance(item, Oddity)]
    assert len(linked) in {9, 10}
    assert all(item.reason == "it cannot be looked at: Not a directory" for item in linked)


STORM = """
import os, sys
os.chdir(sys.argv[1])
while True:
    for number in range(30):
        for old, new in (("d", "e"), ("e", "d")):
            try:
                os.rename(f"{old}{number}", f"{new}{number}")
                os.rename(f"{new}{number}/a.tif", f"{new}{number}/b.tif")
                os.rename(f"{new}{number}/b.tif", f"{new}{number}/a.tif")
            except OSError:
                pass
"""


def test_a_storm_of_renames_neither_ends_a_walk_nor_hides_what_lies_still(tmp_path: Path) -> None:
    make(tmp_path, "still.tif", "calm/still.tif", *[f"d{number}/a.tif" for number in range(30)])
    before = descriptors()
    with subprocess.Popen([sys.executable, "-c", STORM, str(tmp_path)]) as storm:
        try:
            walks = [scans(tmp_path) for _ in range(100)]
        finally:
            storm.kill()

    assert all({"still.tif", "calm/still.tif"} <= found for found in walks)
    assert any(len(found) != 32 for found in walks), "the storm never struck"
    assert descriptors() == before


def test_a_walk_given_up_half_way_leaves_nothing_open(tmp_path: Path) -> None:
    make(tmp_path, *[f"a/b/c/{number}.tif" for number in range(10)])
    before = descriptors()

    stream = walk(str(tmp_path), ignore=NOTHING)
    next(stream)
    during = descriptors()
    stream.close()  # type: ignore[attr-defined]

    assert during > before
    assert descriptors() == before


def _peak(root: Path, count: int) -> int:
    root.mkdir()
    for number in range(count):
        os.close(os.open(f"{root}/scan{number:06}.tif", os.O_CREAT | os.O_WRONLY))
    tracemalloc.start()
    found = sum(1 for _ in walk(str(root), ignore=NOTHING))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == count
    return peak


def test_memory_does_not_grow_with_the_number_of_scans(tmp_path: Path) -> None:
    few, many = _peak(tmp_path / "few", 100), _peak(tmp_path / "many", 5000)

    assert many < few + 50_000, (few, many)


@pytest.mark.slow
def test_a_hundred_thousand_scans_are_walked_in_constant_memory(tmp_path: Path) -> None:
    peak = _peak(tmp_path / "many", 100_000)

    print(f"100,000 scans: {peak} bytes at most")
    assert peak < 200_000
