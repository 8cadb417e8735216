"""The quality and the grid of JPEG are read from samples, and nothing else is taken for it."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scanmend import formats
from scanmend.image import Array
from scanmend.measure import JpegFacts, jpeg, measure, tiles

_PHOTOGRAPHS = "SCANMEND_TEST_DATA"


def scene(height: int = 264, width: int = 392, *, noise: float = 6.0, seed: int = 2) -> Array:
    """Shading, edges, fine stripes and some noise: (H, W, 3) uint8."""
    down, across = np.mgrid[:height, :width].astype(float)
    tone = 120 + 50 * np.sin(across / 37) * np.cos(down / 51) + 30 * ((down + across) // 50 % 2)
    tone += 12 * np.sin(across * 0.7 + down * 0.3) * (down > height / 2)
    colour = np.stack((tone, tone * 0.9 + 12, tone * 0.8 + 25), 2)
    colour += np.random.default_rng(seed).normal(0, noise, colour.shape)
    return np.clip(np.rint(colour), 1, 254).astype(np.uint8)


def decoded(pixels: Array, quality: int, subsampling: int = 2) -> Array:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(data))


def found(pixels: Array) -> tuple[int, tuple[int, int]] | None:
    planes = np.asarray(pixels / 255, np.float32).reshape(*pixels.shape[:2], -1)
    return jpeg.find(tiles.cut([tiles.Site(0, 0, planes)]))


@settings(deadline=None, max_examples=25)
@given(
    quality=st.integers(30, 95),
    top=st.integers(0, 7),
    left=st.integers(0, 7),
    subsampling=st.sampled_from([0, 2]),
)
def test_quality_and_grid_of_a_cropped_picture_are_found(
    quality: int, top: int, left: int, subsampling: int
) -> None:
    cropped = decoded(scene(), quality, subsampling)[top:, left:]

    seen = found(cropped)

    assert seen is not None
    assert seen[1] == (-top % 8, -left % 8)
    assert abs(seen[0] - quality) <= 1


def test_a_grey_picture_shows_it_as_well() -> None:
    assert found(decoded(scene()[..., 1], 70)) == (70, (0, 0))


@pytest.mark.parametrize(
    "kind", ["noisy", "clean", "flat", "ramp", "stripes", "black and white", "white noise"]
)
def test_what_never_was_a_jpeg_is_not_taken_for_one(kind: str) -> None:
    down, across = np.mgrid[:300, :300]
    pixels = {
        "noisy": scene(),
        "clean": scene(noise=0),
        "flat": np.full((300, 300, 3), 77, np.uint8),
        "ramp": (across * 255 // 299).astype(np.uint8),
        "stripes": ((across // 4 % 2) * 128 + 64).astype(np.uint8),
        "black and white": ((down // 16 + across // 16) % 2 * 255).astype(np.uint8),
        "white noise": np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8),
    }[kind]

    assert found(pixels) is None


def test_once_resized_nothing_is_claimed() -> None:
    small = Image.fromarray(decoded(scene(600, 800), 60)).resize((500, 375), Image.Resampling.BICUBIC)

    assert found(np.asarray(small)) is None


def test_a_quality_that_leaves_nothing_to_see_is_not_reported() -> None:
    assert found(decoded(scene(), 99)) is None


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (127, 500), (128, 127)])
def test_a_picture_that_is_too_small_says_nothing(size: tuple[int, int]) -> None:
    assert found(decoded(scene(*size), 50)) is None


def test_clipped_and_transparent_pixels_do_not_mislead() -> None:
    pixels = decoded(scene(), 60).astype(np.float32) / 255
    pixels[:70] = 1.0
    pixels[:, :70] = np.nan

    assert jpeg.find(tiles.cut([tiles.Site(0, 0, pixels)])) == (60, (0, 0))


# --- on pages ----------------------------------------------------------------------------


def facts_of(path: Path) -> JpegFacts | None:
    with formats.open_scan(path) as scan:
        return measure(scan.pages[0]).jpeg


def test_a_jpeg_file_says_its_quality_itself(tmp_path: Path) -> None:
    Image.fromarray(scene()).save(tmp_path / "a.jpg", quality=87)

    facts = facts_of(tmp_path / "a.jpg")

    assert facts
    assert (facts.quality, facts.grid, facts.source) == (87, (0, 0), "file")


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_in_any_other_file_the_samples_tell_and_the_grid_counts_from_the_corner(
    tmp_path: Path, suffix: str
) -> None:
    Image.fromarray(decoded(scene(900, 1200), 62)[5:, 3:]).save(tmp_path / f"a.{suffix}")

    facts = facts_of(tmp_path / f"a.{suffix}")

    assert facts
    assert (facts.quality, facts.grid, facts.source) == (62, (3, 5), "pixels")


def test_a_poor_saving_before_a_good_one_is_not_forgotten(tmp_path: Path) -> None:
    Image.fromarray(decoded(scene(noise=3), 55)).save(tmp_path / "a.jpg", quality=97, subsampling=0)

    facts = facts_of(tmp_path / "a.jpg")

    assert facts
    assert facts.source == "pixels"
    assert abs(facts.quality - 55) <= 2


def test_facts_are_json(tmp_path: Path) -> None:
    Image.fromarray(decoded(scene(), 62)[5:, 3:]).save(tmp_path / "a.png")
    with formats.open_scan(tmp_path / "a.png") as scan:
        values = measure(scan.pages[0]).to_dict()

    assert json.loads(json.dumps(values)) == values
    assert values["jpeg"]["grid"] == [3, 5]


# --- the error ---------------------------------------------------------------------------


def test_the_worse_the_quality_the_larger_and_the_smoother_its_error() -> None:
    sigmas, correlations = zip(*(jpeg.error(quality, grey=False) for quality in range(1, 98)), strict=True)

    assert list(sigmas) == sorted(sigmas, reverse=True)
    assert list(correlations) == sorted(correlations, reverse=True)
    assert all(0 < sigma < 0.05 for sigma in sigmas)


@given(st.integers(1, 100))
def test_without_colour_the_error_is_smaller(quality: int) -> None:
    assert jpeg.error(quality, grey=True)[0] < jpeg.error(quality, grey=False)[0]


# --- photographs -------------------------------------------------------------------------


@pytest.mark.slow
def test_photographs_are_judged_rightly() -> None:
    data = os.environ.get(_PHOTOGRAPHS)
    if not data:
        pytest.skip(f"{_PHOTOGRAPHS} names no folder of photographs")
    right = 0
    paths = sorted((Path(data) / "train" / "open-1").iterdir())[::20]

    for index, path in enumerate(paths):
        picture = np.asarray(Image.open(path).convert("RGB"))[:512, :512]
        assert found(picture) is None, path.name
        right += found(decoded(picture, 50 + index * 2)[3:, 6:]) == (50 + index * 2, (5, 2))

    assert right >= 0.9 * len(paths)
