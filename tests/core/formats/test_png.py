from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats import png, pngdata
from scanmend.formats.base import Limits, OutputOptions
from scanmend.formats.meta import Metadata
from scanmend.image import Alpha, Array, Color, Layout, PageData

SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
KINDS = (
    [(0, d) for d in (1, 2, 4, 8, 16)]
    + [(3, d) for d in (1, 2, 4, 8)]
    + [(k, d) for k in (2, 4, 6) for d in (8, 16)]
)
XMP = b"XML:com.adobe.xmp\0\0\0\0\0"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
EXIF = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def chunk(name: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def ihdr(width: int, height: int, depth: int, kind: int, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace))


def scanlines(values: Array, depth: int, rng: random.Random) -> bytes:
    """Samples (h, w, c) as filtered scanlines, written out plainly from the specification's section 9."""
    out, above = bytearray(), b""
    left = max(1, values.shape[2] * depth // 8)
    for row in values.reshape(len(values), -1):
        bits = "".join(format(int(value), f"0{depth}b") for value in row)
        line = bytes(int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8))
        above = above or bytes(len(line))
        filtering = rng.randrange(5)
        out.append(filtering)
        for place, value in enumerate(line):
            a = line[place - left] if place >= left else 0
            b, c = above[place], above[place - left] if place >= left else 0
            nearest = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            out.append((value - (0, a, b, (a + b) // 2, nearest)[filtering]) % 256)
        above = line
    return bytes(out)


def picture(
    values: Array, kind: int, depth: int, *, interlaced: bool = False, seed: int = 0, rest: bytes = b""
) -> bytes:
    """A whole file; `rest` stands between the header and the picture data."""
    rng = random.Random(seed)  # noqa: S311 - a test
    height, width = values.shape[:2]
    passes = ADAM7 if interlaced else ((0, 1, 0, 1),)
    data = b"".join(
        scanlines(values[y::dy, x::dx], depth, rng) for x, dx, y, dy in passes if values[y::dy, x::dx].size
    )
    packed = zlib.compress(data)
    cuts = sorted(rng.randrange(len(packed)) for _ in range(2))
    idats = [packed[a:b] for a, b in zip([0, *cuts], [*cuts, len(packed)], strict=True)]
    body = b"".join(chunk(b"IDAT", piece) for piece in idats)
    return SIGNATURE + ihdr(width, height, depth, kind, int(interlaced)) + rest + body + chunk(b"IEND")


def grey(rest: bytes = b"", size: int = 12) -> bytes:
    values = np.arange(size * size, dtype=np.uint8).reshape(size, size, 1)
    return picture(values, 0, 8, rest=rest)


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at : at + 12 + length]))
        at += 12 + length
    return found


def saved(folder: Path, data: bytes, name: str = "scan.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def decoded(path: Path, limits: Limits | None = None) -> Array:
    with png.open_file(path, limits or Limits()) as scan:
        page = scan.pages[0]
        return page.read(0, page.layout.height)


def page_of(pixels: Array, color: Color, alpha: Alpha = "none", rows: int = 5) -> PageData:
    height, width, channels = pixels.shape
    layout = Layout(height, width, channels, color, pixels.dtype, 8 * pixels.dtype.itemsize, alpha)
    return PageData(layout, iter([pixels[top : top + rows] for top in range(0, len(pixels), rows)]))


def rewritten(path: Path, page: PageData | None, xmp: bytes | None = None) -> tuple[bytes, tuple[str, ...]]:
    target = path.with_name("result.png")
    target.unlink(missing_ok=True)
    with png.open_file(path, Limits()) as scan:
        notes = scan.rewrite(target, {0: page} if page else {}, xmp=xmp, options=OutputOptions())
    return target.read_bytes(), notes


@st.composite
def stored(draw: st.DrawFn) -> tuple[Array, int, int, bool, int]:
    kind, depth = draw(st.sampled_from(KINDS))
    height, width = draw(st.integers(1, 19)), draw(st.integers(1, 19))
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(
        0, 2**depth, (height, width, SAMPLES[kind]), dtype=np.uint16
    )
    return values, kind, depth, draw(st.booleans()), seed


@many
@given(stored(), st.integers(1, 19))
def test_every_colour_type_depth_filter_and_interlacing_is_read(
    tmp_path: Path, drawn: tuple[Array, int, int, bool, int], rows: int
) -> None:
    values, kind, depth, interlaced, seed = drawn
    palette = np.random.default_rng(seed).integers(0, 256, (2 ** min(depth, 8), 3), dtype=np.uint8)
    rest = chunk(b"PLTE", palette.tobytes()) if kind == 3 else b""
    path = saved(tmp_path, picture(values, kind, depth, interlaced=interlaced, seed=seed, rest=rest))
    expected = palette[values[..., 0]] if kind == 3 else values * (255 // (2**depth - 1) if depth < 8 else 1)

    with png.open_file(path, Limits()) as scan:
        page = scan.pages[0]
        height = page.layout.height
        bands = [page.read(top, min(top + rows, height)) for top in range(0, height, rows)]
        backwards = [page.read(row, row + 1) for row in reversed(range(height))]
    assert page.layout.dtype == (np.uint16 if depth == 16 else np.uint8)
    assert page.layout.alpha == ("straight" if kind in (4, 6) else "none")
    np.testing.assert_array_equal(np.concatenate(bands), expected)
    np.testing.assert_array_equal(np.concatenate(backwards[::-1]), expected)


@many
@given(stored())
def test_rewriting_a_page_with_its_own_pixels_changes_no_pixel(
    tmp_path: Path, drawn: tuple[Array, int, int, bool, int]
) -> None:
    values, kind, depth, interlaced, seed = drawn
    rest = chunk(b"PLTE", bytes(range(256)) * 3) if kind == 3 else b""
    path = saved(tmp_path, picture(values, kind, depth, interlaced=interlaced, seed=seed, rest=rest))
    with png.open_file(path, Limits()) as scan:
        layout = scan.pages[0].layout
        pixels = scan.pages[0].read(0, layout.height)

    result, _ = rewritten(path, PageData(layout, iter([pixels[:3], pixels[3:]])))

    assert struct.unpack(">IIBBBBB", result[16:29])[6] == 0
    np.testing.assert_array_equal(imagecodecs.png_decode(result).reshape(pixels.shape), pixels)


@st.composite
def fresh(draw: st.DrawFn) -> PageData:
    color: Color = draw(st.sampled_from(["grey", "rgb"]))
    alpha, deep, seed = draw(st.booleans()), draw(st.booleans()), draw(st.integers(0, 99))
    shape = (draw(st.integers(1, 40)), draw(st.integers(1, 40)), (1 if color == "grey" else 3) + alpha)
    smooth = np.random.default_rng(seed).integers(0, 9, shape).cumsum(axis=seed % 2)
    pixels = (smooth * (257 if deep else 1)).astype(np.uint16 if deep else np.uint8)
    return page_of(pixels, color, "straight" if alpha else "none")


@many
@given(fresh())
def test_a_new_file_is_what_an_independent_decoder_reads(tmp_path: Path, page: PageData) -> None:
    bands = list(page.bands)
    pixels = np.concatenate(bands)
    target = tmp_path / "new.png"
    target.unlink(missing_ok=True)

    png.write_new(target, [PageData(page.layout, iter(bands))], Metadata(), OutputOptions())

    np.testing.assert_array_equal(imagecodecs.png_decode(target.read_bytes()).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("kind", "depth"), [(0, 1), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16)])
def test_the_transparent_colour_becomes_alpha(tmp_path: Path, kind: int, depth: int) -> None:
    values = np.random.default_rng(1).integers(0, 2, (6, 7, SAMPLES[kind]), dtype=np.uint16)
    values[2, 3] = 1
    key = struct.pack(f">{SAMPLES[kind]}H", *[1] * SAMPLES[kind])
    path = saved(tmp_path, picture(values, kind, depth, rest=chunk(b"tRNS", key)))

    pixels = decoded(path)
    result, notes = rewritten(path, page_of(pixels, "rgb" if kind == 2 else "grey", "straight"))

    transparent = (values == 1).all(axis=2)
    white = 65535 if depth == 16 else 255
    np.testing.assert_array_equal(pixels[..., -1], np.where(transparent, 0, white))
    assert b"tRNS" not in dict(chunks(result))
    assert any("tRNS" in note for note in notes)
    np.testing.assert_array_equal(imagecodecs.png_decode(result).reshape(pixels.shape), pixels)


def test_a_palette_with_transparency_expands_to_rgb_with_alpha(tmp_path: Path) -> None:
    values = np.array([[[0], [1], [2]]], np.uint8)
    rest = chunk(b"PLTE", bytes([1, 2, 3, 4, 5, 6, 7, 8, 9])) + chunk(b"tRNS", bytes([0, 128]))

    pixels = decoded(saved(tmp_path, picture(values, 3, 2, rest=rest)))

    assert pixels.tolist() == [[[1, 2, 3, 0], [4, 5, 6, 128], [7, 8, 9, 255]]]


def test_a_colour_that_the_palette_lacks_is_damage(tmp_path: Path) -> None:
    values = np.array([[[3]]], np.uint8)
    path = saved(tmp_path, picture(values, 3, 2, rest=chunk(b"PLTE", bytes(9))))

    with pytest.raises(DamagedFile, match="palette lacks"):
        decoded(path)


ANCILLARY = (
    chunk(b"gAMA", struct.pack(">I", 45455))
    + chunk(b"pHYs", struct.pack(">IIB", 11811, 23622, 1))
    + chunk(b"tEXt", b"Title\0Hochzeit")
    + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"at the lake"))
    + chunk(b"sBIT", b"\x07")
    + chunk(b"bKGD", b"\0\x10")
    + chunk(b"eXIf", EXIF)
    + chunk(b"vpAg", b"private")
    + chunk(b"tIME", bytes(7))
)


def test_every_other_chunk_is_copied_byte_for_byte_in_its_place(tmp_path: Path) -> None:
    tail = chunk(b"tEXt", b"After\0the picture") + chunk(b"prIv", b"x")
    data = grey(ANCILLARY)
    data = data[:-12] + tail + data[-12:] + b"bytes behind the end"
    path = saved(tmp_path, data)

    result, notes = rewritten(path, page_of(decoded(path), "grey"))

    behind = len(b"bytes behind the end")
    kept = [body for name, body in chunks(data[:-behind]) if name != b"IDAT"]
    assert [body for name, body in chunks(result[:-behind]) if name != b"IDAT"] == kept
    assert result.endswith(b"bytes behind the end")
    assert notes == ()


def test_a_page_without_new_pixels_stays_as_stored(tmp_path: Path) -> None:
    data = grey(ANCILLARY) + b"tail"

    assert rewritten(saved(tmp_path, data), None) == (data, ())


def test_what_ancillary_chunks_say_is_read(tmp_path: Path) -> None:
    profile = chunk(b"iCCP", b"name\0\0" + zlib.compress(SRGB))
    packed = chunk(b"iTXt", XMP[:-4] + b"\1\0\0\0" + zlib.compress(b"<packet/>"))

    with png.open_file(saved(tmp_path, grey(profile + ANCILLARY + packed)), Limits()) as scan:
        page, meta = scan.pages[0], scan.metadata()
    assert (page.icc, page.dpi, page.orientation) == (SRGB, (300.0, 600.0), 6)
    assert scan.xmp == b"<packet/>"
    assert meta == Metadata(SRGB, (300.0, 600.0), EXIF, b"<packet/>", None, 6)


def test_a_new_packet_takes_the_place_of_the_old_ones(tmp_path: Path) -> None:
    old, other = chunk(b"iTXt", XMP + b"<old/>"), chunk(b"tEXt", b"Title\0x")
    path = saved(tmp_path, grey(other + old + other + old))

    result, _ = rewritten(path, None, xmp=b"<new/>")

    bodies = [body for name, body in chunks(result) if name in (b"iTXt", b"tEXt")]
    assert bodies == [other, chunk(b"iTXt", XMP + b"<new/>"), other]


def test_a_first_packet_stands_before_the_picture_data(tmp_path: Path) -> None:
    result, _ = rewritten(saved(tmp_path, grey()), None, xmp=b"<new/>")

    assert [name for name, _ in chunks(result)][:3] == [b"IHDR", b"iTXt", b"IDAT"]
    assert decoded(saved(tmp_path, result)).shape == (12, 12, 1)


def test_another_depth_drops_what_described_the_old_samples_and_says_so(tmp_path: Path) -> None:
    path = saved(tmp_path, grey(ANCILLARY))
    deep = decoded(path).astype(np.uint16) * 257

    result, notes = rewritten(path, page_of(deep, "grey"))

    assert {b"sBIT", b"bKGD"}.isdisjoint(dict(chunks(result)))
    assert any("sBIT" in note and "bKGD" in note for note in notes)
    assert any("16-bit grey instead of 8-bit grey" in note for note in notes)
    np.testing.assert_array_equal(imagecodecs.png_decode(result), deep[..., 0])


def test_metadata_of_a_new_file_is_read_back(tmp_path: Path) -> None:
    iptc = b"\x1c\x02\x78\x00\x05hello"
    meta = Metadata(SRGB, (300.0, 300.0), EXIF, b"<packet/>", iptc, 6)
    target = tmp_path / "new.png"

    png.write_new(target, [page_of(np.zeros((3, 3, 3), np.uint8), "rgb")], meta, OutputOptions())

    with png.open_file(target, Limits()) as scan:
        assert scan.metadata() == meta


def test_an_orientation_without_exif_gets_one(tmp_path: Path) -> None:
    target = tmp_path / "new.png"

    png.write_new(
        target, [page_of(np.zeros((3, 3, 1), np.uint8), "grey")], Metadata(orientation=8), OutputOptions()
    )

    with png.open_file(target, Limits()) as scan:
        assert scan.pages[0].orientation == 8
    with Image.open(target) as image:
        assert image.getexif()[0x0112] == 8


def test_twelve_bit_samples_are_stretched_and_can_be_recovered(tmp_path: Path) -> None:
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64, 1)
    page = PageData(Layout(64, 64, 1, "grey", pixels.dtype, 12), iter([pixels]))
    target = tmp_path / "new.png"

    png.write_new(target, [page], Metadata(), OutputOptions())

    result = decoded(target)
    assert dict(chunks(target.read_bytes()))[b"sBIT"] == chunk(b"sBIT", b"\x0c")
    assert result.max() == 65535
    np.testing.assert_array_equal(result >> 4, pixels)


@pytest.mark.parametrize(
    ("rest", "transfer"),
    [
        (b"", "display"),
        (chunk(b"gAMA", struct.pack(">I", 100000)), "linear"),
        (chunk(b"gAMA", struct.pack(">I", 45455)), "display"),
        (chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"sRGB", b"\0"), "display"),
        (
            chunk(b"iCCP", b"n\0\0" + zlib.compress(SRGB)) + chunk(b"gAMA", struct.pack(">I", 100000)),
            "display",
        ),
        (chunk(b"cICP", bytes([1, 8, 0, 1])) + chunk(b"sRGB", b"\0"), "linear"),
    ],
)
def test_the_transfer_follows_the_order_of_precedence(tmp_path: Path, rest: bytes, transfer: str) -> None:
    with png.open_file(saved(tmp_path, grey(rest)), Limits()) as scan:
        assert scan.pages[0].layout.transfer == transfer


def test_a_damaged_profile_is_kept_and_told(tmp_path: Path) -> None:
    rest = chunk(b"iCCP", b"n\0\0not deflated")
    path = saved(tmp_path, grey(rest))

    with png.open_file(path, Limits()) as scan:
        assert scan.pages[0].icc is None
        assert "its colour profile is damaged; it was kept as it is" in scan.notes
    assert rest in rewritten(path, page_of(decoded(path), "grey"))[0]


def test_an_animation_is_kept_but_not_restored(tmp_path: Path) -> None:
    data = grey(chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", bytes(26)))
    path = saved(tmp_path, data)

    with png.open_file(path, Limits()) as scan:
        assert "animation" in (scan.pages[0].refusal or "")
    assert rewritten(path, None)[0] == data
    with pytest.raises(UnsupportedFormat, match="animation"):
        rewritten(path, page_of(np.zeros((12, 12, 1), np.uint8), "grey"))


def test_a_file_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    data = grey(ANCILLARY, size=7)

    for length in range(8, len(data)):
        path = saved(tmp_path, data[:length])
        with pytest.raises(DamagedFile, match=r"scan\.png is damaged"):
            png.open_file(path, Limits())


def test_the_error_says_how_many_rows_can_be_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 1), dtype=np.uint8)
    raw = b"".join(b"\0" + row.tobytes() for row in noise)
    data = SIGNATURE + ihdr(100, 100, 8, 0) + chunk(b"IDAT", zlib.compress(raw, 0))

    with pytest.raises(DamagedFile, match="it ends early; 40 of its 100 rows can be read"):
        png.open_file(saved(tmp_path, data[: len(data) - 4 - 4 - 60 * 101 - 1 + 40]), Limits())


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IEND"])
def test_a_wrong_checksum_of_what_the_picture_needs_is_damage(tmp_path: Path, name: bytes) -> None:
    data = bytearray(picture(np.zeros((5, 5, 1), np.uint8), 3, 8, rest=chunk(b"PLTE", bytes(3))))
    place = data.index(name)
    length = int.from_bytes(data[place - 4 : place], "big")
    data[place + 4 + length] ^= 1

    with pytest.raises(DamagedFile, match=f"checksum of its {name.decode()} chunk"):
        png.open_file(saved(tmp_path, bytes(data)), Limits())


def test_a_wrong_checksum_of_picture_data_that_agree_with_their_own_is_told(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    data = bytearray(picture(grey, 0, 8))
    place = data.index(b"IDAT")
    data[place + 4 + int.from_bytes(data[place - 4 : place], "big")] ^= 1

    with png.open_file(saved(tmp_path, bytes(data)), Limits()) as scan:
        assert any("IDAT chunk is wrong, but the pixels agree" in note for note in scan.notes)
        np.testing.assert_array_equal(scan.pages[0].read(0, 8), grey)


def test_a_flipped_byte_of_picture_data_is_damage(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 1), dtype=np.uint8)
    data = bytearray(picture(noise, 0, 8))
    data[data.index(b"IDAT") + 40] ^= 1

    with pytest.raises(DamagedFile, match=r"IDAT chunk at byte \d+ is wrong; \d+ of its 20 rows"):
        png.open_file(saved(tmp_path, bytes(data)), Limits())


def test_a_wrong_checksum_elsewhere_is_told_and_the_chunk_kept(tmp_path: Path) -> None:
    broken = bytearray(chunk(b"pHYs", struct.pack(">IIB", 11811, 11811, 1)))
    broken[-1] ^= 1
    path = saved(tmp_path, grey(bytes(broken)))

    with png.open_file(path, Limits()) as scan:
        assert scan.pages[0].dpi is None
        assert "the checksum of its pHYs chunk is wrong; it was kept, but not read" in scan.notes
    assert bytes(broken) in rewritten(path, page_of(decoded(path), "grey"))[0]


def damaged_stream(packed: bytes) -> bytes:
    return SIGNATURE + ihdr(4, 4, 8, 0) + chunk(b"IDAT", packed) + chunk(b"IEND")


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (zlib.compress(b"\0abcd" * 3), "its data end early after row 3"),
        (zlib.compress(b"\0abcd" * 3 + b"\x05abcd"), "filter type is unknown"),
        (
            zlib.compress(b"\0abcd" * 4)[:-4] + b"\0\0\0\0",
            "compressed data are damaged|checksum of its pixels",
        ),
        (b"\x78\x9cnot deflated at all", "compressed data are damaged"),
        (b"", "its data end early after row 0"),
    ],
)
def test_damage_inside_the_picture_data_is_never_padded(tmp_path: Path, packed: bytes, words: str) -> None:
    with pytest.raises(DamagedFile, match=words):
        decoded(saved(tmp_path, damaged_stream(packed)))


@pytest.mark.parametrize(
    "data",
    [
        SIGNATURE + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 0) + chunk(b"IEND"),
        SIGNATURE + ihdr(0, 4, 8, 0) + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 3, 0) + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 5) + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 0, 2) + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 0) * 2 + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 0) + chunk(b"IDAT") + chunk(b"tEXt") + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 3) + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 0) + chunk(b"tRNS", b"1") + chunk(b"IDAT") + chunk(b"IEND"),
        SIGNATURE + ihdr(4, 4, 8, 0) + b"\0\0\0\0\xff\xff\xff\xff\0\0\0\0",
        SIGNATURE + chunk(b"IHDR", b"short") + chunk(b"IDAT") + chunk(b"IEND"),
    ],
    ids=range(12),
)
def test_a_file_that_contradicts_itself_is_damaged(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(DamagedFile, match=r"scan\.png is damaged"):
        png.open_file(saved(tmp_path, data), Limits())


def test_an_unknown_critical_chunk_is_named(tmp_path: Path) -> None:
    data = SIGNATURE + chunk(b"CgBI", b"\0" * 4) + grey()[8:]

    with pytest.raises(UnsupportedFormat, match="extension CgBI"):
        png.open_file(saved(tmp_path, data), Limits())


@pytest.mark.parametrize("size", [2**31 - 1, 100_000])
def test_a_header_that_claims_too_much_is_refused_before_decoding(tmp_path: Path, size: int) -> None:
    data = SIGNATURE + ihdr(size, size, 16, 6) + chunk(b"IDAT", b"x") + chunk(b"IEND")

    with pytest.raises(LimitExceeded, match=f"{size} x {size}"):
        png.open_file(saved(tmp_path, data), Limits())


def test_decoded_bytes_are_limited_too(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded):
        png.open_file(saved(tmp_path, grey()), Limits(decoded_bytes=143))


BOMB = zlib.compress(bytes(200 * 2**20))


@pytest.mark.parametrize(
    "rest",
    [
        chunk(b"iCCP", b"n\0\0" + BOMB),
        chunk(b"zTXt", b"n\0\0" + BOMB),
        chunk(b"iTXt", XMP[:-4] + b"\1\0\0\0" + BOMB),
        chunk(b"zTXt", b"n\0\0" + zlib.compress(bytes(600_000))) * 2,
        chunk(b"eXIf", bytes(2**20 + 1)),
    ],
    ids=["icc", "text", "xmp", "many", "exif"],
)
def test_metadata_that_unpack_to_too_much_are_refused_in_little_memory(tmp_path: Path, rest: bytes) -> None:
    path = saved(tmp_path, grey(rest))
    tracemalloc.start()

    with pytest.raises(LimitExceeded, match="more than 1048576 bytes of metadata"):
        png.open_file(path, Limits(metadata_bytes=2**20))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20


def test_picture_data_beyond_the_picture_are_never_inflated(tmp_path: Path) -> None:
    path = saved(tmp_path, SIGNATURE + ihdr(1, 1, 8, 0) + chunk(b"IDAT", BOMB) + chunk(b"IEND"))
    tracemalloc.start()

    pixels = decoded(path)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pixels.tolist() == [[[0]]]
    assert peak < 4 * 2**20


def test_a_wrong_checksum_behind_the_last_row_is_found(tmp_path: Path) -> None:
    raw = (b"\0" + bytes(2000)) * 3000  # more than is inflated at once
    packed = zlib.compress(raw)[:-4] + b"\0\0\0\0"
    data = SIGNATURE + ihdr(2000, 3000, 8, 0) + chunk(b"IDAT", packed) + chunk(b"IEND")

    with pytest.raises(DamagedFile, match=r"compressed data are damaged|checksum of its pixels"):
        decoded(saved(tmp_path, data))


def test_bands_take_memory_in_proportion_to_the_band(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pngdata, "_BLOCK", 2**16)
    monkeypatch.setattr(pngdata, "_FILTER_BLOCK", 2**16)
    monkeypatch.setattr(pngdata, "_IDAT", 2**16)
    layout = Layout(8000, 1000, 1, "grey", np.dtype("u1"), 8)
    band = np.arange(1000, dtype=np.uint8)[None, :, None].repeat(100, axis=0)
    target = tmp_path / "large.png"
    tracemalloc.start()

    png.write_new(target, [PageData(layout, iter([band] * 80))], Metadata(), OutputOptions())
    with png.open_file(target, Limits()) as scan:
        same = [np.array_equal(scan.pages[0].read(top, top + 100), band) for top in range(0, 8000, 100)]

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(same)
    assert peak < layout.nbytes / 2


@pytest.mark.parametrize(
    "page",
    [
        page_of(np.zeros((12, 12, 3), np.uint8), "rgb"),
        page_of(np.zeros((11, 12, 1), np.uint8), "grey"),
        page_of(np.zeros((12, 12, 1), np.float32), "grey"),
        PageData(Layout(12, 12, 1, "grey", np.dtype("u1"), 8), iter([np.zeros((11, 12, 1), np.uint8)])),
        PageData(Layout(12, 12, 1, "grey", np.dtype("u1"), 8), iter([np.zeros((12, 11, 1), np.uint8)])),
        PageData(Layout(12, 12, 1, "grey", np.dtype("u1"), 8), iter([np.zeros((13, 12, 1), np.uint8)])),
    ],
    ids=["colour", "size", "float", "too few rows", "too narrow", "too many rows"],
)
def test_new_pixels_that_do_not_fit_are_refused(tmp_path: Path, page: PageData) -> None:
    path = saved(tmp_path, grey())

    with pytest.raises(FormatError):
        rewritten(path, page)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    pages = [page_of(np.zeros((2, 2, 1), np.uint8), "grey") for _ in range(2)]

    with pytest.raises(FormatError, match="one page, not 2"):
        png.write_new(tmp_path / "new.png", pages, Metadata(), OutputOptions())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=6))
def test_noise_in_a_file_gives_one_error_or_a_whole_picture(tmp_path: Path, at: int, patch: bytes) -> None:
    sound = grey(ANCILLARY, size=7)
    at %= len(sound)
    path = saved(tmp_path, sound[:at] + patch + sound[at + len(patch) :])

    try:
        pixels = decoded(path)
    except FormatError:
        return
    assert pixels.shape == (7, 7, 1)


def test_large_interlaced_pages_go_through_a_scratch_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanmend.formats.pngpage._IN_MEMORY", 10)
    values = np.arange(81, dtype=np.uint8).reshape(9, 9, 1)
    path = saved(tmp_path, picture(values, 0, 8, interlaced=True))

    np.testing.assert_array_equal(decoded(path), values)


def test_filtering_and_undoing_it_is_the_identity() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (9, 24), dtype=np.uint8)

    for left in (1, 2, 3, 4, 6, 8):
        lines = pngdata.apply_filters(rows, left, rows[-1])
        np.testing.assert_array_equal(pngdata.undo_filters(lines, 24, left, rows[-1].tobytes()), rows)


# The corpus: files of other projects, named by an environment variable and never part of the repository.

CORPUS = Path(os.environ.get("SCANMEND_TEST_DATA", "/nonexistent")) / "io"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="SCANMEND_TEST_DATA names no corpus")
# Its IDAT checksum is wrong on purpose, which imagecodecs does not read past.
NOT_SOUND = ("drewio__xcsn0g01.png",)


def corpus() -> Sequence[Path]:
    found = sorted([*(CORPUS / "ok").glob("*.png"), *(CORPUS / "made/ok").glob("*.png")])
    return [path for path in found if path.name not in NOT_SOUND]


def reference(path: Path) -> Iterator[Array]:
    """What imagecodecs reads, and where that is not right (interlaced palettes), Pillow."""
    yield imagecodecs.png_decode(path.read_bytes())
    with Image.open(path) as image:
        yield np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))


@needs_corpus
@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_a_real_file_decodes_as_elsewhere_and_is_rewritten_with_its_pixels(
    tmp_path: Path, path: Path
) -> None:
    with png.open_file(path, Limits()) as scan:
        page = scan.pages[0]
        layout = page.layout
        pixels = page.read(0, layout.height)
        bands = (page.read(top, min(top + 7, layout.height)) for top in range(0, layout.height, 7))
        target = tmp_path / "result.png"
        scan.rewrite(target, {0: PageData(layout, bands)}, xmp=None, options=OutputOptions())

    assert any(
        other.size == pixels.size and (other.reshape(pixels.shape) == pixels).all()
        for other in reference(path)
    )
    np.testing.assert_array_equal(decoded(target), pixels)
    assert tags(target) == tags(path)


# What exiftool says about the encoding, the file, or chunks that must go with the old samples.
ENCODING = ("File:", "System:", "ExifTool:", "Composite:", "PNG:BitDepth", "PNG:ColorType", "PNG:Interlace")
GONE = (
    "PNG:Palette",
    "PNG:Transparency",
    "PNG:SignificantBits",
    "PNG:BackgroundColor",
    "PNG:PaletteHistogram",
)


def tags(path: Path) -> list[str]:
    if not shutil.which("exiftool"):
        return []
    run = subprocess.run(
        ["exiftool", "-G1", "-s", "-a", "-u", str(path)], check=True, capture_output=True, text=True
    )
    lines = [line.replace("]", ":", 1).replace("[", "", 1) for line in run.stdout.splitlines()]
    found = [":".join(part.strip() for part in line.split(":", 2)) for line in lines]
    return [line for line in found if not line.startswith(ENCODING + GONE)]
