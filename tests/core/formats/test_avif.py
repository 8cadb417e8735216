from __future__ import annotations

import contextlib
import io
import json
import os
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
from PIL import Image, ImageOps
from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats import avif
from scanmend.formats.avif_boxes import parse
from scanmend.formats.base import Limits, OutputOptions, ScanFile
from scanmend.formats.meta import Metadata
from scanmend.image import Alpha, Array, Color, Layout, PageData

many = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
EXIF = struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 0x010E, 2, 3, 0x4141, 0)
PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
ICC = b"a profile" * 40


def photo(channels: int = 3, bits: int = 8, height: int = 48, width: int = 70) -> Array:
    """Smooth forms, no two corners alike; alpha falls from left to right."""
    y, x = np.mgrid[0:height, 0:width]
    forms = [x / width, y / height, (x + y) / (width + height), 1 - x / width]
    chosen = {1: [2], 2: [2, 3]}.get(channels, list(range(channels)))
    pixels = np.stack([forms[number] for number in chosen], axis=2) * (2**bits - 1)
    return np.array(pixels.astype(np.uint8 if bits == 8 else np.uint16))


def encoded(pixels: Array | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(photo() if pixels is None else pixels)
    image.save(buffer, "AVIF", **{"quality": 90, "speed": 9, **options})
    return buffer.getvalue()


def deep(bits: int, channels: int = 3, **options: Any) -> bytes:
    pixels = photo(channels, bits)
    if channels == 1:
        pixels = pixels[:, :, 0]
    return bytes(imagecodecs.avif_encode(pixels, level=95, speed=9, bitspersample=bits, **options))


def exif_with(orientation: int) -> bytes:
    return struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def opened(folder: Path, data: bytes, limits: Limits | None = None) -> avif.AvifFile:
    path = folder / "scan.avif"
    path.write_bytes(data)
    return avif.open_file(path, limits or Limits())


def pixels_of(file: ScanFile) -> Array:
    return file.pages[0].read(0, file.pages[0].layout.height)


def page(pixels: Array, color: Color = "rgb", alpha: Alpha = "none", bits: int = 8) -> PageData:
    height, width, channels = pixels.shape
    layout = Layout(height, width, channels, color, pixels.dtype, bits, alpha=alpha)
    return PageData(layout, iter((pixels[:20], pixels[20:])))


def rewritten(
    folder: Path,
    data: bytes,
    pages: Mapping[int, PageData] | None = None,
    *,
    xmp: bytes | None = None,
    quality: int = 95,
) -> bytes:
    target = folder / "new.avif"
    with opened(folder, data) as file:
        if pages is None:
            pages = {0: PageData(file.pages[0].layout, iter((pixels_of(file),)))}
        assert file.rewrite(target, pages, xmp=xmp, options=OutputOptions(quality=quality)) == ()
    return target.read_bytes()


def by_pillow(data: bytes) -> Array:
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def upright(data: bytes) -> Array:
    """As a viewer shows it."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image))


def far(one: Array, other: Array) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("sampling", ["4:2:0", "4:4:4"])
def test_eight_bits_decode_as_pillow_decodes_them(tmp_path: Path, mode: str, sampling: str) -> None:
    pixels = photo({"L": 1, "RGB": 3, "RGBA": 4}[mode])
    data = encoded(
        pixels[:, :, 0] if mode == "L" else pixels, subsampling="4:0:0" if mode == "L" else sampling
    )

    with opened(tmp_path, data) as file:
        assert far(pixels_of(file), by_pillow(data)) <= 1
        assert file.pages[0].layout.color == ("grey" if mode == "L" else "rgb")
        assert file.pages[0].layout.alpha == ("straight" if mode == "RGBA" else "none")


@pytest.mark.parametrize("bits", [10, 12])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_ten_and_twelve_bits_keep_their_depth_through_a_rewrite(
    tmp_path: Path, bits: int, channels: int
) -> None:
    data = deep(bits, channels)

    new = rewritten(tmp_path, data)

    with opened(tmp_path, new) as file:
        layout = file.pages[0].layout
        assert (layout.dtype.name, layout.bits, layout.channels) == ("uint16", bits, channels)
        assert far(pixels_of(file), photo(channels, bits)) < 2**bits / 50


@pytest.mark.parametrize("sampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_sampling_stays(tmp_path: Path, sampling: str) -> None:
    data = encoded(subsampling=sampling)

    new = rewritten(tmp_path, data)

    old_flags, new_flags = (parse(d, "x").items[1].named(b"av1C")[0][2] & 0x1C for d in (data, new))
    assert new_flags == old_flags


def test_quality_100_is_lossless(tmp_path: Path) -> None:
    data = encoded(subsampling="4:4:4")

    with opened(tmp_path, rewritten(tmp_path, data, quality=100)) as file:
        assert np.array_equal(pixels_of(file), by_pillow(data))


@pytest.mark.parametrize("opaque", [False, True])
def test_alpha_stays_exact_and_there(tmp_path: Path, *, opaque: bool) -> None:
    pixels = photo(4)
    if opaque:
        pixels[:, :, 3] = 255

    new = rewritten(tmp_path, encoded(photo(4)), {0: page(pixels, alpha="straight")}, quality=60)

    with opened(tmp_path, new) as file:
        assert np.array_equal(pixels_of(file)[:, :, 3], pixels[:, :, 3])


def test_icc_exif_and_xmp_come_through(tmp_path: Path) -> None:
    data = encoded(icc_profile=ICC, exif=EXIF, xmp=PACKET)

    new = rewritten(tmp_path, data)

    for version in (data, new):
        with opened(tmp_path, version) as file:
            assert file.metadata() == Metadata(icc=ICC, exif=EXIF, xmp=PACKET)
            assert file.xmp == PACKET
    with Image.open(io.BytesIO(new)) as image:
        assert image.info["icc_profile"] == ICC
        assert image.info["xmp"] == PACKET
        assert image.getexif()[0x010E] == "AA"


def test_a_new_packet_takes_the_place_of_the_old_and_leaves_the_picture(tmp_path: Path) -> None:
    data = encoded(photo(4), icc_profile=ICC, exif=exif_with(6), xmp=PACKET)

    new = rewritten(tmp_path, data, {}, xmp=b"<new/>")

    old_file, new_file = parse(data, "x"), parse(new, "x")
    assert new_file.content(1) == old_file.content(1)
    assert new_file.items[1].properties == old_file.items[1].properties
    assert np.array_equal(by_pillow(new), by_pillow(data))
    with opened(tmp_path, new) as file:
        assert file.xmp == b"<new/>"
        assert file.pages[0].orientation == 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_is_read_kept_and_not_applied_twice(tmp_path: Path, orientation: int) -> None:
    data = encoded(exif=exif_with(orientation), subsampling="4:4:4")

    new = rewritten(tmp_path, data)

    with opened(tmp_path, data) as file:
        assert file.pages[0].orientation == orientation
        assert file.pages[0].layout.height == 48
        assert far(pixels_of(file), photo()) < 12
    assert upright(new).shape == upright(data).shape
    assert far(upright(new), upright(data)) < 12


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("exif", [None, EXIF, exif_with(3)])
def test_a_new_file_shows_as_its_orientation_says(
    tmp_path: Path, orientation: int, exif: bytes | None
) -> None:
    meta = Metadata(exif=exif, orientation=orientation)

    avif.write_new(tmp_path / "new.avif", [page(photo())], meta, OutputOptions())

    shown = upright((tmp_path / "new.avif").read_bytes())
    turned = ImageOps.exif_transpose(_tagged(orientation))
    assert shown.shape == np.asarray(turned).shape
    assert far(shown, np.asarray(turned)) < 12
    with avif.open_file(tmp_path / "new.avif", Limits()) as file:
        assert file.pages[0].orientation == orientation
        assert file.metadata().orientation == orientation


def _tagged(orientation: int) -> Image.Image:
    image = Image.fromarray(photo())
    image.getexif()[0x0112] = orientation
    return image


def test_exifs_own_orientation_does_not_count(tmp_path: Path) -> None:
    data = encoded(exif=EXIF)  # a description only, and no turn
    untold = data.replace(EXIF, exif_with(6))
    assert len(untold) == len(data)

    with opened(tmp_path, untold) as file:
        assert file.pages[0].orientation == 1
        assert file.metadata().exif == exif_with(1)


def test_declared_primaries_and_transfer_stay(tmp_path: Path) -> None:
    data = deep(10, primaries=9, transfer=16)  # BT.2020, PQ

    new = rewritten(tmp_path, data)

    (color,) = parse(new, "x").items[1].named(b"colr")
    assert struct.unpack_from(">4sHH", color) == (b"nclx", 9, 16)


def test_what_is_not_carried_over_is_said(tmp_path: Path) -> None:
    infe = struct.pack(">IHH4sB", 2 << 24, 9, 0, b"hvc1", 0)
    extra = struct.pack(">I4s", len(infe) + 8, b"infe") + infe
    data = encoded()
    place = data.index(b"iinf")
    size, count = int.from_bytes(data[place - 4 : place], "big"), data[place + 8 : place + 10]
    end = place - 4 + size
    iinf = (
        struct.pack(">I", size + len(extra))
        + data[place : place + 8]
        + struct.pack(">H", int.from_bytes(count, "big") + 1)
        + data[place + 10 : end]
        + extra
    )
    meta = data.index(b"meta") - 4
    grown = struct.pack(">I", int.from_bytes(data[meta : meta + 4], "big") + len(extra))
    data = data[:meta] + grown + data[meta + 4 : place - 4] + iinf + data[end:]
    # The picture moved by as much; its one extent is told so.
    where = data.index(b"iloc") + 18
    moved = int.from_bytes(data[where : where + 4], "big") + len(extra)
    data = data[:where] + struct.pack(">I", moved) + data[where + 4 :]

    with opened(tmp_path, data) as file:
        pages = {0: page(photo())}
        notes = file.rewrite(tmp_path / "new.avif", pages, xmp=None, options=OutputOptions())

    assert notes == ("1 further items (hvc1) were not carried over",)


def test_a_sequence_is_refused_for_restoring(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(photo()), Image.fromarray(photo()[::-1])]
    frames[0].save(buffer, "AVIF", save_all=True, append_images=frames[1:], speed=9)

    with opened(tmp_path, buffer.getvalue()) as file:
        assert far(pixels_of(file), photo()) < 40
        assert "sequence" in (file.pages[0].refusal or "")
        with pytest.raises(FormatError, match="sequence"):
            file.rewrite(tmp_path / "new.avif", {}, xmp=None, options=OutputOptions())


# Damage and hostile files


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_truncated_file_is_damaged_wherever_it_ends(tmp_path: Path, channels: int, share: float) -> None:
    data = encoded(photo(channels))

    with pytest.raises(FormatError, match=r"scan\.avif"):
        pixels_of(opened(tmp_path, data[: int(len(data) * share)]))


def test_a_cut_in_the_picture_is_called_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="cut off"):
        opened(tmp_path, encoded()[:-5])


def test_a_wiped_picture_is_damaged(tmp_path: Path) -> None:
    data = encoded()
    start = data.index(b"mdat") + 4

    with pytest.raises(DamagedFile, match="libavif"):
        pixels_of(opened(tmp_path, data[:start] + bytes(len(data) - start)))


def test_a_huge_claim_fails_before_anything_is_decoded(tmp_path: Path) -> None:
    data = encoded()
    place = data.index(b"ispe") + 8
    data = data[:place] + struct.pack(">II", 60_000, 60_000) + data[place + 8 :]

    with pytest.raises(LimitExceeded, match="60000 x 60000"):
        opened(tmp_path, data)


@pytest.mark.parametrize("size", [(8, 8), (200, 300)])
def test_a_container_that_lies_about_the_size_reads_as_in_pillow(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    data = encoded()
    place = data.index(b"ispe") + 8
    data = data[:place] + struct.pack(">II", *size) + data[place + 8 :]

    with opened(tmp_path, data) as file:
        assert np.array_equal(pixels_of(file), by_pillow(data))


def test_another_codec_is_named(tmp_path: Path) -> None:
    data = encoded().replace(b"av1C", b"hvcC").replace(b"av01", b"hvc1")

    with pytest.raises(UnsupportedFormat, match="hvc1"):
        opened(tmp_path, data)


def test_overlapping_extents_do_not_unpack_into_a_huge_item(tmp_path: Path) -> None:
    data = encoded()
    extents = struct.pack(">II", 0, len(data)) * 60_000
    iloc = struct.pack(">IBBHHHH", 0, 0x44, 0, 1, 1, 0, 60_000) + extents
    place = data.index(b"iloc") - 4
    size = int.from_bytes(data[place : place + 4], "big")
    meta = data.index(b"meta") - 4
    grown = int.from_bytes(data[meta : meta + 4], "big") + len(iloc) + 8 - size
    box = struct.pack(">I4s", len(iloc) + 8, b"iloc") + iloc
    data = data[:meta] + struct.pack(">I", grown) + data[meta + 4 : place] + box + data[place + size :]

    with pytest.raises(DamagedFile):
        opened(tmp_path, data)


@many
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_changed_byte_gives_a_picture_or_a_clear_refusal(
    tmp_path: Path, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(WHOLE)
    for place, value in changes:
        data[12 + place % (len(data) - 12)] = value

    with contextlib.suppress(FormatError), opened(tmp_path, bytes(data), Limits(megapixels=1)) as file:
        layout = file.pages[0].layout

        assert pixels_of(file).shape == (layout.height, layout.width, layout.channels)


WHOLE = encoded(photo(4), icc_profile=ICC, exif=exif_with(6), xmp=PACKET)


@many
@given(st.binary(max_size=200))
def test_garbage_behind_the_brand_is_refused(tmp_path: Path, garbage: bytes) -> None:
    with pytest.raises(FormatError):
        pixels_of(opened(tmp_path, struct.pack(">I4s4sI", 16, b"ftyp", b"avif", 0) + garbage))


def test_only_avif_brands_are_recognised() -> None:
    assert avif.sniff(encoded()[:64])
    assert avif.sniff(struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"mif1", 0, b"miaf", b"avif"))
    assert not avif.sniff(struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1"))
    assert not avif.sniff(b"\0\0\0\x18ftyp")
    assert not avif.sniff(b"")


# New files


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_new_file_carries_pixels_and_metadata(tmp_path: Path, bits: int, channels: int) -> None:
    pixels = photo(channels, bits)
    color: Color = "grey" if channels < 3 else "rgb"
    meta = Metadata(icc=ICC, dpi=(600, 300), exif=EXIF, xmp=PACKET, orientation=5)
    source = page(pixels, color, "none" if channels % 2 else "straight", bits)

    notes = avif.write_new(tmp_path / "new.avif", [source], meta, OutputOptions(quality=100))

    with avif.open_file(tmp_path / "new.avif", Limits()) as file:
        layout, new = file.pages[0].layout, file.metadata()
        assert (layout.bits, layout.channels, layout.color) == (min(bits, 12), channels, color)
        error = pixels_of(file) / layout.white - pixels / float(2**bits - 1)
        assert np.abs(error).max() <= (0.5 / 4095 + 1e-9 if bits == 16 else 0)
        assert (new.icc, new.dpi, new.xmp, new.orientation) == (ICC, (600, 300), PACKET, 5)
    assert any("12 bits" in note for note in notes) == (bits == 16)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (page(np.zeros((9, 9, 3), np.float32), bits=32), "8 to 12 bits"),
        (page(np.zeros((9, 9, 4), np.uint8), "cmyk"), "grey or RGB"),
        (page(np.zeros((1, 32_769, 1), np.uint8), "grey"), "32768"),
    ],
)
def test_a_new_file_of_what_avif_cannot_hold_is_refused(tmp_path: Path, bad: PageData, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        avif.write_new(tmp_path / "new.avif", [bad], Metadata(), OutputOptions())


# Files found in the wild


def corpus(*folders: str) -> list[Any]:
    root = Path(os.environ.get("SCANMEND_TEST_DATA") or "/nowhere") / "io"
    if not root.is_dir():
        return [
            pytest.param(None, marks=pytest.mark.skip(reason="SCANMEND_TEST_DATA names no folder of scans"))
        ]
    return [
        pytest.param(path, id=f"{folder}/{path.name}")
        for folder in folders
        for path in sorted((root / folder).glob("*.avif"))
    ]


@pytest.mark.parametrize("path", corpus("ok", "made/ok", "odd", "broken", "made/broken"))
def test_a_file_reads_as_pillow_reads_it_and_keeps_its_tags(tmp_path: Path, path: Path) -> None:
    start = time.process_time()
    with avif.open_file(path, Limits()) as file:
        pixels = pixels_of(file)
        assert far(pixels, by_pillow(path.read_bytes())) <= 1
        pages = {0: PageData(file.pages[0].layout, iter((pixels,)))}
        file.rewrite(tmp_path / path.name, pages, xmp=None, options=OutputOptions())
    assert time.process_time() - start < 30

    if shutil.which("exiftool") is None:
        pytest.skip("the pixels agree; exiftool is not installed to compare the tags")
    command = ["exiftool", "-a", "-u", "-G1", "-n", "-j", "-b", str(tmp_path / path.name), str(path)]
    # Where and how the picture is coded, and which program laid out the file.
    moving = ("System:", "SourceFile", "QuickTime:Media", "QuickTime:CompatibleBrands", "QuickTime:Handler")
    new, old = (
        {tag: value for tag, value in tags.items() if not tag.startswith(moving)}
        for tags in json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    )
    assert new == old
