from __future__ import annotations

import contextlib
import io
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats import jpeg, jpeg_tables
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.jpeg_segments import walk
from scanmend.formats.meta import Metadata
from scanmend.image import Alpha, Array, Color, Layout, PageData

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXIF = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
CODED = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD}


def photo(height: int = 120, width: int = 173, seed: int = 0, grain: float = 1) -> Array:
    """Smooth forms, an edge and a little grain, as in a restored print."""
    y, x = np.mgrid[0:height, 0:width]
    forms = np.stack([np.sin(x / 23), np.sin(y / 17 + 1), np.sin((x + y) / 31)], axis=2)
    edge = np.where(x + 2 * y > width, 30, -30)[:, :, None]
    noise = np.random.default_rng(seed).normal(0, grain, (height, width, 1))
    return np.clip(128 + 70 * forms + edge + noise, 0, 255).astype(np.uint8)


def encoded(pixels: Array | None = None, mode: str | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pixels = photo() if pixels is None else pixels
    image = Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)
    image.save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(data: bytes, *segments: bytes) -> bytes:
    """Segments put behind SOI and JFIF."""
    place = 2 + 2 + int.from_bytes(data[4:6], "big") if data[3] == 0xE0 else 2
    return data[:place] + b"".join(segments) + data[place:]


def icc_parts(icc: bytes, size: int) -> list[bytes]:
    parts = [icc[at : at + size] for at in range(0, len(icc), size)]
    return [
        segment(0xE2, b"ICC_PROFILE\0" + bytes((n, len(parts))) + part) for n, part in enumerate(parts, 1)
    ]


def patched(data: bytes, marker: int, at: int, new: bytes) -> bytes:
    """Bytes of the first such segment's payload overwritten."""
    place = next(s.start for s in walk(data, "x").segments if s.marker == marker) + 4 + at
    return data[:place] + new + data[place + len(new) :]


def opened(folder: Path, data: bytes, limits: Limits | None = None) -> jpeg.JpegFile:
    path = folder / "scan.jpg"
    path.write_bytes(data)
    return jpeg.open_file(path, limits or Limits())


def pixels_of(file: ScanFile) -> Array:
    return file.pages[0].read(0, file.pages[0].layout.height)


def page(pixels: Array, color: Color = "rgb", alpha: Alpha = "none", bits: int = 8) -> PageData:
    height, width, channels = pixels.shape
    layout = Layout(height, width, channels, color, pixels.dtype, bits, alpha=alpha)
    return PageData(layout, iter((pixels[:50], pixels[50:])))


def rewritten(
    folder: Path,
    data: bytes,
    pages: Mapping[int, PageData] | None = None,
    *,
    xmp: bytes | None = None,
    quality: int = 95,
) -> bytes:
    target = folder / "new.jpg"
    with opened(folder, data) as file:
        if pages is None:
            pixels = pixels_of(file)
            pages = {0: PageData(file.pages[0].layout, iter((pixels,)))}
        file.rewrite(target, pages, xmp=xmp, options=OutputOptions(quality=quality))
    return target.read_bytes()


def told(data: bytes) -> list[tuple[int, bytes]]:
    """Segments that are no part of the coded picture."""
    return [(s.marker, s.payload) for s in walk(data, "x").segments if s.marker not in CODED]


def psnr(one: Array, other: Array) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other.astype(float)) ** 2)))


def by_pillow(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


KINDS: dict[str, dict[str, Any]] = {
    "baseline 4:2:0": {"subsampling": 2},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "grey progressive": {"mode": "L", "progressive": True},
    "RGB": {"keep_rgb": True},
    "CMYK": {"mode": "CMYK"},
}
RESTORABLE = [name for name in KINDS if name != "CMYK"]


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def kind(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(request.param)


# Tables


def test_the_quality_of_a_pillow_file_is_found_exactly() -> None:
    for quality in range(10, 101):
        structure = walk(encoded(np.zeros((8, 8, 3), np.uint8), quality=quality), "x")

        assert jpeg_tables.quality_of(structure.tables[0]) == quality
        assert (structure.tables[0], structure.tables[1]) == jpeg_tables.tables(quality)


@many
@given(st.lists(st.integers(1, 255), min_size=64, max_size=64))
def test_a_table_in_pillows_order_comes_back_from_the_file_in_zigzag_order(steps: list[int]) -> None:
    data = encoded(np.zeros((8, 8), np.uint8), qtables=[jpeg_tables.natural(steps)], quality=-1)

    assert walk(data, "x").tables[0] == tuple(steps)


def test_a_table_that_no_quality_made_gets_the_nearest_one() -> None:
    luma, _ = jpeg_tables.tables(80)

    assert jpeg_tables.quality_of([min(step + 1, 255) for step in luma[:20]] + list(luma[20:])) in (79, 80)


def test_a_cut_table_segment_gives_whole_tables_only() -> None:
    luma, chroma = jpeg_tables.tables(50)
    payload = b"\0" + bytes(luma) + b"\1" + bytes(chroma)

    assert jpeg_tables.parse_dqt(payload[:-1]) == {0: luma}
    assert jpeg_tables.parse_dqt(b"\x10" + struct.pack(">64H", *luma)) == {0: luma}


# Reading


def test_every_kind_decodes_as_pillow_decodes_it(tmp_path: Path, kind: dict[str, Any]) -> None:
    data = encoded(**kind)

    with opened(tmp_path, data) as file:
        assert np.array_equal(pixels_of(file), by_pillow(data))


def test_bands_in_any_order_are_slices_of_the_whole(tmp_path: Path) -> None:
    with opened(tmp_path, encoded()) as file:
        whole = pixels_of(file)
        last, first = file.pages[0].read(100, 120), file.pages[0].read(0, 7)
        first[...] = 0

        assert np.array_equal(last, whole[100:])
        assert np.array_equal(file.pages[0].read(0, 7), whole[:7])


def test_a_closed_file_says_so(tmp_path: Path) -> None:
    file = opened(tmp_path, encoded())
    file.close()
    file.close()

    with pytest.raises(FormatError, match="closed"):
        pixels_of(file)


def test_the_page_says_how_it_was_compressed(tmp_path: Path) -> None:
    with opened(tmp_path, encoded(quality=87, progressive=True)) as file:
        assert file.pages[0].compression == "JPEG quality 87, progressive"
        assert file.pages[0].jpeg_quality == 87


def test_cmyk_means_ink_and_is_refused_for_restoring(tmp_path: Path) -> None:
    paper = Image.new("CMYK", (40, 30), (0, 0, 0, 255))
    buffer = io.BytesIO()
    paper.save(buffer, "JPEG", quality=95)

    with opened(tmp_path, buffer.getvalue()) as file:
        cyan, _, _, black = pixels_of(file)[10, 10]
        assert file.pages[0].layout.color == "cmyk"
        assert cyan <= 2
        assert black >= 253
        assert "convert it to RGB" in (file.pages[0].refusal or "")
        with pytest.raises(FormatError, match="CMYK"):
            file.rewrite(
                tmp_path / "new.jpg",
                {0: page(np.zeros((30, 40, 4), np.uint8), "cmyk")},
                xmp=None,
                options=OutputOptions(),
            )


def test_ycck_reads_as_cmyk(tmp_path: Path) -> None:
    ink = np.dstack([photo(), photo()[:, :, :1] // 2])
    data = bytes(imagecodecs.jpeg8_encode(255 - ink, level=95, colorspace="CMYK", outcolorspace="YCCK"))

    with opened(tmp_path, data) as file:
        assert np.array_equal(pixels_of(file), by_pillow(data))
        assert psnr(pixels_of(file), ink) > 25


@pytest.mark.parametrize("options", [{"bitspersample": 12}, {"bitspersample": 16, "lossless": True}])
def test_more_than_eight_bits_keep_their_depth_and_are_refused_for_restoring(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    bits = options["bitspersample"]
    deep = photo().astype(np.uint16) << (bits - 8)
    data = bytes(imagecodecs.jpeg8_encode(deep, level=100, **options))

    with opened(tmp_path, data) as file:
        layout = file.pages[0].layout
        assert (layout.dtype.name, layout.bits) == ("uint16", bits)
        assert np.abs(pixels_of(file).astype(int) - deep).mean() < 2 ** (bits - 8)
        assert "TIFF" in (file.pages[0].refusal or "")


def test_a_lossless_jpeg_reads_exactly_and_is_refused_for_restoring(tmp_path: Path) -> None:
    data = bytes(imagecodecs.jpeg8_encode(photo(), lossless=True))

    with opened(tmp_path, data) as file:
        assert np.array_equal(pixels_of(file), photo())
        assert file.pages[0].jpeg_quality is None
        assert "lossless" in (file.pages[0].refusal or "")


@pytest.mark.parametrize(
    ("unit", "x", "y", "dpi"), [(1, 300, 300, (300, 300)), (2, 100, 50, (254, 127)), (0, 1, 1, None)]
)
def test_jfif_density_is_read_in_dots_per_inch(
    tmp_path: Path, unit: int, x: int, y: int, dpi: tuple[float, float] | None
) -> None:
    data = patched(encoded(), 0xE0, 7, struct.pack(">BHH", unit, x, y))

    with opened(tmp_path, data) as file:
        assert file.pages[0].dpi == dpi


def test_resolution_and_orientation_come_from_exif_where_jfif_is_silent(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x011B], exif[0x0128] = 8, 200.0, 100.0, 2
    data = patched(encoded(exif=exif.tobytes()), 0xE0, 7, struct.pack(">BHH", 0, 1, 1))

    with opened(tmp_path, data) as file:
        assert file.pages[0].dpi == (200, 100)
        assert file.pages[0].orientation == 8
        assert file.metadata().orientation == 8


def test_an_icc_profile_in_several_shuffled_segments_comes_together(tmp_path: Path) -> None:
    icc = bytes(np.random.default_rng(1).integers(0, 256, 1000, dtype=np.uint8))
    one, two, three = icc_parts(icc, 400)

    with opened(tmp_path, with_segments(encoded(), three, one, two)) as file:
        assert file.pages[0].icc == icc
        assert file.metadata().icc == icc


def test_an_incomplete_icc_profile_is_not_used_but_kept_and_said(tmp_path: Path) -> None:
    one, _, three = icc_parts(bytes(range(250)) * 4, 400)
    data = with_segments(encoded(), one, three)

    with opened(tmp_path, data) as file:
        assert file.pages[0].icc is None
        assert any("ICC" in note for note in file.notes)
    assert told(rewritten(tmp_path, data)) == told(data)


def test_iptc_is_found_among_other_photoshop_blocks(tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x78\x00\x05hello"
    other = b"8BIM" + struct.pack(">H", 0x03ED) + b"\x03abc" + struct.pack(">I", 3) + b"xyz\0"
    block = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(iptc)) + iptc

    with opened(
        tmp_path, with_segments(encoded(), segment(0xED, b"Photoshop 3.0\0" + other + block))
    ) as file:
        assert file.metadata().iptc == iptc


# Harmless oddities


def odd_files() -> dict[str, bytes]:
    data = encoded()
    first_table = next(s.start for s in walk(data, "x").segments if s.marker == 0xDB)
    first_scan = next(s.start for s in walk(data, "x").segments if s.marker == 0xDA)
    adobe = segment(0xEE, b"Adobe" + bytes((0, 100, 0, 0, 0, 0, 7)))
    return {
        "bytes after the end": data + b"left over" * 50,
        "stray bytes before a marker": data[:first_table] + b"stray\xff\0" + data[first_table:],
        "fill bytes before a marker": data[:first_table] + b"\xff" * 9 + data[first_table:],
        "wrong JFIF version": patched(data, 0xE0, 5, b"\x09\x09"),
        "ICC after the frame": data[:first_scan] + icc_parts(b"x" * 200, 200)[0] + data[first_scan:],
        "ICC twice": with_segments(data, *icc_parts(b"x" * 200, 200) * 2),
        "two EXIF blocks": with_segments(
            data, segment(0xE1, b"Exif\0\0" + EXIF), segment(0xE1, b"Exif\0\0second")
        ),
        "unknown Adobe transform": with_segments(data, adobe),
        "zeros after the last code": data[:-2] + bytes(4) + data[-2:],
        "EXIF that is no EXIF": with_segments(data, segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")),
    }


@pytest.mark.parametrize("oddity", odd_files())
def test_what_every_viewer_shows_perfectly_opens_and_can_be_restored(tmp_path: Path, oddity: str) -> None:
    data = odd_files()[oddity]

    with opened(tmp_path, data) as file:
        assert np.array_equal(pixels_of(file), by_pillow(encoded()))
    new = rewritten(tmp_path, data)
    assert told(new) == told(data)
    with opened(tmp_path, new) as file:
        assert psnr(pixels_of(file), by_pillow(encoded())) > 35


def test_bytes_after_the_end_are_kept_and_said(tmp_path: Path) -> None:
    data = encoded() + b"a phone's video"

    with opened(tmp_path, data) as file:
        assert file.notes == ("15 bytes after the end of the picture were kept",)
    assert rewritten(tmp_path, data).endswith(b"\xff\xd9a phone's video")


def test_an_unusual_sampling_is_read_and_said_to_be_unchecked(tmp_path: Path) -> None:
    data = patched(encoded(subsampling=0), 0xC0, 7, b"\x31")  # libjpeg knows 3 x 1, TurboJPEG does not

    with opened(tmp_path, data) as file:
        assert pixels_of(file).shape == (120, 173, 3)
        assert any("cannot be checked" in note for note in file.notes)


# Damage


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8, 0.95, 0.999])
def test_a_truncated_file_is_damaged_wherever_it_ends(
    tmp_path: Path, kind: dict[str, Any], share: float
) -> None:
    data = encoded(**kind)

    with pytest.raises(DamagedFile, match=r"scan\.jpg.*(cut off|damaged)"):
        pixels_of(opened(tmp_path, data[: int(len(data) * share)]))


@many
@given(st.data())
def test_no_cut_at_all_goes_unnoticed(tmp_path: Path, draw: st.DataObject) -> None:
    data = encoded(photo(40, 30))
    cut = draw.draw(st.integers(3, len(data) - 1))

    with pytest.raises(DamagedFile):
        pixels_of(opened(tmp_path, data[:cut]))


def test_a_truncated_file_with_an_end_marker_stuck_on_is_damaged(
    tmp_path: Path, kind: dict[str, Any]
) -> None:
    data = encoded(**kind)

    with pytest.raises(DamagedFile, match="damaged") as caught:
        pixels_of(opened(tmp_path, data[: int(len(data) * 0.7)] + b"\xff\xd9"))
    assert "another copy" in caught.value.hint


def test_a_hole_in_the_data_is_damaged(tmp_path: Path, kind: dict[str, Any]) -> None:
    data = encoded(**kind)
    start = max(s.start for s in walk(data, "x").segments if s.marker == 0xDA)
    middle = (start + len(data)) // 2

    with pytest.raises(DamagedFile, match="libjpeg"):
        pixels_of(opened(tmp_path, data[: middle - 150] + data[middle + 150 :]))


def test_a_missing_restart_interval_is_damaged(tmp_path: Path) -> None:
    data = encoded(restart_marker_rows=1)
    first, second = data.index(b"\xff\xd1"), data.index(b"\xff\xd2")

    with pytest.raises(DamagedFile):
        pixels_of(opened(tmp_path, data[:first] + data[second:]))


def test_data_that_are_left_over_are_damage(tmp_path: Path) -> None:
    data = encoded()

    with pytest.raises(DamagedFile, match="left over"):
        pixels_of(opened(tmp_path, data[:-2] + b"\x12\x34\x56" * 10 + data[-2:]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d[: d.index(b"\xff\xdb")] + b"\xff\xd8" + d[d.index(b"\xff\xdb") :], "second picture"),
        (lambda d: patched(d, 0xC0, 0, b"\x09"), "9 bits"),
        (lambda d: patched(d, 0xC0, 3, b"\0\0"), "no sense"),
        (lambda d: patched(d, 0xC0, 5, b"\4"), "wrong length"),
        (lambda d: d.replace(b"\xff\xc0\0\x11", b"\xff\xee\0\x11"), "no frame header"),
        (lambda d: d[: d.index(b"\xff\xda")] + b"\xff\xd9", "no picture data"),
        (lambda d: d[:2] + b"\xff\xe5\0\1" + d[2:], "claims 1 bytes"),
        (lambda d: b"\xff\xd8\xff\xd9" + d, "no frame header"),
    ],
)
def test_contradictions_in_the_header_are_named(tmp_path: Path, change: Any, words: str) -> None:
    with pytest.raises(DamagedFile, match=words):
        opened(tmp_path, change(encoded()))


@pytest.mark.parametrize(("marker", "words"), [(0xC5, "hierarchical"), (0xCB, "arithmetic-coded lossless")])
def test_processes_that_nobody_reads_are_named(tmp_path: Path, marker: int, words: str) -> None:
    data = encoded().replace(b"\xff\xc0\0\x11", bytes((0xFF, marker, 0, 0x11)))

    with pytest.raises(UnsupportedFormat, match=words):
        opened(tmp_path, data)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not a JPEG"):
        opened(tmp_path, b"II*\0 and so on")


@many
@given(st.binary(max_size=300))
def test_garbage_behind_the_first_marker_is_refused(tmp_path: Path, garbage: bytes) -> None:
    with pytest.raises(FormatError):
        pixels_of(opened(tmp_path, b"\xff\xd8\xff" + garbage))


@many
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_changed_byte_gives_a_picture_or_a_clear_refusal(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(encoded(photo(40, 30), progressive=True))
    for place, value in changes:
        data[2 + place % (len(data) - 2)] = value

    with contextlib.suppress(FormatError), opened(tmp_path, bytes(data), Limits(megapixels=4)) as file:
        layout = file.pages[0].layout

        assert pixels_of(file).shape == (layout.height, layout.width, layout.channels)


# Hostile files


def test_a_tiny_file_that_claims_a_huge_picture_fails_before_room_is_made(tmp_path: Path) -> None:
    data = patched(encoded(), 0xC0, 1, struct.pack(">HH", 65_500, 65_500))
    start = time.process_time()

    with pytest.raises(LimitExceeded, match="65500 x 65500"):
        opened(tmp_path, data)
    with pytest.raises(DamagedFile, match=r"only \d+ bytes"):
        opened(tmp_path, data, Limits(megapixels=1e6, decoded_bytes=2**40))
    assert time.process_time() - start < 2


def test_the_emptiest_real_pictures_are_not_taken_for_lies(tmp_path: Path) -> None:
    for options in ({"mode": "L"}, {}, {"progressive": True}, {"mode": "L", "progressive": True}):
        data = encoded(np.full((3000, 2000, 3), 255, np.uint8), optimize=True, quality=1, **options)

        assert opened(tmp_path, data).pages[0].layout.width == 2000


def test_limits_on_bytes_hold(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="larger"):
        opened(tmp_path, encoded(), Limits(file_bytes=100))
    with pytest.raises(LimitExceeded, match="bytes allowed"):
        opened(tmp_path, encoded(), Limits(decoded_bytes=1000))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 3_000_000 + b"\0",
        b"\xff\xd8" + b"\xff\xfe\0\2" * 300_000,
        b"\xff\xd8" + b"\xff\0" * 1_000_000,
        encoded(np.zeros((8, 8), np.uint8))[:-2] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" * 5000 + b"\xff\xd9",
    ],
    ids=["fill bytes", "segments", "stuffed bytes", "scans"],
)
def test_a_file_made_to_keep_the_walk_busy_is_refused_at_once(tmp_path: Path, data: bytes) -> None:
    start = time.process_time()

    with pytest.raises(FormatError):
        opened(tmp_path, data)
    assert time.process_time() - start < 3


# Writing in place


def full_file(**options: Any) -> bytes:
    """A file with every kind of segment, some of them in unusual places."""
    data = encoded(dpi=(300, 300), **options)
    scan = next(s.start for s in walk(data, "x").segments if s.marker == 0xDA)
    data = data[:scan] + segment(0xEA, b"between frame and scan") + data[scan:] + b"trailer"
    return with_segments(
        data,
        segment(0xE0, b"JFXX\0thumbnail"),
        segment(0xE1, b"Exif\0\0" + EXIF),
        segment(0xE1, XMP_NAME + PACKET),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"G" * 40 + b"more"),
        *icc_parts(bytes(range(256)) * 300, 60_000),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\2ab"),
        segment(0xFE, b"a comment"),
        segment(0xFE, b"another"),
        segment(0xEF, bytes(range(256))),
    )


@pytest.mark.parametrize("kind", RESTORABLE)
def test_every_segment_but_the_picture_stays_byte_for_byte(tmp_path: Path, kind: str) -> None:
    data = full_file(**KINDS[kind])

    new = rewritten(tmp_path, data)

    assert told(new) == told(data)
    assert len(told(new)) >= 12
    assert new.endswith(b"\xff\xd9trailer")


def test_the_picture_is_replaced(tmp_path: Path) -> None:
    other = photo(seed=5)[::-1].copy()

    new = rewritten(tmp_path, encoded(subsampling=0), {0: page(other)})

    assert psnr(by_pillow(new), other) > 45


# At 4:4:4, against the pixels given. The grain's own size in 8-bit steps matters: with a
# grain of 2, quality 95 reaches 43.5 dB.
@pytest.mark.parametrize(("grain", "quality"), [(0, 95), (1, 95), (2, 97), (4, 98)])
def test_one_encoding_of_a_photograph_stays_above_45_db(tmp_path: Path, grain: float, quality: int) -> None:
    given = photo(300, 400, seed=9, grain=grain)
    data = encoded(photo(300, 400), subsampling=0)

    new = rewritten(tmp_path, data, {0: page(given)}, quality=quality)

    assert psnr(by_pillow(new), given) > 45


@pytest.mark.parametrize("kind", RESTORABLE)
def test_sampling_scans_and_components_stay(tmp_path: Path, kind: str) -> None:
    data = encoded(**KINDS[kind])
    old = walk(data, "x").frame

    new = walk(rewritten(tmp_path, data), "x").frame

    assert new.progressive == old.progressive
    assert [(c.across, c.down) for c in new.components] == [(c.across, c.down) for c in old.components]


@pytest.mark.parametrize(("own", "asked"), [(98, 60), (50, 95), (90, 90)])
def test_tables_are_as_fine_as_the_files_own_and_as_the_quality_asked_for(
    tmp_path: Path, own: int, asked: int
) -> None:
    tables = walk(rewritten(tmp_path, encoded(quality=own), quality=asked), "x").tables

    assert tables[0] == jpeg_tables.tables(max(own, asked))[0]
    assert tables[1] == jpeg_tables.tables(max(own, asked))[1]


def test_rgb_without_transform_stays_rgb_and_agrees_with_its_adobe_segment(tmp_path: Path) -> None:
    data = encoded(keep_rgb=True, quality=95)

    new = rewritten(tmp_path, data)

    assert walk(new, "x").is_rgb
    assert psnr(by_pillow(new), by_pillow(data)) > 45


def test_a_sampling_that_the_encoder_does_not_know_becomes_finer_never_coarser(tmp_path: Path) -> None:
    data = bytes(imagecodecs.jpeg8_encode(photo(), level=90, subsampling="440"))

    frame = walk(rewritten(tmp_path, data), "x").frame

    assert {(c.across, c.down) for c in frame.components} == {(1, 1)}


def test_pixels_that_are_not_given_stay_bit_for_bit(tmp_path: Path) -> None:
    data = full_file(progressive=True)

    new = rewritten(tmp_path, data, {}, xmp=b"<new/>")

    coded = [[d[s.start : s.end] for s in walk(d, "x").segments if s.marker in CODED] for d in (data, new)]
    assert coded[0] == coded[1]
    assert (0xE1, XMP_NAME + b"<new/>") in told(new)


def test_a_new_packet_takes_the_place_of_the_old(tmp_path: Path) -> None:
    data = full_file()

    new = rewritten(tmp_path, data, xmp=b"<new/>")

    expected = [(m, XMP_NAME + b"<new/>" if p == XMP_NAME + PACKET else p) for m, p in told(data)]
    assert told(new) == expected
    with opened(tmp_path, new) as file:
        assert file.xmp == b"<new/>"


def test_a_first_packet_goes_behind_jfif_and_exif(tmp_path: Path) -> None:
    data = with_segments(encoded(), segment(0xE1, b"Exif\0\0" + EXIF), segment(0xFE, b"comment"))

    new = rewritten(tmp_path, data, xmp=b"<new/>")

    assert [marker for marker, _ in told(new)] == [0xE0, 0xE1, 0xE1, 0xFE]
    assert told(new)[2][1] == XMP_NAME + b"<new/>"


def test_a_packet_beyond_one_segment_leaves_the_old_one_and_says_so(tmp_path: Path) -> None:
    data = full_file()
    with opened(tmp_path, data) as file:
        notes = file.rewrite(tmp_path / "new.jpg", {}, xmp=b" " * 65_503, options=OutputOptions())

    assert any("65503 bytes" in note for note in notes)
    assert told((tmp_path / "new.jpg").read_bytes()) == told(data)


def test_a_picture_too_busy_for_progressive_coding_is_written_as_baseline(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    data = encoded(photo(300, 300), subsampling=0, progressive=True)
    with opened(tmp_path, data) as file:
        notes = file.rewrite(
            tmp_path / "new.jpg", {0: page(noise)}, xmp=None, options=OutputOptions(quality=100)
        )
    new = (tmp_path / "new.jpg").read_bytes()

    assert psnr(by_pillow(new), noise) > 45
    assert not walk(new, "x").frame.progressive
    assert "baseline" in notes[0]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "bad",
    [
        page(np.zeros((120, 173, 4), np.uint8), alpha="straight"),
        page(np.zeros((120, 173, 3), np.uint16), bits=16),
        page(np.zeros((120, 173, 1), np.uint8), "grey"),
        page(np.zeros((60, 173, 3), np.uint8)),
        PageData(Layout(120, 173, 3, "rgb", np.dtype("u1"), 8), iter((np.zeros((60, 173, 3), np.uint8),))),
    ],
    ids=["alpha", "16 bits", "grey", "size", "missing rows"],
)
def test_pages_that_do_not_fit_the_file_are_refused(tmp_path: Path, bad: PageData) -> None:
    with opened(tmp_path, encoded()) as file, pytest.raises(FormatError):
        file.rewrite(tmp_path / "new.jpg", {0: bad}, xmp=None, options=OutputOptions())


def test_an_existing_target_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "new.jpg").write_bytes(b"mine")

    with opened(tmp_path, encoded()) as file, pytest.raises(FormatError, match=r"new\.jpg"):
        file.rewrite(tmp_path / "new.jpg", {}, xmp=None, options=OutputOptions())
    assert (tmp_path / "new.jpg").read_bytes() == b"mine"


# Several pictures in one file


def two_pictures() -> tuple[bytes, bytes]:
    buffer = io.BytesIO()
    first, second = Image.fromarray(photo()), Image.fromarray(photo(60, 80, seed=3))
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=80)
    data = buffer.getvalue()
    return data, data[walk(data, "x").end :]


def test_further_pictures_stay_and_are_still_found(tmp_path: Path) -> None:
    data, behind = two_pictures()

    new = rewritten(tmp_path, data, xmp=b"<new/>")

    assert new.endswith(behind)
    assert len(new) != len(data)
    with Image.open(io.BytesIO(data)) as old_image, Image.open(io.BytesIO(new)) as new_image:
        assert new_image.n_frames == 2
        old_image.seek(1)
        new_image.seek(1)
        assert np.array_equal(np.asarray(new_image), np.asarray(old_image))


def test_further_pictures_are_said_to_be_kept(tmp_path: Path) -> None:
    with opened(tmp_path, two_pictures()[0]) as file:
        assert len(file.pages) == 1
        assert any("1 further pictures" in note for note in file.notes)


@pytest.mark.parametrize("payload", [b"MPF\0garbage", b"MPF\0II*\0\xff\xff\0\0\0\0", b"MPF\0"])
def test_an_index_of_pictures_that_cannot_be_followed_refuses_restoring(
    tmp_path: Path, payload: bytes
) -> None:
    with opened(tmp_path, with_segments(encoded(), segment(0xE2, payload))) as file:
        assert "MPF" in (file.pages[0].refusal or "")
        assert pixels_of(file).shape == (120, 173, 3)


def test_an_index_that_points_into_the_picture_refuses_restoring(tmp_path: Path) -> None:
    entries = struct.pack("<IIIHHIIIHH", 0, 100, 0, 0, 0, 0, 50, 200, 0, 0)
    index = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0xB002, 7, len(entries), 26, 0) + entries

    with opened(tmp_path, with_segments(encoded(), segment(0xE2, b"MPF\0" + index))) as file:
        assert "points into the picture" in (file.pages[0].refusal or "")


# New files


@pytest.mark.parametrize(("color", "channels"), [("grey", 1), ("rgb", 3)])
def test_a_new_file_carries_pixels_and_metadata(tmp_path: Path, color: Color, channels: int) -> None:
    pixels = photo()[:, :, :channels].copy()
    icc = bytes(np.random.default_rng(0).integers(0, 256, 150_000, dtype=np.uint8))
    meta = Metadata(
        icc=icc, dpi=(600, 300), exif=EXIF, xmp=PACKET, iptc=b"\x1c\x02\x78\0\1x" * 20_000, orientation=6
    )

    notes = jpeg.write_new(tmp_path / "new.jpg", [page(pixels, color)], meta, OutputOptions())

    with jpeg.open_file(tmp_path / "new.jpg", Limits()) as file:
        assert file.metadata() == meta
        assert file.pages[0].layout.channels == channels
        assert psnr(pixels_of(file), pixels) > 45
    assert notes == ()


def test_a_new_file_says_its_orientation_without_any_exif(tmp_path: Path) -> None:
    jpeg.write_new(tmp_path / "new.jpg", [page(photo())], Metadata(orientation=3), OutputOptions())

    with Image.open(tmp_path / "new.jpg") as image:
        assert image.getexif()[0x0112] == 3


def test_what_does_not_fit_into_a_new_file_is_said(tmp_path: Path) -> None:
    meta = Metadata(icc=bytes(17_000_000), exif=EXIF + bytes(70_000), xmp=b" " * 70_000)

    notes = jpeg.write_new(tmp_path / "new.jpg", [page(photo())], meta, OutputOptions())

    assert [word for word in ("EXIF", "XMP", "ICC") if any(word in note for note in notes)] == [
        "EXIF",
        "XMP",
        "ICC",
    ]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (page(np.zeros((9, 9, 4), np.uint8), alpha="straight"), "transparency.*PNG or TIFF"),
        (page(np.zeros((9, 9, 3), np.uint16), bits=16), "8 bits"),
        (page(np.zeros((9, 9, 4), np.uint8), "cmyk"), "cmyk"),
        (page(np.zeros((1, 65_501, 1), np.uint8), "grey"), "65500"),
    ],
)
def test_a_new_file_of_what_jpeg_cannot_hold_is_refused(tmp_path: Path, bad: PageData, words: str) -> None:
    with pytest.raises(FormatError) as caught:
        jpeg.write_new(tmp_path / "new.jpg", [bad], Metadata(), OutputOptions())

    assert re.search(words, str(caught.value))


def test_a_new_file_of_several_pages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="TIFF"):
        jpeg.write_new(tmp_path / "new.jpg", [page(photo()), page(photo())], Metadata(), OutputOptions())


# Files found in the wild

# Damaged on paper only: the first has bytes after its end, the second an ICC profile of
# random bytes that no pixel depends on, the third an XMP packet that only matters to
# whoever parses it, and that is refused there. Every viewer shows all three perfectly.
HARMLESS = {"garbage_after.jpg", "badicc.jpg", "xmp_billion_laughs.jpg"}


def corpus(*folders: str) -> list[Any]:
    root = Path(os.environ.get("SCANMEND_TEST_DATA") or "/nowhere") / "io"
    if not root.is_dir():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="SCANMEND_TEST_DATA names no folder of scans"))
        ]
    return [
        pytest.param(path, id=f"{folder}/{path.name}")
        for folder in folders
        for path in sorted((root / folder).iterdir())
        if path.suffix.lower() in (".jpg", ".jpeg", ".mpo")
    ]


def exiftool(*paths: Path) -> list[dict[str, Any]]:
    command = ["exiftool", "-a", "-u", "-G1", "-n", "-j", "-b", *map(str, paths)]
    # Where further pictures lie moves with the first one's length.
    moving = ("System:", "SourceFile", "MPImage")
    return [
        {tag: value for tag, value in tags.items() if not tag.startswith(moving)}
        for tags in json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    ]


@pytest.mark.parametrize("path", corpus("ok", "made/ok", "odd"))
def test_a_good_file_reads_as_pillow_reads_it_and_keeps_its_tags(tmp_path: Path, path: Path) -> None:
    with jpeg.open_file(path, Limits()) as file:
        pixels = pixels_of(file)
        assert np.abs(pixels.astype(int) - by_pillow(path.read_bytes())).max() <= 1
        layout, refusal = file.pages[0].layout, file.pages[0].refusal
        pages = {} if refusal else {0: PageData(layout, iter((pixels,)))}
        file.rewrite(tmp_path / path.name, pages, xmp=None, options=OutputOptions())

    if shutil.which("exiftool") is None:
        pytest.skip("the pixels agree; exiftool is not installed to compare the tags")
    new, old = exiftool(tmp_path / path.name, path)
    assert new == old


@pytest.mark.parametrize("path", corpus("broken", "made/broken", "made/hostile"))
def test_a_bad_file_is_refused_quickly_and_in_little_memory(path: Path) -> None:
    start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    if path.name in HARMLESS:
        with jpeg.open_file(path, Limits()) as file:
            assert np.array_equal(pixels_of(file), by_pillow(path.read_bytes()))
    else:
        with pytest.raises(FormatError), jpeg.open_file(path, Limits()) as file:
            pixels_of(file)
    assert time.process_time() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kilobytes
