"""The benchmark of the blur meter: blur is what a row says, and its figures do not flatter."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scanmend import psf
from scanmend.measure import BlurFacts

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "quality"


@pytest.fixture(scope="module")
def script() -> Any:
    """The script, found as when it runs."""
    sys.path.insert(0, str(FOLDER))
    yield importlib.import_module("measure_blur")
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_the_direction_of_a_shake_is_that_in_which_its_light_is_spread(script: Any, degrees: float) -> None:
    kernel = psf.gaussian(0.6, 3.0, turn=-np.radians(degrees))  # rows count downwards

    assert abs((script.direction(kernel) - degrees + 90) % 180 - 90) < 1


def test_blur_keeps_the_light_and_its_place(script: Any) -> None:
    point = np.full((41, 41, 3), 0.2, np.float32)
    point[20, 20] = 0.9
    light = script.lit(point)

    seen = script.lit(script.blurred(light, psf.disk(3)))

    assert seen.sum() == pytest.approx(light.sum(), rel=1e-4)
    assert np.average(np.arange(41), weights=(seen - seen.min()).sum((1, 2))) == pytest.approx(20, abs=1e-3)
    assert seen.max() < light.max() / 5


def test_every_kind_and_the_sharp_picture_are_among_the_rows(script: Any) -> None:
    rows = list(script.cases(np.random.default_rng(1)))

    assert {case.kind for case in rows} == {"none", *psf.KINDS}
    assert sum(case.kernel is None for case in rows) == 1
    assert all(case.kernel.sum() == pytest.approx(1, rel=1e-4) for case in rows if case.kernel is not None)


def test_a_row_counts_what_was_found_told_right_and_off(script: Any) -> None:
    case = script.Case("defocus, radius 2", "defocus", 2.0, 0.0, psf.disk(2))
    read = (
        BlurFacts("defocus", 2.2, 0, 0.9, 0.1),
        BlurFacts("scanner", 1.5, 0, 0.9, 0.1),
        BlurFacts("none", 0, 0, 0.1, 0),
        None,
    )

    table = script.table([script.Judged(case, facts) for facts in read])
    kinds = script.confusion([script.Judged(case, facts) for facts in read])

    assert table[-1] == "| defocus, radius 2 | 1 | 2 of 4 | 50 % | 10 % | 30 % |  |"
    assert "| defocus | 0 % | 50 % | 50 % |" in kinds
