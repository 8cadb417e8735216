"""The deblurring benchmark: known blur is undone, shifts are found, harm is counted, pages are filled."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scanmend import psf
from scanmend.evaluate import deblur, eight_bit, psnr
from scanmend.image import FloatArray

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "quality"


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Any:
    """The folder of the scripts, found as when one of them runs."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def module(name: str) -> Any:
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def clean() -> FloatArray:
    """Bars and slopes: something to blur everywhere."""
    down, across = np.mgrid[0:112, 0:128].astype(np.float32)
    bars = 0.25 + 0.5 * ((down // 14 + across // 16) % 2)
    planes = (bars, 0.2 + across / 220, 0.7 - down / 300 + 0.1 * np.sin(across / 3))
    return eight_bit(np.stack(planes, axis=2).astype(np.float32))


@pytest.mark.parametrize("method", ["Wiener, kernel told", "Richardson-Lucy, kernel told"])
@pytest.mark.parametrize("family", psf.KINDS)
def test_a_method_that_is_told_the_kernel_undoes_much_of_the_blur(
    clean: FloatArray, family: str, method: str
) -> None:
    pytest.importorskip("scipy")
    case = module("blurring").drawn([clean], family).cases[0]
    told = next(one for one in module("sharpening").sharpeners() if one.name == method)

    results = [run(case) for run in told.settings(family, case).values()]

    gains = [psnr(clean, eight_bit(result)) - psnr(clean, case.scan) for result in results]
    assert max(gains) > 1
    assert all(result.shape == clean.shape for result in results)


def test_blind_richardson_lucy_makes_a_soft_picture_sharper(clean: FloatArray) -> None:
    pytest.importorskip("scipy")
    case = module("blurring").drawn([clean], "scanner").cases[0]
    method = next(one for one in module("sharpening").sharpeners() if one.name.startswith("blind"))

    results = [run(case) for run in method.settings("scanner", case).values()]

    assert max(psnr(clean, eight_bit(result)) for result in results) > psnr(clean, case.scan) + 0.5


def test_a_method_that_needs_the_kernel_has_no_row_where_there_is_none(clean: FloatArray) -> None:
    case = module("blurring").drawn([clean], "sharp").cases[0]

    settings = {one.name: one.settings("sharp", case) for one in module("sharpening").sharpeners()}

    assert [name for name, found in settings.items() if not found] == [
        "Wiener, kernel told",
        "Richardson-Lucy, kernel told",
    ]


@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -2.0), (-1.5, 4.25)])
def test_marks_do_not_fall_where_a_result_is_shifted(clean: FloatArray, shift: tuple[float, float]) -> None:
    register = module("register")
    spectrum = np.fft.rfft2(np.pad(clean, ((0, 112), (0, 128), (0, 0)), "symmetric"), axes=(0, 1))
    planes = [register._moved(spectrum[..., n], shift, clean.shape) for n in range(3)]
    moved = np.concatenate(planes, axis=2)

    found, alike = register.marks(clean, moved, 6)

    assert found > 45
    assert alike > 0.99


def test_a_shift_beyond_the_search_is_a_difference(clean: FloatArray) -> None:
    moved = np.roll(clean, 5, axis=1)

    near, far = (module("register").marks(clean, moved, most)[0] for most in (2, 6))
    assert near < 30
    assert far > 60


def test_a_kernel_is_centred_on_its_centroid() -> None:
    kernel = np.zeros((7, 7), np.float32)
    kernel[1:3, 5] = 2.0

    found = module("blurring").centred(kernel)

    down, across = np.mgrid[: len(found), : len(found)] - len(found) // 2
    assert found.sum() == pytest.approx(1)
    assert abs((found * down).sum()) <= 0.5
    assert abs((found * across).sum()) <= 0.5
    assert np.count_nonzero(found) == 2


def test_kernels_are_read_from_a_file_of_matlab(tmp_path: Path) -> None:
    io = pytest.importorskip("scipy.io")
    drawn = [psf.draw("motion", np.random.default_rng(n)).kernel for n in range(3)]
    cells = np.empty((1, 3), object)
    cells[0] = drawn
    io.savemat(tmp_path / "kernels.mat", {"kernels": cells})

    found = module("blurring").read_kernels(tmp_path / "kernels.mat")

    assert [kernel.sum() for kernel in found] == pytest.approx([1, 1, 1])
    assert np.allclose(found[1], module("blurring").centred(drawn[1]))


def test_the_size_of_a_blur_is_its_spread_along_the_widest_direction(clean: FloatArray) -> None:
    blurring, degrade = module("blurring"), module("degrade")
    case = blurring.drawn([clean], "sharp").cases[0]
    soft = dataclasses.replace(case, blur=degrade.Blur(psf.gaussian(1.0, 2.0, turn=0.5), linear=True))

    assert blurring.spread(case) == 0
    assert blurring.spread(soft) == pytest.approx(2.02, abs=0.03)  # a pixel's own width counts as well


def test_levins_noise_is_one_percent_and_only_files_are_clipped(clean: FloatArray) -> None:
    bright = np.minimum(clean + 0.3, 1)
    blurring = module("blurring")

    free, clipped = (
        blurring.levin([bright], [psf.disk(2)], clipped=clipped).cases[0] for clipped in (False, True)
    )

    noise = free.scan - deblur.convolved(bright, psf.disk(2))
    assert float(noise.std() * 255) == pytest.approx(2.55, rel=0.02)
    assert free.scan.max() > 1
    assert free.file is None
    assert np.array_equal(clipped.scan, eight_bit(free.scan))


def cell(method: str, psnrs: tuple[float, ...], row: str = "motion") -> Any:
    mean = float(np.mean(psnrs))
    return module("bench").Cell(row, row, method, "", mean, 0.9, 1.0, len(psnrs), psnrs)


def test_tables_tell_the_gain_the_worst_picture_and_how_many_are_below(clean: FloatArray) -> None:
    del clean
    found = [cell("input", (25.0, 30.0, 27.0)), cell("net", (28.0, 29.5, 26.95))]

    made = module("deblur_tables").tables(found, {"motion": [0.5, 3.0, 3.9]})

    assert "| net | 28.15 (+0.82) / 0.900 | 1.0 |" in made["families"]
    assert "| net | -0.50, 1 |" in made["families-worst"]  # 0.05 dB is within what is allowed
    assert "| method | up to 1 px (1) | 1 to 2 px (0) | 2 to 4 px (2) | over 4 px (0) |" in made["sizes"]
    assert "| net | +3.00 |  | -0.28 |  |" in made["sizes"]


def test_what_is_done_to_sharp_pictures_is_counted() -> None:
    found = [cell("input", (99.0,) * 3, "sharp"), cell("net", (99.0, 44.0, 99.0), "sharp")]

    made = module("deblur_tables").tables(found, {"sharp": [0.0] * 3})

    assert "| net | identical | 44.00 | 2 | 1 |" in made["sharp"]


def test_tables_go_where_a_page_names_them_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: sharp -->\nold\n<!-- end of table -->\nb\n", encoding="utf-8")

    module("deblur_tables").insert({"sharp": "| new \\1 |", "levin": "| other |"}, page)

    said = page.read_text(encoding="utf-8")
    assert said == "a\n<!-- table: sharp -->\n| new \\1 |\n<!-- end of table -->\nb\n"


def test_a_table_without_an_end_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: sharp -->\nold\n", encoding="utf-8")

    with pytest.raises(SystemExit, match="has no <!-- end of table -->"):
        module("deblur_tables").insert({"sharp": "new"}, page)

    assert page.read_text(encoding="utf-8") == "<!-- table: sharp -->\nold\n"


def test_a_sheet_shows_the_place_with_most_detail() -> None:
    picture = np.full((60, 80, 3), 0.5, np.float32)
    picture[30:40:2, 50:60] = 0.9

    left, top = module("deblur_pages").most_detail(picture, 16)

    assert left <= 50
    assert left + 16 >= 60
    assert top <= 30
    assert top + 16 >= 39


@pytest.mark.parametrize("words", ["a.png", "fog=a.png"])
def test_a_row_of_a_sheet_that_is_none_is_named(words: str) -> None:
    with pytest.raises(SystemExit, match="is no row: KIND=FILE"):
        module("deblur_pages")._row(words, 32)


def test_the_command_prints_its_tables_and_fills_a_page(clean: FloatArray, tmp_path: Path) -> None:
    for folder in ("sharp", "pairs/input", "pairs/target"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.rint(clean * 255).astype(np.uint8)).save(tmp_path / folder / "a.png")
    page = tmp_path / "page.md"
    page.write_text("<!-- table: families -->\n<!-- end of table -->\n", encoding="utf-8")

    run = subprocess.run(
        [
            sys.executable, FOLDER / "deblur.py", "--images", tmp_path / "sharp",
            "--photographs", tmp_path / "pairs", "--groups", "scanner", "sharp", "photographs",
            "--methods", "unsharp mask", "auto", "--into", page, "--json", tmp_path / "cells.json",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )  # fmt: skip

    assert run.returncode == 0, run.stderr
    cells = json.loads((tmp_path / "cells.json").read_text(encoding="utf-8"))
    assert {(one["group"], one["method"]) for one in cells} >= {
        (group, method) for group in ("scanner", "sharp", "photographs") for method in ("input", "auto")
    }
    assert "| unsharp mask | " in page.read_text(encoding="utf-8")
    assert "below 50 dB" in run.stdout
