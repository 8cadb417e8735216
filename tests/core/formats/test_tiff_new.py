"""A fresh TIFF holds the pixels and the metadata that it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scanmend.formats import tiff
from scanmend.formats.base import OutputOptions
from scanmend.formats.meta import Metadata
from scanmend.formats.tiff import new
from scanmend.image import Layout, PageData

from .tiff_maker import LIMITS, Array, bands, build, grey_page, noise, raw_tags, whole


def layout_of(pixels: Array, color: Any, **more: Any) -> Layout:
    height, width, channels = pixels.shape
    bits = more.pop("bits", 8 * pixels.dtype.itemsize)
    return Layout(height, width, channels, color, pixels.dtype, bits, **more)


def write(path: Path, pixels: Array, color: Any = "rgb", meta: Metadata | None = None, **more: Any) -> Layout:
    options = OutputOptions(compression=more.pop("compression", "same"))
    layout = layout_of(pixels, color, **more)
    tiff.write_new(path, [PageData(layout, bands(pixels))], meta or Metadata(), options)
    return layout


@pytest.mark.parametrize("compression", ["same", "none", "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "f2", "f4", "f8"])
def test_pixels_come_back(tmp_path: Path, dtype: str, compression: str) -> None:
    pixels = noise((61, 43, 3), dtype)

    layout = write(tmp_path / "a.tif", pixels, compression=compression)

    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)
    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        assert file.pages[0].layout == layout
        assert np.array_equal(whole(file.pages[0]), pixels)


@pytest.mark.parametrize(
    ("color", "count", "alpha"),
    [
        ("grey", 1, "none"),
        ("grey", 2, "straight"),
        ("rgb", 4, "straight"),
        ("rgb", 4, "premultiplied"),
        ("rgb", 5, "straight"),
        ("cmyk", 4, "none"),
        ("lab", 3, "none"),
        ("other", 6, "none"),
    ],
)
def test_channels_keep_their_meaning(tmp_path: Path, color: str, count: int, alpha: str) -> None:
    layout = write(tmp_path / "a.tif", noise((9, 8, count), "u2"), color, alpha=alpha)

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        assert file.pages[0].layout == layout


def test_twelve_bits_stay_twelve(tmp_path: Path) -> None:
    pixels = noise((9, 8, 1), "u2") >> 4

    layout = write(tmp_path / "a.tif", pixels, "grey", bits=12)

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        assert file.pages[0].layout == layout
        assert np.array_equal(whole(file.pages[0]), pixels)


@pytest.mark.parametrize("order", "<>")
def test_metadata_travels_from_one_tiff_through_a_block_into_another(tmp_path: Path, order: str) -> None:
    page = grey_page(
        noise((9, 8)), 9, t271=(2, b"Maker\0"), t306=(2, b"2024:01:02 03:04:05\0"), t270=(2, b"Aunt\0")
    )
    page.tags |= {282: (5, [400, 1]), 283: (5, [401, 2]), 296: (3, [2]), 274: (3, [6])}
    page.tags |= {700: (1, b"<x:xmpmeta/>"), 33723: (7, b"\x1c\x02\x05\0\x01a"), 34675: (7, b"p" * 200)}
    (tmp_path / "a.tif").write_bytes(build([page], order))
    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        meta = file.metadata()
    assert meta.exif
    pixels = noise((5, 4, 3))

    write(tmp_path / "b.tif", pixels, meta=meta)

    old, fresh = raw_tags(tmp_path / "a.tif"), raw_tags(tmp_path / "b.tif")
    for tag in (270, 271, 274, 282, 296, 306, 700, 33723, 34675):
        assert fresh[tag] == old[tag], tag
    with tiff.open_file(tmp_path / "b.tif", LIMITS) as file:
        assert file.metadata() == meta


def exif_block() -> bytes:
    """Little endian: Make, orientation, an Exif IFD with date and maker note, a GPS IFD, a thumbnail."""
    from .tiff_maker import directory  # noqa: PLC0415 - only here

    first = {
        271: (2, b"Maker and sons\0"),
        274: (3, [3]),
        34665: (4, [200]),
        34853: (4, [400]),
        50341: (7, b"PrintIM\0"),
    }
    head = b"II*\0" + (8).to_bytes(4, "little") + directory(first, "<", 8)
    pointer = 8 + 2 + 12 * len(first)
    head = head[:pointer] + (500).to_bytes(4, "little") + head[pointer + 4 :]
    exif = directory(
        {36867: (2, b"2001:02:03 04:05:06\0"), 37500: (7, bytes(60)), 33434: (5, [1, 125])}, "<", 200
    )
    gps = directory({0: (1, [2, 3, 0, 0]), 2: (5, [48, 1, 12, 1, 30, 1])}, "<", 400)
    return (
        head.ljust(200, b"\0")
        + exif.ljust(200, b"\0")
        + gps.ljust(100, b"\0")
        + directory({259: (3, [6])}, "<", 500)
    )


def test_exif_becomes_directories_and_what_is_lost_is_said(tmp_path: Path) -> None:
    pixels = noise((5, 4, 3))
    layout = layout_of(pixels, "rgb")

    notes = tiff.write_new(
        tmp_path / "a.tif",
        [PageData(layout, bands(pixels))],
        Metadata(exif=exif_block(), orientation=3),
        OutputOptions(),
    )

    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages.first.tags
        assert tags["Make"].value == "Maker and sons"
        assert tags["Orientation"].value == 3
        assert tags["ExifTag"].value["DateTimeOriginal"] == "2001:02:03 04:05:06"
        assert tags["ExifTag"].value["ExposureTime"] == (1, 125)
        assert tags["GPSTag"].value["GPSLatitude"] == (48, 1, 12, 1, 30, 1)
    said = " ".join(notes)
    assert "maker notes" in said
    assert "thumbnail" in said
    assert "50341" in said


@pytest.mark.parametrize("cut", [0, 7, 8, 20, 150, 230])
def test_a_damaged_exif_block_does_no_harm(tmp_path: Path, cut: int) -> None:
    pixels = noise((5, 4, 3))

    write(tmp_path / "a.tif", pixels, meta=Metadata(exif=exif_block()[:cut]))

    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), pixels)


def test_an_exif_block_that_points_at_itself_ends(tmp_path: Path) -> None:
    block = bytearray(exif_block())
    at = block.index(b"\x69\x87\x04\0") + 8
    block[at : at + 4] = (8).to_bytes(4, "little")

    write(tmp_path / "a.tif", noise((5, 4, 3)), meta=Metadata(exif=bytes(block)))

    assert (tmp_path / "a.tif").stat().st_size < 10_000


def test_several_pages_and_a_resolution_that_is_no_whole_number(tmp_path: Path) -> None:
    pictures = [noise((20, 9, 1), seed=1), noise((7, 30, 3), "u2", seed=2)]
    layouts = [layout_of(pictures[0], "grey"), layout_of(pictures[1], "rgb")]
    pages = [PageData(layout, bands(picture)) for layout, picture in zip(layouts, pictures, strict=True)]

    tiff.write_new(tmp_path / "a.tif", pages, Metadata(dpi=(299.97, 600.0), xmp=b"<x/>"), OutputOptions())

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        assert [page.layout for page in file.pages] == layouts
        assert [page.dpi for page in file.pages] == [(299.97, 600.0)] * 2
        assert all(np.array_equal(whole(p), o) for p, o in zip(file.pages, pictures, strict=True))
        assert file.xmp == b"<x/>"


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_large_file_is_bigtiff(tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new, "_BIG_FROM", 1000)
    pixels = noise((61, 43, 3), "u2")
    exif = exif_block() if order == "<" else b"MM\0*\0\0\0\x08\0\x01\x01\x0f\0\x02\0\0\0\x04abc\0\0\0\0\0"

    write(tmp_path / "a.tif", pixels, meta=Metadata(exif=exif))

    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        assert file.byteorder == order
        assert np.array_equal(file.asarray(), pixels)
        assert file.pages.first.tags["Make"].value in ("Maker and sons", "abc")
