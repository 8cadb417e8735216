from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend.errors import ProfileError
from scanmend_daemon.ignore import BUILT_IN, Ignore


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "._scan.tif", "Thumbs.db", "THUMBS.DB", "desktop.ini", ".stfolder", "@eaDir",
        "__MACOSX", ".syncthing.scan.tif.tmp", "~syncthing~scan.tif.tmp", "scan.unmanic.part",
        "scan.tacitpart", ".goutputstream-X1Y2Z3", "scan.tmp", "scan.TEMP", "scan.part", "scan.partial",
        "scan.tif.filepart", "scan.crdownload", "scan.download", "scan.!sync", ".nfs0001", "#recycle",
        "lost+found", ".in.scan.tif.", ".pureftpd-upload.1", "~$scan.tif", ".~lock.scan.tif#",
        ".scan.tif.swp", "$RECYCLE.BIN", "System Volume Information", ".@__thumb", ".scanmend-12.part",
        "scan.tif~",
    ],
)  # fmt: skip
def test_what_systems_and_programs_leave_lying_about_is_left_out(name: str) -> None:
    assert Ignore().rule(name) is not None


@pytest.mark.parametrize("name", ["scan.tif", "~scan.tif", "part.tif", "tmp.tif", "$100.tif", "a.part.tif"])
def test_scans_with_names_that_come_close_are_taken(name: str) -> None:
    assert Ignore().rule(name) is None


def test_the_reason_names_the_rule() -> None:
    ignore = Ignore(["# a comment", "", "*.bak.tif", "drafts/"])

    assert ignore.rule(".a.tif") == "its name begins with a dot"
    assert ignore.rule("a.part") == "temporary and system files are left out (*.part)"
    assert ignore.rule("a.bak.tif") == 'the configuration ignores "*.bak.tif"'
    assert ignore.rule("drafts", is_dir=True) == 'the configuration ignores "drafts/"'
    assert ignore.rule("drafts") is None


def test_patterns_follow_gitignore_a_later_one_takes_back() -> None:
    ignore = Ignore(["*.tif", "!keep.tif", "/top.jpg", "**/raw/**"])

    assert ignore.why("a.tif")
    assert ignore.why("deep/a.tif")
    assert ignore.why("deep/keep.tif") is None
    assert ignore.why("top.jpg")
    assert ignore.why("deep/top.jpg") is None
    assert ignore.why("x/raw/y.jpg")


def test_why_says_which_folder_above_is_left_out() -> None:
    ignore = Ignore(["drafts/"])

    assert ignore.why("a/drafts/b/c.tif") == 'in the folder a/drafts: the configuration ignores "drafts/"'
    assert (
        ignore.why("a/@eaDir/c.tif")
        == "in the folder a/@eaDir: temporary and system files are left out (@eaDir)"
    )


def test_undecodable_names_are_matched_like_others() -> None:
    ignore = Ignore(["*.bak.tif"])

    assert ignore.rule("\udcff.bak.tif")
    assert ignore.rule("\udcff.tif") is None


@pytest.mark.parametrize("pattern", ["!", "/", "a[", "\\"])
def test_a_pattern_that_could_never_match_is_an_error_that_names_it(pattern: str) -> None:
    with pytest.raises(ProfileError) as caught:
        Ignore(["*.ok", pattern])

    assert f'"{pattern}" is not a pattern' in str(caught.value)


@given(st.text(alphabet=st.characters(exclude_characters="/\0"), min_size=1), st.booleans())
def test_any_name_is_judged_and_every_hidden_one_is_left_out(name: str, is_dir: bool) -> None:  # noqa: FBT001
    ignore = Ignore(["*.bak", "!*.keep", "d/"])

    assert (ignore.rule(name, is_dir=is_dir) is None) in {True, False}
    assert ignore.rule(f".{name}", is_dir=is_dir) == "its name begins with a dot"


def test_every_built_in_rule_is_the_reason_for_something() -> None:
    for rule in BUILT_IN:
        name = rule.replace("*", "x")
        assert f"({rule})" in (Ignore().rule(name) or ""), rule
