"""What a person gets who installs the wheel: opened, not installed; `make bare` does that."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from scanmend import cards

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    ROOT / "core" / "scanmend",
    ROOT / "daemon" / "scanmend_daemon",
    ROOT / "models" / "scanmend_models",
    ROOT / "install" / "scanmend_install",
    ROOT / "plugin" / "scanmend_plugin",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    out = tmp_path_factory.mktemp("wheel")
    # Where hatchling is not installed, pip fetches it for itself.
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    built = subprocess.run(
        [*command, *isolation, "--wheel-dir", str(out), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(next(out.glob("scanmend-*.whl")))


def test_every_file_of_the_packages_is_in_the_wheel_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    on_disk = {
        path.relative_to(package.parent).as_posix()
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == on_disk


@pytest.mark.parametrize(
    "name",
    [
        "scanmend/py.typed",
        "scanmend_models/py.typed",
        "scanmend/profiles/gentle.yaml",
        "scanmend/profiles/schema.json",
        "scanmend_models/grain_fast/card.toml",
    ],
)
def test_data_files_that_the_code_reads_are_in_the_wheel(wheel: zipfile.ZipFile, name: str) -> None:
    assert name in wheel.namelist()


def test_the_weights_in_the_wheel_are_those_of_their_cards(wheel: zipfile.ZipFile) -> None:
    models = ROOT / "models"
    expected = {
        card.weights.relative_to(models).as_posix(): card.sha256
        for card in cards.in_folder(models / "scanmend_models")
    }

    packed = {name: hashlib.sha256(wheel.read(name)).hexdigest() for name in expected}

    assert expected
    assert packed == expected


def test_all_weights_together_stay_under_80_mb(wheel: zipfile.ZipFile) -> None:
    sizes = [entry.file_size for entry in wheel.infolist() if entry.filename.endswith(".safetensors")]

    assert 0 < sum(sizes) < 80e6


def test_the_wheel_carries_its_licence_and_its_command(wheel: zipfile.ZipFile) -> None:
    info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")).rsplit("/", 1)[0]

    licence = wheel.read(f"{info}/licenses/LICENSE").decode()
    commands = wheel.read(f"{info}/entry_points.txt").decode()

    assert "The Scanmend authors" in licence
    assert "scanmend = scanmend.cli:main" in commands
