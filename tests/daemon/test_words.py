from __future__ import annotations

import json
import os

from hypothesis import given
from hypothesis import strategies as st
from scanmend_daemon.words import duration, iso, name_key, shown, size


@given(st.binary().map(os.fsdecode) | st.text(st.characters(codec=None)))  # type: ignore[arg-type]
def test_whatever_a_name_holds_it_is_shown_as_one_printable_line(name: str) -> None:
    text = shown(name)

    assert text.isprintable()
    assert json.loads(json.dumps(text)) == text
    text.encode("utf-8")


def test_bytes_that_are_no_text_and_control_characters_are_spelt_out() -> None:
    assert shown(os.fsdecode(b"\xff\n\x1b[31mBild \xc3\xa4.tif")) == r"\xff\x0a\x1b[31mBild ä.tif"


def test_names_that_some_disk_takes_for_one_have_one_key() -> None:
    assert name_key("STRASSE Ä.TIF") == name_key("straße a\u0308.tif")
    assert name_key("a.tif") != name_key("b.tif")


def test_times_and_amounts_are_read_by_people() -> None:
    assert [duration(s) for s in (0.04, 9.94, 12.4, 250, 7500)] == [
        "0.0 s", "9.9 s", "12 s", "4 min 10 s", "2 h 5 min",
    ]  # fmt: skip
    assert [size(n) for n in (0, 1023, 1024, 5 * 2**30, 2**51)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "5.0 GiB", "2048.0 TiB",
    ]  # fmt: skip
    assert (iso(None), iso(0)) == (None, "1970-01-01T00:00:00+00:00")
