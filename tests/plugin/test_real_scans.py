"""In both GIMPs a layer becomes exactly what `scanmend restore` makes of the same samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.core.serving import Server

from .driving import DRIVE
from .gimp import Gimp, reaching

pytestmark = pytest.mark.slow

SCRIPT = """
folder, profile, names = ARGS[0], ARGS[1], ARGS[2:]
found = {}
for name in names:
    image = load(folder + '/' + name)
    with open(folder + '/' + name + '.before', 'wb') as file:
        file.write(samples(layer(image)))
    clean(image)
    said = call(image, layer(image), profile=profile, output='in-place')
    with open(folder + '/' + name + '.after', 'wb') as file:
        file.write(samples(layer(image)))
    found[name] = [said, dirty(image)]
answer(found)
"""


@pytest.fixture(params=[3, 2], ids=["gimp3", "gimp2"])
def gimp(request: pytest.FixtureRequest) -> Gimp:
    found: Gimp = request.getfixturevalue(f"gimp{request.param}")
    return found


def by_command(path: Path, profile: str) -> NDArray[Any]:
    """The samples that `scanmend restore` makes of a file."""
    target = path.with_name(f"{path.stem}-by-command{path.suffix}")
    words = ["restore", str(path), "-o", str(target), "-p", profile, "--device", "cpu", "--quiet"]
    if not target.exists():
        subprocess.run([sys.executable, "-m", "scanmend", *words, "--backend", "torch"], check=True)
    return decoded(target)


def decoded(path: Path) -> NDArray[Any]:
    if path.suffix == ".tif":
        return tifffile.imread(path)
    with Image.open(path) as image:
        return np.asarray(image)


def restored(
    gimp: Gimp, engine: Server, paths: list[Path], profile: str
) -> dict[str, tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]:
    """For each file its samples, those that GIMP has afterwards, and those of the command."""
    folder = paths[0].parent
    ran = gimp.run(
        DRIVE[gimp.version] + SCRIPT, folder, profile, *(path.name for path in paths),
        **reaching(engine, show=[folder], timeout=600),
    )  # fmt: skip
    found = {}
    for path in paths:
        assert ran.well[path.name] == [["success", ""], True], (path.name, ran.err)
        given = decoded(path)
        read, made = (
            np.frombuffer(path.with_name(path.name + end).read_bytes(), given.dtype).reshape(given.shape)
            for end in (".before", ".after")
        )
        assert np.array_equal(read, given), f"GIMP has read other samples from {path.name}"
        found[path.name] = given, made, by_command(path, profile)
    return found


def far(one: NDArray[Any], other: NDArray[Any]) -> float:
    """The largest difference, in levels of the working precision (of 16 bit, for float)."""
    return float(np.abs(one.astype(float) - other).max()) * (65535 if one.dtype.kind == "f" else 1)


def test_real_scans_become_what_the_command_makes_of_them(
    gimp: Gimp, engine: Server, real_scans: dict[str, Path]
) -> None:
    found = restored(gimp, engine, list(real_scans.values()), "strong")

    for name, (given, made, wanted) in found.items():
        assert far(made, wanted) <= 1, name
        assert far(made, given) > 1, name


def test_every_kind_of_layer_becomes_what_the_command_makes_of_it(
    gimp: Gimp, engine: Server, made_scans: dict[str, Path]
) -> None:
    found = restored(gimp, engine, list(made_scans.values()), "strong")

    for name, (given, made, wanted) in found.items():
        assert far(made, wanted) <= 1, name
        assert far(made, given) > 10, name
        if "alpha" in name:
            assert np.array_equal(made[..., -1], given[..., -1]), name


def test_a_scan_that_needs_nothing_stays_and_is_no_step_of_undo(
    gimp: Gimp, engine: Server, tmp_path: Path
) -> None:
    Image.fromarray(np.full((90, 120, 3), 200, np.uint8)).save(tmp_path / "flat.png")

    ran = gimp.run(
        DRIVE[gimp.version] + SCRIPT, tmp_path, "gentle", "flat.png", **reaching(engine, show=[tmp_path])
    )

    assert ran.well["flat.png"] == [["success", ""], False]
    assert (tmp_path / "flat.png.after").read_bytes() == (tmp_path / "flat.png.before").read_bytes()
