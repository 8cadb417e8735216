"""What deblurring costs: halos are measured truly, and speed against the very same network."""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scanmend import cards
from scanmend_models.mimo_unet.arch import mimo_unet
from torch import Tensor

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder, name = request.param
    monkeypatch.syspath_prepend(str(BENCHMARKS / folder))
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name)
    sys.modules.pop(name)


def mean_over(reach: int) -> Any:
    """A network that sees just so far."""

    def run(inputs: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(inputs, 2 * reach + 1, 1, reach, count_include_pad=False)

    return run


@pytest.mark.parametrize("script", [("quality", "halo")], indirect=True)
def test_the_halo_is_how_far_a_network_sees(script: Any) -> None:
    card = replace(cards.find("grain-fast"), inputs=3, multiple=8)
    scan = np.random.default_rng(0).random((104, 136, 3), np.float32)

    short, enough, more = script._errors(mean_over(20), card, scan, (16, 32, 40))

    assert short > 1  # a blend reaches into the last 8 pixels of the halo
    assert enough == pytest.approx(0, abs=1e-3)
    assert more == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("script", [("quality", "halo")], indirect=True)
def test_a_halo_is_tried_on_every_kind_of_blur_and_on_none(script: Any) -> None:
    clean = np.random.default_rng(0).random((96, 96, 3), np.float32)

    blurred = dict(script.blurred(clean))

    assert list(blurred) == ["motion 10", "motion 20", "motion 40", "defocus", "scanner", "none"]
    assert blurred["none"].std() > 2 * max(scan.std() for name, scan in blurred.items() if name != "none")


@pytest.mark.parametrize("script", [("speed", "deblur")], indirect=True)
def test_the_straightforward_network_is_the_same_network(script: Any) -> None:
    inputs = torch.rand(1, 3, 24, 40, generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        straight = script._straightforward("mimo-unet")(inputs)
        torch.manual_seed(0)
        ours = mimo_unet()(inputs)

    torch.testing.assert_close(straight, ours, rtol=0, atol=1e-5)
