"""Which scans the names on the command line stand for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend.cli.inputs import expand, natural
from scanmend.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(folder: Path, *asked: str, recursive: bool = True, without: Path | None = None) -> list[str]:
    found = expand([str(folder / name) for name in asked], recursive=recursive, without=without)
    return [item.path.relative_to(folder).as_posix() for item in found]


@given(st.lists(st.text()))
def test_any_names_can_be_sorted(texts: list[str]) -> None:
    ordered = sorted(texts, key=natural)

    assert sorted(ordered) == sorted(texts)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_numbers_in_names_are_compared_as_numbers(first: int, second: int) -> None:
    ordered = natural(f"Scan{first}.tif") < natural(f"scan{second}.tif")

    assert ordered == (first < second or (first == second))


def test_a_folder_gives_its_pictures_in_natural_order_with_those_of_sub_folders(tmp_path: Path) -> None:
    touch(tmp_path, "scan10.tif", "scan9.TIF", "note.txt", "b/scan1.jpg", ".hidden.jpg", ".git/x.png")

    assert names(tmp_path, ".") == ["scan9.TIF", "scan10.tif", "b/scan1.jpg"]


def test_a_folder_without_its_sub_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "b/c.tif")

    assert names(tmp_path, ".", recursive=False) == ["a.tif"]


def test_a_pattern_is_expanded_where_the_shell_has_not_done_it(tmp_path: Path) -> None:
    touch(tmp_path, "scan10.tif", "scan2.tif", "other.tif", "scan1.txt")

    assert names(tmp_path, "scan*") == ["scan2.tif", "scan10.tif"]


def test_two_stars_reach_into_sub_folders_and_find_each_scan_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "b/c.tif", "b/d/e.tif")

    assert sorted(names(tmp_path, "**/*.tif", "**")) == ["a.tif", "b/c.tif", "b/d/e.tif"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    touch(tmp_path, "photo [1].jpg", "photo 1.jpg")

    assert names(tmp_path, "photo [1].jpg") == ["photo [1].jpg"]


def test_a_scan_named_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "b.tif")

    assert names(tmp_path, "b.tif", ".", "a.tif") == ["b.tif", "a.tif"]


def test_results_with_a_sidecar_are_not_taken_for_scans(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "a_restored.tif", "a_restored.tif.scanmend.json")

    assert names(tmp_path, ".") == ["a.tif"]
    assert names(tmp_path, "*.tif") == ["a.tif"]


def test_a_folder_of_results_inside_the_folder_of_scans_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "out/a.tif")

    assert names(tmp_path, ".", without=tmp_path / "out") == ["a.tif"]


def test_a_missing_file_is_kept_to_fail_in_its_turn(tmp_path: Path) -> None:
    assert names(tmp_path, "missing.tif") == ["missing.tif"]


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing matches .*\*\.tif"):
        names(tmp_path, "*.tif")


def test_a_folder_without_pictures_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no scans"):
        names(tmp_path, ".")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is readable here")
def test_a_folder_that_may_not_be_read_is_named_not_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "closed/b.tif")
    (tmp_path / "closed").chmod(0)

    with pytest.raises(UsageError, match="closed cannot be read"):
        names(tmp_path, ".")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_folder_linked_into_itself_ends(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)

    assert names(tmp_path, ".") == ["a.tif"]
