"""Where results go, and which clashes are found before any work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scanmend import profile as profiles
from scanmend.cli.inputs import Input
from scanmend.cli.jobs import Batch, Job, finished, settle
from scanmend.errors import UsageError
from scanmend.report import sha256_of, sidecar_path

if TYPE_CHECKING:
    from scanmend.profile import Profile

GENTLE = profiles.load("gentle")


def settled(
    inputs: list[Input], out: str | None = None, profile: Profile = GENTLE, *, overwrite: bool = False
) -> Batch:
    return settle(inputs, out, profile, overwrite=overwrite)


def targets(batch: Batch) -> list[str]:
    return [job.target.as_posix() for job in batch.jobs]


def named(template: str) -> Profile:
    return profiles.apply_settings(GENTLE, [f"output.name={template}"])


def test_results_stand_beside_their_scans() -> None:
    batch = settled([Input(Path("a/x.tif")), Input(Path("b/x.tif"))])

    assert targets(batch) == ["a/x_restored.tif", "b/x_restored.tif"]


def test_sub_folders_are_mirrored_below_the_output() -> None:
    root = Path("scans")

    batch = settled([Input(root / "x.tif", root), Input(root / "1950/x.tif", root)], "out")

    assert targets(batch) == ["out/x_restored.tif", "out/1950/x_restored.tif"]


def test_a_single_scan_goes_into_the_file_that_is_named() -> None:
    batch = settled([Input(Path("a.tif"))], "better.png")

    assert targets(batch) == ["better.png"]
    assert batch.profile.output.format == "png"


@pytest.mark.parametrize("out", ["folder", "folder/", "folder.d/"])
def test_what_has_no_suffix_or_ends_in_a_slash_is_a_folder(out: str) -> None:
    batch = settled([Input(Path("a.tif"))], out)

    assert targets(batch) == [f"{out.rstrip('/')}/a_restored.tif"]


def test_several_scans_may_go_to_a_folder_whose_name_has_a_dot() -> None:
    batch = settled([Input(Path("a.tif")), Input(Path("b.tif"))], "scans.2024")

    assert targets(batch) == ["scans.2024/a_restored.tif", "scans.2024/b_restored.tif"]


def test_several_scans_do_not_fit_into_one_file() -> None:
    with pytest.raises(UsageError, match=r"out\.tif is one file, and there are 2 scans"):
        settled([Input(Path("a.tif")), Input(Path("b.tif"))], "out.tif")


def test_a_file_name_without_a_known_ending_is_refused() -> None:
    with pytest.raises(UsageError, match=r"better\.psd ends in no format's name"):
        settled([Input(Path("a.tif"))], "better.psd")


def test_a_file_name_that_contradicts_the_profile_is_refused() -> None:
    with pytest.raises(UsageError, match="archive writes TIFF"):
        settled([Input(Path("a.tif"))], "better.jpg", profiles.load("archive"))


def test_two_scans_that_would_get_one_name_are_both_named() -> None:
    with pytest.raises(UsageError, match=r"a/x\.tif and b/x\.tif would both become out/x_restored\.tif"):
        settled([Input(Path("a/x.tif")), Input(Path("b/x.tif"))], "out")


def test_the_index_keeps_names_apart() -> None:
    batch = settled([Input(Path("a/x.tif")), Input(Path("b/x.tif"))], "out", named("{stem}-{index:03}{ext}"))

    assert targets(batch) == ["out/x-001.tif", "out/x-002.tif"]


def test_a_result_never_replaces_its_own_scan() -> None:
    with pytest.raises(UsageError, match=r"x\.tif would replace itself"):
        settled([Input(Path("x.tif"))], None, named("{stem}{ext}"), overwrite=True)


def test_a_file_out_never_replaces_the_scan(tmp_path: Path) -> None:
    scan = tmp_path / "x.tif"

    with pytest.raises(UsageError, match="would replace itself"):
        settled([Input(scan)], str(tmp_path / "." / "x.tif"), overwrite=True)


def test_files_named_like_results_of_other_inputs_are_left_out_with_a_remark() -> None:
    batch = settled([Input(Path("a.tif")), Input(Path("a_restored.tif"))])

    assert [job.source.name for job in batch.jobs] == ["a.tif"]
    assert batch.remarks == ("a_restored.tif: left out: it has the name of a result",)


def test_overwriting_spares_a_file_that_only_has_the_name_of_a_result(tmp_path: Path) -> None:
    scans = [Input(tmp_path / "a.tif"), Input(tmp_path / "a_restored.tif")]

    with pytest.raises(UsageError, match="may be a scan"):
        settled(scans, overwrite=True)


def test_a_result_is_finished_only_for_the_same_scan_and_profile(tmp_path: Path) -> None:
    job = Job(tmp_path / "a.tif", tmp_path / "a_restored.tif")
    job.source.write_bytes(b"scan")
    slip = {"source_sha256": sha256_of(job.source), "profile": {"name": "gentle"} | profiles.to_dict(GENTLE)}
    sidecar_path(job.target).write_text(json.dumps(slip), encoding="utf-8")

    assert finished(job, GENTLE)
    assert not finished(job, profiles.load("strong"))
    job.source.write_bytes(b"another scan")
    assert not finished(job, GENTLE)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_sidecar_that_is_none_finishes_nothing(tmp_path: Path, content: bytes) -> None:
    job = Job(tmp_path / "a.tif", tmp_path / "a_restored.tif")
    job.source.write_bytes(b"scan")
    sidecar_path(job.target).write_bytes(content)

    assert not finished(job, GENTLE)
