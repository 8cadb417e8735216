import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend.image import (
    Array,
    Layout,
    apply_change,
    change_depth,
    decode_srgb,
    encode_srgb,
    to_float,
)

RGB8 = Layout(5, 7, 3, "rgb", np.dtype(np.uint8), 8)
RGB16 = Layout(5, 7, 3, "rgb", np.dtype(np.uint16), 16)
GREY12 = Layout(5, 7, 1, "grey", np.dtype(np.uint16), 12)
FLOAT = Layout(5, 7, 3, "rgb", np.dtype(np.float32), 32)
RGBA16 = RGB16.replace(channels=4, alpha="straight")
PREMULTIPLIED = RGB16.replace(channels=4, alpha="premultiplied")
LINEAR16 = RGB16.replace(transfer="linear")
LAYOUTS = [RGB8, RGB16, GREY12, FLOAT, RGBA16, PREMULTIPLIED, LINEAR16]


def samples(layout: Layout, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    shape = (layout.height, layout.width, layout.channels)
    if layout.dtype.kind == "f":
        return rng.uniform(-0.2, 1.3, shape).astype(layout.dtype)
    band = rng.integers(0, int(layout.white) + 1, shape).astype(layout.dtype)
    if layout.alpha != "none":
        band[..., -1] = int(layout.white)
        band[1:3, 1:4, -1] = 0
    return band


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_picture_that_did_not_change_gets_its_own_samples_back_exactly(layout: Layout) -> None:
    band = samples(layout)
    before = to_float(band, layout)

    back = apply_change(band, layout, layout, before, before.copy())

    np.testing.assert_array_equal(back, band)


@given(st.integers(0, 1000))
def test_a_change_lands_within_half_a_step_of_what_was_restored(seed: int) -> None:
    band = samples(RGB16, seed)
    before = to_float(band, RGB16)
    after = np.random.default_rng(seed).uniform(0, 1, before.shape).astype(np.float32)

    back = apply_change(band, RGB16, RGB16, before, after)

    assert np.abs(back / 65535 - after).max() < 1.0 / 65535


def test_colour_under_fully_transparent_pixels_stays_and_does_not_reach_the_networks() -> None:
    band = samples(RGBA16)
    band[..., :3] = 20000
    band[1:3, 1:4, :3] = 65535  # what lies under alpha 0

    before = to_float(band, RGBA16)
    back = apply_change(band, RGBA16, RGBA16, before, before * np.float32(0.5))

    np.testing.assert_allclose(before, 20000 / 65535, atol=1e-5)
    np.testing.assert_array_equal(back[1:3, 1:4], band[1:3, 1:4])
    assert back[0, 0, 0] == 10000


def test_premultiplied_colour_is_seen_as_the_eye_sees_it() -> None:
    band = np.zeros((5, 7, 4), np.uint16)
    band[..., :3], band[..., 3] = 16384, 32768

    before = to_float(band, PREMULTIPLIED)

    np.testing.assert_allclose(before, 0.5, atol=1e-4)


def test_a_picture_that_is_fully_transparent_is_left_alone() -> None:
    band = np.zeros((5, 7, 4), np.uint16)

    before = to_float(band, RGBA16)

    assert np.isfinite(before).all()
    np.testing.assert_array_equal(apply_change(band, RGBA16, RGBA16, before, before + 1), band)


def test_floats_outside_the_range_keep_their_headroom_and_nan_stays_nan() -> None:
    band = np.full((5, 7, 3), 1.25, np.float32)
    band[0, 0, 0] = np.nan

    before = to_float(band, FLOAT)
    back = apply_change(band, FLOAT, FLOAT, before, before - np.float32(0.1))

    assert before.max() == 1.0
    np.testing.assert_allclose(back[1:], 1.15, atol=1e-6)
    assert np.isnan(back[0, 0, 0])


def test_white_stays_white_when_the_depth_changes() -> None:
    band = np.array([[[0, 128, 255]]], np.uint8)

    wider = change_depth(band, RGB8, RGB16)

    np.testing.assert_array_equal(wider, [[[0, 128 * 257, 65535]]])
    np.testing.assert_array_equal(change_depth(wider, RGB16, RGB8), band)


def test_the_srgb_curve_and_its_inverse_agree() -> None:
    ramp = np.linspace(0, 1, 1001, dtype=np.float32)

    np.testing.assert_allclose(decode_srgb(encode_srgb(ramp)), ramp, atol=2e-6)
    assert encode_srgb(np.float32([0.2140411]))[0] == pytest.approx(0.5, abs=1e-4)
