"""Whole files through the whole pipeline, with the shipped network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scanmend
import tifffile
from PIL import Image
from scanmend import pipeline, profile
from scanmend.errors import Cancelled, FormatError, TargetExists, UnsupportedFormat, UsageError
from scanmend.formats.base import Limits
from scanmend.image import Array
from scanmend.pipeline import Options, Progress
from scanmend.report import sidecar_path

CPU = Options(device="cpu", backend="torch")
STRONG = profile.load("strong")
GENTLE = profile.load("gentle")


def photograph(height: int = 160, width: int = 208, *, noise: float = 12.0, seed: int = 3) -> Array:
    """A shaded scene with a few edges, 8-bit RGB, with white noise: (H, W, 3)."""
    rows, columns = np.mgrid[:height, :width].astype(float)
    tone = 120 + 60 * np.sin(columns / 47) * np.cos(rows / 61) + 25 * ((rows + columns) // 60 % 2)
    color = np.stack((tone, tone * 0.9 + 10, tone * 0.8 + 20), axis=2)
    color += np.random.default_rng(seed).normal(0, noise, color.shape)
    return np.clip(np.rint(color), 0, 255).astype(np.uint8)


def wide(pixels: Array) -> Array:
    return pixels.astype(np.uint16) * 257


def error_of(pixels: Array, clean: Array) -> float:
    return float(np.sqrt(np.mean((pixels.astype(float) - clean) ** 2)))


def test_a_noisy_48_bit_scan_is_restored_and_keeps_all_that_surrounds_its_pixels(tmp_path: Path) -> None:
    scan, result = tmp_path / "scan.tif", tmp_path / "result.tif"
    clean, noisy = wide(photograph(noise=0)), wide(photograph())
    tags = [(315, "s", 0, "A. Photographer", True), (65001, "B", 5, b"\x01\x02\x03\x04\x05", True)]
    tifffile.imwrite(
        scan, noisy, photometric="rgb", compression="lzw", predictor=True, resolution=(600, 600),
        resolutionunit=2, extratags=tags, metadata=None,
    )  # fmt: skip

    report = pipeline.restore_file(scan, result, STRONG, options=CPU)

    with tifffile.TiffFile(result) as file:
        page = file.pages.first
        restored = page.asarray()
        assert page.tags[315].value == "A. Photographer"
        assert page.tags[65001].value == b"\x01\x02\x03\x04\x05"
        assert page.tags["XResolution"].value == (600, 1)
        assert b"algorithmicallyEnhanced" in page.tags[700].value
    assert restored.dtype == np.uint16
    assert error_of(restored, clean) < 0.6 * error_of(noisy, clean)
    assert not report.unchanged
    assert report.megapixels == pytest.approx(0.033, abs=1e-3)


def test_the_mean_tone_stays(tmp_path: Path) -> None:
    noisy = photograph()
    Image.fromarray(noisy).save(tmp_path / "a.png")

    pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=CPU)

    with Image.open(tmp_path / "b.png") as result:
        assert np.abs(np.asarray(result).mean((0, 1)) - noisy.mean((0, 1))).max() < 0.5


def test_a_scan_that_needs_nothing_is_copied_byte_for_byte(tmp_path: Path) -> None:
    Image.fromarray(photograph(noise=0)).save(tmp_path / "clean.png")

    report = pipeline.restore_file(tmp_path / "clean.png", tmp_path / "out.png", GENTLE, options=CPU)

    assert report.unchanged
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "clean.png").read_bytes()
    assert report.device == ""


@pytest.mark.parametrize("suffix", ["tif", "png", "jpg", "webp", "bmp"])
def test_with_all_stages_off_every_format_comes_back_byte_for_byte(tmp_path: Path, suffix: str) -> None:
    scan = tmp_path / f"scan.{suffix}"
    Image.fromarray(photograph()).save(scan)
    off = profile.apply_settings(GENTLE, ["noise.strength=off", "jpeg.strength=off"])

    pipeline.restore_file(scan, tmp_path / f"out.{suffix}", off, options=CPU)

    assert (tmp_path / f"out.{suffix}").read_bytes() == scan.read_bytes()


def test_the_sidecar_says_what_was_done_and_to_what(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png")

    report = pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=CPU)

    slip = json.loads(sidecar_path(tmp_path / "b.png").read_bytes())
    step = slip["pages"][0]["plan"]["steps"][0]
    assert slip["source"] == "a.png"
    assert slip["source_sha256"] == report.source_sha256
    assert (step["stage"], step["strength"]) == ("noise", 1.0)
    assert slip["models"] == report.models
    assert slip["device"].endswith("(torch)")
    assert 8 < slip["pages"][0]["facts"]["noise"]["sigma"] * 255 < 16


def test_a_grey_scan_comes_back_grey_with_one_channel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", wide(photograph()[..., 0]), photometric="minisblack")

    pipeline.restore_file(tmp_path / "a.tif", tmp_path / "b.tif", STRONG, options=CPU)

    assert tifffile.imread(tmp_path / "b.tif").shape == (160, 208)


def test_a_grey_picture_stored_as_rgb_stays_neutral(tmp_path: Path) -> None:
    grey = photograph()[..., :1].repeat(3, axis=2)
    Image.fromarray(grey).save(tmp_path / "a.png")

    pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=CPU)

    with Image.open(tmp_path / "b.png") as image:
        result = np.asarray(image)
    assert (result != grey).any()
    np.testing.assert_array_equal(result[..., 0], result[..., 1])
    np.testing.assert_array_equal(result[..., 0], result[..., 2])


def test_alpha_and_what_lies_under_transparency_are_untouched(tmp_path: Path) -> None:
    rgba = np.dstack((photograph(), np.full((160, 208), 255, np.uint8)))
    rgba[20:60, 20:90, 3] = 0
    rgba[20:60, 20:90, :3] = (255, 0, 255)
    Image.fromarray(rgba).save(tmp_path / "a.png")

    pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=CPU)

    with Image.open(tmp_path / "b.png") as image:
        result = np.asarray(image)
    np.testing.assert_array_equal(result[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(result[20:60, 20:90], rgba[20:60, 20:90])
    rim = np.abs(result[61:66, 20:90, 1].astype(float) - photograph(noise=0)[61:66, 20:90, 1])
    assert rim.mean() < 8  # magenta did not bleed out of the hole


def test_each_page_of_a_feeder_scan_is_judged_on_its_own(tmp_path: Path) -> None:
    clean, noisy = photograph(noise=0), photograph()
    tifffile.imwrite(tmp_path / "a.tif", np.stack((clean, noisy)), photometric="rgb")

    report = pipeline.restore_file(
        tmp_path / "a.tif", tmp_path / "b.tif", profile.load("documents"), options=CPU
    )

    result = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_array_equal(result[0], clean)
    assert (result[1] != noisy).any()
    assert [bool(page.plan.steps) for page in report.pages] == [False, True]


def test_bands_leave_no_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photograph(600, 240).astype(np.float32) / 255
    whole, _ = scanmend.restore(pixels, "strong", options=CPU)
    monkeypatch.setattr(pipeline, "_BAND_BYTES", 240 * 3 * 4 * 160)

    banded, _ = scanmend.restore(pixels, "strong", options=CPU)

    assert np.abs(banded - whole).max() * 255 < 0.5


@pytest.mark.parametrize(
    ("settings", "suffix", "dtype"),
    [
        (["output.format=tiff", "output.depth=16"], ".tif", np.uint16),
        (["output.format=png"], ".png", np.uint8),
        (["output.format=jpeg"], ".jpg", np.uint8),
        (["output.depth=16"], ".png", np.uint16),
    ],
)
def test_output_format_and_depth_are_what_the_profile_asks(
    tmp_path: Path, settings: list[str], suffix: str, dtype: Any
) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png", dpi=(300, 300))
    wanted = profile.apply_settings(STRONG, settings)
    target = pipeline.target_for(tmp_path / "a.png", tmp_path / "out", wanted)
    target.parent.mkdir()

    pipeline.restore_file(tmp_path / "a.png", target, wanted, options=CPU)

    inspected = pipeline.inspect_file(target, GENTLE).pages[0]
    assert target.name == f"a_restored{suffix}"
    assert inspected["sample"] == np.dtype(dtype).name
    assert inspected["dpi"] == [300, 300]


def test_a_48_bit_scan_sent_to_jpeg_says_what_it_lost(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", wide(photograph()), photometric="rgb")
    wanted = profile.apply_settings(STRONG, ["output.format=jpeg"])

    report = pipeline.restore_file(tmp_path / "a.tif", tmp_path / "b.jpg", wanted, options=CPU)

    assert any("8 bits" in note for note in report.notes)


def test_a_cmyk_picture_is_refused_with_what_to_do_and_nothing_is_left(tmp_path: Path) -> None:
    Image.fromarray(photograph()).convert("CMYK").save(tmp_path / "a.jpg")

    with pytest.raises(UnsupportedFormat, match="CMYK"):
        pipeline.restore_file(tmp_path / "a.jpg", tmp_path / "b.jpg", STRONG, options=CPU)

    assert [file.name for file in tmp_path.iterdir()] == ["a.jpg"]


def test_a_bilevel_fax_needs_nothing_and_is_kept_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(photograph()).convert("1").save(tmp_path / "a.tif", compression="group4")

    report = pipeline.restore_file(tmp_path / "a.tif", tmp_path / "b.tif", STRONG, options=CPU)

    assert report.unchanged
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "a.tif").read_bytes()


def test_an_existing_result_stays_unless_overwriting_is_allowed(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"older")

    with pytest.raises(TargetExists):
        pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=CPU)

    assert (tmp_path / "b.png").read_bytes() == b"older"
    pipeline.restore_file(
        tmp_path / "a.png", tmp_path / "b.png", STRONG, options=replace(CPU, overwrite=True)
    )
    assert (tmp_path / "b.png").read_bytes() != b"older"


def test_a_stop_request_is_heard_between_tiles_and_leaves_nothing(tmp_path: Path) -> None:
    Image.fromarray(photograph(700, 900)).save(tmp_path / "a.png")
    seen: list[Progress] = []

    with pytest.raises(Cancelled):
        pipeline.restore_file(
            tmp_path / "a.png", tmp_path / "b.png", STRONG,
            options=CPU, progress=seen.append, cancel=lambda: len(seen) >= 1,
        )  # fmt: skip

    assert len(seen) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_progress_rises_to_the_whole_picture(tmp_path: Path) -> None:
    Image.fromarray(photograph(700, 900)).save(tmp_path / "a.png")
    seen: list[Progress] = []

    pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=CPU, progress=seen.append)

    done = [item.done for item in seen]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(0.63, abs=1e-3)


def test_a_picture_over_the_limits_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png")
    options = replace(CPU, limits=Limits(megapixels=0.01))

    with pytest.raises(FormatError, match="megapixel"):
        pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", STRONG, options=options)


def test_the_source_is_never_its_own_target(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    with pytest.raises(scanmend.errors.PublishError, match="the scan itself"):
        pipeline.restore_file(
            tmp_path / "a.png", tmp_path / "a.png", STRONG, options=replace(CPU, overwrite=True)
        )

    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_array_comes_back_in_its_own_shape_and_type(dtype: Any) -> None:
    pixels = photograph(64, 80)
    given = pixels if dtype == np.uint8 else wide(pixels) if dtype == np.uint16 else pixels / np.float32(255)

    result, report = scanmend.restore(given, "strong", options=CPU)

    assert (result.shape, result.dtype) == (given.shape, np.dtype(dtype))
    assert report.plan.steps


def test_an_array_that_is_no_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="no picture"):
        scanmend.restore(np.zeros((4, 4, 2), np.uint8))


# --- JPEG and screens --------------------------------------------------------------------


def test_what_was_a_jpeg_once_comes_back_nearer_to_what_it_was(tmp_path: Path) -> None:
    clean = photograph(256, 320, noise=0)
    Image.fromarray(clean).save(tmp_path / "poor.jpg", quality=25)
    with Image.open(tmp_path / "poor.jpg") as poor:
        blocky = np.asarray(poor)
    Image.fromarray(blocky).save(tmp_path / "a.png")
    wanted = profile.apply_settings(GENTLE, ["noise.strength=off"])

    report = pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", wanted, options=CPU)

    (step,) = report.pages[0].plan.steps
    assert (step.stage, step.strength) == ("jpeg", 1.0)
    with Image.open(tmp_path / "b.png") as result:
        assert error_of(np.asarray(result), clean) < 0.9 * error_of(blocky, clean)


def test_a_clean_jpeg_of_quality_95_is_copied_byte_for_byte(tmp_path: Path) -> None:
    Image.fromarray(photograph(noise=0)).save(tmp_path / "a.jpg", quality=95)

    pipeline.restore_file(tmp_path / "a.jpg", tmp_path / "b.jpg", GENTLE, options=CPU)

    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_the_sidecar_and_the_xmp_tell_of_noise_and_of_jpeg(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.jpg", quality=60)

    report = pipeline.restore_file(tmp_path / "a.jpg", tmp_path / "b.jpg", STRONG, options=CPU)

    slip = json.loads(sidecar_path(tmp_path / "b.jpg").read_bytes())
    (step,) = slip["pages"][0]["plan"]["steps"]
    assert [part["stage"] for part in step["parts"]] == ["noise", "jpeg"]
    assert slip["pages"][0]["facts"]["jpeg"]["quality"] == 60
    assert "jpeg by grain-" in report.xmp_properties()["Steps"]


def test_a_print_with_a_screen_is_left_as_it_is(tmp_path: Path) -> None:
    down, across = np.mgrid[:400, :400] / 5
    dots = 120 + 70 * np.tanh(3 * (np.cos(2 * np.pi * (across + down) / 2) + np.cos(np.pi * (across - down))))
    Image.fromarray(dots.astype(np.uint8)).save(tmp_path / "a.jpg", quality=50)

    report = pipeline.restore_file(tmp_path / "a.jpg", tmp_path / "b.jpg", GENTLE, options=CPU)

    assert report.pages[0].facts
    assert report.pages[0].facts.screen
    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_inspecting_says_what_jpeg_left_and_on_which_grid(tmp_path: Path) -> None:
    Image.fromarray(photograph(256, 320)).save(tmp_path / "a.jpg", quality=60)
    with Image.open(tmp_path / "a.jpg") as decoded:
        decoded.crop((3, 5, 320, 256)).save(tmp_path / "a.png")

    (page,) = pipeline.inspect_file(tmp_path / "a.png", GENTLE).pages

    assert page["jpeg"]["quality"] == 60
    assert page["jpeg"]["grid"] == [3, 5]
    assert page["screen"] is None
