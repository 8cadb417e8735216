"""Broken and hostile files get one clear sentence, soon, and never zeros for pixels."""

from __future__ import annotations

import itertools
import logging
import struct
import time
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats import tiff
from scanmend.formats.base import Limits

from .tiff_maker import LIMITS, Made, build, grey_page, noise, read_all, whole


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_truncated_file_is_an_error_at_every_length(tmp_path: Path) -> None:
    for big, codec in itertools.product((False, True), (None, "lzw", "deflate")):
        tifffile.imwrite(
            tmp_path / "a.tif", noise((40, 40)), bigtiff=big, compression=codec, rowsperstrip=8, metadata=None
        )
        data = (tmp_path / "a.tif").read_bytes()
        for length in range(0, len(data), 41):
            cut = write(tmp_path / "cut.tif", data[:length])

            with pytest.raises(FormatError, match=r"cut\.tif"):
                read_all(cut)


def test_a_strip_beyond_the_end_is_named(tmp_path: Path) -> None:
    pages = [grey_page(noise((20, 20)), 5), grey_page(noise((20, 20)), 5)]
    build(pages)
    pages[1].tags[273] = (4, [*pages[1].offsets[:2], 10**6, pages[1].offsets[3]])

    with pytest.raises(DamagedFile, match=r"page 2: strip 3 of 4 lies beyond the end"):
        tiff.open_file(write(tmp_path / "a.tif", build(pages)), LIMITS)


@pytest.mark.parametrize("codec", [5, 8, 32773, 50000, 34925, 7, 50001])
@pytest.mark.parametrize("cut", [0.5, 0.95])
def test_a_truncated_strip_is_named_in_the_error(tmp_path: Path, codec: int, cut: float) -> None:
    encoders: dict[int, Any] = {
        5: imagecodecs.lzw_encode,
        8: imagecodecs.zlib_encode,
        32773: imagecodecs.packbits_encode,
        50000: imagecodecs.zstd_encode,
        34925: imagecodecs.lzma_encode,
        7: lambda data: imagecodecs.jpeg8_encode(np.frombuffer(data, "u1").reshape(-1, 40, 3)),
        50001: lambda data: imagecodecs.webp_encode(np.frombuffer(data, "u1").reshape(-1, 40, 3)),
    }
    pixels = noise((40, 40, 3))
    page = grey_page(
        pixels.reshape(40, -1), 10, t256=(3, [40]), t258=(3, [8] * 3), t262=(3, [2]), t259=(3, [codec])
    )
    page.tags[277] = (3, [3])
    page.segments = [encoders[codec](segment) for segment in page.segments]
    page.segments[2] = page.segments[2][: int(len(page.segments[2]) * cut)]
    path = write(tmp_path / "a.tif", build([page]))

    with tiff.open_file(path, LIMITS) as file:
        file.pages[0].read(0, 20)
        with pytest.raises(DamagedFile, match=r"a\.tif: strip 3 of 4 is damaged"):
            file.pages[0].read(20, 30)
        file.pages[0].read(30, 40)


@pytest.mark.parametrize("codec", ["group4", "group3", "tiff_ccitt"])
def test_a_fax_that_ends_early_is_not_padded_with_white(tmp_path: Path, codec: str) -> None:
    Image.fromarray(noise((60, 70)) > 128).save(tmp_path / "a.tif", compression=codec)
    with tiff.open_file(tmp_path / "a.tif", LIMITS) as file:
        directory = file.chain[0]
        at = next(entry.at for entry in directory.entries if entry.tag == 279)
        (count,) = file.tags(directory).ints(279)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    struct.pack_into("<H" if count < 65536 else "<I", data, at, count // 2)
    write(tmp_path / "b.tif", data)

    with pytest.raises(DamagedFile, match="strip 1 of 1"):
        read_all(tmp_path / "b.tif")


def test_the_pages_may_not_run_in_a_circle(tmp_path: Path) -> None:
    pages = [grey_page(noise((4, 4)), 4) for _ in range(5)]

    with pytest.raises(DamagedFile, match="circle"):
        tiff.open_file(write(tmp_path / "a.tif", build(pages, loop=2)), LIMITS)


def test_more_pages_than_allowed_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", build([grey_page(noise((4, 4)), 4) for _ in range(6)]))

    with pytest.raises(LimitExceeded, match="more than the 5 pages"):
        tiff.open_file(path, Limits(pages=5))


@pytest.mark.parametrize(
    ("tags", "limits", "error", "words"),
    [
        ({"t256": (4, [2**31]), "t257": (4, [2**31])}, {}, LimitExceeded, "megapixels"),
        ({"t256": (4, [20]), "t277": (3, [4000])}, {"decoded_bytes": 10**5}, LimitExceeded, "bytes decoded"),
        ({}, {"file_bytes": 100}, LimitExceeded, "bytes"),
        ({"t256": (3, [0])}, {}, DamagedFile, "0 x 20"),
        ({"t256": (2, b"20\0")}, {}, DamagedFile, "ImageWidth"),
        ({"t258": (3, [129])}, {}, DamagedFile, "129 bits"),
        ({"t258": (3, [48])}, {}, UnsupportedFormat, "48 bits"),
        ({"t277": (3, [0])}, {}, DamagedFile, "0 samples"),
        ({"t339": (3, [6])}, {}, UnsupportedFormat, "complex"),
        ({"t259": (3, [32809])}, {}, UnsupportedFormat, "compression 32809"),
        ({"t259": (3, [5]), "t317": (3, [7])}, {}, DamagedFile, "predictor 7"),
        ({"t278": (3, [1])}, {}, DamagedFile, "4 of its 20"),
        ({"t279": (4, [100, 100, 99, 100])}, {}, DamagedFile, "strip 3 of 4 holds 99 bytes"),
        ({"t322": (4, [2**25]), "t323": (4, [2**25])}, {}, LimitExceeded, "tiles"),
        ({"t322": (4, [0]), "t323": (4, [0])}, {}, DamagedFile, "tiles of 0"),
        ({"t262": (3, [3])}, {}, DamagedFile, "palette"),
        ({"t254": (4, [1])}, {}, UnsupportedFormat, "thumbnails only"),
        ({"t50706": (1, [1, 4, 0, 0])}, {}, UnsupportedFormat, "DNG"),
        ({"t34675": (7, b"x" * 999)}, {"metadata_bytes": 500}, LimitExceeded, "ICC"),
    ],
)
def test_senseless_claims_get_a_clear_sentence(
    tmp_path: Path, tags: dict[str, Any], limits: dict[str, Any], error: type[FormatError], words: str
) -> None:
    path = write(tmp_path / "a.tif", build([grey_page(noise((20, 20)), 5, **tags)]))

    with pytest.raises(error, match=words) as caught:
        tiff.open_file(path, Limits(**limits))

    assert caught.value.message.startswith("a.tif")


def test_a_bomb_unpacks_no_further_than_announced(tmp_path: Path) -> None:
    bomb = imagecodecs.zlib_encode(bytes(200_000_000), 9)
    page = grey_page(noise((20, 20)), 20, t259=(3, [8]))
    page.segments = [bomb]
    started = time.perf_counter()

    (read,) = read_all(write(tmp_path / "a.tif", build([page])))

    assert not read.any()
    assert time.perf_counter() - started < 2


def test_a_jpeg_strip_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = bytearray(imagecodecs.jpeg8_encode(noise((20, 20))))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xdc\xff\xdc"
    page = grey_page(noise((20, 20)), 20, t259=(3, [7]))
    page.segments = [bytes(data)]

    with pytest.raises(DamagedFile, match="65500 x 65500"):
        read_all(write(tmp_path / "a.tif", build([page])))


def test_damaged_metadata_is_noted_and_pixels_are_read_all_the_same(tmp_path: Path) -> None:
    data = bytearray(build([grey_page(noise((4, 4)), 4, t34675=(7, b"profile"), t282=(5, [1, 1]))]))
    path = write(tmp_path / "a.tif", data)
    with tiff.open_file(path, LIMITS) as file:
        table = file.chain[0].offset + 2
        tags = [entry.tag for entry in file.chain[0].entries]
    for tag in (34675, 282):
        struct.pack_into("<I", data, table + 12 * tags.index(tag) + 8, 10**6)

    with tiff.open_file(write(path, data), LIMITS) as file:
        assert whole(file.pages[0]).shape == (4, 4, 1)
        assert file.pages[0].icc is None
        assert len(file.notes) == 2


def _victims() -> list[bytes]:
    pages = [grey_page(noise((12, 10)), 5, t282=(5, [300, 1]), t270=(2, b"words words\0"))] * 2
    tile = Made(
        {
            256: (3, [20]),
            257: (3, [20]),
            258: (3, [8]),
            259: (3, [5]),
            262: (3, [1]),
            322: (3, [16]),
            323: (3, [16]),
        },
        [imagecodecs.lzw_encode(noise((16, 16), seed=n).tobytes()) for n in range(4)],
    )
    return [build(pages), build([tile], ">")]


@given(
    which=st.integers(0, 1),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
)
@settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_damage_gives_pixels_or_a_format_error(
    tmp_path: Path, which: int, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(_victims()[which])
    for place, value in changes:
        data[place % len(data)] = value
    path = write(tmp_path / "a.tif", data)

    try:
        with tiff.open_file(path, Limits(megapixels=1, decoded_bytes=2**22)) as file:
            for page in file.pages:
                page.read(0, page.layout.height)
            file.metadata()
    except FormatError as error:
        assert error.message  # noqa: PT017 - either outcome is right


def test_nothing_is_logged_about_a_damaged_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "a.tif", build([grey_page(noise((20, 20)), 5)])[:-40])

    with caplog.at_level(logging.DEBUG), pytest.raises(FormatError):
        read_all(path)

    assert not caplog.records
