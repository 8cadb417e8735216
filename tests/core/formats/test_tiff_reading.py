"""Every way in which scanners store pixels is read, in bands, into what the layout promises."""

from __future__ import annotations

import itertools
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scanmend.errors import DamagedFile
from scanmend.formats import tiff
from scanmend.formats.tiff import rows, samples
from scanmend.formats.tiff.coding import Coding

from .tiff_maker import LIMITS, Array, Made, build, grey_page, noise, read_all, whole

CODECS = ("none", "lzw", "deflate", "packbits", "zstd", "lzma")
DTYPES = ("u1", "u2", "u4", "i2", "f2", "f4", "f8")


def save(path: Path, pixels: Array, **how: Any) -> Path:
    compression = how.pop("compression", "none")
    tifffile.imwrite(
        path,
        pixels,
        compression=None if compression == "none" else compression,
        metadata=None,
        software=False,
        **how,
    )
    return path


@pytest.mark.parametrize(("codec", "dtype"), [*itertools.product(CODECS, DTYPES)])
def test_bands_equal_what_was_written_however_it_is_stored(tmp_path: Path, codec: str, dtype: str) -> None:
    pixels = noise((50, 37, 3), dtype)
    ways = itertools.product(("contig", "separate"), (None, (16, 32)), (False, True), "<>")
    for number, (planar, tile, big, order) in enumerate(ways):
        stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
        how = {"tile": tile} if tile else {"rowsperstrip": 7}
        path = save(
            tmp_path / f"{number}.tif",
            stored,
            compression=codec,
            photometric="rgb",
            planarconfig=planar,
            bigtiff=big,
            byteorder=order,
            **how,
        )

        (read,) = read_all(path)

        assert np.array_equal(read, pixels), (planar, tile, big, order)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("codec", ["lzw", "deflate", "zstd", "lzma"])
@pytest.mark.parametrize(
    ("dtype", "predictor"), [("u1", 2), ("u2", 2), ("u4", 2), ("i2", 2), ("f2", 3), ("f4", 3), ("f8", 3)]
)
def test_predictors_are_undone(tmp_path: Path, dtype: str, predictor: int, codec: str, order: str) -> None:
    pixels = noise((20, 31, 3), dtype)
    path = save(
        tmp_path / "a.tif",
        pixels,
        compression=codec,
        predictor=predictor,
        photometric="rgb",
        byteorder=order,
        rowsperstrip=6,
    )

    (read,) = read_all(path)

    assert np.array_equal(read, pixels)


@given(
    bits=st.integers(1, 24),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 4)),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_packed_samples_survive_packing(bits: int, shape: tuple[int, int, int], seed: int) -> None:
    if bits in (8, 16):
        bits += 1
    coding = Coding(
        "<", shape[0], shape[1], shape[2], bits, "u", 1, 1, 1, False, False, False, shape[0], shape[1]
    )
    values = np.random.default_rng(seed).integers(0, 2**bits, shape).astype(coding.dtype)

    packed = samples.pack(values, coding)

    assert len(packed) == shape[0] * coding.row_bytes
    assert np.array_equal(samples.unpack(packed, shape[0], coding), values)


def test_twelve_bit_samples_come_as_uint16_with_their_own_white(tmp_path: Path) -> None:
    page = grey_page(np.zeros((2, 2), "u1"), 2, t256=(3, [2]), t258=(3, [12]))
    page.segments = [bytes.fromhex("fff000 001abc")]
    path = tmp_path / "a.tif"
    path.write_bytes(build([page], ">"))

    with tiff.open_file(path, LIMITS) as file:
        layout, pixels = file.pages[0].layout, file.pages[0].read(0, 2)

    assert (layout.dtype, layout.bits, layout.white) == (np.uint16, 12, 4095)
    assert pixels[..., 0].tolist() == [[4095, 0], [1, 0xABC]]


def test_white_is_high_where_the_file_says_that_white_is_zero(tmp_path: Path) -> None:
    pixels = noise((9, 9), "u2")
    path = save(tmp_path / "a.tif", pixels, photometric="miniswhite")

    (read,) = read_all(path)

    assert np.array_equal(read[..., 0], 65535 - pixels)


def test_a_bilevel_fax_is_black_and_white_and_refused(tmp_path: Path) -> None:
    drawn = noise((40, 50), "u1") > 120
    for codec in ("group4", "group3", "tiff_ccitt", "packbits"):
        Image.fromarray(drawn).save(tmp_path / "a.tif", compression=codec)

        with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
            page = file.pages[0]
            assert np.array_equal(whole(page)[..., 0], drawn * np.uint8(255)), codec
            assert page.layout.bits == 8
            assert "nothing to restore" in str(page.refusal)


def test_reversed_bits_are_turned_round(tmp_path: Path) -> None:
    pixels = noise((8, 8), "u1")
    page = grey_page(pixels, 4, t266=(3, [2]))
    page.segments = [imagecodecs.bitorder_encode(segment) for segment in page.segments]
    (tmp_path / "a.tif").write_bytes(build([page]))

    (read,) = read_all(tmp_path / "a.tif")

    assert np.array_equal(read[..., 0], pixels)


@pytest.mark.parametrize(("step", "dtype"), [(257, "u1"), (256, "u1"), (1, "u1"), (251, "u2")])
def test_a_palette_becomes_rgb_as_deep_as_its_colours_need(tmp_path: Path, step: int, dtype: str) -> None:
    table = (np.arange(256)[:, None] * [step] * np.ones((1, 3))).astype("u2")
    table[:, 1] = table[::-1, 0]
    indices = noise((12, 10), "u1")
    (tmp_path / "a.tif").write_bytes(
        build([grey_page(indices, 5, t262=(3, [3]), t320=(3, table.T.ravel().tolist()))])
    )

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        layout, read = file.pages[0].layout, whole(file.pages[0])

    # A table of small numbers is one of 8-bit values, as libtiff takes it.
    wanted = table if step < 2 or dtype == "u2" else table >> 8
    assert (layout.color, layout.dtype, layout.bits) == ("rgb", np.dtype(dtype), 8 * np.dtype(dtype).itemsize)
    assert np.array_equal(read, wanted[indices])


@pytest.mark.parametrize("sampling", [(1, 1), (2, 1), (2, 2), (4, 1)])
def test_jpeg_in_tiff_becomes_rgb(tmp_path: Path, sampling: tuple[int, int]) -> None:
    gradient = np.stack(np.broadcast_arrays(*np.ogrid[0:255:64j, 0:255:80j], 100), axis=2).astype("u1")
    path = save(
        tmp_path / "a.tif",
        gradient,
        compression="jpeg",
        compressionargs={"level": 95},
        photometric="rgb",  # of the input; the file has YCbCr
        subsampling=sampling,
        rowsperstrip=32,
    )

    with tiff.open_file(path, LIMITS) as file:
        page = file.pages[0]
        read = whole(page)

    assert page.picture.coding.photometric == 6
    assert page.layout.color == "rgb"
    assert page.jpeg_quality == 95
    assert page.compression == "JPEG quality 95"
    assert np.abs(read.astype(int) - gradient).max() < 24


@pytest.mark.parametrize("planar", [False, True])
def test_uncompressed_ycbcr_becomes_rgb_and_repeats_its_chroma(tmp_path: Path, *, planar: bool) -> None:
    # Two blocks of 2 x 2 luma samples: white, and pure red as JPEG's matrix has it.
    tags = {256: (3, [4]), 257: (3, [2]), 258: (3, [8, 8, 8]), 262: (3, [6]), 277: (3, [3]), 278: (3, [2])}
    tags |= {
        530: (3, [2, 2]),
        284: (3, [2 if planar else 1]),
        532: (5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1]),
    }
    white, red = bytes([255] * 4), bytes([76] * 4)
    chunky = [white + bytes([128, 128]) + red + bytes([85, 255])]
    planes = [bytes([255, 255, 76, 76] * 2), bytes([128, 85]), bytes([128, 255])]
    (tmp_path / "a.tif").write_bytes(build([Made(dict(tags), planes if planar else chunky)]))

    (read,) = read_all(tmp_path / "a.tif")

    assert (read[:, :2] == 255).all()
    assert np.abs(read[:, 2:].astype(int) - [254, 0, 0]).max() <= 1


@pytest.mark.parametrize(
    ("photometric", "count", "extras", "color", "alpha", "refused"),
    [
        (1, 1, [], "grey", "none", ""),
        (1, 2, [1], "grey", "premultiplied", ""),
        (1, 2, [2], "grey", "straight", ""),
        (2, 3, [], "rgb", "none", ""),
        (2, 4, [1], "rgb", "premultiplied", ""),
        (2, 4, [2], "rgb", "straight", ""),
        (2, 5, [2, 0], "rgb", "straight", ""),
        (2, 4, [0], "rgb", "none", ""),
        (2, 5, [0, 2], "rgb", "none", "reorder"),
        (5, 4, [], "cmyk", "none", "convert it to RGB"),
        (5, 5, [0], "cmyk", "none", "convert it to RGB"),
        (8, 3, [], "lab", "none", "convert it to RGB"),
        (1, 5, [0] * 4, "other", "none", "channels"),
    ],
)
def test_channels_mean_what_the_tags_say(  # noqa: PLR0917 - a table of cases
    tmp_path: Path, photometric: int, count: int, extras: list[int], color: str, alpha: str, refused: str
) -> None:
    pixels = noise((6, 7, count))
    page = grey_page(pixels.reshape(6, -1), 4, t256=(3, [7]), t258=(3, [8] * count), t262=(3, [photometric]))
    page.tags[277] = (3, [count])
    if extras:
        page.tags[338] = (3, extras)
    (tmp_path / "a.tif").write_bytes(build([page]))

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        layout, refusal, read = file.pages[0].layout, file.pages[0].refusal, whole(file.pages[0])

    assert (layout.color, layout.alpha, layout.channels) == (color, alpha, count)
    assert np.array_equal(read, pixels)
    assert (refused in str(refusal)) if refused else refusal is None


def test_thumbnails_and_masks_are_not_pages(tmp_path: Path) -> None:
    picture, small = noise((20, 20)), noise((5, 5))
    pages = [
        grey_page(small, 5, t254=(4, [1])),
        grey_page(picture, 6, t254=(4, [2])),
        grey_page(small, 5, t254=(4, [4])),
        grey_page(picture, 6),
    ]
    (tmp_path / "a.tif").write_bytes(build(pages))

    read = read_all(tmp_path / "a.tif")

    assert [page.shape for page in read] == [(20, 20, 1)] * 2


@pytest.mark.parametrize(
    ("unit", "wanted"), [(1, None), (2, (300.0, 600.0)), (3, (762.0, 1524.0)), (None, (300.0, 600.0))]
)
def test_resolution_is_given_per_inch(
    tmp_path: Path, unit: int | None, wanted: tuple[float, float] | None
) -> None:
    page = grey_page(noise((4, 4)), 4, t282=(5, [300, 1]), t283=(5, [1200, 2]), t274=(3, [6]))
    if unit:
        page.tags[296] = (3, [unit])
    (tmp_path / "a.tif").write_bytes(build([page], ">"))

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        assert file.pages[0].dpi == wanted
        assert file.pages[0].orientation == 6


@pytest.mark.parametrize("codec", ["deflate", "lzma"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_a_page_in_one_tall_strip_is_a_stream_that_can_be_read_backwards(
    tmp_path: Path, codec: str, planar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "STREAM_FROM", 1000)
    pixels = noise((90, 40, 3), "u2")
    stored = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
    path = save(
        tmp_path / "a.tif", stored, compression=codec, predictor=2, photometric="rgb",
        planarconfig=planar, rowsperstrip=90,
    )  # fmt: skip

    with tiff.open_file(path, LIMITS) as file:
        page = file.pages[0]
        for top, bottom in ((0, 5), (5, 40), (80, 90), (3, 4), (0, 90)):
            assert np.array_equal(page.read(top, bottom), pixels[top:bottom])


@pytest.mark.parametrize("tile", [None, (32, 32)])
@pytest.mark.parametrize("codec", ["lzw", "zstd"])
def test_a_large_strip_is_kept_in_a_scratch_file(
    tmp_path: Path, codec: str, tile: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "SCRATCH_FROM", 1000)
    pixels = noise((90, 40, 3), "u2")
    how = {"tile": tile} if tile else {"rowsperstrip": 90}
    path = save(tmp_path / "a.tif", pixels, compression=codec, predictor=2, photometric="rgb", **how)

    (read,) = read_all(path)

    assert np.array_equal(read, pixels)


def test_a_stream_whose_checksum_is_wrong_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "STREAM_FROM", 1000)
    pixels = noise((90, 40))
    data = bytearray(zlib.compress(pixels.tobytes()))
    data[-1] ^= 1
    page = grey_page(pixels, 90, t259=(3, [8]))
    page.segments = [bytes(data)]
    (tmp_path / "a.tif").write_bytes(build([page]))

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file, pytest.raises(DamagedFile, match="strip 1 of 1"):
        whole(file.pages[0])


def test_old_style_jpeg_with_headers_apart_is_put_together(tmp_path: Path) -> None:
    gradient = np.broadcast_to(np.arange(0, 240, 5, dtype="u1")[:, None], (48, 40))
    streams = [
        imagecodecs.jpeg8_encode(np.ascontiguousarray(gradient[top : top + 16]), level=95)
        for top in (0, 16, 32)
    ]
    start = streams[0].index(b"\xff\xda")
    header = bytearray(streams[0][:start])
    at = header.index(b"\xff\xc0") + 5
    header[at : at + 2] = (48).to_bytes(2, "big")
    scans = [streams[0][start:-2]]
    skip = start + 2 + int.from_bytes(streams[0][start + 2 : start + 4], "big")
    scans += [streams[1][skip:-2], streams[2][skip:]]
    page = grey_page(gradient, 16, t259=(3, [6]), t513=(4, [0]), t514=(4, [len(header)]))
    page.segments = [*scans, bytes(header)]
    first = build([page])
    page.tags[513] = (4, [page.offsets[3]])
    page.tags[273], page.tags[279] = (4, page.offsets[:3]), (4, [len(scan) for scan in scans])
    (tmp_path / "a.tif").write_bytes(build([page]))

    (read,) = read_all(tmp_path / "a.tif")

    assert len(first) == (tmp_path / "a.tif").stat().st_size + 8
    assert np.abs(read[..., 0].astype(int) - gradient).max() < 5


@pytest.mark.parametrize("wrapper", ["plain", "deflate", "zstd"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_lerc_is_unwrapped(tmp_path: Path, dtype: str, wrapper: str) -> None:
    pixels = noise((40, 30), dtype)
    how = {} if wrapper == "plain" else {"compressionargs": {"compression": wrapper}}
    path = save(tmp_path / "a.tif", pixels, compression="lerc", rowsperstrip=16, **how)

    (read,) = read_all(path)

    assert np.array_equal(read[..., 0], pixels)


@pytest.mark.parametrize("codec", ["webp", "jpeg2000", "jpegxl"])
@pytest.mark.parametrize("tile", [None, (16, 32)])
def test_picture_codecs_inside_tiff_are_read(
    tmp_path: Path, tile: tuple[int, int] | None, codec: str
) -> None:
    pixels = noise((40, 30, 3))
    how: dict[str, Any] = {"tile": tile} if tile else {"rowsperstrip": 16}
    arguments = {"level": 0} if codec == "jpeg2000" else {"lossless": True}
    path = save(
        tmp_path / "a.tif", pixels, compression=codec, photometric="rgb", compressionargs=arguments, **how
    )

    (read,) = read_all(path)

    assert np.array_equal(read, tifffile.imread(path))
    assert np.abs(read.astype(int) - pixels).max() < 40


def test_rows_outside_the_page_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(build([grey_page(noise((4, 4)), 4)]))

    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file, pytest.raises(ValueError, match="rows 2 to 5"):
        file.pages[0].read(2, 5)
