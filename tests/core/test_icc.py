from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageCms
from scanmend import icc

PARA_ONE = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 65536)
PARA_OTHER_FORM = b"para" + bytes(4) + struct.pack(">HHi", 3, 0, 65536)
PARA_SQUARE = b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 2 * 65536)
CURVE_NONE = b"curv" + bytes(4) + struct.pack(">I", 0)
CURVE_ONE = b"curv" + bytes(4) + struct.pack(">IH", 1, 256)
CURVE_22 = b"curv" + bytes(4) + struct.pack(">IH", 1, 563)
CURVE_TABLE = b"curv" + bytes(4) + struct.pack(">I3H", 3, 0, 20000, 65535)


def profile(tags: dict[bytes, bytes], space: bytes = b"RGB ") -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, block in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    size = struct.pack(">I", start + len(body))
    return size + bytes(12) + space + bytes(108) + table + body


def rgb(*curves: bytes) -> bytes:
    return profile(dict(zip((b"rTRC", b"gTRC", b"bTRC"), curves, strict=False)))


@pytest.mark.parametrize("curve", [CURVE_NONE, CURVE_ONE, PARA_ONE])
def test_a_profile_whose_every_curve_is_the_identity_is_linear(curve: bytes) -> None:
    assert icc.transfer(rgb(curve, curve, curve)) == "linear"
    assert icc.transfer(profile({b"kTRC": curve}, b"GRAY")) == "linear"


@pytest.mark.parametrize("curve", [CURVE_22, CURVE_TABLE, PARA_OTHER_FORM, PARA_SQUARE, b"curv", b""])
def test_one_other_curve_makes_it_a_display_profile(curve: bytes) -> None:
    assert icc.transfer(rgb(CURVE_NONE, CURVE_NONE, curve)) == "display"
    assert icc.transfer(rgb(curve, CURVE_NONE, CURVE_NONE)) == "display"


def test_a_curve_that_is_missing_makes_it_a_display_profile() -> None:
    assert icc.transfer(rgb(CURVE_NONE, CURVE_NONE)) == "display"
    assert icc.transfer(profile({b"rTRC": CURVE_NONE}, b"GRAY")) == "display"


def test_no_profile_is_a_display_profile_without_a_name() -> None:
    assert icc.transfer(None) == "display"
    assert icc.describe(None) == ""


def test_a_real_srgb_profile_is_display_and_tells_its_name() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()

    assert icc.transfer(srgb) == "display"
    assert "sRGB" in icc.describe(srgb)


def test_the_english_name_is_chosen_among_several() -> None:
    german, english = "Anzeige".encode("utf-16-be"), "Display".encode("utf-16-be")
    records = struct.pack(">2s2sII", b"de", b"DE", len(german), 40)
    records += struct.pack(">2s2sII", b"en", b"US", len(english), 40 + len(german))
    block = b"mluc" + bytes(4) + struct.pack(">II", 2, 12) + records + german + english

    assert icc.describe(profile({b"desc": block})) == "Display"


def test_a_name_of_the_old_type_ends_at_its_zero() -> None:
    block = b"desc" + bytes(4) + struct.pack(">I", 12) + b"Adobe RGB\x07\0\0"

    assert icc.describe(profile({b"desc": block})) == "Adobe RGB"


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(0, 400), st.binary(max_size=20))
def test_damage_is_never_an_error(noise: bytes, at: int, patch: bytes) -> None:
    sound = profile(
        {b"rTRC": CURVE_NONE, b"gTRC": PARA_ONE, b"bTRC": CURVE_ONE, b"desc": b"mluc" + bytes(60)}
    )

    for damaged in (noise, sound[:at], sound[:at] + patch + sound[at + len(patch) :]):
        assert icc.transfer(damaged) in ("display", "linear")
        assert len(icc.describe(damaged)) <= 256


def test_a_claim_of_four_billion_tags_is_not_followed() -> None:
    sound = rgb(CURVE_NONE, CURVE_NONE, CURVE_NONE)

    assert icc.transfer(sound[:128] + b"\xff\xff\xff\xff" + sound[132:]) == "linear"
    assert icc.transfer(bytes(128) + b"\xff\xff\xff\xff") == "display"
