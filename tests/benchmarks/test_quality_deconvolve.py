"""The benchmark of known blur: real borders, wrong radii, a rule, and a page that holds them."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scanmend import deconvolve, pipeline, psf
from scanmend.evaluate import psnr
from scanmend.image import FloatArray

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "quality"
ENGINE = pipeline.Options(device="cpu", backend="torch")


@pytest.fixture(scope="module", autouse=True)
def scripts() -> Any:
    """The folder of the scripts, found as when one of them runs."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def bench() -> Any:
    return importlib.import_module("deconvolve")


@pytest.fixture(scope="module")
def clean() -> FloatArray:
    """Bars and slopes, with the surroundings that blur takes in."""
    down, across = np.mgrid[0:136, 0:136].astype(np.float32)
    bars = 0.25 + 0.5 * ((down // 9 + across // 11) % 2)
    return np.stack([bars, 0.9 * bars, bars * across / 136], axis=-1).astype(np.float32)


def test_the_light_of_what_lies_outside_is_in_the_borders(clean: FloatArray) -> None:
    inside, outside = clean.copy(), clean.copy()
    outside[:40] = 1.0

    scans = [bench()._case(each, 56, psf.disk(3.0), 0.0, 0).scan for each in (inside, outside)]

    assert np.abs(scans[0][0] - scans[1][0]).max() > 0.05  # the first row, next to what was changed
    assert np.array_equal(scans[0][8:], scans[1][8:])


def test_a_small_picture_keeps_some_surroundings(clean: FloatArray) -> None:
    case = bench()._case(clean[:70], 56, psf.disk(2.0), 0.0, 0)

    assert case.clean.shape == case.scan.shape == (30, 56, 3)


def test_the_true_radius_does_better_than_wrong_ones(clean: FloatArray) -> None:
    (row,) = bench().rows([clean], 56, [("defocus", 3.0)], [(0.5, 0)])

    results = {factor: bench().by_shape(row.cases[0], row, factor, ENGINE) for factor in (0.8, 1.0, 1.2)}

    decibels = {factor: psnr(row.cases[0].clean, result) for factor, result in results.items()}
    assert max(decibels, key=lambda factor: decibels[factor]) == 1.0
    assert decibels[1.0] > psnr(row.cases[0].clean, row.cases[0].scan) + 2


def test_the_rule_says_how_well_the_radius_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    script = bench()
    monkeypatch.setattr(script, "SHAPES", (("defocus", 1.0), ("defocus", 2.0), ("defocus", 3.0)))
    monkeypatch.setattr(script.cards, "installed", tuple)
    rows = [script.Row("defocus", radius, 1.0, 0, ()) for radius in (1.0, 2.0, 3.0)]
    gains = [
        {f"radius x {factor}": [gain] for factor, gain in zip((0.8, 0.9, 1.1, 1.2), each, strict=True)}
        for each in ((0.1, 0.4, 0.5, 0.9), (0.3, 0.6, 0.5, 0.4), (-1, -1, -1, -1))
    ]
    for each, known in zip(gains, (3.0, 3.0, 0.1), strict=True):
        each.update({"shape known": [known], script.OTHER: [0.5]})

    lines = script._rule(list(zip(rows, gains, strict=True))).splitlines()[2:]

    assert [line.split(" | ")[-1] for line in lines] == [
        "right to a tenth |",
        "right to a fifth |",
        "never |",
    ]


def test_tables_stand_in_the_page_that_names_them(
    clean: FloatArray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = bench()
    monkeypatch.setattr(script, "SHAPES", (("scanner", 0.9),))
    monkeypatch.setattr(script, "DIRT", ((0.5, 0),))
    page = tmp_path / "page.md"
    page.write_text("# Known\n\n<!-- table: known-blur -->\n<!-- end of table -->\n", encoding="utf-8")

    script.insert(script.judged([clean], ENGINE, argparse.Namespace(crop=56, own=True)), page)

    text = page.read_text(encoding="utf-8")
    assert "scanner 0.9, noise 0.5" in text
    assert "shape known" in text


def test_a_changed_constant_comes_back() -> None:
    before = deconvolve.LEAST_LEVEL

    with pytest.raises(ValueError, match="on the way"), bench()._changed({"LEAST_LEVEL": 1.0}):
        raise ValueError("on the way")

    assert before == deconvolve.LEAST_LEVEL
