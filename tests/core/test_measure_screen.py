"""Screens of printed dots are recognised by pitch and angle, and textures are not taken for them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from PIL import Image
from scanmend import formats
from scanmend.image import Array, FloatArray
from scanmend.measure import Screen, measure, screen, tiles

_SIZE = 400
_PHOTOGRAPHS = "SCANMEND_TEST_DATA"


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(4)


def portrait(size: int = _SIZE) -> Array:
    """A tone picture with black, white and everything between: (size, size) in [0, 1]."""
    down, across = np.mgrid[:size, :size] / size
    tone = 0.5 + 0.35 * np.sin(4 * across + 1) * np.cos(5 * down)
    tone = np.where((across - 0.5) ** 2 + (down - 0.55) ** 2 < 0.05, tone * 0.5 + 0.35, tone)
    return np.where(abs(across - 0.85) < 0.05, 0.97, np.where(down > 0.93, 0.02, tone))


def printed(tone: Array, pitch: float, angle: float, *, fine: int = 4) -> Array:
    """The picture as dots whose size goes with tone, seen by a scanner: what a pixel sees is averaged."""
    height, width = tone.shape
    turn = np.radians(angle)
    seen = np.zeros_like(tone)
    for offset in np.ndindex(fine, fine):
        down, across = (
            grid + (part + 0.5) / fine for grid, part in zip(np.mgrid[:height, :width], offset, strict=True)
        )
        along = (across * np.cos(turn) - down * np.sin(turn)) / pitch
        over = (across * np.sin(turn) + down * np.cos(turn)) / pitch
        seen += tone > 0.5 + (np.cos(2 * np.pi * along) + np.cos(2 * np.pi * over)) / 4
    seen /= fine**2
    for axis in (0, 1):  # the scanner's lens
        seen = (np.roll(seen, 1, axis) + 2 * seen + np.roll(seen, -1, axis)) / 4
    return 0.08 + 0.8 * seen


def found(pixels: Array) -> Screen | None:
    planes: FloatArray = np.asarray(np.clip(pixels, 0, 1), np.float32).reshape(*pixels.shape[:2], -1)
    return screen.find(tiles.cut([tiles.Site(0, 0, planes)]))


def turned(one: float, other: float) -> float:
    """Degrees between two angles of a square lattice."""
    return min((one - other) % 90, (other - one) % 90)


@pytest.mark.parametrize("angle", [0.0, 7.0, 15.0, 45.0, 75.0])
@pytest.mark.parametrize("pitch", [3.0, 4.7, 8.3, 15.0])
def test_the_dots_of_a_print_are_measured(rng: Generator, pitch: float, angle: float) -> None:
    scan = printed(portrait(), pitch, angle) + rng.normal(0, 5 / 255, (_SIZE, _SIZE))

    seen = found(scan)

    assert seen is not None
    assert seen.pitch == pytest.approx(pitch, rel=0.02)
    assert turned(seen.angle, angle) < 1.5


@pytest.mark.parametrize("quality", [50, 85])
def test_jpeg_hides_no_screen(quality: int) -> None:
    data = io.BytesIO()
    Image.fromarray(np.uint8(printed(portrait(), 5.3, 45) * 255)).save(data, "JPEG", quality=quality)

    seen = found(np.asarray(Image.open(data)) / 255)

    assert seen is not None
    assert (seen.pitch, seen.angle) == (pytest.approx(5.3, rel=0.02), pytest.approx(45, abs=1.5))


def test_the_rosettes_of_a_colour_print_are_a_screen() -> None:
    angles = {"cyan": 15.0, "magenta": 75.0, "yellow": 0.0}
    ink = np.stack([printed(portrait(), 6.0, angle) for angle in angles.values()], 2)

    seen = found(ink)

    assert seen is not None
    assert seen.pitch == pytest.approx(6.0, rel=0.02)


def test_a_picture_among_type_on_a_page_is_enough(rng: Generator) -> None:
    page = np.where(rng.random((800, 800)) < 0.1, 0.1, 0.9)  # as blank or as busy as type
    page[:, 400:] = 0.9
    page[100:700, 100:700] = printed(portrait(600), 4.4, 45)

    assert found(page) is not None


def weave(size: int = _SIZE) -> Array:
    """Cloth that fills a quarter of the picture and bends."""
    down, across = np.mgrid[:size, :size].astype(float)
    bend = 12 * np.sin(down / 60) + 8 * np.cos(across / 45)
    cloth = 0.5 + 0.2 * np.sin((across + bend) * 1.1) + 0.2 * np.sin((down + bend) * 1.1)
    return np.where((down < size / 2) & (across < size / 2), cloth, portrait(size))


@pytest.mark.parametrize(
    "kind", ["photograph", "noise", "stripes", "bricks", "cloth", "flat", "blocks of JPEG"]
)
def test_what_is_no_print_is_not_taken_for_one(rng: Generator, kind: str) -> None:
    down, across = np.mgrid[:_SIZE, :_SIZE]
    data = io.BytesIO()
    noisy = portrait() + rng.normal(0, 0.05, (_SIZE, _SIZE))
    Image.fromarray(np.uint8(np.clip(noisy, 0, 1) * 255)).save(data, "JPEG", quality=10)
    pixels = {
        "photograph": portrait(),
        "noise": noisy,
        "stripes": 0.5 + 0.3 * np.sin(across * 1.1) + 0 * down,
        "bricks": 0.4 + 0.3 * ((down % 12 < 10) & ((across + down // 12 * 11) % 25 < 22)),
        "cloth": weave(),
        "flat": np.full((_SIZE, _SIZE), 0.5),
        "blocks of JPEG": np.asarray(Image.open(data)) / 255,
    }[kind]

    assert found(pixels) is None


@pytest.mark.parametrize("size", [(1, 1), (100, 900), (190, 250)])
def test_a_picture_that_is_too_small_says_nothing(size: tuple[int, int]) -> None:
    assert found(printed(np.full(size, 0.5), 5, 45)) is None


def test_transparent_parts_do_not_count() -> None:
    pixels = printed(portrait(), 5, 45)
    pixels[:, :150] = np.nan

    assert found(pixels) is not None


def test_a_large_page_is_judged_from_a_few_parts_of_it(tmp_path: Path) -> None:
    page = np.tile(printed(np.full((400, 400), 0.5), 5, 0), (5, 6))
    Image.fromarray(np.uint8(page * 255)).save(tmp_path / "a.tif")

    with formats.open_scan(tmp_path / "a.tif") as scan:
        seen = measure(scan.pages[0]).screen

    assert seen == Screen(pytest.approx(5, abs=0.05), pytest.approx(0, abs=0.5))


@pytest.mark.slow
def test_photographs_are_not_taken_for_prints() -> None:
    data = os.environ.get(_PHOTOGRAPHS)
    if not data:
        pytest.skip(f"{_PHOTOGRAPHS} names no folder of photographs")
    paths = sorted((Path(data) / "train" / "research").iterdir())[::4]

    taken = [path.name for path in paths if found(np.asarray(Image.open(path).convert("RGB")) / 255)]

    assert taken == []
