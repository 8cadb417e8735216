"""New pixels go into an old file, and every other byte of meaning stays."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scanmend.errors import FormatError, PublishError
from scanmend.formats import tiff
from scanmend.formats.base import OutputOptions
from scanmend.formats.tiff import encode
from scanmend.formats.tiff import rewrite as surgery
from scanmend.formats.tiff import target as targets
from scanmend.formats.tiff.ifd import Dialect
from scanmend.image import PageData

from .tiff_maker import (
    LIMITS,
    Array,
    bands,
    build,
    grey_page,
    noise,
    raw_tags,
    read_all,
    rewrite,
    whole,
)

CODECS = ("none", "lzw", "deflate", "packbits", "zstd", "lzma")
DTYPES = ("u1", "u2", "u4", "f4")
TAGS = [
    (270, 2, 0, "A scan of grandmother", True),
    (33432, 2, 0, "(C) somebody", True),
    (65000, 7, 300, bytes(range(150)) * 2, True),
    (700, 1, 22, b"<x:xmpmeta>a</x:xmpmeta"[:22], True),
]


def flip(pixels: Array) -> Array:
    return pixels[::-1, ::-1].copy()


def save(path: Path, pixels: Array, **how: Any) -> Path:
    codec = how.pop("compression", "none")
    tifffile.imwrite(
        path,
        pixels,
        compression=None if codec == "none" else codec,
        metadata=None,
        extratags=TAGS,
        resolution=(300, 300),
        iccprofile=b"not a profile, but kept" * 9,
        **how,
    )
    return path


@pytest.mark.parametrize(("codec", "dtype"), [*itertools.product(CODECS, DTYPES)])
def test_another_program_finds_the_new_pixels_and_all_old_tags(
    tmp_path: Path, codec: str, dtype: str
) -> None:
    pixels = noise((50, 37, 3), dtype)
    ways = itertools.product(("contig", "separate"), (None, (16, 32)), (False, True), "<>")
    for number, (planar, tile, big, order) in enumerate(ways):
        how: dict[str, Any] = {"tile": tile} if tile else {"rowsperstrip": 7}
        if codec in ("lzw", "deflate", "zstd") and number % 2:
            how["predictor"] = True
        stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
        source = save(
            tmp_path / f"{number}.tif", stored, compression=codec, photometric="rgb",
            planarconfig=planar, bigtiff=big, byteorder=order, **how,
        )  # fmt: skip
        target = tmp_path / f"{number}_new.tif"

        notes = rewrite(source, target, flip)

        wanted = flip(pixels)
        found = tifffile.imread(target)
        assert np.array_equal(np.moveaxis(found, 0, 2) if planar == "separate" else found, wanted)
        assert raw_tags(target) == raw_tags(source)
        assert notes == ()
        with tiff.open_file(source, LIMITS) as old, tiff.open_file(target, LIMITS) as new:
            assert new.pages[0].picture.coding == old.pages[0].picture.coding


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_the_same_pixels_uncompressed_give_the_same_file(tmp_path: Path, planar: str, order: str) -> None:
    pixels = noise((50, 37, 3), "u2")
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    for rows in (1, 7, 50):
        source = save(
            tmp_path / "a.tif",
            stored,
            photometric="rgb",
            planarconfig=planar,
            byteorder=order,
            rowsperstrip=rows,
        )
        target = tmp_path / f"{rows}.tif"

        rewrite(source, target)

        assert target.read_bytes() == source.read_bytes()


def test_only_the_listed_page_changes(tmp_path: Path) -> None:
    pictures = [noise((30, 20), seed=seed) for seed in range(4)]
    pages = [grey_page(picture, 7, t270=(2, f"page {n}\0".encode())) for n, picture in enumerate(pictures)]
    source = tmp_path / "a.tif"
    source.write_bytes(build(pages, ">"))

    rewrite(source, tmp_path / "b.tif", flip, only=[2])

    old, new = source.read_bytes(), (tmp_path / "b.tif").read_bytes()
    changed = np.flatnonzero(np.frombuffer(old, "u1") != np.frombuffer(new, "u1"))
    assert pages[2].offsets[0] <= changed.min() <= changed.max() < pages[3].offsets[0]
    pictures[2] = flip(pictures[2])
    assert all(
        np.array_equal(a[..., 0], b) for a, b in zip(read_all(tmp_path / "b.tif"), pictures, strict=True)
    )


def test_maker_notes_with_absolute_offsets_stay_true(tmp_path: Path) -> None:
    pixels = noise((40, 40))
    secret = b"pointed at from a private tag"
    page = grey_page(
        pixels, 10, t259=(3, [32773]), t50000=(4, [0]), t37500=(7, b"MakerNote: see " + bytes(4))
    )
    page.segments = [b"\x7f" * 0 + _packbits(segment) for segment in page.segments]
    page.segments.append(secret)
    build([page])
    place = page.offsets[-1]
    page.tags[273], page.tags[279] = (4, page.offsets[:-1]), (4, [len(s) for s in page.segments[:-1]])
    page.tags[50000] = (4, [place])
    page.tags[37500] = (7, b"MakerNote: see " + struct.pack("<I", place))
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    source.write_bytes(build([page]))

    rewrite(source, target, lambda _: noise((40, 40, 1), seed=7), xmp=b"<x:xmpmeta/>" * 50)

    assert raw_tags(target)[37500] == raw_tags(source)[37500]
    assert target.read_bytes()[place : place + len(secret)] == secret
    assert np.array_equal(read_all(target)[0], noise((40, 40, 1), seed=7))


def _packbits(data: bytes) -> bytes:
    """Literal packets only."""
    return b"".join(
        bytes([len(data[at : at + 128]) - 1]) + data[at : at + 128] for at in range(0, len(data), 128)
    )


def test_xmp_is_added_by_moving_one_directory_of_several(tmp_path: Path) -> None:
    pictures = [noise((12, 9), seed=seed) for seed in range(3)]
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    source.write_bytes(build([grey_page(p, 5, t254=(4, [int(n == 0)])) for n, p in enumerate(pictures)]))
    packet = b"<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'/>"

    rewrite(source, target, flip, xmp=packet)

    with tiff.open_file(target, LIMITS) as file:
        assert file.xmp == packet
        assert [
            np.array_equal(whole(p)[..., 0], flip(o)) for p, o in zip(file.pages, pictures[1:], strict=True)
        ]
        assert len(file.chain) == 3
        tags = [entry.tag for entry in file.chain[1].entries]
        assert tags == sorted(tags)
    assert raw_tags(target, 0) == raw_tags(source, 0)
    assert raw_tags(target, 2) == raw_tags(source, 2)
    with tifffile.TiffFile(target) as file_again:
        assert len(file_again.pages) == 3


@pytest.mark.parametrize("size", [10, 400, 4000])
def test_xmp_is_replaced_wherever_it_fits(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    page = grey_page(noise((12, 9)), 5, t700=(1, b"x" * 500), t270=(2, b"next door\0"))
    source.write_bytes(build([page]))

    rewrite(source, target, xmp=b"y" * size)

    with tiff.open_file(target, LIMITS) as file:
        assert file.xmp == b"y" * size
    assert raw_tags(target)[270] == raw_tags(source)[270]
    assert (target.stat().st_size == source.stat().st_size) == (size <= 500)


def test_strips_that_pages_share_are_not_overwritten(tmp_path: Path) -> None:
    shared = noise((10, 10)).tobytes()
    pages = [grey_page(np.frombuffer(shared, "u1").reshape(10, 10), 10) for _ in range(2)]
    for page in pages:
        page.segments = [shared]
    source = tmp_path / "a.tif"
    source.write_bytes(build(pages))

    rewrite(source, tmp_path / "b.tif", flip, only=[0])

    first, second = read_all(tmp_path / "b.tif")
    assert second.tobytes() == shared
    assert first.tobytes() == flip(np.frombuffer(shared, "u1").reshape(10, 10)).tobytes()


def test_strips_that_a_page_uses_twice_become_two(tmp_path: Path) -> None:
    strip = noise((5, 8)).tobytes()
    page = grey_page(noise((20, 8)), 5)
    page.segments = [strip] * 4
    source = tmp_path / "a.tif"
    source.write_bytes(build([page]))
    pixels = noise((20, 8, 1), seed=5)

    rewrite(source, tmp_path / "b.tif", lambda _: pixels)

    assert np.array_equal(read_all(tmp_path / "b.tif")[0], pixels)


def test_values_that_pages_share_are_not_overwritten(tmp_path: Path) -> None:
    pages = [
        grey_page(noise((6, 12), seed=n), 6, t256=(3, [4]), t258=(3, [8, 8, 8]), t262=(3, [2]))
        for n in (1, 2)
    ]
    for page in pages:
        page.tags[277] = (3, [3])
    data = bytearray(build(pages))
    source = tmp_path / "a.tif"
    source.write_bytes(data)
    with tiff.open_file(source, LIMITS) as file:
        entries = [next(e for e in ifd.entries if e.tag == 258) for ifd in file.chain]
        table = file.chain[1].offset + 2 + 12 * [e.tag for e in file.chain[1].entries].index(258)
    struct.pack_into("<I", data, table + 8, entries[0].at)
    source.write_bytes(data)

    rewrite(
        source, tmp_path / "b.tif", lambda p: p.astype("u2") * 257, only=[0], dtype=np.dtype("u2"), bits=16
    )

    first, second = read_all(tmp_path / "b.tif")
    old = read_all(source)
    assert first.dtype == np.uint16
    assert np.array_equal(second, old[1])
    assert np.array_equal(first >> 8, old[0])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_eight_bits_may_become_sixteen(tmp_path: Path, tile: tuple[int, int] | None, codec: str) -> None:
    pixels = noise((40, 33, 3))
    how: dict[str, Any] = {"tile": tile} if tile else {"rowsperstrip": 9}
    source = save(tmp_path / "a.tif", pixels, compression=codec, photometric="rgb", **how)
    deep = pixels.astype("u2") * 257 + 3

    rewrite(source, tmp_path / "b.tif", lambda _: deep, dtype=np.dtype("u2"), bits=16)

    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), deep)
    assert raw_tags(tmp_path / "b.tif") == raw_tags(source)


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_another_codec_may_be_asked_for(tmp_path: Path, dtype: str, compression: Any) -> None:
    pixels = noise((40, 33, 3), dtype)
    source = save(tmp_path / "a.tif", pixels, photometric="rgb", compression="packbits", rowsperstrip=9)

    rewrite(source, tmp_path / "b.tif", flip, options=OutputOptions(compression=compression))

    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages.first.compression == surgery.CODECS[compression]
        assert file.pages.first.predictor == (1 if compression == "none" else 3 if dtype == "f4" else 2)
        assert np.array_equal(file.asarray(), flip(pixels))


def test_white_is_zero_stays_so(tmp_path: Path) -> None:
    source = save(tmp_path / "a.tif", noise((20, 20), "u2"), photometric="miniswhite")

    rewrite(source, tmp_path / "b.tif", flip)

    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages.first.photometric == 0
        assert np.array_equal(file.asarray(), flip(noise((20, 20), "u2")))


@pytest.mark.parametrize("bits", [1, 2, 4, 7, 12])
def test_packed_bits_are_packed_again(tmp_path: Path, bits: int) -> None:
    page = grey_page(np.zeros((6, 9), "u1"), 4, t258=(3, [bits]))
    width = -(-9 * bits // 8)
    page.segments = [noise((4, width)).tobytes(), noise((2, width)).tobytes()]
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    source.write_bytes(build([page], ">"))

    notes = rewrite(source, target, flip)

    assert np.array_equal(read_all(target)[0], flip(read_all(source)[0]))
    with tiff.open_file(target, LIMITS) as file:
        assert file.pages[0].picture.coding.bits == (8 if bits == 1 else bits)
    assert bool(notes) == (bits == 1)


def test_jpeg_pages_become_deflate_and_the_notes_say_so(tmp_path: Path) -> None:
    pixels = noise((64, 48, 3))
    source = save(tmp_path / "a.tif", pixels, compression="jpeg", photometric="rgb", rowsperstrip=16)
    new = noise((64, 48, 3), seed=3)

    notes = rewrite(source, tmp_path / "b.tif", lambda _: new)

    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), new)
    assert "JPEG" in notes[0]
    assert "deflate" in notes[0]
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        page = file.pages.first
        assert (page.compression, page.predictor, page.photometric) == (8, 2, 2)
        assert not {347, 530, 531, 532} & {tag.code for tag in page.tags}
    assert raw_tags(tmp_path / "b.tif") == raw_tags(source)


def test_a_palette_page_becomes_rgb(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(0, 256, (256, 3)).astype("u2") * 257
    page = grey_page(noise((12, 10)), 5, t262=(3, [3]), t320=(3, table.T.ravel().tolist()))
    source = tmp_path / "a.tif"
    source.write_bytes(build([page]))

    notes = rewrite(source, tmp_path / "b.tif", flip)

    assert np.array_equal(tifffile.imread(tmp_path / "b.tif"), flip(read_all(source)[0]))
    assert "palette" in notes[0]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_one_giant_compressed_strip_is_cut_up(
    tmp_path: Path, planar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surgery, "GIANT", 1000)
    monkeypatch.setattr(surgery, "STRIP", 500)
    pixels = noise((60, 41, 3), "u2")
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    source = save(
        tmp_path / "a.tif", stored, compression="lzw", photometric="rgb", planarconfig=planar, rowsperstrip=60
    )

    rewrite(source, tmp_path / "b.tif", flip)

    found = tifffile.imread(tmp_path / "b.tif")
    assert np.array_equal(np.moveaxis(found, 0, 2) if planar == "separate" else found, flip(pixels))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert len(file.pages.first.dataoffsets) > 20


def test_a_file_that_compresses_better_does_not_grow(tmp_path: Path) -> None:
    source = save(tmp_path / "a.tif", noise((64, 64), "u2"), compression="deflate", rowsperstrip=4)

    rewrite(source, tmp_path / "b.tif", lambda p: p >> 6 << 6)

    assert (tmp_path / "b.tif").stat().st_size == source.stat().st_size


def test_sub_directories_and_their_pictures_stay(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    with tifffile.TiffWriter(source) as writer:
        writer.write(noise((40, 40)), subifds=1, compression="zlib", metadata=None)
        writer.write(noise((20, 20), seed=4), subfiletype=1, compression="zlib", metadata=None)

    rewrite(source, tmp_path / "b.tif", lambda _: noise((40, 40, 1), seed=9), xmp=b"<x/>")

    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        (child,) = file.pages.first.pages or ()
        assert np.array_equal(child.asarray(), noise((20, 20), seed=4))
        assert np.array_equal(file.pages.first.asarray()[..., None], noise((40, 40, 1), seed=9))


def test_a_jpeg_thumbnail_beside_the_picture_stays(tmp_path: Path) -> None:
    thumbnail = b"\xff\xd8 a small picture \xff\xd9"
    page = grey_page(noise((12, 9)), 5, t513=(4, [0]), t514=(4, [len(thumbnail)]))
    page.segments.insert(1, thumbnail)
    build([page])
    offsets = page.offsets
    page.tags[513] = (4, [offsets[1]])
    page.tags[273] = (4, [offsets[0], *offsets[2:]])
    page.tags[279] = (4, [45, 45, 18])
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    source.write_bytes(build([page]))

    rewrite(
        source,
        target,
        lambda p: p.astype("u2"),
        options=OutputOptions(compression="deflate"),
        dtype=np.dtype("u2"),
        bits=16,
    )

    assert target.read_bytes()[offsets[1] : offsets[1] + len(thumbnail)] == thumbnail
    with tifffile.TiffFile(target) as file:
        assert file.pages.first.tags[513].value == (offsets[1],)


def test_a_classic_file_never_passes_four_gibibytes(tmp_path: Path) -> None:
    with targets.Target(tmp_path / "a.tif", Dialect("<", big=False)) as out:
        out.end = 2**32 - 100

        with pytest.raises(FormatError, match=r"4 GiB.*deflate"):
            out.append(bytes(200))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((9, 10, 1), "u1"), ((11, 10, 1), "u1"), ((10, 9, 1), "u1"), ((10, 10, 1), "u2")]
)
def test_bands_that_do_not_fit_the_page_are_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    source = tmp_path / "a.tif"
    source.write_bytes(build([grey_page(noise((10, 10)), 4)]))

    with tiff.open_file(source, LIMITS) as file:
        data = PageData(file.pages[0].layout, bands(np.zeros(shape, dtype), 4))
        with pytest.raises(FormatError, match="band"):
            file.rewrite(tmp_path / "b.tif", {0: data}, xmp=None, options=OutputOptions())


def test_an_existing_target_is_left_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "a.tif", tmp_path / "b.tif"
    source.write_bytes(build([grey_page(noise((10, 10)), 4)]))
    target.write_text("precious")

    with pytest.raises(PublishError, match=r"b\.tif"):
        rewrite(source, target)

    assert target.read_text() == "precious"


def test_an_error_while_pixels_come_stops_the_encoders(tmp_path: Path) -> None:
    source = save(tmp_path / "a.tif", noise((64, 64)), compression="zlib", rowsperstrip=4)

    def failing() -> Any:
        yield noise((32, 64, 1))
        raise FormatError("the other page is damaged")

    with tiff.open_file(source, LIMITS) as file:
        data = PageData(file.pages[0].layout, failing())
        with pytest.raises(FormatError, match="other page"):
            file.rewrite(tmp_path / "b.tif", {0: data}, xmp=None, options=OutputOptions())


def test_a_band_may_be_reused_by_its_producer(tmp_path: Path) -> None:
    source = save(tmp_path / "a.tif", noise((64, 64)), compression="zlib", rowsperstrip=3)
    wanted = noise((64, 64, 1), seed=2)

    def recycling() -> Any:
        buffer = np.empty((8, 64, 1), "u1")
        for top in range(0, 64, 8):
            buffer[:] = wanted[top : top + 8]
            yield buffer

    with tiff.open_file(source, LIMITS) as file:
        data = PageData(file.pages[0].layout, recycling())
        file.rewrite(tmp_path / "b.tif", {0: data}, xmp=None, options=OutputOptions())

    assert np.array_equal(read_all(tmp_path / "b.tif")[0], wanted)
    assert encode._THREADS >= 2
