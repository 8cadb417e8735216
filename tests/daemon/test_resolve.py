from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from scanmend.errors import ProfileError
from scanmend_daemon import config
from scanmend_daemon.config import Folder
from scanmend_daemon.resolve import Profiles, own_settings


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "inbox").mkdir()
    return config.for_folder(tmp_path / "inbox").folders[0]


def write(folder: Folder, name: str, text: str) -> None:
    path = folder.watch / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def profiles(said: list[str] | None = None, version: str = "1") -> Profiles:
    return Profiles(version, (said if said is not None else []).append)


def strength(folder: Folder, relpath: str) -> float | None:
    return profiles().resolve(folder, relpath).profile.noise.strength


def test_the_nearer_file_wins(folder: Folder) -> None:
    write(folder, "scanmend.yaml", "noise: {strength: 0.1}\n")
    write(folder, "sub/scanmend.yaml", "noise: {strength: 0.2}\n")
    write(folder, "sub/a.yaml", "noise: {strength: 0.3}\n")

    found = [strength(folder, name) for name in ("a.tif", "sub/b.tif", "sub/a.tif")]

    assert found == [0.1, 0.2, 0.3]


def test_it_is_told_where_settings_come_from(folder: Folder) -> None:
    write(folder, "sub/a.yaml", "noise: {strength: 0.3}\n")

    resolved = profiles().resolve(folder, "sub/a.tif")

    assert resolved.sources == ("profile gentle", "sub/a.yaml")
    assert resolved.own


def test_what_changes_the_result_changes_the_digest_and_nothing_else_does(folder: Folder) -> None:
    plain = profiles().resolve(folder, "a.tif").digest
    write(folder, "b.yaml", "noise: {strength: 0.3}\n")

    assert profiles().resolve(folder, "c.tif").digest == plain
    assert profiles().resolve(folder, "b.tif").digest != plain
    assert profiles(version="2").resolve(folder, "a.tif").digest != plain


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nosie: {strength: 1}\n", "noise"),
        ("noise: [\n", "scanmend.yaml"),
        ("noise: {strength: 7}\n", "strength"),
        ("\x00", "scanmend.yaml"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(folder: Folder, text: str, words: str) -> None:
    write(folder, "scanmend.yaml", text)

    with pytest.raises(ProfileError, match=words):
        profiles().resolve(folder, "a.tif")


def test_a_file_that_is_no_text_or_endless_or_a_link_is_refused(folder: Folder, tmp_path: Path) -> None:
    path = folder.watch / "a.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="not UTF-8"):
        profiles().resolve(folder, "a.tif")
    path.write_bytes(b"#" * 2**21)
    with pytest.raises(ProfileError, match="too large"):
        profiles().resolve(folder, "a.tif")
    path.unlink()
    (tmp_path / "elsewhere.yaml").write_text("noise: {strength: 0.3}\n")
    path.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(ProfileError, match="link"):
        profiles().resolve(folder, "a.tif")


def test_a_pipe_in_a_settings_files_place_stops_nobody(folder: Folder) -> None:
    os.mkfifo(folder.watch / "a.yaml")

    with pytest.raises(ProfileError, match="pipe"):
        profiles().resolve(folder, "a.tif")


def test_a_name_too_long_for_settings_of_its_own_has_none(folder: Folder) -> None:
    name = "n" * 251 + ".tif"

    assert profiles().resolve(folder, name).own is False
    assert len(own_settings(name)) > 255


def test_an_edited_profile_holds_from_the_next_scan_on_and_a_broken_edit_does_not(
    folder: Folder, tmp_path: Path
) -> None:
    said: list[str] = []
    path = tmp_path / "mine.yaml"
    path.write_text("scanmend: 1\nnoise: {strength: 0.2}\n")
    folder, reader = replace(folder, profile=str(path)), profiles(said)
    before = reader.resolve(folder, "a.tif")

    path.write_text("scanmend: 1\nnoise: {strength: 0.40}\n")
    after = reader.resolve(folder, "a.tif")
    path.write_text("scanmend: 1\nnoise: {strength: 99999}\n")
    broken = [reader.resolve(folder, "a.tif") for _ in range(3)]

    assert (before.profile.noise.strength, after.profile.noise.strength) == (0.2, 0.4)
    assert all(found.digest == after.digest for found in broken)
    assert len([line for line in said if "stays as it was" in line]) == 1
    assert reader.trouble


def test_a_profile_that_never_was_valid_is_an_error(folder: Folder) -> None:
    with pytest.raises(ProfileError, match="nowhere"):
        profiles().resolve(replace(folder, profile="nowhere"), "a.tif")
