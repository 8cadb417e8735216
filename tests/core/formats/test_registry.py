from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scanmend import formats
from scanmend.errors import DamagedFile, FormatError, LimitExceeded, UnsupportedFormat
from scanmend.formats import FormatName, Limits, Metadata, OutputOptions, Page, ScanFile, convert, open_scan
from scanmend.formats.meta import dots_per_metre, dpi_from_metre, orientation_of, with_orientation
from scanmend.image import Alpha, Array, Color, Layout, PageData

TAIL = bytes(range(200, 256)) * 4


def saved(folder: Path, data: bytes, name: str = "scan.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"GIF89a" + TAIL, "a GIF picture"),
        (b"8BPS\0\1" + TAIL, "a Photoshop document"),
        (b"%PDF-1.7" + TAIL, "a PDF document"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + TAIL, "a JPEG 2000 picture"),
        (b"\xff\x4f\xff\x51" + TAIL, "a JPEG 2000 picture"),
        (b"\xff\x0a" + TAIL, "a JPEG XL picture"),
        (b"\0\0\0\x18ftypheic" + TAIL, "an HEIC picture"),
        (b"\0\0\0\x18ftypmp42" + TAIL, "a video"),
        (b"II*\0\x10\0\0\0CR\x02\0" + TAIL, "a camera raw file (Canon CR2)"),
        (b"FUJIFILMCCD-RAW " + TAIL, "a camera raw file (Fujifilm RAF)"),
        (b"IIRO\x08\0\0\0" + TAIL, "a camera raw file (Olympus ORF)"),
        (b"gimp xcf v011\0" + TAIL, "a GIMP document"),
        (b"P6\n4 4\n255\n" + TAIL, "a Netpbm picture"),
        (b"PK\x03\x04" + TAIL, "a ZIP archive"),
        (b"  <!DOCTYPE HTML>\n<html><body>Not found</body></html>", "a web page, not a picture"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (
            "Fotos vom Dachboden, Überfahrt 1934, Seite 1 bis 20; weiter siehe Mappe zwei".encode(),
            "a text file",
        ),
        (b"short text", "a text file"),
        (TAIL, "a kind that Scanmend does not know"),
    ],
)
def test_what_is_no_scan_is_named_with_what_to_do(tmp_path: Path, data: bytes, words: str) -> None:
    path = saved(tmp_path, data)

    with pytest.raises(UnsupportedFormat) as caught:
        open_scan(path)

    assert caught.value.message.startswith("scan.png is ")
    assert words in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"\x89", "has only 1 bytes"),
        (b"\xff\xd8", "2 bytes"),
        (bytes(5000), "nothing but zeros"),
        (b"\x89PNG\r\n\x1a\n", "ends after 8 bytes"),
    ],
)
def test_what_a_broken_copy_left_is_damaged(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(DamagedFile, match=words):
        open_scan(saved(tmp_path, data))


def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(FormatError, match="is a folder"):
        open_scan(tmp_path)
    with pytest.raises(FormatError, match="not a regular file"):
        open_scan(tmp_path / "pipe")
    with pytest.raises(FormatError, match="there is no file"):
        open_scan(tmp_path / "missing.tif")
    with pytest.raises(FormatError, match="cannot be read"):
        open_scan(tmp_path / ("x" * 5000))
    with pytest.raises(FormatError, match="cannot be read"):
        open_scan(Path("a\0b"))


def test_a_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="5000 bytes, more than the 4999 allowed"):
        open_scan(saved(tmp_path, bytes(5000)), Limits(file_bytes=4999))


@pytest.mark.parametrize("fmt", formats.FAMILIES)
@pytest.mark.parametrize("name", ["scan.png", "scan.txt", "-rf", "scan"])
def test_the_name_of_a_file_says_nothing(tmp_path: Path, fmt: FormatName, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path, fmt)

    with open_scan(path) as scan:
        assert scan.format == fmt
        assert scan.pages[0].read(0, 8).shape == (8, 8, 3)


def test_every_suffix_belongs_to_a_family() -> None:
    assert set(formats.SUFFIXES.values()) == set(formats.FAMILIES)
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in formats.SUFFIXES)


def test_importing_the_package_imports_no_decoder() -> None:
    code = "import sys, scanmend.formats; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert {"PIL", "imagecodecs", "tifffile", "simplejpeg", "torch"}.isdisjoint(loaded.split())


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_noise_is_refused_in_one_sentence(tmp_path: Path, noise: bytes) -> None:
    with pytest.raises(FormatError, match=r"scan\.png"):
        open_scan(saved(tmp_path, noise))


class FakePage(Page):
    def __init__(self, index: int, pixels: Array, layout: Layout) -> None:
        self.index, self.layout, self._pixels = index, layout, pixels

    def read(self, top: int, bottom: int) -> Array:
        return self._pixels[top:bottom]


class FakeFile(ScanFile):
    def __init__(self, *pages: FakePage, meta: Metadata | None = None) -> None:
        self.path, self.format, self.pages = Path("scan.tif"), "tiff", pages
        self._meta = meta or Metadata()

    def close(self) -> None:
        """Nothing to give back."""

    def metadata(self) -> Metadata:
        return self._meta

    def rewrite(self, *_: object, **__: object) -> tuple[str, ...]:
        raise NotImplementedError


def fake(
    pixels: Array, color: Color = "rgb", alpha: Alpha = "none", index: int = 0, bits: int | None = None
) -> FakePage:
    (height, width, channels), depth = pixels.shape, bits or 8 * pixels.dtype.itemsize
    return FakePage(index, pixels, Layout(height, width, channels, color, pixels.dtype, depth, alpha))


def converted(
    source: ScanFile, folder: Path, fmt: FormatName, xmp: bytes | None = None
) -> tuple[ScanFile, str]:
    target = folder / f"result.{fmt}"
    pages: dict[int, PageData] = {}
    notes = convert(source, target, fmt, pages, xmp=xmp, options=OutputOptions())
    return open_scan(target), " ".join(notes)


RAMP = np.arange(7 * 5 * 3, dtype=np.uint16).reshape(7, 5, 3) * 600


@pytest.mark.parametrize("fmt", ["png", "tiff"])
def test_sixteen_bits_and_metadata_are_carried_over(tmp_path: Path, fmt: FormatName) -> None:
    meta = Metadata(dpi=(300.0, 600.0), xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>", orientation=6)

    result, notes = converted(FakeFile(fake(RAMP), meta=meta), tmp_path, fmt)

    with result:
        np.testing.assert_array_equal(result.pages[0].read(0, 7), RAMP)
        carried = result.metadata()
        assert (carried.dpi, carried.xmp, carried.orientation) == (meta.dpi, meta.xmp, 6)
    assert "nothing else" in notes


def test_a_given_packet_replaces_the_sources_own(tmp_path: Path) -> None:
    source = FakeFile(fake(RAMP), meta=Metadata(xmp=b"<old/>"))

    result, _ = converted(source, tmp_path, "png", xmp=b"<new/>")

    with result:
        assert result.xmp == b"<new/>"


def test_new_pixels_take_the_place_of_the_sources_own(tmp_path: Path) -> None:
    source, target = FakeFile(fake(RAMP)), tmp_path / "result.png"
    small = (RAMP // 257).astype(np.uint8)
    page = PageData(Layout(7, 5, 3, "rgb", small.dtype, 8), iter([small]))

    convert(source, target, "png", {0: page}, xmp=None, options=OutputOptions())

    with open_scan(target) as result:
        np.testing.assert_array_equal(result.pages[0].read(0, 7), small)


@pytest.mark.parametrize("fmt", ["png", "jpeg", "webp", "avif", "bmp"])
def test_several_pages_go_into_tiff_alone(tmp_path: Path, fmt: FormatName) -> None:
    pages = [fake(RAMP, index=index) for index in range(2)]

    with pytest.raises(FormatError, match=f"2 pages, and {fmt.upper()} holds only one") as caught:
        converted(FakeFile(*pages), tmp_path, fmt)

    assert caught.value.hint == "write a TIFF"


@pytest.mark.parametrize("fmt", ["jpeg", "webp", "bmp"])
def test_sixteen_bits_do_not_go_into_eight(tmp_path: Path, fmt: FormatName) -> None:
    with pytest.raises(FormatError, match=r"holds 8 bits per sample, and scan\.tif has 16"):
        converted(FakeFile(fake(RAMP)), tmp_path, fmt)


@pytest.mark.parametrize(
    ("page", "fmt", "words"),
    [
        (fake(np.zeros((2, 2, 4), np.uint8), "cmyk"), "png", "cmyk colours"),
        (fake(np.zeros((2, 2, 3), np.float32)), "png", "floating-point"),
        (fake(np.zeros((2, 2, 4), np.uint8), "rgb", "straight"), "jpeg", "transparency"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    tmp_path: Path, page: FakePage, fmt: FormatName, words: str
) -> None:
    with pytest.raises(FormatError, match=words):
        converted(FakeFile(page), tmp_path, fmt)


def test_a_page_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    page = PageData(Layout(7, 5, 3, "rgb", RAMP.dtype, 16), iter([RAMP]))

    with pytest.raises(FormatError, match="no page 4"):
        convert(FakeFile(fake(RAMP)), tmp_path / "r.png", "png", {3: page}, xmp=None, options=OutputOptions())


def test_premultiplied_colour_is_divided_and_said(tmp_path: Path) -> None:
    stored = np.array([[[10, 20, 30, 51], [7, 8, 9, 0], [200, 100, 0, 255]]], np.uint8)

    result, notes = converted(FakeFile(fake(stored, "rgb", "premultiplied")), tmp_path, "png")

    with result:
        pixels = result.pages[0].read(0, 1)
    assert pixels.tolist() == [[[50, 100, 150, 51], [7, 8, 9, 0], [200, 100, 0, 255]]]
    assert "divided by their transparency" in notes


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000))
def test_whole_dots_per_inch_survive_dots_per_metre(x: int, y: int) -> None:
    assert dpi_from_metre(*dots_per_metre((x, y))) == (x, y)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8))
def test_an_orientation_is_put_into_exif_and_read_back(first: int, second: int) -> None:
    made = with_orientation(None, first)

    assert orientation_of(made) == first
    assert orientation_of(with_orientation(made, second)) == second


@pytest.mark.parametrize("order", [b"II", b"MM"])
def test_an_orientation_is_added_to_exif_that_lacks_one(order: bytes) -> None:
    exif = Image.Exif()
    exif.endian = "<" if order == b"II" else ">"
    exif[0x010F], exif[0x0131] = "Maker", "Software of some length"
    made = with_orientation(exif.tobytes().removeprefix(b"Exif\0\0"), 3)

    again = Image.Exif()
    again.load(b"Exif\0\0" + (made or b""))
    assert dict(again) == {0x010F: "Maker", 0x0131: "Software of some length", 0x0112: 3}


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=80), st.sampled_from([b"", b"II*\0", b"MM\0*"]))
def test_damaged_exif_is_never_an_error(noise: bytes, head: bytes) -> None:
    assert 1 <= orientation_of(head + noise) <= 8
    with_orientation(head + noise, 6)


CORPUS = Path(os.environ.get("SCANMEND_TEST_DATA", "/nonexistent")) / "io"
needs_corpus = pytest.mark.skipif(not CORPUS.is_dir(), reason="SCANMEND_TEST_DATA names no corpus")
# Damaged in metadata alone, which are kept as they are, or large and yet within the limits.
SOUND_PIXELS = {
    "drewio__4c5b82ba0a9c12356007bd71e52185b2.png",
    "drewio__m3-66ac49ef3f48ac9482049e1ab57a53e9.png",
    "bomb_gray_18000.png",
}
# Reads each file named on its command line in bands; prints outcome, words, seconds and the peak of memory.
PROBE = """
import json, resource, sys, time
from pathlib import Path
from scanmend.errors import FormatError
from scanmend.formats import open_scan
for name in sys.argv[1:]:
    started = time.process_time()
    try:
        with open_scan(Path(name)) as scan:
            for page in scan.pages:
                rows = max(1, 2**22 * page.layout.height // page.layout.nbytes)
                for top in range(0, page.layout.height, rows):
                    page.read(top, min(top + rows, page.layout.height))
        outcome, words = "read", ""
    except FormatError as error:
        outcome, words = "refused", str(error)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps([Path(name).name, outcome, words, time.process_time() - started, peak]))
"""


@needs_corpus
@pytest.mark.parametrize("folder", ["broken", "made/broken", "made/hostile"])
def test_every_broken_or_hostile_file_gives_one_error_soon_and_in_little_memory(folder: str) -> None:
    others = (".tif", ".tiff", ".jpg", ".jpeg")
    paths = sorted(str(path) for path in (CORPUS / folder).iterdir() if path.suffix.lower() not in others)

    run = subprocess.run([sys.executable, "-c", PROBE, *paths], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    results = [json.loads(line) for line in run.stdout.splitlines()]
    assert [Path(path).name for path in paths] == [result[0] for result in results]
    for name, outcome, words, seconds, peak in results:
        assert outcome == ("read" if name in SOUND_PIXELS else "refused"), (name, words)
        assert outcome == "read" or name in words
        assert seconds < 10, name
        assert peak < 1, name


@needs_corpus
def test_files_with_misleading_names_open_by_what_they_are() -> None:
    names = {path.name: path for path in (CORPUS / "made/names").iterdir()}

    found = {}
    for name, path in names.items():
        with open_scan(path) as scan:
            found[name] = scan.format
    assert found.pop("png_called.tif") == "png"
    assert set(found.values()) == {"jpeg"}
