from __future__ import annotations

import itertools
import os

from hypothesis import given
from hypothesis import strategies as st
from scanmend_daemon.naming import LONGEST, candidates, fitted


def profile(name: str = "{stem}_restored{ext}", form: str = "same") -> dict[str, object]:
    return {"name": "prints", "output": {"name": name, "format": form}}


def first(relpath: str, count: int = 3, **more: str) -> list[str]:
    return list(itertools.islice(candidates(relpath, profile(**more), index=7), count))


def test_a_taken_name_is_followed_by_numbers() -> None:
    assert first("sub/a.tif") == ["sub/a_restored.tif", "sub/a_restored-2.tif", "sub/a_restored-3.tif"]


def test_where_formats_differ_the_second_choice_keeps_the_scans_ending() -> None:
    assert first("a.jpg", form="tiff") == ["a_restored.tif", "a.jpg_restored.tif", "a_restored-2.tif"]


def test_the_template_may_name_profile_and_number() -> None:
    assert first("a.tif", 1, name="{stem}-{profile}-{index}{ext}") == ["a-prints-7.tif"]


def test_braces_in_a_scans_name_are_only_braces() -> None:
    assert first("{stem}{0}.tif", 1) == ["{stem}{0}_restored.tif"]


names = st.binary(min_size=1, max_size=255).filter(lambda b: b not in (b".", b"..") and not {0, 47} & set(b))


@given(names)
def test_every_name_fits_with_its_sidecar_whatever_the_bytes(name: bytes) -> None:
    for candidate in first(os.fsdecode(name)):
        assert len(os.fsencode(candidate)) <= LONGEST
        assert "/" not in candidate


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=100, max_size=200))
def test_a_cut_name_is_still_text_and_keeps_its_ending(stem: str) -> None:
    short = fitted(f"{stem}{'ä' * 200}.tif")

    assert short.encode("utf-8").endswith(b".tif")


def test_two_long_names_that_differ_at_their_end_stay_two() -> None:
    one, two = fitted("n" * 245 + "1.tif"), fitted("n" * 245 + "2.tif")

    assert one != two
