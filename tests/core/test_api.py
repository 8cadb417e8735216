"""What `import scanmend` offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
import scanmend
from PIL import Image
from scanmend import errors

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = {
    *("restore", "inspect", "__version__"),
    *("Inspection", "Limits", "Options", "PageReport", "Profile", "Progress", "Report"),
    *("Cancelled", "DamagedFile", "EngineError", "FormatError", "LimitExceeded", "ModelError", "OutOfMemory"),
    *("ProfileError", "PublishError", "ScanmendError", "TargetExists", "UnsupportedFormat", "UsageError"),
}


def noisy(height: int, width: int, sigma: float = 12.0) -> npt.NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width]
    tone = 128 + 50 * np.sin(columns / 37) + 30 * np.cos(rows / 51)
    noise = np.random.default_rng(1).normal(0, sigma, (height, width, 3))
    pixels: npt.NDArray[np.uint8] = (tone[..., None] + noise).clip(0, 255).astype(np.uint8)
    return pixels


def test_the_public_names_are_these_and_no_others() -> None:
    assert set(scanmend.__all__) == PUBLIC
    assert set(scanmend.__all__) <= set(dir(scanmend))


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(scanmend, name) is not None


def test_every_error_class_is_public() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type)}

    assert {name for name in classes if issubclass(getattr(errors, name), errors.ScanmendError)} <= PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'restroe'"):
        _ = scanmend.restroe


def test_a_picture_in_memory_comes_back_restored_in_its_own_shape_and_type() -> None:
    scan = noisy(96, 130)

    restored, page = scanmend.restore(scan)

    assert (restored.shape, restored.dtype) == (scan.shape, scan.dtype)
    assert page.plan.steps
    assert not np.array_equal(restored, scan)


def test_strength_0_is_the_identity_for_a_picture_in_memory() -> None:
    scan = noisy(64, 64)
    off = scanmend.Profile(noise=scanmend.Profile().noise.__class__(strength=0.0))

    restored, _ = scanmend.restore(scan, profile=off)

    assert np.array_equal(restored, scan)


def test_a_file_is_restored_beside_itself(tmp_path: Path) -> None:
    Image.fromarray(noisy(96, 96)).save(tmp_path / "scan.png")
    seen: list[scanmend.Progress] = []

    report = scanmend.restore(tmp_path / "scan.png", progress=seen.append)

    assert report.target == tmp_path / "scan_restored.png"
    assert report.target.exists()
    assert seen[-1].done == pytest.approx(seen[-1].total)


def test_a_file_can_be_named_by_text_and_put_into_a_folder(tmp_path: Path) -> None:
    Image.fromarray(noisy(64, 64, 0)).save(tmp_path / "scan.png")
    (tmp_path / "out").mkdir()

    report = scanmend.restore(str(tmp_path / "scan.png"), str(tmp_path / "out"))

    assert report.target == tmp_path / "out" / "scan_restored.png"


def test_the_ending_of_a_named_file_chooses_its_format(tmp_path: Path) -> None:
    Image.fromarray(noisy(64, 64, 0)).save(tmp_path / "scan.png")

    scanmend.restore(tmp_path / "scan.png", tmp_path / "better.tif")

    assert (tmp_path / "better.tif").read_bytes()[:2] in (b"II", b"MM")


def test_a_cancelled_restoration_raises_and_leaves_nothing(tmp_path: Path) -> None:
    Image.fromarray(noisy(96, 96)).save(tmp_path / "scan.png")

    with pytest.raises(scanmend.Cancelled):
        scanmend.restore(tmp_path / "scan.png", cancel=lambda: True)

    assert [path.name for path in tmp_path.iterdir()] == ["scan.png"]


def test_inspecting_writes_nothing_and_gives_json_ready_values(tmp_path: Path) -> None:
    Image.fromarray(noisy(256, 256)).save(tmp_path / "scan.png")

    values = scanmend.inspect(tmp_path / "scan.png").to_dict()

    assert (values["format"], values["pages"][0]["width"]) == ("png", 256)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.png"]


def test_an_unknown_profile_is_a_profile_error() -> None:
    with pytest.raises(scanmend.ProfileError, match="gentel"):
        scanmend.restore(noisy(32, 32), profile="gentel")


def test_a_missing_file_is_a_format_error(tmp_path: Path) -> None:
    with pytest.raises(scanmend.FormatError, match="nothing-here"):
        scanmend.restore(tmp_path / "nothing-here.tif")
