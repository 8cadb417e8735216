from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scanmend import publish
from scanmend.errors import DamagedFile, PublishError, TargetExists

if TYPE_CHECKING:
    from collections.abc import Iterator

OLD, NEW = b"old", b"new and longer"
needs_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX file systems")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A name in an otherwise empty folder, at which nothing exists yet."""
    folder = tmp_path / "results"
    folder.mkdir()
    return folder / "scan.tif"


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without hard links, as FAT and some network shares are."""

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(self), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a full disk is simulated by a small tmpfs, which only root may mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def names(target: Path) -> list[str]:
    return sorted(entry.name for entry in target.parent.iterdir())


def write(target: Path, data: bytes = NEW, *, overwrite: bool = False, source: Path | None = None) -> None:
    with publish.staged(target, overwrite=overwrite, source=source) as temp:
        temp.write_bytes(data)


# --- a result appears whole --------------------------------------------------------------


def test_a_result_takes_its_name_only_when_it_is_whole(target: Path) -> None:
    with publish.staged(target) as temp:
        temp.write_bytes(NEW)
        before = target.exists()

    assert not before
    assert target.read_bytes() == NEW
    assert names(target) == ["scan.tif"]


def test_the_writer_gets_a_path_beside_the_target_at_which_nothing_exists(target: Path) -> None:
    with publish.staged(target) as temp:
        seen = (temp.exists(), temp.name, temp.parent.parent, temp.parent.name[0])
        temp.touch()

    assert seen == (False, "scan.tif", target.parent, ".")


def test_the_old_file_stands_until_the_new_one_replaces_it(target: Path) -> None:
    target.write_bytes(OLD)

    with publish.staged(target, overwrite=True) as temp:
        temp.write_bytes(NEW)
        meanwhile = target.read_bytes()

    assert (meanwhile, target.read_bytes()) == (OLD, NEW)
    assert names(target) == ["scan.tif"]


@needs_posix
def test_permissions_follow_the_umask_and_not_the_source(target: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.tif"
    source.write_bytes(NEW)
    source.chmod(0o400)
    before = os.umask(0o027)

    try:
        with publish.staged(target, source=source) as temp:
            publish.copy_verbatim(source, temp)
    finally:
        os.umask(before)

    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.stat().st_nlink == 1


@pytest.mark.parametrize("size", [0, 1, 3_000_001])
def test_a_verbatim_copy_is_the_source_byte_for_byte(size: int, target: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.tif"
    source.write_bytes(os.urandom(size))

    with publish.staged(target, source=source) as temp:
        publish.copy_verbatim(source, temp)

    assert target.read_bytes() == source.read_bytes()


# --- or not at all -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [DamagedFile("broken"), KeyboardInterrupt(), OSError(errno.EIO, "disk")])
def test_a_failed_write_leaves_the_old_file_and_no_litter(error: BaseException, target: Path) -> None:
    target.write_bytes(OLD)

    def write_and_fail() -> None:
        with publish.staged(target, overwrite=True) as temp:
            temp.write_bytes(NEW)
            (temp.parent / "scratch").touch()
            raise error

    with pytest.raises(type(error)) as caught:
        write_and_fail()

    assert caught.value is error
    assert target.read_bytes() == OLD
    assert names(target) == ["scan.tif"]


WRITER = """
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from scanmend import publish
from scanmend.errors import TargetExists
try:
    with publish.staged(Path(sys.argv[1]), overwrite=sys.argv[2] == "overwrite") as temp:
        temp.write_bytes(sys.argv[3].encode())
        print("ready", flush=True)
        sys.stdin.readline()
except TargetExists:
    sys.exit(7)
"""


def writer(target: Path, *, overwrite: bool, data: str) -> subprocess.Popen[str]:
    """A process that has written, and publishes when it is sent a line."""
    mode = "overwrite" if overwrite else "new"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target), mode, data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_process_killed_while_it_writes_leaves_the_old_file_and_one_hidden_folder(target: Path) -> None:
    target.write_bytes(OLD)

    with writer(target, overwrite=True, data="half") as process:
        process.kill()

    hidden = [name for name in names(target) if name.startswith(".scanmend-")]
    assert target.read_bytes() == OLD
    assert names(target) == [*hidden, "scan.tif"]
    assert len(hidden) == 1


def test_nothing_written_is_an_error_and_not_an_empty_result(target: Path) -> None:
    with pytest.raises(PublishError, match="nothing was written for"), publish.staged(target):
        pass

    assert names(target) == []


# --- one of several writers wins ---------------------------------------------------------


def test_of_several_processes_that_publish_one_name_exactly_one_wins(target: Path) -> None:
    processes = [writer(target, overwrite=False, data=str(number)) for number in range(3)]

    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    codes = [process.wait(30) for process in processes]
    for process in processes:
        process.communicate()

    assert sorted(codes) == [0, 7, 7]
    assert target.read_text(encoding="utf-8") == str(codes.index(0))
    assert names(target) == ["scan.tif"]


def _race(target: Path, writers: int) -> list[int]:
    barrier, winners = threading.Barrier(writers), []

    def run(number: int) -> None:
        try:
            with publish.staged(target) as temp:
                temp.write_bytes(bytes([number]))
                barrier.wait(30)
            winners.append(number)
        except TargetExists:
            pass

    threads = [threading.Thread(target=run, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return winners


def test_of_several_threads_that_publish_one_name_exactly_one_wins(target: Path) -> None:
    winners = _race(target, 8)

    assert target.read_bytes() == bytes(winners)
    assert names(target) == ["scan.tif"]


@pytest.mark.usefixtures("no_links")
def test_exactly_one_wins_where_there_are_no_hard_links_too(target: Path) -> None:
    winners = _race(target, 8)

    assert target.read_bytes() == bytes(winners)
    assert names(target) == ["scan.tif"]


def test_a_file_that_appears_meanwhile_is_not_replaced(target: Path) -> None:
    def write_while_another_does() -> None:
        with publish.staged(target) as temp:
            temp.write_bytes(NEW)
            target.write_bytes(OLD)

    with pytest.raises(TargetExists, match="exists already"):
        write_while_another_does()

    assert target.read_bytes() == OLD
    assert names(target) == ["scan.tif"]


# --- what is refused ---------------------------------------------------------------------


def test_an_existing_file_is_refused_before_any_work(target: Path) -> None:
    target.write_bytes(OLD)

    with pytest.raises(TargetExists, match="exists already") as caught:
        write(target)

    assert "allow overwriting" in caught.value.hint
    assert target.read_bytes() == OLD


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_scan_itself_is_never_the_target_under_whatever_name(*, overwrite: bool, target: Path) -> None:
    target.write_bytes(OLD)
    twin = target.parent / "twin.tif"
    twin.hardlink_to(target)

    for name in (target, twin, target.parent / ".." / "results" / "scan.tif"):
        with pytest.raises(PublishError, match="is the scan itself"):
            write(name, overwrite=overwrite, source=target)

    assert target.read_bytes() == OLD


@needs_posix
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("pointee", ["elsewhere.tif", "nowhere.tif"])
def test_a_symbolic_link_is_never_written_through(*, overwrite: bool, pointee: str, target: Path) -> None:
    elsewhere = target.parent / "elsewhere.tif"
    elsewhere.write_bytes(OLD)
    target.symlink_to(target.parent / pointee)

    with pytest.raises(PublishError, match="is a symbolic link"):
        write(target, overwrite=overwrite)

    assert target.is_symlink()
    assert names(target) == ["elsewhere.tif", "scan.tif"]
    assert elsewhere.read_bytes() == OLD


def test_a_folder_is_no_target(target: Path) -> None:
    target.mkdir()

    with pytest.raises(PublishError, match="is a folder"):
        write(target, overwrite=True)


def test_a_missing_folder_is_named(target: Path) -> None:
    with pytest.raises(PublishError, match=r"the folder .*nowhere does not exist") as caught:
        write(target.parent / "nowhere" / "scan.tif")

    assert caught.value.hint == "create it first"


def test_a_file_in_place_of_the_folder_is_named(target: Path) -> None:
    target.write_bytes(OLD)

    with pytest.raises(PublishError, match=r"the folder .*scan.tif does not exist"):
        write(target / "scan.tif")


def test_a_name_too_long_for_the_file_system_is_refused_and_not_shortened(target: Path) -> None:
    with pytest.raises(PublishError, match="is too long") as caught:
        write(target.with_name("x" * 300))

    assert caught.value.hint == "choose a shorter one"


def test_a_name_that_cannot_be_one_is_refused(target: Path) -> None:
    with pytest.raises(PublishError, match="is no file name"):
        write(target.with_name("a\0b"))


@needs_posix
def test_a_folder_that_cannot_be_written_to_is_named(target: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write to every folder")
    target.parent.chmod(0o500)

    try:
        with pytest.raises(PublishError, match=r"the folder .*results cannot be written to"):
            write(target)
    finally:
        target.parent.chmod(0o700)


# --- a full disk -------------------------------------------------------------------------


def test_a_full_disk_is_told_with_what_is_free_and_what_is_needed(small_disk: Path) -> None:
    target = small_disk / "scan.tif"
    target.write_bytes(OLD)

    with pytest.raises(PublishError, match=r"\d{5,6} bytes are free, more than \d+ bytes are needed"):
        write(target, bytes(1_000_000), overwrite=True)

    assert target.read_bytes() == OLD
    assert names(target) == ["scan.tif"]


def test_a_full_disk_behind_a_formats_own_error_is_recognised(small_disk: Path) -> None:
    target = small_disk / "scan.tif"

    def write_as_a_format_does() -> None:
        with publish.staged(target) as temp:
            try:
                temp.write_bytes(bytes(1_000_000))
            except OSError as error:
                raise DamagedFile("cannot write") from error

    with pytest.raises(PublishError, match="bytes are free"):
        write_as_a_format_does()

    assert names(target) == []


def test_a_copy_that_does_not_fit_says_how_much_it_needs(small_disk: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.tif"
    source.write_bytes(bytes(1_000_000))
    target = small_disk / "scan.tif"

    with (
        pytest.raises(PublishError, match=r"disk: [0-9]+ bytes are free, 1000000 bytes are needed"),
        publish.staged(target, source=source) as temp,
    ):
        publish.copy_verbatim(source, temp)

    assert names(target) == []


def test_a_source_that_is_not_there_is_named(target: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"none.tif cannot be copied"), publish.staged(target) as temp:
        publish.copy_verbatim(tmp_path / "none.tif", temp)


# --- files that belong together ----------------------------------------------------------


def pair(target: Path, number: int | str = "") -> tuple[Path, Path]:
    """A sidecar and its result, in the order in which they are published."""
    result = target.with_name(f"scan{number}.tif")
    return result.with_suffix(".json"), result


def write_pair(files: tuple[Path, Path], *, overwrite: bool = False) -> None:
    with publish.staged_together(files, overwrite=overwrite) as temps:
        for temp in temps:
            temp.write_bytes(NEW)


@pytest.mark.parametrize("overwrite", [False, True])
def test_files_that_belong_together_appear_together(*, overwrite: bool, target: Path) -> None:
    write_pair(pair(target), overwrite=overwrite)

    assert names(target) == ["scan.json", "scan.tif"]


@pytest.mark.parametrize(("overwrite", "step"), [(False, "hardlink_to"), (True, "replace")])
def test_a_result_gets_its_name_when_its_sidecar_stands(
    *, overwrite: bool, step: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar, result = pair(target)
    original = getattr(Path, step)
    seen = []

    def look_first(self: Path, other: Path) -> object:
        if result in {self, other}:
            seen.append(sidecar.read_bytes() if sidecar.exists() else b"nothing")
        return original(self, other)

    monkeypatch.setattr(Path, step, look_first)
    write_pair((sidecar, result), overwrite=overwrite)

    assert seen == [NEW]


@pytest.mark.parametrize("taken", [0, 1])
def test_where_one_name_is_taken_meanwhile_none_appears(taken: int, target: Path) -> None:
    files = pair(target)

    def write_while_another_does() -> None:
        with publish.staged_together(files) as temps:
            for temp in temps:
                temp.write_bytes(NEW)
            files[taken].write_bytes(OLD)

    with pytest.raises(TargetExists, match=files[taken].name):
        write_while_another_does()

    assert names(target) == [files[taken].name]
    assert files[taken].read_bytes() == OLD


@pytest.mark.parametrize("old", [None, OLD])
def test_a_sidecar_is_taken_back_where_its_result_cannot_follow(
    old: bytes | None, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar, result = pair(target)
    if old:
        sidecar.write_bytes(old)
    replace = Path.replace

    def fail_on_result(self: Path, to: Path) -> Path:
        if to == result:
            raise KeyboardInterrupt
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", fail_on_result)

    with pytest.raises(KeyboardInterrupt):
        write_pair((sidecar, result), overwrite=True)

    assert names(target) == ([sidecar.name] if old else [])
    assert not old or sidecar.read_bytes() == old


def test_a_sidecar_that_is_missing_holds_its_result_back(target: Path) -> None:
    with (
        pytest.raises(PublishError, match=r"nothing was written for .*scan.json"),
        publish.staged_together(pair(target)) as temps,
    ):
        temps[1].write_bytes(NEW)

    assert names(target) == []


# --- giving a finished part its name -----------------------------------------------------


@pytest.fixture
def part(target: Path) -> Path:
    made = target.with_name(".part")
    made.write_bytes(NEW)
    return made


@pytest.mark.parametrize("links", [True, False])
def test_a_part_gets_its_name_and_its_own_is_gone(
    *, links: bool, part: Path, target: Path, request: pytest.FixtureRequest
) -> None:
    if not links:
        request.getfixturevalue("no_links")

    publish.place(part, target)

    assert names(target) == [target.name]
    assert target.read_bytes() == NEW


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("kind", ["file", "folder", "link to nowhere"])
def test_a_name_that_is_taken_stays_and_so_does_the_part(
    *, links: bool, kind: str, part: Path, target: Path, request: pytest.FixtureRequest
) -> None:
    if kind == "file":
        target.write_bytes(OLD)
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    before = target.lstat()
    if not links:
        request.getfixturevalue("no_links")

    with pytest.raises(TargetExists, match="in the meantime"):
        publish.place(part, target)
    assert part.read_bytes() == NEW
    assert target.lstat().st_ino == before.st_ino


@pytest.mark.usefixtures("no_links")
def test_where_a_rename_cannot_refuse_either_the_name_is_reserved_first(
    part: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "_renamed", lambda *_: False)
    publish.place(part, target)
    assert target.read_bytes() == NEW
    part.write_bytes(OLD)

    with pytest.raises(TargetExists):
        publish.place(part, target)
    assert target.read_bytes() == NEW


def test_a_part_that_is_not_there_is_the_systems_error(target: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish.place(target.with_name(".part"), target)
    assert names(target) == []


def test_a_folder_is_synced_and_a_missing_one_is_an_error(target: Path) -> None:
    publish.sync_folder(target.parent)

    with pytest.raises(FileNotFoundError):
        publish.sync_folder(target)
