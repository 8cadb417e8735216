"""The quality benchmarks: noise is what a row says, results are kept, tables do not flatter."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scanmend.evaluate import eight_bit
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


@pytest.fixture
def clean() -> FloatArray:
    """Middle tones, so that hardly anything is clipped."""
    down, across = np.mgrid[0:128, 0:160].astype(np.float32)
    planes = (0.35 + across / 640, 0.4 + down / 640, 0.6 - across / 800)
    return eight_bit(np.stack(planes, axis=2))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("blur", [0.8, 1.2])
def test_grain_has_its_level_its_clumps_and_its_colour(clean: FloatArray, *, blur: float, grey: bool) -> None:
    case = module("degrade").grain(10, blur, grey=grey)(clean)

    noise = case.scan - clean
    across_channels = np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]
    assert case.truth.sigma == pytest.approx(10, rel=0.02)
    assert float(noise.std() * 255) == pytest.approx(10, rel=0.05)
    assert case.truth.correlation == pytest.approx(np.exp(-1 / (4 * blur**2)), abs=0.08)
    assert across_channels > 0.9 if grey else abs(across_channels) < 0.1


def test_a_sensors_noise_rises_with_tone_and_the_truth_says_how() -> None:
    ramp = np.broadcast_to(np.linspace(0.1, 0.9, 512, dtype=np.float32)[None, :, None], (128, 512, 3))

    truth = module("degrade").poisson(0.004, 2 / 255)(ramp).truth

    expected = [np.sqrt(0.004 * tone + (2 / 255) ** 2) for tone, _ in truth.curve]
    assert len(truth.curve) >= 6
    assert [sigma for _, sigma in truth.curve] == pytest.approx(expected, rel=0.1)


def test_the_file_of_a_case_holds_the_scan_itself(clean: FloatArray) -> None:
    degrade = module("degrade")
    rows = [row for row in degrade.ROWS if row.group != "unclipped"]

    for row in rows:
        case = row.make(clean)
        with Image.open(io.BytesIO(case.file[0])) as image:
            assert np.array_equal(np.asarray(image), np.rint(case.scan * 255)), row.name


def test_each_row_is_noisy_and_the_same_every_time(clean: FloatArray) -> None:
    for row in module("degrade").ROWS:
        first, second = row.make(clean), row.make(clean.copy())

        assert np.array_equal(first.scan, second.scan), row.name
        assert first.truth.sigma > 0.2, row.name
        assert not np.array_equal(first.scan, clean), row.name


def test_noise_that_was_not_drawn_is_measured_from_the_pair(clean: FloatArray) -> None:
    degrade = module("degrade")
    drawn = degrade.grain(10, 1.2, grey=False)(clean)

    truth = degrade.pair(clean, drawn.scan).truth

    assert truth.sigma == pytest.approx(drawn.truth.sigma, rel=0.05)
    assert truth.correlation == pytest.approx(drawn.truth.correlation, abs=0.05)
    assert truth.blur is None


def identity(shares: tuple[float, ...], runs: list[float], *, kept: bool = True) -> Any:
    """A method that gives back a share of the noise, one setting a share."""
    methods = module("methods")

    def setting(share: float) -> Any:
        def run(case: Any) -> FloatArray:
            runs.append(share)
            return case.clean + share * (case.scan - case.clean)

        return run

    settings = {f"share {share:g}": setting(share) for share in shares}
    return methods.Method("mean", "1", lambda _group, _case: settings, kept=kept)


def test_the_best_setting_counts_and_every_picture_is_in_it(clean: FloatArray) -> None:
    bench, kept, degrade = module("bench"), module("kept"), module("degrade")
    cases = [degrade.white(25, clipped=True)(picture) for picture in (clean, clean[::-1])]
    runs: list[float] = []

    found = list(
        bench.cells(
            "white",
            "a row",
            cases,
            [identity((0.9, 0.2, 0.5), runs)],
            kept.Kept(None),
            only_kept=False,
        )
    )

    assert [(cell.method, cell.setting, cell.pictures) for cell in found] == [
        ("noisy", "", 2),
        ("mean", "share 0.2", 2),
    ]
    assert runs == [0.9, 0.9, 0.2, 0.2, 0.5, 0.5]


def test_what_is_kept_is_not_run_again_but_other_noise_is(clean: FloatArray, tmp_path: Path) -> None:
    bench, kept, degrade = module("bench"), module("kept"), module("degrade")
    file = tmp_path / "kept.jsonl"
    runs: list[float] = []
    method = identity((0.5,), runs)

    def cell(sigma: float, *, only_kept: bool = False) -> Any:
        cases = [degrade.white(sigma, clipped=True)(clean)]
        return list(bench.cells("white", "a", cases, [method], kept.Kept(file), only_kept=only_kept))[1:]

    first = cell(25)
    again, wanting = cell(25, only_kept=True), cell(15, only_kept=True)

    assert again == first
    assert wanting == []
    assert runs == [0.5]
    assert cell(15) != first
    assert runs == [0.5, 0.5]


def test_networks_are_run_again_every_time(clean: FloatArray, tmp_path: Path) -> None:
    bench, kept, degrade = module("bench"), module("kept"), module("degrade")
    runs: list[float] = []
    method = identity((0.5,), runs, kept=False)
    cases = [degrade.white(25, clipped=True)(clean)]

    for _ in range(2):
        list(bench.cells("white", "a", cases, [method], kept.Kept(tmp_path / "kept"), only_kept=True))

    assert runs == [0.5, 0.5]


def test_the_margin_is_over_the_best_classical_method_and_stays_out_while_one_is_missing() -> None:
    tables, bench = module("tables"), module("bench")
    cell = bench.Cell("grain", "grain 5", "noisy", "", 30.0, 0.5, 0.0, 3)
    marks = {"net": 35.0, "net auto": 34.0, "BM3D": 33.0, "wavelets": 34.5}
    full = [cell, *(dataclasses.replace(cell, method=name, psnr=psnr) for name, psnr in marks.items())]
    other = [dataclasses.replace(c, row="grain 9") for c in full if c.method != "BM3D"]

    lines = tables.wide(full + other, "Grain").splitlines()

    assert lines[-2].endswith("| +0.50 | -0.50 |")
    assert lines[-1].startswith("| grain 9 | 30.00 | 35.00 | 34.00 |  | 34.50 |")
    assert lines[-1].endswith("|  |  |")


def test_a_table_over_different_numbers_of_pictures_is_refused() -> None:
    tables, bench = module("tables"), module("bench")
    cell = bench.Cell("grain", "grain 5", "noisy", "", 30.0, 0.5, 0.0, 3)

    with pytest.raises(ValueError, match=r"\[3, 4\] pictures"):
        tables.wide([cell, dataclasses.replace(cell, method="BM3D", pictures=4)], "Grain")


def test_published_rows_stand_beside_unclipped_noise_on_their_own_set_only() -> None:
    tables, bench = module("tables"), module("bench")
    cells = [
        bench.Cell("unclipped", f"white {sigma}, unclipped", "noisy", "", 20.0, 0.5, 0.0, 68)
        for sigma in (15, 25, 50)
    ]
    clipped = [dataclasses.replace(cell, group="white") for cell in cells]

    assert "| FFDNet, published | 33.87 | 31.21 | 27.96 |  |" in tables.report(cells, "CBSD68")
    assert "published" not in tables.report(cells, "my pictures")
    assert "published" not in tables.report(clipped, "CBSD68")


def test_a_picture_survives_the_way_to_gmic_and_back(clean: FloatArray) -> None:
    methods = module("methods")
    beyond = clean * 2 - 0.3

    assert np.array_equal(methods._from_cimg(methods._to_cimg(beyond)), beyond)


def test_the_command_runs_the_networks_told_and_untold(clean: FloatArray, tmp_path: Path) -> None:
    Image.fromarray(np.rint(clean * 255).astype(np.uint8)).save(tmp_path / "a.png")

    run = script(
        "denoise.py", "--images", tmp_path, "--groups", "white", "sensor", "--json", tmp_path / "a.json"
    )

    cells = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    noisy = {cell["row"]: cell["psnr"] for cell in cells if cell["method"] == "noisy"}
    ours = [cell for cell in cells if cell["method"] != "noisy"]
    assert run.returncode == 0, run.stderr
    assert "1 pictures in every cell" in run.stdout
    assert len(ours) == 2 * len(noisy) == 10
    assert all(cell["psnr"] > noisy[cell["row"]] for cell in ours if cell["method"] == "grain-fast")


def test_pairs_without_a_counterpart_are_named(clean: FloatArray, tmp_path: Path) -> None:
    for folder, name in (("input", "a.png"), ("target", "b.png")):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.rint(clean * 255).astype(np.uint8)).save(tmp_path / folder / name)

    run = script("pairs.py", "--pairs", tmp_path)

    assert run.returncode == 1
    assert "a.png has no counterpart" in run.stderr


def test_a_clean_picture_that_comes_back_as_it_was_counts_as_bit_identical(tmp_path: Path) -> None:
    Image.new("RGB", (96, 96), (90, 120, 60)).save(tmp_path / "even.png")

    run = script("harm.py", "--images", tmp_path)

    assert run.returncode == 0, run.stderr
    assert "1 of 1 (100%); below 45 dB: 0" in run.stdout


def script(name: str, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    methods = () if name == "harm.py" else ("--methods", "grain-fast", "grain-fast auto")
    return subprocess.run(
        [sys.executable, FOLDER / name, *arguments, *methods],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
