from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats import bmp
from scanmend.formats.base import Limits, OutputOptions
from scanmend.formats.meta import Metadata
from scanmend.image import Alpha, Array, Color, Layout, PageData

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
many = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def page_of(pixels: Array, rows: int = 5) -> PageData:
    kinds: dict[int, tuple[Color, Alpha]] = {1: ("grey", "none"), 3: ("rgb", "none"), 4: ("rgb", "straight")}
    color, alpha = kinds[pixels.shape[2]]
    height, width, channels = pixels.shape
    layout = Layout(height, width, channels, color, pixels.dtype, 8 * pixels.dtype.itemsize, alpha)
    return PageData(layout, iter([pixels[top : top + rows] for top in range(0, len(pixels), rows)]))


def noise(height: int, width: int, channels: int) -> Array:
    return np.random.default_rng(height).integers(0, 256, (height, width, channels), dtype=np.uint8)


def plain(folder: Path, size: int = 9) -> Path:
    path = folder / "scan.bmp"
    Image.fromarray(noise(size, size, 3)).save(path, dpi=(300, 300))
    return path


def decoded(path: Path, limits: Limits | None = None) -> Array:
    with bmp.open_file(path, limits or Limits()) as scan:
        return scan.pages[0].read(0, scan.pages[0].layout.height)


@many
@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3, 4]))
def test_a_new_file_is_what_independent_decoders_read(
    tmp_path: Path, height: int, width: int, channels: int
) -> None:
    pixels, target = noise(height, width, channels), tmp_path / "new.bmp"
    target.unlink(missing_ok=True)

    bmp.write_new(target, [page_of(pixels)], Metadata(), OutputOptions())

    with Image.open(target) as image:
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)
    np.testing.assert_array_equal(decoded(target), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_every_kind_that_pillow_writes_is_read(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(11, 13, 3)).convert(mode)
    path = tmp_path / "scan.bmp"
    image.save(path)

    expected = np.asarray(image.convert({"1": "L", "P": "RGB"}.get(mode, mode)))
    np.testing.assert_array_equal(decoded(path), expected.reshape(11, 13, -1))


def test_a_file_stored_top_down_is_read_the_same(tmp_path: Path) -> None:
    path = plain(tmp_path)
    pixels, data = decoded(path), bytearray(path.read_bytes())
    data[22:26] = struct.pack("<i", -9)
    rows = [bytes(data[54 + 28 * row : 82 + 28 * row]) for row in range(9)]
    path.write_bytes(bytes(data[:54]) + b"".join(reversed(rows)))

    np.testing.assert_array_equal(decoded(path), pixels)


def test_resolution_and_profile_survive_a_rewrite(tmp_path: Path) -> None:
    pixels, path, target = noise(5, 7, 3), tmp_path / "scan.bmp", tmp_path / "result.bmp"
    bmp.write_new(path, [page_of(pixels)], Metadata(icc=SRGB, dpi=(300, 600)), OutputOptions())

    with bmp.open_file(path, Limits()) as scan:
        notes = scan.rewrite(target, {0: page_of(255 - pixels)}, xmp=None, options=OutputOptions())

    with bmp.open_file(target, Limits()) as result:
        assert result.metadata() == Metadata(icc=SRGB, dpi=(300.0, 600.0))
    np.testing.assert_array_equal(decoded(target), 255 - pixels)
    assert notes == ()


def test_a_rewrite_without_new_pixels_keeps_the_old_ones(tmp_path: Path) -> None:
    path, target = plain(tmp_path), tmp_path / "result.bmp"

    with bmp.open_file(path, Limits()) as scan:
        notes = scan.rewrite(target, {}, xmp=b"<packet/>", options=OutputOptions())

    np.testing.assert_array_equal(decoded(target), decoded(path))
    assert any("XMP" in note for note in notes)


def test_what_bmp_cannot_hold_is_said(tmp_path: Path) -> None:
    meta = Metadata(exif=b"II*\0", xmp=b"<x/>", iptc=b"\x1c", orientation=6)

    notes = bmp.write_new(tmp_path / "new.bmp", [page_of(noise(2, 2, 1))], meta, OutputOptions())

    assert [word for word in ("EXIF", "XMP", "IPTC", "orientation") if word in " ".join(notes)] == [
        "EXIF",
        "XMP",
        "IPTC",
        "orientation",
    ]


@pytest.mark.parametrize(
    "pixels", [noise(2, 2, 3).astype(np.uint16), noise(2, 2, 1).astype(np.float32)], ids=["16 bits", "float"]
)
def test_pixels_that_bmp_cannot_hold_are_refused(tmp_path: Path, pixels: Array) -> None:
    with pytest.raises(FormatError, match="BMP cannot hold"):
        bmp.write_new(tmp_path / "new.bmp", [page_of(pixels)], Metadata(), OutputOptions())


@pytest.mark.parametrize("rows", [8, 10])
def test_a_wrong_number_of_rows_is_refused(tmp_path: Path, rows: int) -> None:
    layout = Layout(9, 9, 3, "rgb", np.dtype("u1"), 8)

    with pytest.raises(FormatError, match="rows"):
        bmp.write_new(
            tmp_path / "new.bmp", [PageData(layout, iter([noise(rows, 9, 3)]))], Metadata(), OutputOptions()
        )


def test_new_pixels_of_another_size_are_refused(tmp_path: Path) -> None:
    with bmp.open_file(plain(tmp_path), Limits()) as scan, pytest.raises(FormatError, match="size"):
        scan.rewrite(tmp_path / "r.bmp", {0: page_of(noise(9, 8, 3))}, xmp=None, options=OutputOptions())


def test_a_file_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    path = plain(tmp_path)
    data = path.read_bytes()

    for length in range(2, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedFile, match="is damaged: it ends"):
            bmp.open_file(path, Limits())


def test_the_error_says_how_many_rows_can_be_read(tmp_path: Path) -> None:
    path = plain(tmp_path)
    path.write_bytes(path.read_bytes()[: 54 + 3 * 28 + 5])

    with pytest.raises(DamagedFile, match="3 of its 9 rows can be read"):
        bmp.open_file(path, Limits())


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        (18, struct.pack("<i", 0), DamagedFile),
        (18, struct.pack("<i", -5), DamagedFile),
        (22, struct.pack("<i", -(2**31)), DamagedFile),
        (18, struct.pack("<ii", 2**31 - 1, 2**31 - 1), LimitExceeded),
        (28, struct.pack("<H", 30000), DamagedFile),
        (30, struct.pack("<I", 4), UnsupportedFormat),
        (14, struct.pack("<I", 16), UnsupportedFormat),
    ],
)
def test_headers_that_cannot_be_are_refused_before_decoding(
    tmp_path: Path, at: int, value: bytes, error: type[FormatError]
) -> None:
    path = plain(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:at] + value + data[at + len(value) :])

    with pytest.raises(error, match=r"scan\.bmp"):
        bmp.open_file(path, Limits())


def run_length(codes: bytes) -> bytes:
    palette = b"".join(bytes((value, value, 0, 0)) for value in range(256))
    start = 54 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(codes), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, len(codes), 0, 0, 256, 0) + palette + codes


def test_run_lengths_are_read_and_a_cut_one_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "scan.bmp"
    path.write_bytes(run_length(b"\x04\x07\0\0\x04\x09\0\1"))
    assert decoded(path)[..., 0].tolist() == [[0] * 4] * 2
    assert decoded(path)[..., 1].tolist() == [[9] * 4, [7] * 4]
    assert decoded(path)[..., 2].tolist() == [[9] * 4, [7] * 4]

    path.write_bytes(run_length(b"\x04\x07\0\0\x02\x09"))

    with pytest.raises(DamagedFile, match="pixels cannot be read"):
        decoded(path)


def test_a_large_picture_is_bounded_by_our_limits_and_not_by_pillows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plain(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)

    assert decoded(path).shape == (9, 9, 3)
    with pytest.raises(LimitExceeded):
        bmp.open_file(path, Limits(megapixels=80e-6))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(14, 70), st.binary(min_size=1, max_size=6))
def test_noise_in_the_header_gives_one_error_or_a_picture(tmp_path: Path, at: int, patch: bytes) -> None:
    path = plain(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[:at] + patch + data[at + len(patch) :])

    try:
        pixels = decoded(path, Limits(megapixels=1))
    except FormatError:
        return
    assert pixels.ndim == 3


CORPUS = Path(os.environ.get("SCANMEND_TEST_DATA", "/nonexistent")) / "io"


def corpus() -> Sequence[Path]:
    return sorted(path for path in (CORPUS / "ok").glob("*") if path.suffix.lower() == ".bmp")


def reference(path: Path) -> Array:
    """What imagecodecs reads, or Pillow where imagecodecs refuses a harmless oddity."""
    try:
        found: Array = imagecodecs.bmp_decode(path.read_bytes())
    except imagecodecs.BmpError:
        with Image.open(path) as image:
            found = np.asarray(image.convert("L" if image.mode == "1" else image.mode))
    return found


@pytest.mark.skipif(not CORPUS.is_dir(), reason="SCANMEND_TEST_DATA names no corpus")
@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.name)
def test_a_real_file_decodes_as_elsewhere_and_is_rewritten_with_its_pixels(
    tmp_path: Path, path: Path
) -> None:
    target = tmp_path / "result.bmp"
    with bmp.open_file(path, Limits()) as scan:
        page = scan.pages[0]
        height, dpi = page.layout.height, page.dpi
        pixels = page.read(0, height)
        bands = (page.read(top, min(top + 7, height)) for top in range(0, height, 7))
        scan.rewrite(target, {0: PageData(page.layout, bands)}, xmp=None, options=OutputOptions())

    np.testing.assert_array_equal(reference(path).reshape(pixels.shape), pixels)
    with bmp.open_file(target, Limits()) as result:
        assert result.pages[0].dpi == dpi
        np.testing.assert_array_equal(result.pages[0].read(0, height), pixels)
