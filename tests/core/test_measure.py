"""The noise of generated pictures is measured as it was made, and texture is not taken for it."""

from __future__ import annotations

import json
import runpy
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scanmend.formats.base import Page
from scanmend.image import Array, FloatArray, Layout
from scanmend.measure import Facts, NoiseFacts, floor, measure, measure_array, patches, sampling

if TYPE_CHECKING:
    from numpy.random import Generator


@pytest.fixture
def rng() -> Generator:
    return np.random.default_rng(20)


def as_8_bit(pixels: Array) -> FloatArray:
    return np.asarray(np.rint(np.clip(pixels, 0, 1) * 255) / 255, np.float32)


def scene(height: int = 384, width: int = 384, channels: int = 3) -> FloatArray:
    """Smooth shading with a few objects that have edges: what a portrait before a wall offers."""
    down, across = np.mgrid[:height, :width] / 384
    shading = 0.45 + 0.25 * np.sin(2.1 * across + 0.7) * np.cos(1.7 * down)
    shading = np.where((across - 0.5) ** 2 + (down - 0.6) ** 2 < 0.04, shading * 0.6, shading)
    shading = np.where(abs(across - 0.85) < 0.03, 0.75, shading)
    tints = np.array([1.0, 0.92, 0.8, 0.9])[:channels]
    return np.asarray(shading[..., None] * tints, np.float32)


def blurred(noise: Array, radius: float) -> Array:
    """Gaussian blur in the frequency domain, brought back to unit variance."""
    down, across = (np.fft.fftfreq(extent) for extent in noise.shape[:2])
    fall = np.exp(-2 * (np.pi * radius) ** 2 * (down[:, None] ** 2 + across**2))[..., None]
    field = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * fall, axes=(0, 1)).real
    return np.asarray(field / field.std())


def sigma_255(pixels: Array) -> float:
    return measure_array(np.asarray(pixels, np.float32)).sigma * 255


class MemoryPage(Page):
    """A page whose samples are at hand, and that notes what is read."""

    def __init__(self, samples: Array, layout: Layout) -> None:
        self.samples = samples
        self.layout = layout
        self.bands: list[tuple[int, int]] = []

    def read(self, top: int, bottom: int) -> Array:
        self.bands.append((top, bottom))
        return self.samples[top:bottom]


def page_of(samples: Array, bits: int = 8, **layout: object) -> MemoryPage:
    height, width, channels = samples.shape
    plain = Layout(height, width, channels, "grey" if channels < 3 else "rgb", samples.dtype, bits)
    return MemoryPage(samples, plain.replace(**layout))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [1, 2, 5, 10, 25, 50])
def test_white_noise_is_measured_within_8_percent(rng: Generator, sigma: int, channels: int) -> None:
    clean = scene(channels=channels)
    noisy = as_8_bit(clean + rng.standard_normal(clean.shape) * sigma / 255)

    found = measure_array(noisy)

    assert found.sigma * 255 == pytest.approx(sigma, rel=0.08)
    assert found.correlation < 0.08


@pytest.mark.parametrize("radius", [0.4, 0.7, 1.0, 1.6])
def test_blurred_grain_is_measured_with_its_correlation(rng: Generator, radius: float) -> None:
    clean = scene()
    grain = blurred(rng.standard_normal(clean.shape), radius)

    found = measure_array(as_8_bit(clean + grain * 12 / 255))

    assert found.sigma * 255 == pytest.approx(12, rel=0.15)
    assert found.correlation == pytest.approx((grain[1:] * grain[:-1]).mean(), abs=0.06)


def test_noise_that_grows_with_tone_gives_a_rising_curve(rng: Generator) -> None:
    ramp = np.broadcast_to(np.linspace(0.15, 0.8, 512)[None, :, None], (512, 512, 3))
    noisy = as_8_bit(ramp + rng.standard_normal(ramp.shape) * np.sqrt(0.003 * ramp))

    found = measure_array(noisy)

    tones, sigmas = zip(*found.curve, strict=True)
    assert 2 <= len(tones) <= 8
    assert all(before < after for before, after in pairwise(tones))
    assert sigmas == pytest.approx(np.sqrt(0.003 * np.array(tones)), rel=0.12)


def test_more_noise_measures_as_more(rng: Generator) -> None:
    clean, drawn = scene(), rng.standard_normal(scene().shape)

    found = [sigma_255(as_8_bit(clean + drawn * sigma / 255)) for sigma in (0, 1, 2, 4, 8, 16, 32, 60)]

    assert all(before < after for before, after in pairwise(found))


def test_twice_the_contrast_has_twice_the_noise(rng: Generator) -> None:
    noisy = 0.5 + 0.3 * (scene() - 0.5) + rng.standard_normal(scene().shape) * 0.01

    assert sigma_255(0.5 + 2 * (noisy - 0.5)) == pytest.approx(2 * sigma_255(noisy), rel=0.03)


def test_turning_a_picture_changes_nothing_but_rounding(rng: Generator) -> None:
    noisy = as_8_bit(scene(256, 256) + rng.standard_normal((256, 256, 3)) * 0.03)

    assert sigma_255(np.swapaxes(noisy, 0, 1)) == pytest.approx(sigma_255(noisy), rel=1e-3)


def test_grey_noise_has_no_chroma_and_independent_noise_has_one(rng: Generator) -> None:
    grey, independent = rng.standard_normal((384, 384, 1)), rng.standard_normal((384, 384, 3))

    assert measure_array(as_8_bit(scene() + grey * 0.03)).chroma < 0.1
    assert measure_array(as_8_bit(scene() + independent * 0.03)).chroma == pytest.approx(1.0, abs=0.1)
    assert measure_array(as_8_bit(scene(channels=1) + grey * 0.03)).chroma == 0.0


def test_rounding_to_8_bit_is_no_noise() -> None:
    assert sigma_255(as_8_bit(scene())) < 0.3


def test_16_bit_noise_below_an_8_bit_step_is_still_measured(rng: Generator) -> None:
    noisy = scene() + rng.standard_normal(scene().shape) * 0.3 / 255

    assert sigma_255(noisy) == pytest.approx(0.3, rel=0.25)


def test_clipped_sky_does_not_pull_the_noise_down(rng: Generator) -> None:
    sky = 0.7 + 0.0012 * np.arange(512)[:, None, None] + rng.standard_normal((512, 512, 3)) * 6 / 255

    assert sigma_255(as_8_bit(sky)) == pytest.approx(6, rel=0.08)


def test_a_constant_border_does_not_count(rng: Generator) -> None:
    framed = np.full((640, 640, 3), 0.97)
    framed[140:500, 140:500] = scene(360, 360) + rng.standard_normal((360, 360, 3)) * 8 / 255

    assert sigma_255(as_8_bit(framed)) == pytest.approx(8, rel=0.08)


def test_fully_transparent_pixels_do_not_count(rng: Generator) -> None:
    samples = np.rint(np.clip(scene() + rng.standard_normal(scene().shape) * 5 / 255, 0, 1) * 255)
    rgba = np.concatenate([samples, np.full((384, 384, 1), 255)], 2).astype(np.uint8)
    rgba[:, :192] = (rng.integers(60, 200, (384, 192, 4)) * [1, 1, 1, 0]).astype(np.uint8)

    found = measure(page_of(rgba, color="rgb", alpha="straight")).noise

    assert found.sigma * 255 == pytest.approx(5, rel=0.1)


def test_flat_graphics_measure_as_clean(rng: Generator) -> None:
    picture = np.full((600, 600, 3), 0.9)
    for _ in range(60):
        top, left = rng.integers(0, 500, 2)
        picture[top : top + rng.integers(10, 100), left : left + rng.integers(10, 100)] = rng.random(3)

    assert sigma_255(as_8_bit(picture)) < 0.5


def test_print_on_paper_without_noise_measures_as_clean(rng: Generator) -> None:
    letters = np.kron(rng.random((60, 90, 1)) < 0.3, np.ones((6, 3, 1)))
    lines = np.pad(letters.reshape(30, 12, 270, 1), ((0, 0), (0, 8), (30, 30), (0, 0))).reshape(600, 330, 1)

    assert sigma_255(as_8_bit(0.93 - 0.8 * lines)) < 0.5


@pytest.mark.parametrize("angle", [0.1, 0.35, 0.6])
@pytest.mark.parametrize("frequency", [0.5, 0.9, 1.3])
def test_a_halftone_screen_is_no_noise(angle: float, frequency: float) -> None:
    down, across = np.mgrid[:512, :512]
    u = frequency * (np.cos(angle) * across + np.sin(angle) * down)
    v = frequency * (np.cos(angle) * down - np.sin(angle) * across)
    printed = 0.5 + 0.2 * np.sin(across / 90) + 0.25 * np.sin(u) * np.sin(v)

    assert sigma_255(as_8_bit(printed[..., None])) < 3


def test_edges_everywhere_are_no_noise() -> None:
    down, across = np.mgrid[:512, :512]
    bricks = np.where((down % 24 < 3) | ((across + 20 * (down // 24 % 2)) % 40 < 3), 0.7, 0.45)
    bricks = bricks + 0.1 * np.sin(across / 9.0) * np.sin(down / 7.0)

    assert sigma_255(as_8_bit(bricks[..., None])) < 2


def test_a_photograph_keeps_its_measure_in_spite_of_its_texture(rng: Generator) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image ships the photographs")
    for photograph in (data.astronaut(), data.coffee()):
        clean = photograph / 255

        clean_sigma = sigma_255(as_8_bit(clean))
        noisy_sigma = sigma_255(as_8_bit(clean + rng.standard_normal(clean.shape) * 10 / 255))

        assert clean_sigma < 2
        assert noisy_sigma == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_saturated_page_cannot_be_judged(value: float) -> None:
    found = measure_array(np.full((200, 200, 3), value, np.float32))

    assert found == NoiseFacts(sigma=0.0, curve=(), correlation=0.0, chroma=0.0, windows=0)


def test_a_constant_page_has_no_noise() -> None:
    found = measure_array(np.full((200, 200, 1), 0.5, np.float32))

    assert found.sigma == 0
    assert found.windows > 0


@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 1, 1), (7, 3, 3), (1, 900, 3), (900, 1, 1), (15, 400, 3)])
def test_a_picture_without_a_single_window_cannot_be_judged(shape: tuple[int, int, int]) -> None:
    assert measure_array(np.full(shape, 0.4, np.float32)).windows == 0


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    channels=st.sampled_from([1, 2, 3, 4]),
    kind=st.sampled_from(["noise", "bilevel", "constant", "nan", "huge", "ramp"]),
    seed=st.integers(0, 9),
)
def test_any_picture_gives_finite_facts(height: int, width: int, channels: int, kind: str, seed: int) -> None:
    random = np.random.default_rng(seed).standard_normal((height, width, channels))
    pixels = {
        "noise": 0.5 + random / 9,
        "bilevel": random > 0,
        "constant": np.full(random.shape, 0.3),
        "nan": np.where(random > 2, np.nan, 0.5 + random / 50),
        "huge": random * 1e30,
        "ramp": np.linspace(0, 1, random.size).reshape(random.shape),
    }[kind]

    found = measure_array(np.asarray(pixels, np.float32))

    assert np.isfinite([found.sigma, found.correlation, found.chroma, *np.ravel(found.curve)]).all()
    assert found.sigma >= 0
    assert 0 <= found.correlation < 1
    assert len(found.curve) <= 8


def test_a_page_measures_as_its_array(rng: Generator) -> None:
    noisy = as_8_bit(scene() + rng.standard_normal(scene().shape) * 7 / 255)

    facts = measure(page_of(np.rint(noisy * 255).astype(np.uint8)))

    assert facts.noise.sigma == pytest.approx(measure_array(noisy).sigma, rel=1e-3)
    assert (facts.height, facts.width, facts.bits, facts.grey) == (384, 384, 8, False)


def test_a_large_page_is_read_in_few_bands_from_top_to_bottom(rng: Generator) -> None:
    tile = np.rint(120 + rng.standard_normal((500, 500, 1)) * 6).astype(np.uint8)
    page = page_of(np.tile(tile, (8, 10, 1)))

    facts = measure(page, windows=9000)

    assert facts.noise.sigma * 255 == pytest.approx(6, rel=0.05)
    assert facts.noise.windows <= 9000
    assert sum(bottom - top for top, bottom in page.bands) < 1200
    assert page.bands == sorted(page.bands)
    assert page.bands[-1][0] > 3000


def test_a_linear_page_is_measured_on_the_display_curve(rng: Generator) -> None:
    display = scene() * 0.8 + 0.1 + rng.standard_normal(scene().shape) * 5 / 255
    linear = np.where(display <= 0.04045, display / 12.92, ((display + 0.055) / 1.055) ** 2.4)
    samples = np.rint(np.clip(linear, 0, 1) * 65535).astype(np.uint16)

    facts = measure(page_of(samples, bits=16, transfer="linear"))

    assert facts.noise.sigma * 255 == pytest.approx(5, rel=0.08)


def test_facts_become_json() -> None:
    noise = NoiseFacts(sigma=0.02, curve=((0.2, 0.01), (0.8, 0.03)), correlation=0.4, chroma=0.5, windows=99)
    facts = Facts(height=3, width=4, bits=16, grey=True, noise=noise)

    parsed = json.loads(json.dumps(facts.to_dict()))

    assert parsed["noise"]["curve"] == [[0.2, 0.01], [0.8, 0.03]]
    assert parsed["height"] == 3
    assert parsed["jpeg"] is None


@pytest.mark.parametrize("dof", [1, 2, 5, 14, 63, 400])
def test_steepness_is_the_mean_of_a_chi_square_below_its_own_mean(rng: Generator, dof: int) -> None:
    drawn = rng.chisquare(dof, 200_000) / dof

    assert floor.steepness(float(dof)) == pytest.approx(drawn[drawn < 1].mean(), abs=0.005)


def test_the_lower_edge_is_found_beneath_windows_of_texture(rng: Generator) -> None:
    flat = 3.0 * rng.chisquare(50, 1500) / 50
    textured = 3.0 * rng.chisquare(50, 3000) / 50 + 30 * rng.random(3000)

    found = floor.find(np.concatenate([flat, textured]).astype(np.float32), 50)

    assert found.level == pytest.approx(3.0, rel=0.1)
    assert found.share < 0.3


def test_energies_without_an_edge_have_a_small_share(rng: Generator) -> None:
    texture = np.exp(2 * rng.standard_normal(4000)).astype(np.float32)

    assert floor.find(texture, 50).share < 0.05


def test_clipped_windows_have_their_energy_corrected(rng: Generator) -> None:
    noisy = np.clip(0.15 + 0.1 * rng.standard_normal((400, 400, 1)), 0, 1).astype(np.float32)

    cut = patches.cut(noisy, 16, 0)

    assert cut.energy.mean((0, 1))[2:] == pytest.approx(np.full(6, 0.01), rel=0.06)


@given(height=st.integers(1, 9000), width=st.integers(1, 9000), windows=st.integers(300, 30_000))
def test_sites_lie_in_the_page_and_stay_within_bounds(height: int, width: int, windows: int) -> None:
    bands = list(sampling.sites(height, width, windows))

    assert all(0 <= top < bottom <= height for top, bottom, _ in bands)
    assert all(0 <= left < right <= width for _, _, spans in bands for left, right in spans)
    area = sum((bottom - top) * (right - left) for top, bottom, spans in bands for left, right in spans)
    assert area <= 1.2 * max(windows / 225, 1) * 128**2 + 400 * (height + width)


def test_grain_and_scanner_noise_together_are_measured_within_the_error_that_is_stated() -> None:
    pytest.importorskip("skimage.data", reason="scikit-image ships the photograph")
    ageing = runpy.run_path(str(Path(__file__).parents[2] / "install" / "ageing.py"))
    aged = ageing["age"](ageing["portrait"]())
    scan = (aged.scan / 65535).astype(np.float32)
    noise = aged.scan / 65535 - aged.print

    facts = measure_array(scan)

    assert abs(np.log(facts.sigma / noise.std())) < 1.5 * facts.error
    assert facts.error < 0.5
    assert facts.correlation == pytest.approx(0.52, abs=0.2)


def test_the_stated_error_grows_with_the_doubt(rng: Generator) -> None:
    wall = as_8_bit(scene() + rng.standard_normal(scene().shape) * 10 / 255)
    fabric = as_8_bit(0.5 + 0.1 * blurred(rng.standard_normal((384, 384, 1)) ** 3, 0.8) * np.ones(3))

    assert measure_array(wall).error < 0.1
    assert measure_array(fabric).error > 2 * measure_array(wall).error
