"""Blur is told from sharpness, by kind and size, and sharp pictures are left in peace."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scanmend import formats, psf
from scanmend.cli import words
from scanmend.image import Array, FloatArray
from scanmend.measure import BlurFacts, blur, measure, tiles
from scanmend.pipeline import measure_pixels

_SIZE = 512
_PHOTOGRAPHS = "SCANMEND_TEST_DATA"


def scene(seed: int = 1, size: int = _SIZE) -> FloatArray:
    """Leaves over leaves, of every size down to a pixel, as scenes are: (size, size) in [0, 1]."""
    rng = np.random.default_rng(seed)
    fine = 2
    down, across = np.mgrid[: size * fine, : size * fine].astype(np.float32)
    tone = np.full(down.shape, 0.5, np.float32)
    for radius in sorted(3 * (1 - rng.random(900)) ** -0.7, reverse=True):
        reach = min(float(radius), size / 4) * fine
        y, x = rng.uniform(0, size * fine, 2)
        box = (
            slice(max(int(y - reach), 0), int(y + reach) + 2),
            slice(max(int(x - reach), 0), int(x + reach) + 2),
        )
        leaf = (down[box] - y) ** 2 + (across[box] - x) ** 2 < reach**2
        tone[box] = np.where(leaf, rng.uniform(0.1, 0.9), tone[box])
    return np.asarray(tone.reshape(size, fine, size, fine).mean((1, 3)), np.float32)


def blurred(tone: FloatArray, kernel: FloatArray) -> FloatArray:
    """In linear light, edges reflected."""
    reach = len(kernel) // 2
    light = np.pad(tone, reach, mode="reflect") ** 2.2
    spectrum = np.fft.rfft2(light) * np.fft.rfft2(kernel, light.shape)
    seen = np.fft.irfft2(spectrum, light.shape)[2 * reach :, 2 * reach :]
    return np.asarray(np.clip(seen, 0, 1) ** (1 / 2.2), np.float32)


def line(length: float, degrees: float) -> FloatArray:
    """A straight shake, anticlockwise from the horizontal."""
    reach = int(length / 2) + 2
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    for step in np.linspace(-length / 2, length / 2, 400):
        y, x = reach - step * np.sin(np.radians(degrees)), reach + step * np.cos(np.radians(degrees))
        top, left = int(y), int(x)
        for row, weight in ((top, 1 - y + top), (top + 1, y - top)):
            kernel[row, left] += weight * (1 - x + left)
            kernel[row, left + 1] += weight * (x - left)
    return kernel / kernel.sum()


def facts(tone: Array, sigma: float = 0.0) -> BlurFacts | None:
    noise = np.random.default_rng(5).normal(0, sigma / 255, tone.shape) if sigma else 0
    return measure_pixels(np.rint(np.clip(tone + noise, 0, 1) * 255).astype(np.uint8)).blur


@pytest.mark.parametrize("sigma", [0, 2, 10])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_sharp_scan_is_told_to_be_sharp(seed: int, sigma: float) -> None:
    seen = facts(scene(seed), sigma)

    assert seen is not None
    assert (seen.kind, seen.radius, seen.angle) == ("none", 0, 0)
    assert seen.chance < 0.5


@pytest.mark.parametrize("sigma", [0, 10])
@pytest.mark.parametrize("radius", [3.0, 6.0])
def test_a_picture_out_of_focus_is_told_with_its_radius(radius: float, sigma: float) -> None:
    seen = facts(blurred(scene(), psf.disk(radius)), sigma)

    assert seen is not None
    assert seen.chance > 0.9
    assert seen.kind == "defocus"
    assert seen.radius == pytest.approx(radius, rel=0.35)
    assert seen.angle == 0


@pytest.mark.parametrize("degrees", [0, 30, 100])
def test_a_shake_is_told_with_its_direction(degrees: float) -> None:
    seen = facts(blurred(scene(), line(14, degrees)), 2)

    assert seen is not None
    assert seen.chance > 0.9
    assert seen.kind == "motion"
    assert seen.radius == pytest.approx(7, rel=0.5)
    assert abs((seen.angle - degrees + 90) % 180 - 90) < 15


@pytest.mark.parametrize("sigma", [1.5, 2.3])
def test_soft_optics_are_found(sigma: float) -> None:
    seen = facts(blurred(scene(), psf.gaussian(sigma)), 2)

    assert seen is not None
    assert seen.chance > 0.8
    assert seen.kind in {"scanner", "defocus"}  # with noise these two are hardly told apart


def test_the_more_a_picture_is_blurred_the_surer_it_is() -> None:
    chances = []
    for sigma in (0.3, 0.9, 1.2, 2.0):
        seen = facts(blurred(scene(), psf.gaussian(sigma)))
        assert seen is not None
        chances.append(seen.chance)

    assert chances[0] < 0.5
    assert chances[-1] > 0.9
    assert chances == sorted(chances)


def test_jpeg_neither_makes_nor_hides_blur() -> None:
    found = []
    for tone in (scene(), blurred(scene(), psf.disk(4))):
        data = io.BytesIO()
        Image.fromarray(np.uint8(tone * 255)).save(data, "JPEG", quality=80)
        seen = facts(np.asarray(Image.open(data)) / 255)
        assert seen is not None
        found.append(seen.chance > 0.5)

    assert found == [False, True]


@pytest.mark.parametrize(
    "pixels",
    [scene()[:100, :100], np.full((400, 400), 0.5, np.float32), scene()[:127]],
    ids=["small", "flat", "a strip"],
)
def test_what_has_no_room_or_no_edge_says_nothing(pixels: FloatArray) -> None:
    assert facts(pixels) is None


def test_transparent_parts_do_not_count() -> None:
    pixels = blurred(scene(), psf.disk(4))[..., None].copy()
    pixels[:, :200] = np.where(np.indices((_SIZE, 200)).sum(0) % 9 < 4, 1, np.nan)[
        ..., None
    ]  # sharp, if it counted

    seen = blur.judge(tiles.cut([tiles.Site(0, 0, pixels)]))

    assert seen is not None
    assert seen.chance > 0.9


def test_a_large_page_is_judged_from_a_few_parts_of_it(tmp_path: Path) -> None:
    page = np.tile(np.uint8(blurred(scene(), psf.disk(5)) * 255), (5, 6))
    Image.fromarray(page).save(tmp_path / "a.tif")

    with formats.open_scan(tmp_path / "a.tif") as scan:
        seen = measure(scan.pages[0])

    assert seen.blur is not None
    assert seen.blur.kind == "defocus"
    assert seen.to_dict()["blur"]["radius"] == seen.blur.radius


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (BlurFacts("none", 0, 0, 0.03, 0), "sharp (blurred with a chance of 3%)"),
        (
            BlurFacts("motion", 6, 31, 0.97, 0.2),
            "blurred by a shake of 12.0 pixels give or take 22% at 31 degrees (chance 97%)",
        ),
        (
            BlurFacts("defocus", 3.2, 0, 1, 0.1),
            "blurred out of focus, radius 3.2 pixels give or take 11% (chance 100%)",
        ),
        (BlurFacts("scanner", 1.4, 0, 0.8, 0), "blurred by soft optics, 1.4 pixels (chance 80%)"),
    ],
)
def test_blur_is_said_in_a_sentence(seen: BlurFacts, said: str) -> None:
    assert words.blur(seen) == said


@pytest.mark.slow
def test_photographs_are_told_to_be_sharp_and_blurred_ones_are_found() -> None:
    data = os.environ.get(_PHOTOGRAPHS)
    if not data:
        pytest.skip(f"{_PHOTOGRAPHS} names no folder of photographs")
    paths = sorted((Path(data) / "train" / "research").iterdir())[::8]

    alarms, found = [], []
    for path in paths:
        tone = np.asarray(Image.open(path).convert("L"), np.float32) / 255
        sharp, soft = facts(tone), facts(blurred(tone, psf.disk(3)))
        alarms.append(sharp is not None and sharp.chance > 0.5)
        found.append(soft is not None and soft.chance > 0.5)

    assert np.mean(alarms) <= 0.08
    assert np.mean(found) >= 0.8
