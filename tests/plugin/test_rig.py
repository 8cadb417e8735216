"""The rig itself: a broken rig would pass every test that asks for a failure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .gimp import Gimp, RootedGimp, rooted

pytestmark = pytest.mark.slow

LOAD = {
    3: """
img = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(ARGS[0]))
answer({'width': img.get_width(), 'height': img.get_height(), 'args': ARGS})
""",
    2: """
img = pdb.gimp_file_load(ARGS[0], ARGS[0])
answer({'width': img.width, 'height': img.height, 'args': ARGS})
""",
}


@pytest.fixture(params=[3, 2], ids=["gimp3", "gimp2"])
def gimp(request: pytest.FixtureRequest) -> Gimp:
    found: Gimp = request.getfixturevalue(f"gimp{request.param}")
    return found


def test_a_script_sees_its_arguments_and_files_and_answers(gimp: Gimp, tmp_path: Path) -> None:
    picture = tmp_path / "a picture.png"
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(picture)

    ran = gimp.run(LOAD[gimp.version], picture, "ä b", show=[tmp_path], plug_in=None)

    assert ran.well == {"width": 30, "height": 20, "args": [str(picture), "ä b"]}


def test_a_script_that_raises_is_told_from_one_that_runs_through(gimp: Gimp) -> None:
    ran = gimp.run("answer({'so far': 1})\nraise RuntimeError('as it should')", plug_in=None)

    assert ran.code == 1
    assert "as it should" in ran.err
    assert ran.values == {"so far": 1}


def test_a_script_with_a_mistake_in_it_has_not_run(gimp: Gimp) -> None:
    ran = gimp.run("answer({'x': 1)\n", plug_in=None)

    assert ran.code == 1
    assert "SyntaxError" in ran.err


def test_without_root_or_tools_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCANMEND_GIMP_TOOLS", str(tmp_path))

    assert rooted(3, tmp_path) == "SCANMEND_GIMP_TOOLS names no folder with gimp-root in it"


@pytest.mark.parametrize("version", [3, 2])
def test_a_window_shows_the_layers_as_they_are(
    version: int, request: pytest.FixtureRequest, tmp_path: Path, made_scans: dict[str, Path]
) -> None:
    gimp: RootedGimp = request.getfixturevalue("window3" if version == 3 else "gimp2")
    steps = "layers; now start; key ctrl+i; key Escape; layers; now end"

    seen = gimp.window(steps, made_scans["rgb8"], out=tmp_path / "out", plug_in=None).well()

    assert len(seen.layers) == 2
    assert seen.layers[0] == seen.layers[1]
    assert (seen.layers[0][0].width, seen.layers[0][0].height) == (200, 150)
    assert 0 < seen.times["end"] - seen.times["start"] < 60
