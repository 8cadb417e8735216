"""Blur in whole files: a person's own small network, of random weights, undoes it where a profile says so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scanmend import pipeline, places, profile, xmp
from scanmend.cli import words
from scanmend.image import Array
from scanmend.importing import import_file
from scanmend.pipeline import Options
from scanmend.profile import Profile
from scanmend.report import sidecar_path
from scanmend_models.mimo_unet import published

from tests.core.test_pipeline import photograph

CPU = Options(device="cpu", backend="torch")
GENTLE = profile.load("gentle")


@pytest.fixture(scope="module", autouse=True)
def mine(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The model `mine`, in a home of the tests' own."""
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(5)
    state = published.build(1).state_dict()
    torch.save({"model": state}, home / "mine.pkl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "data_folder", lambda: home)
        import_file(home / "mine.pkl", "mine")
        yield


def wished(*settings: str) -> Profile:
    return profile.apply_settings(GENTLE, ["quality=fast", "blur.model=mine", *settings])


def samples(path: Path) -> Array:
    with Image.open(path) as picture:
        return np.asarray(picture)


def rendered(pixels: Array, wanted: Profile, region: tuple[int, int, int, int] | None = None) -> Array:
    _x, _y, width, height = region or (0, 0, pixels.shape[1], pixels.shape[0])
    result = np.empty((height, width, *pixels.shape[2:]), pixels.dtype)
    pipeline.render_pixels(pixels, result, wanted, region=region, options=CPU)
    return result


def test_the_sidecar_and_the_xmp_tell_of_noise_and_of_blur(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png")

    report = pipeline.restore_file(
        tmp_path / "a.png", tmp_path / "b.png", wished("blur.strength=0.5", "blur.kind=motion"), options=CPU
    )

    noise, blur = json.loads(sidecar_path(tmp_path / "b.png").read_bytes())["pages"][0]["plan"]["steps"]
    assert (noise["stage"], blur["stage"]) == ("noise", "blur")
    assert (blur["model"], blur["strength"], blur["psf"]) == ("mine", 0.5, None)
    assert set(report.models) == {noise["model"], "mine"}
    with Image.open(tmp_path / "b.png") as result:
        packet = result.info["XML:com.adobe.xmp"]
    told = xmp.read(packet.encode() if isinstance(packet, str) else packet)
    assert "; page 1: blur by mine at strength 0.500" in told["Steps"]
    assert len(told["MeasuredNoise"].split(";")) == 1
    assert told["MeasuredBlur"] == "" or told["MeasuredBlur"].startswith("page 1: ")


def test_at_strength_0_the_scan_is_copied_byte_for_byte(tmp_path: Path) -> None:
    Image.fromarray(photograph(noise=0)).save(tmp_path / "a.png")

    report = pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", wished(), options=CPU)

    assert report.unchanged
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()


def test_next_to_no_strength_gives_next_to_the_result_without() -> None:
    pixels = photograph(96, 112)

    without = rendered(pixels, wished()).astype(int)
    hardly = rendered(pixels, wished("blur.strength=0.001")).astype(int)

    assert np.abs(hardly - without).max() <= 1


def test_a_grey_scan_comes_back_grey_with_one_channel() -> None:
    grey = photograph(96, 112)[..., 0]

    result = rendered(grey, wished("blur.strength=1"))

    assert result.shape == grey.shape
    assert np.abs(result.astype(int) - rendered(grey, wished())).max() > 1


def test_a_region_is_what_the_whole_picture_has_there() -> None:
    pixels = photograph(320, 400)
    wanted = wished("blur.strength=1")

    whole, part = rendered(pixels, wanted), rendered(pixels, wanted, (120, 40, 90, 60))

    assert np.abs(whole[40:100, 120:210].astype(int) - part).max() <= 1


def test_a_picture_in_bands_is_the_picture_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photograph(400, 80)
    wanted = wished("blur.strength=1")

    whole = rendered(pixels, wanted)
    monkeypatch.setattr(pipeline, "_BAND_BYTES", 1)
    banded = rendered(pixels, wanted)

    assert np.abs(banded.astype(int) - whole).max() <= 1


def test_inspecting_shows_what_would_be_undone_and_by_what(tmp_path: Path) -> None:
    Image.fromarray(photograph()).save(tmp_path / "a.png")

    (page,) = pipeline.inspect_file(
        tmp_path / "a.png", wished("blur.strength=0.5", "blur.kind=defocus", "blur.radius=2.5")
    ).pages

    assert "blur" in page
    assert page["plan"][1] == "blur: mine at strength 0.50 for defocus of 2.5 pixels"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("noise.strength=1", "blur.strength=0.4"), "restored at strength 1.0, 0.4 for blur;"),
        (("noise.strength=off", "blur.strength=0.4"), "restored at strength 0.4 for blur;"),
    ],
)
def test_a_line_tells_noise_from_blur_and_not_what_only_made_way(
    tmp_path: Path, settings: tuple[str, ...], told: str
) -> None:
    Image.fromarray(photograph(64, 64)).save(tmp_path / "a.png")

    report = pipeline.restore_file(tmp_path / "a.png", tmp_path / "b.png", wished(*settings), options=CPU)

    assert told in words.done(report)
    assert len(report.pages[0].plan.steps) == 2
