"""Real files from many programs, where a folder of them is at hand (SCANMEND_TEST_DATA)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from scanmend.errors import DamagedFile, FormatError
from scanmend.formats import tiff
from scanmend.formats.base import OutputOptions
from scanmend.formats.tiff.page import TiffPage

from .tiff_maker import LIMITS, Array, bands, raw_tags, rewrite, whole

DATA = os.environ.get("SCANMEND_TEST_DATA", "")
pytestmark = pytest.mark.skipif(not DATA, reason="SCANMEND_TEST_DATA names no folder of test files")

# Its second plane has no bytes at all: other programs make up zeros.
MISSING = "pillow__separate_planar_extra_samples.tiff"
# Decodable after all: the flipped bits stand in tags or bytes without a meaning for pixels.
FINE = {"drewio__m2-14847ce6f5fab0774dae9ad4fba31316.tif", "bomb_shared_strips.tif"}


def files(*folders: str) -> list[Any]:
    found = [path for folder in folders for path in sorted((Path(DATA) / "io" / folder).glob("*.tif*"))]
    return [pytest.param(path, id=path.name) for path in found] if DATA else []


def independent(path: Path, page: TiffPage) -> Array | None:
    """The page as tifffile decodes it, brought to the layout's terms; None where it cannot."""
    with tifffile.TiffFile(path) as file:
        (other,) = [p for p in file.pages if p.offset == page.tags.ifd.offset]
        try:
            pixels = other.asarray()
        except Exception:  # noqa: BLE001 - whatever it cannot do
            return None
        if other.photometric == 6 and other.compression == 1:
            return None
        if other.planarconfig == 2 and pixels.ndim == 3:
            pixels = np.moveaxis(pixels, 0, -1)
        if other.photometric == 3:
            return None
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if pixels.dtype == bool:
        pixels = pixels.astype("u1") * np.uint8(255)
    white = int(page.layout.white)
    return (white - pixels.astype("i8")).astype(pixels.dtype) if other.photometric == 0 else pixels


def by_pillow(path: Path, page: TiffPage) -> Array:
    with Image.open(path) as picture:
        picture.seek(page.index)
        return np.atleast_3d(np.asarray(picture.convert("RGB" if page.layout.color == "rgb" else "L")))


@pytest.mark.parametrize("path", files("ok", "made/ok", "odd"))
@pytest.mark.filterwarnings("ignore")
def test_files_decode_as_other_programs_decode_them(path: Path) -> None:
    if path.name == MISSING:
        with pytest.raises(DamagedFile, match="strip 2 of 2 is missing"):
            tiff.open_file(path, LIMITS)
        return
    with tiff.open_file(path, LIMITS) as file:
        for page in file.pages:
            read = whole(page, 100)

            wanted = independent(path, page)
            if wanted is not None:
                assert np.array_equal(read, wanted, equal_nan=read.dtype.kind == "f")
            elif "planar-yuv" not in path.name:
                # Old-style JPEG and palettes; Pillow interpolates chroma differently.
                tolerance = 24 if "JPEG" in page.compression else 0
                assert np.abs(read[..., :3].astype(int) - by_pillow(path, page)).max() <= tolerance


@pytest.mark.parametrize("path", files("ok", "made/ok", "odd"))
def test_files_survive_the_rewriting_of_all_their_pages(path: Path, tmp_path: Path) -> None:
    if path.name == MISSING:
        pytest.skip("damaged")
    target = tmp_path / path.name

    rewrite(path, target)

    with tiff.open_file(path, LIMITS) as old, tiff.open_file(target, LIMITS) as new:
        for before, after in zip(old.pages, new.pages, strict=True):
            assert before.layout == after.layout
            assert np.array_equal(
                whole(before, 100), whole(after, 100), equal_nan=before.layout.dtype.kind == "f"
            )
        for number in range(len(old.chain)):
            was, now = raw_tags(path, number), raw_tags(target, number)
            assert {tag: now[tag] for tag in now} == {tag: was[tag] for tag in was if tag in now}
            lost = set(was) - set(now)
            assert not lost or (old.pages[0].picture.coding.bits == 1 and lost <= {280, 281})


# What describes the encoding of pixels, or the file as such; exiftool calls strips of JPEG by odd names.
_PIXEL_WORDS = (
    *("Offset", "ByteCounts", "Strip", "Compress", "BitsPerSample", "SamplesPerPixel", "Photometric"),
    *("Predictor", "SampleFormat", "ColorMap", "YCbCr", "ReferenceBlackWhite", "T4Options", "T6Options"),
    *("JPEG", "OtherImage", "PreviewImage", "ExifTool:Warning", "ExifToolVersion", "SourceFile"),
    *("System:", "Min", "Max"),
)


def exiftool_dump(path: Path) -> dict[str, Any]:
    out = subprocess.run(
        ["exiftool", "-j", "-a", "-G1", "-u", "-n", "-q", "-q", str(path)], capture_output=True, check=False
    ).stdout
    (found,) = json.loads(out)
    return {key: value for key, value in found.items() if not any(word in key for word in _PIXEL_WORDS)}


@pytest.mark.skipif(not shutil.which("exiftool"), reason="exiftool is not installed")
@pytest.mark.parametrize("path", files("ok", "made/ok"))
def test_exiftool_finds_the_same_metadata(path: Path, tmp_path: Path) -> None:
    if path.name == MISSING:
        pytest.skip("damaged")
    target = tmp_path / path.name

    rewrite(path, target)

    assert exiftool_dump(target) == exiftool_dump(path)


@pytest.mark.parametrize("path", files("ok", "made/ok"))
@pytest.mark.filterwarnings("ignore")
def test_files_can_be_written_anew(path: Path, tmp_path: Path) -> None:
    if path.name == MISSING:
        pytest.skip("damaged")
    from scanmend.image import PageData  # noqa: PLC0415 - only here

    with tiff.open_file(path, LIMITS) as old:
        pages = [PageData(page.layout, bands(whole(page, 200), 50)) for page in old.pages]
        tiff.write_new(tmp_path / "a.tif", pages, old.metadata(), OutputOptions())

        with tiff.open_file(tmp_path / "a.tif", LIMITS) as new:
            for before, after in zip(old.pages, new.pages, strict=True):
                same_white = before.layout.color == after.layout.color
                assert before.layout.replace(transfer="display") == after.layout.replace(transfer="display")
                assert not same_white or np.array_equal(
                    whole(before, 200), whole(after, 200), equal_nan=before.layout.dtype.kind == "f"
                )


_PROBE = """
import resource, sys, time
from pathlib import Path
from scanmend.errors import FormatError
from scanmend.formats import tiff
from scanmend.formats.base import Limits

started = time.perf_counter()
try:
    with tiff.open_file(Path(sys.argv[1]), Limits()) as file:
        for page in file.pages:
            for top in range(0, page.layout.height, 64):
                page.read(top, min(top + 64, page.layout.height))
    said = "fine"
except FormatError as error:
    said = f"{type(error).__name__}: {error}"
print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, said)
"""


@pytest.mark.parametrize("path", files("broken", "made/broken", "made/hostile"))
def test_broken_and_hostile_files_end_soon_in_one_sentence(path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _PROBE, str(path)], capture_output=True, text=True, timeout=60, check=False
    )

    assert run.returncode == 0, run.stderr
    seconds, mebibytes, said = run.stdout.strip().split(" ", 2)
    assert float(seconds) < 10
    assert int(mebibytes) < 1024
    assert (said == "fine") == (path.name in FINE)
    assert said == "fine" or path.name in said
    assert issubclass(DamagedFile, FormatError)
